"""Who is calling: keys, sessions that are refreshed, and programs."""

from __future__ import annotations

import asyncio
import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from sales_pipeline_client import (
    AsyncSalesPipelineClient,
    AuthenticationError,
    RateLimitedError,
    SalesPipelineClient,
    TokenError,
    Tokens,
)
from talking import Mode, Server, StandingClock, answer, refusal, team


class Identity:
    """A token endpoint whose refresh tokens are good once, in front of something that wants a token that has not ended."""

    def __init__(self) -> None:
        self.grants: list[dict[str, str]] = []
        self.issued = 0
        self.refresh_token = ""
        self.ended: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/v1/auth/token":
            token = request.headers.get("authorization", "")
            good = token == f"Bearer access-{self.issued}" and token not in self.ended
            return answer(team()) if good else refusal(401, "token_expired")
        with self.lock:
            form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
            self.grants.append(form)
            is_good = form.get("password") == "right" or (
                form.get("refresh_token") == self.refresh_token != ""
            )
            if not is_good:
                return answer({"error": "invalid_grant", "error_description": "not valid"}, 400)
            return self.issue()

    def issue(self) -> httpx.Response:
        self.issued += 1
        self.refresh_token = f"refresh-{self.issued}"
        return answer(
            {
                "access_token": f"access-{self.issued}",
                "token_type": "bearer",
                "expires_in": 1800,
                "refresh_token": self.refresh_token,
            }
        )


PERSON: dict[str, Any] = {"username": "a@example.com", "password": "right"}


def test_a_person_signs_in_once_and_refreshes_before_the_end(mode: Mode) -> None:
    identity, clock = Identity(), StandingClock()
    client = mode.client(identity, clock=clock, **PERSON)
    for _ in range(3):
        mode.run(client.teams.get(1))
    clock.time += 1800 - 29
    mode.run(client.teams.get(1))
    assert [it["grant_type"] for it in identity.grants] == ["password", "refresh_token"]
    assert identity.grants[0]["username"] == "a@example.com"


def test_a_token_that_ended_early_is_renewed_once_and_the_call_made_again(mode: Mode) -> None:
    identity = Identity()
    client = mode.client(identity, **PERSON)
    mode.run(client.teams.get(1))
    identity.ended.add("Bearer access-1")
    mode.run(client.teams.update(1, name="B"))
    assert [it["grant_type"] for it in identity.grants] == ["password", "refresh_token"]


def test_a_call_that_is_refused_with_a_new_token_too_is_refused(mode: Mode) -> None:
    identity = Identity()

    def never(request: httpx.Request) -> httpx.Response:
        is_token = request.url.path.endswith("/token")
        return identity(request) if is_token else refusal(401, "token_invalid")

    with pytest.raises(AuthenticationError, match="token_invalid"):
        mode.run(mode.client(never, **PERSON).teams.get(1))
    assert len(identity.grants) == 2


def test_a_session_that_is_over_is_begun_anew_with_the_password(mode: Mode) -> None:
    identity, clock = Identity(), StandingClock()
    client = mode.client(identity, clock=clock, **PERSON)
    mode.run(client.teams.get(1))
    identity.refresh_token = "another"
    clock.time += 3600
    mode.run(client.teams.get(1))
    grants = [it["grant_type"] for it in identity.grants]
    assert grants == ["password", "refresh_token", "password"]


def test_a_session_without_a_password_ends_with_its_refresh_token(mode: Mode) -> None:
    identity = Identity()
    kept: list[Tokens] = []
    identity.issue()
    tokens = Tokens("access-1", "refresh-1", 1800)
    clock = StandingClock()
    client = mode.client(identity, clock=clock, tokens=tokens, on_tokens=kept.append)
    mode.run(client.teams.get(1))
    assert identity.grants == []
    clock.time += 1800
    mode.run(client.teams.get(1))
    assert [it.refresh_token for it in kept] == ["refresh-2"]
    identity.refresh_token = "another"
    clock.time += 1800
    for _ in range(2):
        with pytest.raises(TokenError):
            mode.run(client.teams.get(1))


def test_a_wrong_password_is_told_and_not_tried_again(mode: Mode) -> None:
    identity = Identity()
    client = mode.client(identity, username="a@example.com", password="wrong")
    with pytest.raises(TokenError, match="invalid_grant: not valid") as failure:
        mode.run(client.teams.get(1))
    assert (failure.value.status, failure.value.code) == (400, "invalid_grant")
    assert len(identity.grants) == 1


def test_who_has_guessed_too_often_is_told_how_long_to_wait(mode: Mode) -> None:
    body = {"error": "temporarily_unavailable", "error_description": "wait"}
    server = Server([answer(body, 429, retry_after="800")])
    with pytest.raises(RateLimitedError) as failure:
        mode.run(mode.client(server, **PERSON).teams.get(1))
    assert (failure.value.code, failure.value.retry_after) == ("temporarily_unavailable", 800)


