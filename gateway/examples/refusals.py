"""What is refused, and in which words: every code but those that would need a fault of ours, or a body that does not come."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, timezone
from typing import Any

from recorder import BASE, Answer, Person, Recorder
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
    """Too many wrong passwords."""
    change = {"current_password": "wrong", "new_password": "another-long-password"}
    for _ in range(5):
        it.ask(viewer, "POST /users/me/password", status=422, json_body=change)
    it.refused(viewer, "POST /users/me/password", 429, "too_many_failures", json_body=change)
    form = {"username": "nobody@example.com", "password": "wrong"}
    for _ in range(5):
        it.ask(None, "POST /auth/token", form=form, status=400)
    it.refused(None, "POST /auth/token", 429, "temporarily_unavailable", form=form)


def enough(it: Recorder, admin: Person, emma: Person) -> None:
    """Of some things there are only so many."""

    def make(who: Person, route: str, code: str, body: Callable[[int], dict[str, Any]], **of: Any) -> None:
        it.until_refused(route, code, lambda number: it.attempt(who, route, json_body=body(number), **of))

    stages = [{"key": kind, "name": kind.title(), "kind": kind} for kind in ("open", "won", "lost")]
    pipeline = it.ask(admin, "POST /pipelines", status=201, json_body={"name": "Long", "stages": stages})
    of = {"pipeline_id": pipeline["id"]}
    make(admin, "POST /pipeline/stages", "too_many_stages", lambda at: {"key": f"step_{at}", "name": f"Step {at}", "kind": "open"}, query=of)
    make(admin, "POST /pipelines", "too_many_pipelines", lambda at: {"name": f"Pipeline {at}", "stages": stages})
    make(admin, "POST /custom-fields", "too_many_custom_fields", lambda at: {"key": f"field_{at}", "name": f"Field {at}", "type": "text"})
    make(admin, "POST /lost-reasons", "too_many_lost_reasons", lambda at: {"name": f"Reason {at}"})
    make(emma, "POST /api-keys", "too_many_api_keys", lambda at: {"name": f"Key {at}"})


def of_stages(it: Recorder, admin: Person) -> None:
    """A stage that goes while an opportunity stands in it."""
    stages = [{"key": at, "name": at.title(), "kind": kind} for at, kind in (
        ("lead", "open"), ("won", "won"), ("trial", "open"), ("review", "open"), ("lost", "lost"),
    )]
    made = it.ask(admin, "POST /pipelines", status=201, json_body={"name": "Trials", "stages": stages})
    of = {"pipeline_id": made["id"]}
    it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "first_not_open", path={"key": "lead"}, query=of)
    it.ask(admin, "POST /opportunities", status=201, json_body={"customer_name": "暫存客戶", "opportunity_name": "試用", "stage": "trial", **of})
    # As if there were so many that moving them took long: somebody else has the turn to move them.
    turn = fnv(f"relocate/{made['id']} trial")
    with it.holding("opportunities", f"select pg_advisory_xact_lock({turn})"):
        it.ask(
            admin, "DELETE /pipeline/stages/{key}", path={"key": "trial"}, query={**of, "move_to": "review"}, status=202,
            name="move_to", says="There are many: they are moved one after the other",
        )
        it.refused(admin, "PATCH /pipeline/stages/{key}", 409, "stage_closing", path={"key": "trial"}, query=of, json_body={"rotting_days": 7})
        it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "stage_closing", path={"key": "trial"}, query={**of, "move_to": "lead"})
        asks = {"required_fields": ["amount"]}
        it.refused(admin, "PATCH /pipeline/stages/{key}", 409, "stage_receiving", path={"key": "review"}, query=of, json_body=asks)
        it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "stage_receiving", path={"key": "review"}, query=of)


def fnv(name: str) -> int:
    """The key of a lock of that name (`events::lock::key`)."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value - (1 << 64) if value >> 63 else value


def meanwhile(it: Recorder, admin: Person, emma: Person) -> None:
    """Two things at once, where one waits for what is held by hand and the other finds it there."""
    body = {"customer_name": "丙", "opportunity_name": "戊"}
    with it.holding("opportunities", "lock table idempotency in share mode"):
        it.refused(emma, "POST /opportunities", 409, "idempotency_key_in_use", headers=key(52), json_body=body)
    it.ask(admin, "POST /users", status=201, json_body={"email": "twice@example.com", "username": "雙螢幕", "password": "a-first-password"})
    twice = it.sign_in(Person("twice@example.com", "a-first-password"))
    link = it.ask(admin, "POST /users/{id}/invitation", path={"id": twice.id}, status=201)["invitation_url"]
    chosen = {"token": link.partition("token=")[2], "new_password": "a-second-password"}
    changed = {"current_password": "a-first-password", "new_password": "a-third-password"}
    with ThreadPoolExecutor() as others:
        with it.holding("identity", f"select from users where id = {twice.id} for update") as wait_for:
            by_link = others.submit(it.ask, None, "POST /auth/set-password", status=204, json_body=chosen)
            wait_for(1)
            by_hand = others.submit(it.refused, twice, "POST /users/me/password", 409, "password_changed", json_body=changed)
            wait_for(2)
        by_link.result()
        by_hand.result()


