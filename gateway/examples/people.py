"""What administrators and everybody else ask about people, programs and what the organisation sets up."""

from __future__ import annotations

import base64
import hmac
import struct
import subprocess
import time
from datetime import date, timedelta

from recorder import Person, Recorder
from sales import EN, ZH, key

# Good for nothing but this recording.
PASSWORD = "a-long-password-of-your-own"


def lists(it: Recorder, admin: Person) -> None:
    """Fields of the organisation's own, reasons for losing, currencies."""
    it.ask(
        admin, "POST /custom-fields", status=201, headers=key(20), **ZH, says="客戶所在區域",
        json_body={"key": "region", "name": "區域", "type": "choice", "choices": ["北區", "中區", "南區"]},
    )
    it.ask(
        admin, "POST /custom-fields", status=201, **EN, says="A number",
        json_body={"key": "seats", "name": "Seats", "type": "number"},
    )
    it.ask(admin, "GET /custom-fields", **ZH, says="所有自訂欄位")
    it.ask(
        admin, "PATCH /custom-fields/{key}", path={"key": "region"}, **ZH, says="多一個選項",
        json_body={"choices": ["北區", "中區", "南區", "海外"]},
    )
    it.ask(admin, "DELETE /custom-fields/{key}", path={"key": "seats"}, status=204, **EN, says="Delete a field")
    reason = it.ask(
        admin, "POST /lost-reasons", status=201, headers=key(21), **ZH, says="新的失敗原因", json_body={"name": "導入時程太長"},
    ).body
    at = {"id": reason["id"]}
    it.ask(admin, "GET /lost-reasons", **ZH, says="所有失敗原因")
    it.ask(admin, "PATCH /lost-reasons/{id}", path=at, **ZH, says="暫時不用", json_body={"is_active": False})
    it.ask(admin, "DELETE /lost-reasons/{id}", path=at, status=204, **ZH, says="移除失敗原因")
    first = str(date.today() - timedelta(days=30))
    rates = {"code": "USD"}
    it.ask(admin, "PUT /currencies/{code}/rates", path=rates, **ZH, says="一美元等於 32.5 元新台幣", json_body={"valid_from": first, "rate": 32.5})
    it.ask(admin, "PUT /currencies/{code}/rates", path={"code": "JPY"}, **EN, says="Another currency", json_body={"valid_from": first, "rate": 0.2145})
    it.ask(admin, "GET /currencies", **ZH, says="所有幣別")
    it.ask(admin, "GET /currencies/{code}/rates", path=rates, query={"limit": 2}, **ZH, says="美元的匯率")
    it.refused(admin, "GET /currencies/{code}/rates", 404, "not_found", path={"code": "XXY"})
    it.ask(
        admin, "DELETE /currencies/{code}/rates/{valid_from}", path={"code": "JPY", "valid_from": first},
        headers={"If-Match": '"v1"'}, status=204, **EN, says="Take a wrong rate away",
    )


def users(it: Recorder, admin: Person) -> None:
    """Who uses the product."""
    invited = it.ask(
        admin, "POST /users", status=201, headers=key(22), **ZH, says="邀請一位業務，由她自己設定密碼",
        json_body={"email": "hsu@example.com", "username": "許雅雯", "role": "rep", "language": "zh-TW", "time_zone": "Asia/Taipei"},
    ).body
    it.refused(
        admin, "POST /users", 409, "idempotent_replay", headers=key(22),
        json_body={"email": "hsu@example.com", "username": "許雅雯", "role": "rep", "language": "zh-TW", "time_zone": "Asia/Taipei"},
    )
    it.ask(
        admin, "POST /users", status=201, **EN, says="With a first password",
        json_body={"email": "olivia@example.com", "username": "Olivia Brown", "role": "manager", "language": "en", "password": PASSWORD},
    )
    at = {"id": invited["id"]}
    it.ask(admin, "GET /users", query={"limit": 2}, **ZH, says="最新的兩位使用者")
    it.ask(admin, "GET /users/{id}", path=at, **ZH, says="一位使用者")
    it.ask(admin, "PATCH /users/{id}", path=at, headers={"If-Match": '"v1"'}, **ZH, says="改為檢視者", json_body={"role": "viewer"})
    it.ask(admin, "PATCH /users/{id}", path=at, **EN, says="Back to a salesperson", json_body={"role": "rep"})
    again = it.ask(admin, "POST /users/{id}/invitation", path=at, status=201, headers=key(23), **ZH, says="重新寄送邀請").body
    token = again["invitation_url"].partition("token=")[2]
    it.refused(None, "POST /auth/set-password", 422, "invalid", json_body={"token": "made-up", "new_password": "short"})
    it.ask(
        None, "POST /auth/set-password", status=204, **ZH, says="以邀請連結設定密碼",
        json_body={"token": token, "new_password": PASSWORD},
    )
    it.ask(None, "POST /auth/password-reset", status=202, **ZH, says="忘記密碼", json_body={"email": "hsu@example.com"})
    it.refused(admin, "POST /users", 409, "email_taken", json_body={"email": "hsu@example.com", "username": "許小姐"})
    it.refused(admin, "PATCH /users/{id}", 409, "last_admin", path={"id": admin.id}, json_body={"role": "rep"})


