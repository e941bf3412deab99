"""Who is calling: an API key, or a session that is refreshed before it ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Protocol

import httpx

from . import exact
from .call import Call, form_call
from .errors import AuthenticationError, TokenError
from .steps import Alone, Clock, Flow

# A token is renewed so long before its end, lest it ends on the way.
LEEWAY = 30.0

NOBODY = (
    "no key: give api_key=, or username= and password=, or set SPM_API_KEY"
    " (spm login keeps its key for spm alone)"
)


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint gives. It does not print what is secret."""

    access_token: str
    refresh_token: str | None
    expires_in: float

    def __repr__(self) -> str:
        return f"Tokens(expires_in={self.expires_in})"


Renewing = Callable[[Call[Tokens]], Flow[Tokens]]
"""How tokens are got: sends a call once, without signing it."""


class Credentials(Protocol):
    """Who is calling."""

    def headers(self, renewing: Renewing) -> Flow[Mapping[str, str]]:
        """What a request carries; where there is no token that is good, one is got first."""
        ...

    def refused(self, headers: Mapping[str, str]) -> bool:
        """These headers were not accepted; whether others may be."""
        ...


class Nobody:
    """Nobody is signed in."""

    def headers(self, renewing: Renewing) -> Flow[Mapping[str, str]]:
        """None: what needs somebody is not sent."""
        yield from ()
        raise AuthenticationError(401, "token_missing", NOBODY)

    def refused(self, headers: Mapping[str, str]) -> bool:
        """There are no others."""
        return False


class ApiKey:
    """A program with a key of its own."""

    def __init__(self, key: str) -> None:
        self._key = key

    def headers(self, renewing: Renewing) -> Flow[Mapping[str, str]]:
        """The key."""
        yield from ()
        return {"X-API-Key": self._key}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """There are no others."""
        return False


class Session:
    """A person. The access token is renewed by one call at a time: a refresh token is good once."""

    def __init__(
        self,
        clock: Clock,
        *,
        username: str | None = None,
        password: str | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
    ) -> None:
        self._clock = clock
        self._username = username
        self._password = password
        self._tokens = tokens
        self._on_tokens = on_tokens
        self._good_until = clock.now() + tokens.expires_in - LEEWAY if tokens else 0.0

    def headers(self, renewing: Renewing) -> Flow[Mapping[str, str]]:
        """An access token that is good for a while."""
        if not self._is_good():
            yield Alone(self._renew(renewing))
        return {"Authorization": f"Bearer {self._tokens.access_token}"} if self._tokens else {}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """The token is of no use any more, unless it has been renewed meanwhile. With another one it may be worth a try."""
        if self._tokens and headers.get("Authorization") == f"Bearer {self._tokens.access_token}":
            self._good_until = 0.0
        return self._password is not None or bool(self._tokens and self._tokens.refresh_token)

    @property
    def tokens(self) -> Tokens | None:
        """The present ones."""
        return self._tokens

    def forget(self) -> None:
        """Nobody is signed in any more."""
        self._tokens = self._password = None
        self._good_until = 0.0

    def _is_good(self) -> bool:
        return self._tokens is not None and self._clock.now() < self._good_until

    def _renew(self, renewing: Renewing) -> Flow[None]:
        if self._is_good():
            return  # somebody else was faster
        refresh_token = self._tokens.refresh_token if self._tokens else None
        if refresh_token:
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
            try:
                return self._keep((yield from renewing(token_call(form))))
            except TokenError:
                # That session is over, or its latest token was lost on the way.
                self._tokens = None
                if self._password is None:
                    raise
        if self._username is None or self._password is None:
            raise TokenError(401, "invalid_grant", "there is no good token: sign in again")
        form = {
            "grant_type": "password",
            "username": self._username,
            "password": self._password,
        }
        self._keep((yield from renewing(token_call(form))))

    def _keep(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._good_until = self._clock.now() + max(tokens.expires_in - LEEWAY, 1.0)
        if self._on_tokens:
            self._on_tokens(tokens)


class ClientCredentials:
    """A program with a client id and a secret, which are exchanged for access tokens."""

    def __init__(self, clock: Clock, client_id: str, client_secret: str) -> None:
        self._clock = clock
        pair = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._basic = {"Authorization": f"Basic {pair}"}
        self._token = ""
        self._good_until = 0.0

    def headers(self, renewing: Renewing) -> Flow[Mapping[str, str]]:
        """An access token that is good for a while."""
        if self._clock.now() >= self._good_until:
            yield Alone(self._renew(renewing))
        return {"Authorization": f"Bearer {self._token}"}

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Another one may be accepted."""
        if headers.get("Authorization") == f"Bearer {self._token}":
            self._good_until = 0.0
        return True

    def _renew(self, renewing: Renewing) -> Flow[None]:
        if self._clock.now() < self._good_until:
            return
        call = token_call({"grant_type": "client_credentials"}, self._basic)
        tokens = yield from renewing(call)
        self._token = tokens.access_token
        self._good_until = self._clock.now() + max(tokens.expires_in - LEEWAY, 1.0)


def token_call(form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Call[Tokens]:
    """A call of the token endpoint."""
    return form_call("/auth/token", form, _tokens, headers)


def _tokens(response: httpx.Response) -> Tokens:
    said = exact.loads(response.content)
    if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
        raise ValueError("there is no access token in it")
    return Tokens(said["access_token"], said.get("refresh_token"), float(said.get("expires_in", 0)))