def of_files(it: Recorder, emma: Person) -> None:
    """More files than one may send at a time, and imports that wait for what is held by hand."""
    sheet = {"file": ("a.csv", "opportunity_name,customer_name\nA,B\n"), "dry_run": ("", "true")}

    sent: list[int] = []

    def send() -> Answer:
        answer = it.attempt(emma, "POST /imports", files=sheet)
        if answer.status == 202:
            sent.append(answer.body["id"])
        return answer

    def is_done(id: int) -> bool:
        return it.attempt(emma, "GET /imports/{id}", path={"id": id}).body["status"] == "done"

    with ExitStack() as open_ones:

        def one_more(_: int) -> Answer:
            open_ones.enter_context(closing(begun(it, emma)))
            return send()

        it.until_refused("POST /imports", "too_many_files", one_more)
    it.wait(lambda: send().status == 202)
    # Those would count among the twenty.
    it.wait(lambda: all(map(is_done, sent)))
    with it.holding("opportunities", "lock table import_rows in share mode"), ExitStack() as open_ones:
        waiting = [it.ask(emma, "POST /imports", status=202, files=sheet)["id"] for _ in range(20)]
        it.refused(emma, "POST /imports", 429, "too_many_imports", files=sheet)
        at = {"id": waiting[-1]}
        it.refused(emma, "POST /imports/{id}/undo", 409, "import_running", path=at)
        for _ in range(20):
            stream = open_ones.enter_context(closing(http.client.HTTPConnection("127.0.0.1", it.port)))
            stream.request("GET", f"{BASE}/imports/{at['id']}/stream", headers=emma.headers)
            assert stream.getresponse().status == 200
        it.refused(emma, "GET /imports/{id}/stream", 429, "too_many_streams", path=at)


def begun(it: Recorder, who: Person) -> http.client.HTTPConnection:
    """A file on its way whose end does not come."""
    connection = http.client.HTTPConnection("127.0.0.1", it.port)
    connection.putrequest("POST", f"{BASE}/imports")
    for name, value in {**who.headers, "Content-Type": "multipart/form-data; boundary=example", "Content-Length": "9999"}.items():
        connection.putheader(name, value)
    beginning = '--example\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nopportunity_name,customer_name\n'
    connection.endheaders(beginning.encode() + b"A,B\n" * 100)
    return connection


def busy(it: Recorder, admin: Person) -> None:
    """More passwords at once than are hashed in time, and more than are reset."""
    body = {"email": "hsu@example.com", "username": "許小姐", "password": "another-long-password"}
    refused: list[Answer] = []

    def ask_on() -> None:
        while not refused:
            answer = it.attempt(admin, "POST /users", json_body=body)
            if answer.status != 409:
                refused.append(answer)

    with ThreadPoolExecutor(80) as others:
        for other in [others.submit(ask_on) for _ in range(80)]:
            other.result()
    it.keep_refusal("POST /users", "sign_in_busy", refused[0])
    route, asked = "POST /auth/password-reset", {"email": "nobody@example.com"}
    with it.holding("identity", "lock table password_reset_counts in share mode"):
        it.until_refused(route, "resets_busy", lambda _: it.attempt(None, route, json_body=asked))


def too_often(it: Recorder, strict: Recorder, early: Person) -> None:
    """More requests than a product takes that takes two a second."""
    route = "GET /notifications"
    it.until_refused(route, "rate_limited", lambda _: strict.attempt(early, route))


def too_late(it: Recorder, strict: Recorder, early: Person) -> None:
    """A token from before all the others were asked, of a product where they live for a minute."""
    route = "GET /opportunities"
    it.keep_refusal(route, "token_expired", strict.wait(lambda: (got := strict.attempt(early, route)).status == 401 and got))


def when_something_is_down(it: Recorder, admin: Person, wang: Person) -> None:
    """A service that does not answer: a read is not answered, and of a write nobody knows."""
    with it.without("notifier"):
        it.refused(wang, "GET /notifications", 503, "unavailable")
    with it.without("identity"):
        it.refused(admin, "PATCH /settings", 503, "outcome_unknown", json_body={"fiscal_year_start": 1})
        it.refused(None, "POST /auth/token", 503, "temporarily_unavailable", form={"username": "a@example.com", "password": "wrong"})