def sessions(it: Recorder, admin: Person) -> None:
    """Signing in, looking at oneself, signing out."""
    form = {"grant_type": "password", "username": "hsu@example.com", "password": PASSWORD}
    tokens = it.ask(None, "POST /auth/token", form=form, name="password", says="以電子郵件與密碼登入").body
    fresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    it.ask(None, "POST /auth/token", form=fresh, name="refresh_token", says="Rotate the refresh token")
    it.refused(None, "POST /auth/token", 400, "invalid_grant", form={**form, "password": "wrong"})
    it.refused(None, "POST /auth/token", 400, "invalid_request", form={"username": "hsu@example.com"})
    it.refused(None, "POST /auth/token", 400, "unsupported_grant_type", form={"grant_type": "implicit"})
    it.refused(None, "POST /auth/token", 400, "invalid_scope", form={**form, "scope": "everything"})
    it.refused(None, "POST /auth/token", 413, "invalid_request", form={"password": "x" * 70_000})
    hsu = it.sign_in(Person("hsu@example.com", PASSWORD))
    it.ask(hsu, "GET /users/me", **ZH, says="自己")
    it.ask(
        hsu, "PATCH /users/me", headers={"If-Match": it.ask(hsu, "GET /users/me").etag}, **ZH, says="更改顯示名稱與時區",
        json_body={"username": "許雅雯 Sophia", "time_zone": "Asia/Tokyo"},
    )
    other = it.sign_in(Person("hsu@example.com", PASSWORD))
    listed = it.ask(hsu, "GET /users/me/sessions", query={"limit": 2}, **ZH, says="登入中的裝置").body
    ended = next(one for one in listed["items"] if not one["is_current"])
    it.ask(hsu, "DELETE /users/me/sessions/{id}", path={"id": ended["id"]}, status=204, **ZH, says="登出另一台裝置")
    it.refused(hsu, "POST /users/me/password", 422, "invalid", json_body={"current_password": "wrong", "new_password": "short"})
    it.ask(
        hsu, "POST /users/me/password", status=204, headers=key(24), **ZH, says="更改密碼，並結束其他登入",
        json_body={"current_password": PASSWORD, "new_password": f"{PASSWORD}-2"},
    )
    it.wait(lambda: it.send("GET", "/api/v1/users/me", other.headers, None).status == 401)
    it.refused(other, "GET /users/me", 401, "token_revoked")
    it.ask(admin, "DELETE /users/{id}/sessions", path={"id": hsu.id}, status=204, **ZH, says="結束這個人的所有登入")
    leaving = {"username": "hsu@example.com", "password": f"{PASSWORD}-2"}
    tokens = it.ask(None, "POST /auth/token", form=leaving).body
    it.ask(None, "POST /auth/revoke", form={"token": tokens["refresh_token"]}, **ZH, says="登出")
    it.refused(None, "POST /auth/revoke", 400, "invalid_request", form={})


