"""What is refused, and in which words: each code that can be provoked without harm."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

from recorder import BASE, Person, Recorder
from sales import key

OPPORTUNITY = "GET /opportunities/{id}"


def everywhere(it: Recorder, admin: Person, wang: Person, viewer: Person) -> None:
    """What may be said of any request."""
    it.refused(None, "GET /opportunities", 401, "token_missing")
    it.refused(Person("", "", {"Authorization": "Bearer made.up"}), "GET /opportunities", 401, "token_invalid")
    it.refused(Person("", "", {"X-API-Key": "made-up"}), "GET /opportunities", 401, "api_key_invalid")
    it.refused(wang, "POST /opportunities", 400, "malformed", raw=b'{"opportunity_name": ', kind="application/json")
    it.refused(wang, "POST /opportunities", 415, "unsupported_media_type", raw=b"name=A", kind="application/x-www-form-urlencoded")
    it.refused(wang, "POST /opportunities", 413, "too_large", json_body={"notes": "x" * (1 << 20)})
    it.refused(wang, "GET /teams", 422, "invalid", query={"colour": "red"})
    it.refused(wang, "GET /opportunities", 422, "invalid", query={"colour": "red", "limit": 500, "sort_by": "luck"})
    it.refused(wang, "GET /opportunities", 400, "cursor_invalid", query={"cursor": "nonsense"})
    it.refused(wang, OPPORTUNITY, 404, "not_found", path={"id": 999999})
    it.refused(viewer, "POST /opportunities", 403, "denied", json_body={"customer_name": "甲", "opportunity_name": "乙"})
    it.refused(wang, "GET /audit", 403, "denied")
    it.refused(wang, "GET /dead-letters/{service}", 403, "denied", path={"service": "analytics"})
    it.refused(admin, "GET /dead-letters/{service}", 404, "not_found", path={"service": "identity"})


def of_sales(it: Recorder, admin: Person, manager: Person, wang: Person, emma: Person, made: dict[str, Any]) -> None:
    """What the rules about sales refuse."""
    bad = {"opportunity_name": " ", "stage": "nowhere", "amount": 0.001, "probability": 101, "contact_email": "nobody"}
    it.refused(wang, "POST /opportunities", 422, "invalid", json_body={key: it for key, it in bad.items() if key != "amount"})
    again = {"customer_name": "永信物流股份有限公司", "opportunity_name": "車隊管理平台", "external_id": "ERP-1001"}
    it.refused(wang, "POST /opportunities", 409, "external_id_taken", json_body=again)
    it.refused(
        wang, "POST /opportunities", 403, "owner_not_self",
        json_body={"customer_name": "甲", "opportunity_name": "乙", "owner_id": emma.id},
    )
    once = {"customer_name": "丙", "opportunity_name": "丁"}
    it.ask(wang, "POST /opportunities", status=201, headers=key(50), json_body=once)
    it.refused(wang, "POST /opportunities", 422, "invalid", headers=key(50), json_body={**once, "amount": 1})
    won = {"id": made["won"]["id"]}
    it.refused(emma, "PATCH /opportunities/{id}/stage", 403, "not_yours", path=won, json_body={"stage": "lost"})
    it.refused(
        wang, "PATCH /opportunities/{id}/stage", 412, "stale", path=won, headers={"If-Match": '"v1"'}, json_body={"stage": "won"},
    )
    it.refused(
        wang, "PATCH /opportunities/{id}/stage", 422, "invalid", path=won,
        json_body={"stage": "won", "probability": 50, "actual_close_date": "9999-12-31"},
    )
    it.refused(wang, "PATCH /opportunities/{id}", 412, "stale", path=won, headers={"If-Match": '"v1"'}, json_body={"amount": 1})
    it.refused(wang, "PATCH /opportunities/{id}", 422, "invalid", path=won, json_body={"probability": 50, "colour": "red"})
    it.refused(wang, "DELETE /opportunities/{id}", 412, "stale", path=won, headers={"If-Match": '"v1"'})
    it.refused(wang, "PATCH /opportunities/{id}", 409, "external_id_taken", path=won, json_body={"external_id": "ERP-1001"})
    gone = it.ask(admin, "PUT /opportunities/by-external-id/{external_id}", path={"external_id": "ERP-1002"}, status=201, json_body=once)
    it.ask(admin, "DELETE /opportunities/{id}", path={"id": gone["id"]}, status=204)
    it.refused(
        admin, "PUT /opportunities/by-external-id/{external_id}", 409, "opportunity_deleted", path={"external_id": "ERP-1002"},
        json_body={"amount": 1},
    )
    customer = {"id": made["won"]["customer_id"]}
    it.refused(wang, "DELETE /customers/{id}", 409, "customer_has_opportunities", path=customer)
    it.refused(admin, "GET /opportunities/{id}/access", 404, "not_found", path={"id": 999999})
    it.refused(wang, "GET /opportunities/{id}/access", 403, "denied", path=won)
    it.refused(wang, "POST /pipelines", 403, "denied", json_body={"name": "我的漏斗"})
    it.refused(
        manager, "POST /opportunities", 403, "owner_out_of_reach",
        json_body={"customer_name": "甲", "opportunity_name": "乙", "owner_id": admin.id},
    )
    history = {"file": ("past.csv", "opportunity_name,customer_name\nA,B\n"), "kind": ("", "history")}
    it.refused(wang, "POST /imports", 403, "admin_only", files=history)
    lone = it.ask(wang, "POST /opportunities", status=201, json_body={"customer_name": "暫存客戶", "opportunity_name": "暫存"}).body
    it.ask(wang, "DELETE /opportunities/{id}", path={"id": lone["id"]}, status=204)
    it.ask(wang, "DELETE /customers/{id}", path={"id": lone["customer_id"]}, status=204)
    it.refused(wang, "POST /opportunities/{id}/restore", 409, "customer_deleted", path={"id": lone["id"]})
    pipelines = it.ask(admin, "GET /pipelines").body["items"]
    of = {"pipeline_id": next(one["id"] for one in pipelines if not one["is_default"])}
    it.ask(admin, "POST /opportunities", status=201, json_body={"customer_name": "暫存客戶", "opportunity_name": "通路", **of})
    it.refused(admin, "DELETE /pipelines/{id}", 409, "pipeline_in_use", path={"id": of["pipeline_id"]})
    it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "required_for_stage", path={"key": "lead"}, query={**of, "move_to": "trial"})
    it.ask(
        admin, "PATCH /pipeline/stages/{key}", path={"key": "trial"}, query=of, json_body={"required_fields": ["custom_fields.region"]},
    )
    it.refused(admin, "DELETE /custom-fields/{key}", 409, "custom_field_required", path={"key": "region"})


def of_people(it: Recorder, admin: Person, wang: Person) -> None:
    """What the rules about people refuse."""
    it.refused(wang, "GET /oauth-clients", 403, "denied")
    it.refused(wang, "PATCH /users/{id}", 403, "denied", path={"id": admin.id}, json_body={"role": "viewer"})
    it.refused(wang, "PATCH /users/me", 422, "invalid", json_body={"language": "xx"})
    gone = it.ask(admin, "POST /users", status=201, json_body={"email": "gone@example.com", "username": "離職同仁"}).body
    it.ask(admin, "PATCH /users/{id}", path={"id": gone["id"]}, json_body={"is_active": False})
    it.refused(admin, "POST /users/{id}/invitation", 422, "user_inactive", path={"id": gone["id"]})
    program = {"name": "備援同步", "kind": "confidential", "user_id": wang.id}
    it.ask(admin, "POST /oauth-clients", status=201, headers=key(51), json_body=program)
    it.refused(admin, "POST /oauth-clients", 409, "secret_shown", headers=key(51), json_body=program)
    soon = (datetime.now(timezone.utc) + timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    short = it.ask(wang, "POST /api-keys", status=201, json_body={"name": "短期", "expires_at": soon}).body
    by_key = Person("", "", {"X-API-Key": short["key"]})
    it.wait(lambda: it.send("GET", f"{BASE}/users/me", by_key.headers, None).status == 401)
    it.refused(by_key, "GET /users/me", 401, "api_key_expired")


def too_much(it: Recorder, viewer: Person) -> None:
    """Too many wrong passwords, and too many requests."""
    change = {"current_password": "wrong", "new_password": "another-long-password"}
    for _ in range(5):
        it.ask(viewer, "POST /users/me/password", status=422, json_body=change)
    it.refused(viewer, "POST /users/me/password", 429, "too_many_failures", json_body=change)
    form = {"username": "nobody@example.com", "password": "wrong"}
    for _ in range(5):
        it.ask(None, "POST /auth/token", form=form, status=400)
    it.refused(None, "POST /auth/token", 429, "temporarily_unavailable", form=form)
    ended = threading.Event()

    def ask() -> Any:
        return it.send("GET", f"{BASE}/notifications", viewer.headers, None)

    def ask_on() -> None:
        while not ended.is_set():
            ask()

    others = [threading.Thread(target=ask_on) for _ in range(8)]
    for other in others:
        other.start()
    refused = it.wait(lambda: (answer := ask()).status == 429 and answer)
    ended.set()
    for other in others:
        other.join()
    assert refused["code"] == "rate_limited", refused
    it.problems["rate_limited"] = refused.body
    it.keep(it.known["GET /notifications"], None, None, None, None, None, None, "", "rate_limited", "", refused)


def when_something_is_down(it: Recorder, admin: Person, wang: Person) -> None:
    """A service that does not answer: a read is not answered, and of a write nobody knows."""
    with it.without("notifier"):
        it.refused(wang, "GET /notifications", 503, "unavailable")
    with it.without("identity"):
        it.refused(admin, "PATCH /settings", 503, "outcome_unknown", json_body={"fiscal_year_start": 1})
        it.refused(None, "POST /auth/token", 503, "temporarily_unavailable", form={"username": "a@example.com", "password": "wrong"})