def test_a_refresh_whose_answer_was_lost_is_asked_for_again(mode: Mode) -> None:
    identity, clock, losses = Identity(), StandingClock(), [1]

    def loses_one(request: httpx.Request) -> httpx.Response:
        if identity.issued == 1 and request.url.path.endswith("/token") and losses:
            losses.pop()
            raise httpx.ReadError("lost")
        return identity(request)

    client = mode.client(loses_one, clock=clock, **PERSON)
    mode.run(client.teams.get(1))
    clock.time += 3600
    # It changes something and has no condition, but was never sent.
    mode.run(client.teams.update(1, name="B"))
    assert [it["grant_type"] for it in identity.grants] == ["password", "refresh_token"]


def test_many_threads_refresh_once() -> None:
    identity, clock = Identity(), StandingClock()
    http = httpx.Client(transport=httpx.MockTransport(identity))
    client = SalesPipelineClient("http://api", http_client=http, clock=clock, **PERSON)
    with ThreadPoolExecutor(16) as threads:
        for _ in range(3):
            assert len(list(threads.map(lambda _: client.teams.get(1), range(64)))) == 64
            clock.time += 3600
    grants = [it["grant_type"] for it in identity.grants]
    assert grants == ["password", "refresh_token", "refresh_token"]


def test_many_coroutines_refresh_once() -> None:
    identity, clock = Identity(), StandingClock()

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return identity(request)

    async def all_at_once() -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(slow))
        client = AsyncSalesPipelineClient("http://api", http_client=http, clock=clock, **PERSON)
        for _ in range(3):
            await asyncio.gather(*(client.teams.get(1) for _ in range(64)))
            clock.time += 3600

    asyncio.run(all_at_once())
    grants = [it["grant_type"] for it in identity.grants]
    assert grants == ["password", "refresh_token", "refresh_token"]


def test_a_program_exchanges_its_secret_for_a_token(mode: Mode) -> None:
    identity = Identity()

    def programs(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            pair = base64.b64encode(b"id:secret").decode()
            assert request.headers["authorization"] == f"Basic {pair}"
            assert request.content == b"grant_type=client_credentials"
            return identity.issue()
        return identity(request)

    client = mode.client(programs, client_id="id", client_secret="secret")
    mode.run(client.teams.get(1))
    identity.ended.add("Bearer access-1")
    mode.run(client.teams.get(1))
    assert identity.issued == 2


def test_signing_out_revokes_the_session(mode: Mode) -> None:
    identity = Identity()
    revoked: list[bytes] = []

    def revoking(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/revoke"):
            revoked.append(request.content)
            return httpx.Response(200)
        return identity(request)

    client = mode.client(revoking, **PERSON)
    mode.run(client.teams.get(1))
    mode.run(client.sign_out())
    assert revoked == [b"token=refresh-1"]
    with pytest.raises(TokenError, match="sign in again"):
        mode.run(client.teams.get(1))


def test_an_api_key_is_sent_as_it_is(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(lambda _: answer(team()))
    mode.run(mode.client(server, api_key="secret").teams.get(1))
    assert server.requests[0].headers["x-api-key"] == "secret"
    monkeypatch.setenv("SPM_API_KEY", "from the environment")
    mode.run(mode.client(server, api_key=None).teams.get(1))
    assert server.requests[1].headers["x-api-key"] == "from the environment"


def test_who_has_no_key_is_told_so_before_anything_is_sent(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPM_API_KEY", raising=False)
    server = Server([answer(status=204)])
    client = mode.client(server, api_key=None)
    with pytest.raises(AuthenticationError, match=r"give api_key=, .*set SPM_API_KEY") as failure:
        mode.run(client.teams.get(1))
    assert failure.value.code == "token_missing"
    # Who has lost a password needs no key.
    mode.run(client.auth.request_password_reset("a@example.com"))
    assert server.asked == ["POST /api/v1/auth/password-reset"]


def test_nothing_secret_is_printed() -> None:
    client = SalesPipelineClient("http://api", api_key="secret")
    for shown in (client, Tokens("secret", "secret", 60), client.api_keys):
        assert "secret" not in repr(shown)
    client.close()


@pytest.mark.parametrize(
    "who",
    [
        {"api_key": "k", "username": "a", "password": "b"},
        {"username": "a"},
        {"client_id": "a"},
        {"client_id": "a", "client_secret": "b", "api_key": "k"},
    ],
)
def test_it_has_to_be_plain_who_is_calling(who: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"goes with|give one of"):
        SalesPipelineClient("http://api", **who)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a", "http://u:p@a", "http://a?b=c"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        SalesPipelineClient(url, api_key="k")


def test_an_address_may_end_with_the_path_of_the_api(mode: Mode) -> None:
    for url in ("http://api/crm/", "http://api/crm/api/v1", "http://api/crm/api/v1/"):
        client = SalesPipelineClient(url, api_key="k")
        assert client.base_url == "http://api/crm"
        client.close()