def teams(it: Recorder, admin: Person, wang: Person) -> None:
    """Teams and who is in them."""
    manager = next(one for one in it.ask(admin, "GET /users", query={"limit": 200})["items"] if one["email"] == "olivia@example.com")
    made = it.ask(
        admin, "POST /teams", status=201, headers=key(25), **ZH, says="新團隊", json_body={"name": "中區業務", "manager_id": manager["id"]},
    ).body
    at = {"id": made["id"]}
    it.ask(admin, "POST /teams", status=201, **EN, says="A team below it", json_body={"name": "Key accounts", "parent_id": made["id"]})
    it.ask(admin, "GET /teams", query={"limit": 2}, **ZH, says="最新的兩個團隊")
    it.ask(admin, "GET /teams/{id}", path=at, **ZH, says="一個團隊")
    it.ask(admin, "PATCH /teams/{id}", path=at, headers={"If-Match": '"v1"'}, **ZH, says="改名", json_body={"name": "中台灣業務"})
    member = {"id": made["id"], "user_id": manager["id"]}
    it.ask(admin, "PUT /teams/{id}/members/{user_id}", path=member, status=204, **ZH, says="加入成員")
    it.ask(admin, "DELETE /teams/{id}/members/{user_id}", path=member, status=204, **ZH, says="移出成員")
    it.refused(wang, "POST /teams", 403, "denied", json_body={"name": "我的團隊"})
    it.ask(admin, "DELETE /teams/{id}", path=at, status=204, **ZH, says="刪除團隊")


def second_factor(it: Recorder, admin: Person, wang: Person) -> None:
    """A second factor from the first code to the last."""
    hsu = it.sign_in(Person("hsu@example.com", f"{PASSWORD}-2"))
    it.ask(hsu, "GET /users/me/second-factor", **ZH, says="尚未啟用")
    it.refused(hsu, "POST /users/me/second-factor/confirm", 409, "second_factor_not_begun", json_body={"code": "123456"})
    begun = it.ask(
        hsu, "POST /users/me/second-factor", headers=key(26), **ZH, says="取得驗證器的密鑰", json_body={"current_password": f"{PASSWORD}-2"},
    ).body
    it.refused(hsu, "POST /users/me/second-factor/confirm", 422, "invalid", json_body={"code": "000000"})
    code = shown(begun["secret"])
    codes = it.ask(hsu, "POST /users/me/second-factor/confirm", headers=key(27), **ZH, says="以第一組驗證碼啟用", json_body={"code": code}).body
    codes = codes["recovery_codes"]
    it.refused(hsu, "POST /users/me/second-factor", 409, "second_factor_enabled", json_body={"current_password": f"{PASSWORD}-2"})
    form = {"username": "hsu@example.com", "password": f"{PASSWORD}-2"}
    refused = it.ask(None, "POST /auth/token", form=form, status=400)
    it.keep("POST /auth/token", "second_factor", "這個帳號需要第二因素：請在登入頁面登入", refused)
    fresh = it.ask(
        hsu, "POST /users/me/second-factor/recovery-codes", headers=key(28), **ZH, says="換一組備用碼", json_body={"code": codes[0]},
    ).body
    it.ask(
        hsu, "POST /users/me/second-factor/disable", status=204, headers=key(29), **ZH, says="停用", json_body={"code": fresh["recovery_codes"][0]},
    )
    it.refused(hsu, "POST /users/me/second-factor/disable", 409, "second_factor_not_enabled", json_body={"code": "123456"})
    begun = it.ask(hsu, "POST /users/me/second-factor", json_body={"current_password": f"{PASSWORD}-2"}).body
    it.ask(hsu, "POST /users/me/second-factor/confirm", json_body={"code": shown(begun["secret"])})
    it.ask(admin, "PATCH /settings", json_body={"second_factor_roles": ["rep"]})
    it.refused(hsu, "POST /users/me/second-factor/disable", 403, "second_factor_required", json_body={"code": "123456"})
    it.refused(wang, "POST /api-keys", 403, "second_factor_required", json_body={"name": "業績試算表"})
    it.ask(admin, "PATCH /settings", json_body={"second_factor_roles": []})
    it.ask(admin, "DELETE /users/{id}/second-factor", path={"id": hsu.id}, status=204, **ZH, says="手機遺失，由管理員移除")


