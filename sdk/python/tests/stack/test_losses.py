"""Against the running product over a connection that loses answers: nothing is done twice, and nothing is lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import httpx
import pytest
from launch import ADMIN

from conftest import Stack
from sales_pipeline_client import (
    ConflictError,
    NotAnsweredError,
    NotFoundError,
    PreconditionFailedError,
    SalesPipelineClient,
    TokenError,
    Tokens,
)

pytestmark = pytest.mark.stack


class Losing(httpx.HTTPTransport):
    """The server gets every request; of some the first answers do not come back."""

    def __init__(self) -> None:
        super().__init__()
        self.loses: Callable[[httpx.Request], bool] = lambda _: False
        self.left = 0
        self.requests: list[httpx.Request] = []

    def lose(self, path: str, times: int = 1) -> None:
        self.loses, self.left = (lambda request: path in request.url.path), times

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.requests.append(request)
        if self.left and self.loses(request):
            response.read()
            response.close()
            self.left -= 1
            raise httpx.ReadError("the answer was lost", request=request)
        return response


class Lossy:
    """A client of the administrator over such a connection."""

    def __init__(self, stack: Stack, tokens: Tokens | None = None) -> None:
        self.connection = Losing()
        http = httpx.Client(transport=self.connection)
        if tokens:
            self.client = SalesPipelineClient(
                stack.url, tokens=tokens, http_client=http, backoff=0.01
            )
        else:
            self.client = SalesPipelineClient(
                stack.url,
                username=ADMIN,
                password=stack.password,
                http_client=http,
                backoff=0.01,
            )
            self.client.users.me()


@pytest.fixture
def lossy(stack: Stack) -> Iterator[Lossy]:
    lossy = Lossy(stack)
    with lossy.client:
        yield lossy


def over(client: SalesPipelineClient) -> Tokens:
    """Its session, with an access token that has ended."""
    tokens = client.tokens
    assert tokens
    return Tokens("", tokens.refresh_token, 0)


def test_what_is_made_is_made_once(lossy: Lossy) -> None:
    name = f"Lost {secrets.token_hex(4)}"
    lossy.connection.lose("/opportunities", times=3)
    made = lossy.client.opportunities.create(customer_name=name, opportunity_name="A")
    assert [it.id for it in lossy.client.opportunities.list(q=name)] == [made.id]
    lossy.connection.lose("/bulk")
    result = lossy.client.opportunities.update_many([{"id": made.id, "notes": "bulk"}])
    assert result.succeeded == 1
    found = lossy.client.opportunities.get(made.id)
    assert (found.version, found.notes) == (made.version + 1, "bulk")


def test_a_file_is_brought_in_once(lossy: Lossy) -> None:
    name = f"Lost {secrets.token_hex(4)}"
    lossy.connection.lose("/imports", times=2)
    content = f"customer_name,opportunity_name\n{name},A\n".encode()
    assert lossy.client.imports.run(content).created == 1
    assert len(lossy.client.opportunities.list(q=name).all()) == 1


def test_a_change_is_made_once_and_says_that_it_may_have_been(lossy: Lossy) -> None:
    made = lossy.client.opportunities.create(customer_name="Lost", opportunity_name="A")
    lossy.connection.lose("/opportunities/")
    with pytest.raises(PreconditionFailedError) as failure:
        lossy.client.opportunities.update(made.id, notes="mine", if_match=made)
    assert failure.value.maybe_done
    lossy.connection.lose("/opportunities/")
    with pytest.raises(NotAnsweredError) as lost:
        lossy.client.opportunities.update(made.id, notes="mine too")
    assert lost.value.maybe_done
    found = lossy.client.opportunities.get(made.id)
    assert (found.version, found.notes) == (made.version + 2, "mine too")


def test_what_was_deleted_is_deleted(lossy: Lossy) -> None:
    made = lossy.client.opportunities.create(customer_name="Lost", opportunity_name="A")
    lossy.connection.lose("/opportunities/")
    lossy.client.opportunities.delete(made.id)
    with pytest.raises(NotFoundError):
        lossy.client.opportunities.delete(made.id)


def test_a_key_whose_answer_was_lost_is_named_without_its_secret(lossy: Lossy) -> None:
    name = f"lost {secrets.token_hex(4)}"
    lossy.connection.lose("/api-keys")
    with pytest.raises(ConflictError) as failure:
        lossy.client.api_keys.create(name=name)
    (made,) = [it for it in lossy.client.api_keys.list() if it.name == name]
    assert made.id in failure.value.about.values()
    assert failure.value.maybe_done
    lossy.client.api_keys.revoke(made.id)


def test_a_session_outlives_a_refresh_whose_answer_was_lost(stack: Stack, lossy: Lossy) -> None:
    later = Lossy(stack, over(lossy.client))
    later.connection.lose("/auth/token")
    with later.client as client:
        assert client.users.me().email == ADMIN
        asked = [it.url.path for it in later.connection.requests]
        assert asked.count("/api/v1/auth/token") == 2
        client.sign_out()


def test_many_threads_share_a_session_that_is_renewed_once(stack: Stack, lossy: Lossy) -> None:
    kept: list[Tokens] = []
    before = over(lossy.client)
    with SalesPipelineClient(stack.url, tokens=before, on_tokens=kept.append) as shared:
        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(lambda _: shared.users.me().email, range(64)))
        assert found == [ADMIN] * 64
        assert len(kept) == 1
        shared.sign_out()
    ended = Tokens("", kept[0].refresh_token, 0)
    with SalesPipelineClient(stack.url, tokens=ended) as client, pytest.raises(TokenError):
        client.users.me()
