"""A call of the API as data: what is to be sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Generic, TypeVar
from urllib.parse import urlencode

import httpx

from . import exact

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call of the API."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    takes_key: bool = False
    """Whether it is made safe to send again by an idempotency key."""
    is_public: bool = False
    """Whether it needs nobody to be signed in."""
    is_streamed: bool = False

    def ask(self, name: str, value: str) -> Call[T]:
        """The same with another value of a parameter."""
        others = tuple(it for it in self.query if it[0] != name)
        return replace(self, query=(*others, (name, value)))


def form_call(
    path: str,
    form: Mapping[str, str],
    read: Callable[[httpx.Response], T],
    headers: Mapping[str, str] | None = None,
) -> Call[T]:
    """A call that sends a form and needs nobody to be signed in."""
    return Call(
        "POST",
        path,
        read,
        content=urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})},
        is_public=True,
    )


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer with exact numbers; `None` where it has no body."""
    return exact.loads(response.content) if response.content else None
