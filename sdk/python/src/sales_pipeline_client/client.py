"""The two clients: one that blocks, one to await, with the same calls."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Callable, Generic

import httpx
from typing_extensions import TypedDict, Unpack

from .call import Call, form_call
from .credentials import ApiKey, ClientCredentials, Credentials, Nobody, Session, Tokens
from .exchange import BASE_PATH, Exchange
from .operations import Engine, Resource
from .resources.activities import Activities
from .resources.customers import Contacts, Customers
from .resources.imports import Imports, Notifications
from .resources.opportunities import Opportunities
from .resources.organisation import (
    Audit,
    Auth,
    Currencies,
    CustomFieldsResource,
    DeadLetters,
    LostReasonsResource,
    SettingsResource,
)
from .resources.organisation import Sync as SyncResource
from .resources.people import ApiKeys, OAuthClients, SecondFactors, Sessions, Teams, Users
from .resources.pipelines import AllPipelines, PipelineFunnel
from .resources.reports import ForecastResource, Reports, Targets
from .retrying import RetryPolicy
from .steps import Async, AsyncDriver, Clock, Flow, M, Sync, SyncDriver

DEFAULT_BASE_URL = "http://localhost:8000"


class Options(TypedDict, total=False):
    """What a client may be made with besides who is calling."""

    timeout: float
    deadline: float | None
    max_retries: int
    backoff: float
    max_backoff: float
    max_retry_after: float
    headers: Mapping[str, str]


class Client(Generic[M]):
    """What both clients have in common: every noun of the API."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.opportunities: Opportunities[M] = Opportunities(engine)
        self.activities: Activities[M] = Activities(engine)
        self.customers: Customers[M] = Customers(engine)
        self.contacts: Contacts[M] = Contacts(engine)
        self.pipeline: PipelineFunnel[M] = PipelineFunnel(engine)
        self.pipelines: AllPipelines[M] = AllPipelines(engine)
        self.lost_reasons: LostReasonsResource[M] = LostReasonsResource(engine)
        self.custom_fields: CustomFieldsResource[M] = CustomFieldsResource(engine)
        self.currencies: Currencies[M] = Currencies(engine)
        self.forecast: ForecastResource[M] = ForecastResource(engine)
        self.targets: Targets[M] = Targets(engine)
        self.reports: Reports[M] = Reports(engine)
        self.imports: Imports[M] = Imports(engine)
        self.notifications: Notifications[M] = Notifications(engine)
        self.users: Users[M] = Users(engine)
        self.sessions: Sessions[M] = Sessions(engine)
        self.second_factor: SecondFactors[M] = SecondFactors(engine)
        self.teams: Teams[M] = Teams(engine)
        self.api_keys: ApiKeys[M] = ApiKeys(engine)
        self.oauth_clients: OAuthClients[M] = OAuthClients(engine)
        self.settings: SettingsResource[M] = SettingsResource(engine)
        self.audit: Audit[M] = Audit(engine)
        self.dead_letters: DeadLetters[M] = DeadLetters(engine)
        self.sync: SyncResource[M] = SyncResource(engine)
        self.auth: Auth[M] = Auth(engine)
        for name, resource in vars(self).items():
            if isinstance(resource, Resource):
                resource._name = name

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._engine.exchange.base_url

    @property
    def tokens(self) -> Tokens | None:
        """The present tokens of a session."""
        credentials = self._engine.exchange.credentials
        return credentials.tokens if isinstance(credentials, Session) else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def _with(self, options: Options) -> Engine:
        exchange = self._engine.exchange
        headers = {**exchange.headers, **options.get("headers", {})}
        policy = _policy(options, exchange.policy)
        return replace(self._engine, exchange=replace(exchange, policy=policy, headers=headers))

    def _sign_out(self) -> Flow[None]:
        """Ends the session, if there is one."""
        session = self._engine.exchange.credentials
        if isinstance(session, Session):
            tokens = session.tokens
            session.forget()
            if tokens:
                form = {"token": tokens.refresh_token or tokens.access_token}
                call: Call[None] = form_call("/auth/revoke", form, lambda _: None)
                yield from self._engine.exchange.perform(call)