def shown(secret: str) -> str:
    """What an app shows at present (RFC 6238)."""
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    tag = hmac.digest(raw, struct.pack(">q", int(time.time()) // 30), "sha1")
    at = tag[19] & 15
    return f"{(struct.unpack('>I', tag[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def programs(it: Recorder, admin: Person, wang: Person) -> None:
    """API keys and OAuth clients."""
    body = {"name": "業績試算表", "scopes": ["read"], "expires_at": f"{date.today().year + 1}-12-31T00:00:00Z"}
    made = it.ask(wang, "POST /api-keys", status=201, headers=key(30), **ZH, says="只讀的金鑰，到明年底", json_body=body)
    it.refused(wang, "POST /api-keys", 409, "idempotent_replay", headers=key(30), json_body=body)
    it.ask(wang, "POST /api-keys", status=201, **EN, says="One that may write, too", json_body={"name": "ERP bridge", "scopes": ["write"]})
    it.ask(wang, "GET /api-keys", query={"limit": 2}, **ZH, says="自己的金鑰")
    by_key = Person("", "", {"X-API-Key": made["key"]})
    it.refused(by_key, "POST /opportunities", 403, "scope", json_body={"customer_name": "甲", "opportunity_name": "乙"})
    it.refused(by_key, "POST /api-keys", 403, "denied", json_body={"name": "另一把"})
    it.ask(wang, "DELETE /api-keys/{id}", path={"id": made["id"]}, headers={"If-Match": made.etag}, status=204, **ZH, says="撤銷金鑰")
    it.wait(lambda: it.send("GET", "/api/v1/users/me", by_key.headers, None).status == 401)
    it.refused(by_key, "GET /users/me", 401, "api_key_revoked")
    public = it.ask(
        admin, "POST /oauth-clients", status=201, headers=key(31), **EN, says="An app that signs people in",
        json_body={"name": "Spreadsheet add-in", "redirect_uris": ["https://app.example.com/signed-in"], "scopes": ["read"]},
    ).body
    program = it.ask(
        admin, "POST /oauth-clients", status=201, **ZH, says="以自己的身分運作的程式",
        json_body={"name": "夜間同步", "kind": "confidential", "user_id": wang.id, "scopes": ["read"]},
    ).body
    form = {"grant_type": "client_credentials", "client_id": program["client_id"], "client_secret": program["client_secret"]}
    own = it.ask(None, "POST /auth/token", form=form, name="client_credentials", says="A program by itself")
    shows = {"client_id": program["client_id"], "client_secret": program["client_secret"]}
    it.refused(None, "POST /auth/revoke", 400, "unsupported_token_type", form={"token": own["access_token"], **shows})
    it.refused(None, "POST /auth/token", 401, "invalid_client", form={**form, "client_secret": "wrong"})
    it.refused(
        None, "POST /auth/token", 400, "unauthorized_client",
        form={"grant_type": "client_credentials", "client_id": public["client_id"]},
    )
    at = {"id": public["id"]}
    it.ask(admin, "GET /oauth-clients", query={"limit": 2}, **ZH, says="最新的兩個程式")
    it.ask(admin, "GET /oauth-clients/{id}", path=at, **EN, says="One of them")
    built_in = next(one for one in it.ask(admin, "GET /oauth-clients")["items"] if one["client_id"] == "dashboard")
    it.refused(admin, "DELETE /oauth-clients/{id}", 409, "built_in", path={"id": built_in["id"]})
    it.ask(admin, "DELETE /oauth-clients/{id}", path=at, headers={"If-Match": '"v1"'}, status=204, **EN, says="Its tokens end with it")


def stages(it: Recorder, admin: Person) -> None:
    """Pipelines and their stages."""
    it.ask(admin, "GET /pipelines", **ZH, says="預設的漏斗")
    made = it.ask(
        admin, "POST /pipelines", status=201, headers=key(32), **ZH, says="代理商通路，有自己的階段",
        json_body={"name": "代理商通路", "stages": [
            {"key": "lead", "name": "潛在代理", "kind": "open", "default_probability": 20},
            {"key": "trial", "name": "試銷", "kind": "open", "default_probability": 60, "required_fields": ["amount"]},
            {"key": "won", "name": "簽約", "kind": "won"},
            {"key": "lost", "name": "婉拒", "kind": "lost"},
        ]},
    ).body
    at = {"id": made["id"]}
    other = it.ask(admin, "POST /pipelines", status=201, **EN, says="With the standard stages", json_body={"name": "Partners"}).body
    it.ask(admin, "GET /pipelines/{id}", path=at, **ZH, says="一個漏斗")
    it.ask(admin, "PATCH /pipelines/{id}", path=at, headers={"If-Match": '"v1"'}, **ZH, says="改名", json_body={"name": "經銷通路"})
    of = {"pipeline_id": made["id"]}
    it.ask(admin, "GET /pipeline/stages", query=of, **ZH, says="這個漏斗的階段")
    it.ask(
        admin, "POST /pipeline/stages", query=of, status=201, headers=key(33), **ZH, says="中間多一個階段",
        json_body={"key": "review", "name": "條件審查", "kind": "open", "default_probability": 40, "position": 2, "rotting_days": 14},
    )
    it.ask(
        admin, "PATCH /pipeline/stages/{key}", path={"key": "review"}, query=of, **ZH, says="超過七天就算停滯",
        json_body={"rotting_days": 7, "required_fields": ["amount", "expected_close_date"]},
    )
    it.ask(admin, "PUT /pipeline/stages/order", query=of, **ZH, says="調整順序", json_body={"keys": ["lead", "trial", "review", "won", "lost"]})
    it.refused(admin, "PUT /pipeline/stages/order", 422, "invalid", query=of, json_body={"keys": ["lead"]})
    it.ask(admin, "DELETE /pipeline/stages/{key}", path={"key": "review"}, query=of, status=204, **ZH, says="階段裡沒有商機，直接刪除")
    it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "stage_in_use", path={"key": "proposal"})
    it.refused(admin, "DELETE /pipeline/stages/{key}", 409, "last_of_its_kind", path={"key": "won"}, query=of)
    it.refused(admin, "PATCH /pipeline/stages/{key}", 409, "stage_used", path={"key": "proposal"}, json_body={"kind": "won"})
    it.refused(admin, "DELETE /pipelines/{id}", 409, "default_pipeline", path={"id": 1})
    it.ask(admin, "DELETE /pipelines/{id}", path={"id": other["id"]}, headers={"If-Match": '"v1"'}, status=204, **EN, says="Nothing runs through it")


def settings(it: Recorder, admin: Person) -> None:
    """What holds for all, and who changed what."""
    read = it.ask(admin, "GET /settings", **ZH, says="目前的設定")
    it.ask(
        admin, "PATCH /settings", headers={"If-Match": read.etag}, **ZH, says="會計年度從四月開始",
        json_body={"fiscal_year_start": 4},
    )
    it.ask(admin, "PATCH /settings", **EN, says="Back to January", json_body={"fiscal_year_start": 1, "time_zone": "Asia/Taipei"})
    it.refused(admin, "PATCH /settings", 409, "currency_fixed", json_body={"default_currency": "USD"})
    it.refused(admin, "PATCH /settings", 409, "second_factor_not_enabled", json_body={"second_factor_roles": ["admin"]})
    it.ask(
        admin, "GET /audit", query={"source": "opportunities", "record_type": "opportunity", "type": "opportunity.stage_changed", "limit": 1},
        **ZH, says="最近一次階段異動",
    )
    it.ask(admin, "GET /audit", query={"source": "identity", "limit": 1}, **EN, says="The latest change of people")


def notifications(it: Recorder, manager: Person) -> None:
    """What somebody was told."""
    listed = it.wait(lambda: it.ask(manager, "GET /notifications", query={"limit": 1}).body["items"])
    assert listed
    it.ask(manager, "GET /notifications", query={"unread": "true", "limit": 2}, **ZH, says="尚未讀取的通知")


def dead_letters(it: Recorder, admin: Person) -> None:
    """Two events are put aside as if analytics had not been able to apply them: one that it can by now, one that nobody can read."""
    team = field(1, 900) + field(2, "北區業務二組") + field(6, 1)
    event = field(1, "0199d3a8-5f2e-7a54-9d1c-000000000001") + field(2, "team.created") + field(4, "team")
    event += field(5, 900) + field(6, 1) + field(7, 900_001) + field(25, team)
    columns = "consumer, source, position, event_id, payload, error, attempts, failed_at"
    for position, payload in ((900_001, event), (900_002, b"\7")):
        values = f"'analytics', 'identity', {position}, '0199d3a8-5f2e-7a54-9d1c-000000000001', '\\x{payload.hex()}', 'no space left on device', 3, now()"
        subprocess.run([*it.psql("analytics"), "--command", f"insert into dead_letter ({columns}) values ({values})"], check=True)
    of = {"service": "analytics"}
    listed = it.ask(admin, "GET /dead-letters/{service}", path=of, query={"limit": 2}, **EN, says="Two that analytics could not apply").body
    at = {"service": "analytics", "id": listed["items"][0]["id"]}
    it.ask(admin, "GET /dead-letters/{service}/{id}", path=at, **EN, says="One with its event")
    it.ask(admin, "PUT /dead-letters/{service}/{id}/replay", path=at, **EN, says="It can be applied by now")
    it.refused(admin, "PUT /dead-letters/{service}/{id}/replay", 404, "not_found", path=at)
    it.ask(admin, "PUT /dead-letters/{service}/replay", path=of, **EN, says="The other can still not")


def field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])