class SalesPipelineClient(Client[Sync]):
    """Talks to a Sales Pipeline Manager.

    As a program with `api_key`, as a person with `username` (the e-mail address) and `password`, with `tokens` of an earlier
    session, or as a program with `client_id` and `client_secret`. Without any of these the environment is asked for
    `SPM_API_KEY`, without `base_url` for `SPM_BASE_URL`; where there is no key, `client.auth` alone can be called. It may be
    used by many threads at once, and is closed by `close` or at the end of a `with`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        http_client: httpx.Client | None = None,
        clock: Clock | None = None,
        **options: Unpack[Options],
    ) -> None:
        clock = clock or Clock()
        credentials = _credentials(
            clock, api_key, username, password, tokens, on_tokens, client_id, client_secret
        )
        driver = SyncDriver(http_client or httpx.Client(), clock)
        super().__init__(Engine(_exchange(base_url, credentials, clock, options), driver))

    def with_options(self, **options: Unpack[Options]) -> SalesPipelineClient:
        """The same client, with the same connections and session, but other patience or headers."""
        other = SalesPipelineClient.__new__(SalesPipelineClient)
        Client.__init__(other, self._with(options))
        return other

    def sign_out(self) -> None:
        """Ends the session of `username` and `password`."""
        self._engine.run(self._sign_out())

    def close(self) -> None:
        """Closes the connections."""
        self._engine.driver.close()

    def __enter__(self) -> SalesPipelineClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncSalesPipelineClient(Client[Async]):
    """`SalesPipelineClient` to await, with the same calls: under asyncio or trio. It is closed by `close` or at the end of an `async with`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        http_client: httpx.AsyncClient | None = None,
        clock: Clock | None = None,
        **options: Unpack[Options],
    ) -> None:
        clock = clock or Clock()
        credentials = _credentials(
            clock, api_key, username, password, tokens, on_tokens, client_id, client_secret
        )
        driver = AsyncDriver(http_client or httpx.AsyncClient(), clock)
        super().__init__(Engine(_exchange(base_url, credentials, clock, options), driver))

    def with_options(self, **options: Unpack[Options]) -> AsyncSalesPipelineClient:
        """The same client, with the same connections and session, but other patience or headers."""
        other = AsyncSalesPipelineClient.__new__(AsyncSalesPipelineClient)
        Client.__init__(other, self._with(options))
        return other

    async def sign_out(self) -> None:
        """Ends the session of `username` and `password`."""
        await self._engine.run(self._sign_out())

    async def close(self) -> None:
        """Closes the connections."""
        driver = self._engine.driver
        if isinstance(driver, AsyncDriver):
            await driver.close()

    async def __aenter__(self) -> AsyncSalesPipelineClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def _exchange(
    base_url: str | None, credentials: Credentials, clock: Clock, options: Options
) -> Exchange:
    given = base_url or os.environ.get("SPM_BASE_URL") or DEFAULT_BASE_URL
    url = httpx.URL(given)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"base_url={given!r} is no address such as {DEFAULT_BASE_URL}")
    if url.query or url.fragment or url.userinfo:
        raise ValueError("base_url holds neither a query nor who is calling")
    trimmed = given.rstrip("/")
    if trimmed.endswith(BASE_PATH):
        trimmed = trimmed[: -len(BASE_PATH)]
    headers = dict(options.get("headers", {}))
    return Exchange(trimmed, credentials, _policy(options, RetryPolicy()), clock, headers)


def _policy(options: Options, before: RetryPolicy) -> RetryPolicy:
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise TypeError(f"a client has no {', '.join(sorted(unknown))}")
    named = {it.name for it in fields(RetryPolicy)}
    changes: dict[str, Any] = {name: value for name, value in options.items() if name in named}
    return replace(before, **changes)


def _credentials(
    clock: Clock,
    api_key: str | None,
    username: str | None,
    password: str | None,
    tokens: Tokens | None,
    on_tokens: Callable[[Tokens], None] | None,
    client_id: str | None,
    client_secret: str | None,
) -> Credentials:
    is_person = username is not None or password is not None or tokens is not None
    is_program = client_id is not None or client_secret is not None
    if (api_key is not None) + is_person + is_program > 1:
        raise ValueError(
            "give one of api_key, username and password, or client_id and client_secret"
        )
    if (username is None) != (password is None) or (client_id is None) != (client_secret is None):
        raise ValueError("username goes with password, client_id with client_secret")
    if is_person:
        return Session(
            clock, username=username, password=password, tokens=tokens, on_tokens=on_tokens
        )
    if client_id is not None and client_secret is not None:
        return ClientCredentials(clock, client_id, client_secret)
    key = api_key or os.environ.get("SPM_API_KEY")
    return ApiKey(key) if key else Nobody()
