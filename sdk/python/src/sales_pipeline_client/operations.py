"""How an operation of the API is declared: a route and a typed signature, which a blocking and an awaiting client share.

A resource is generic in its mode. `Opportunities[Sync]().get` is `(int) -> Opportunity`, `Opportunities[Async]().get` is
`(int) -> Coroutine[…, Opportunity]`, by the overloads below; both are the one declaration, so that they cannot drift apart.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, update_wrapper
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, Generic, Protocol, TypeVar, Union, overload
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter
from typing_extensions import Concatenate, ParamSpec, TypedDict, get_args, get_type_hints

from . import exact
from .call import Call, json_of
from .events import AsyncEventStream, Event, EventStream, Listening
from .exchange import Exchange
from .models.base import Page
from .paging import AsyncPager, Pager
from .steps import Async, AsyncDriver, Flow, M, Sync, SyncDriver

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound="Resource[Any]")


class _Absent:
    """The default of what is left out."""

    def __repr__(self) -> str:
        return "..."


_ABSENT = _Absent()


class HasETag(Protocol):
    """What has a version."""

    @property
    def etag(self) -> str:
        """The version, as `If-Match` has it."""
        ...


Match = Union[HasETag, int, str]
"""What a record must still be: one that was read, its version, or its ETag."""


class Keyed(TypedDict, total=False):
    """What every call that makes something takes."""

    idempotency_key: str
    """One of your own; without it each call has a new one, which stays over its retries."""


class Guarded(TypedDict, total=False):
    """What every call that changes something takes."""

    if_match: Match
    """Only if it is still this one; `PreconditionFailedError` otherwise. With it the call is safe to send again."""


@dataclass(frozen=True)
class Engine:
    """What does calls: how they are made, and who does the steps."""

    exchange: Exchange
    driver: SyncDriver | AsyncDriver

    def run(self, flow: Flow[Any]) -> Any:
        """The result of a flow, or a coroutine of it."""
        return self.driver.run(flow)


class Resource(Generic[M]):
    """What the calls about one noun have in common."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = type(self).__name__
        """What the client calls it, which sets it."""


class Documented:
    """A declaration, which `help` shows as any method: by its name, its arguments and what it says of itself."""

    def __init__(self, declaration: Callable[..., Any]) -> None:
        update_wrapper(self, declaration)
        self._declaration = declaration

    @cached_property
    def signature(self) -> inspect.Signature:
        """Its parameters, each keyword argument by its name."""
        return _signature(self._declaration)

    @property
    def __signature__(self) -> inspect.Signature:
        return self.signature

    def suit(self, resource: Resource[Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
        """`TypeError` where these arguments do not suit, with the call's name and those that there are."""
        name = f"{resource._name}.{self._declaration.__name__}()"
        known = self.signature.parameters
        unknown = ", ".join(repr(it) for it in kwargs if it not in known)
        if unknown:
            raise TypeError(
                f"{name} has no argument {unknown}; it has {', '.join(known) or 'none'}"
            )
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None

    def __call__(self, resource: Any, *args: Any, **kwargs: Any) -> Any:
        """As a function of a class is called: with the resource before its arguments."""
        return getattr(resource, self._declaration.__name__)(*args, **kwargs)


class Declared(Documented):
    """A route with the signature of the method that declares it."""

    def __init__(
        self,
        route: str,
        declaration: Callable[..., Any],
        *,
        rename: Mapping[str, str] | None = None,
        asked: Iterable[str] = (),
        is_public: bool = False,
    ) -> None:
        super().__init__(declaration)
        self.method, _, self.path = route.partition(" ")
        self._rename = dict(rename or {})
        self._asked = frozenset(asked)
        self._is_public = is_public
        self._in_path = frozenset(re.findall(r"\{(\w+)\}", self.path))

    @property
    def route(self) -> str:
        """Such as `GET /opportunities/{opportunity_id}`."""
        return f"{self.method} {self.path}"

    @cached_property
    def returns(self) -> Any:
        """The type that is declared as what it returns."""
        return _evaluated(self._declaration, "return")

    @property
    def sends(self) -> frozenset[str]:
        """The names of what it can send besides what is in its path, as the API calls it."""
        own = set(self.signature.parameters) - self._in_path - {"idempotency_key", "if_match"}
        return frozenset(map(self._name, own))

    def call(self, *args: Any, **kwargs: Any) -> Call[Any]:
        """The call with these arguments; `TypeError` where they do not suit."""
        given = self.signature.bind(*args, **kwargs).arguments
        headers: dict[str, str] = {}
        if "idempotency_key" in given:
            headers["Idempotency-Key"] = given.pop("idempotency_key")
        if given.get("if_match") is not None:
            headers["If-Match"] = etag(given["if_match"])
        given.pop("if_match", None)
        path = self.path
        for name in self._in_path:
            path = path.replace(f"{{{name}}}", _segment(name, given.pop(name)))
        has_body = self.method in {"POST", "PUT", "PATCH"}
        query: list[tuple[str, str]] = []
        body: dict[str, Any] = {}
        for name, value in given.items():
            if has_body and name not in self._asked:
                body[self._name(name)] = value
            else:
                query.extend(_asked(self._name(name), value))
        content = None
        if has_body and (body or self.sends - self._asked):
            content = exact.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return Call(
            self.method,
            path,
            self._read,
            query=tuple(query),
            content=content,
            headers=headers,
            takes_key=not self._is_public,
            is_public=self._is_public,
        )

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.returns)

    def _read(self, response: Any) -> Any:
        return self._adapter.validate_python(json_of(response))

    def _name(self, name: str) -> str:
        return self._rename.get(name, name.rstrip("_"))


class Operation(Declared, Generic[P, T]):
    """An operation with one answer."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, resource: None, owner: Any) -> Operation[P, T]: ...
        @overload
        def __get__(self, resource: Resource[Sync], owner: Any) -> Callable[P, T]: ...
        @overload
        def __get__(
            self, resource: Resource[Async], owner: Any
        ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, resource: Any, owner: Any) -> Any:
        if resource is None:
            return self
        engine: Engine = resource._engine

        def bound(*args: Any, **kwargs: Any) -> Any:
            self.suit(resource, args, kwargs)
            return engine.run(engine.exchange.perform(self.call(*args, **kwargs)))

        return _dressed(bound, self._declaration, self.signature)


class Listing(Declared, Generic[P, T]):
    """An operation that answers pages, which are walked through as they are needed."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, resource: None, owner: Any) -> Listing[P, T]: ...
        @overload
        def __get__(self, resource: Resource[Sync], owner: Any) -> Callable[P, Pager[T]]: ...
        @overload
        def __get__(self, resource: Resource[Async], owner: Any) -> Callable[P, AsyncPager[T]]: ...

    def __get__(self, resource: Any, owner: Any) -> Any:
        if resource is None:
            return self
        engine: Engine = resource._engine
        kind = Pager if isinstance(engine.driver, SyncDriver) else AsyncPager

        def bound(*args: Any, **kwargs: Any) -> Any:
            self.suit(resource, args, kwargs)
            return kind(engine.exchange.perform, engine.run, self.call(*args, **kwargs))

        return _dressed(bound, self._declaration, self.signature)


class Streaming(Declared, Generic[P, T]):
    """An operation that tells events as they happen, until it has told one that `is_last`."""

    def __init__(
        self, route: str, declaration: Callable[..., Any], is_last: Callable[[Any], bool]
    ) -> None:
        super().__init__(route, declaration)
        self._is_last = is_last

    @property
    def sends(self) -> frozenset[str]:
        """Nothing: where to go on is a header."""
        return frozenset()

    if TYPE_CHECKING:

        @overload
        def __get__(self, resource: None, owner: Any) -> Streaming[P, T]: ...
        @overload
        def __get__(self, resource: Resource[Sync], owner: Any) -> Callable[P, EventStream[T]]: ...
        @overload
        def __get__(
            self, resource: Resource[Async], owner: Any
        ) -> Callable[P, AsyncEventStream[T]]: ...

    def __get__(self, resource: Any, owner: Any) -> Any:
        if resource is None:
            return self
        engine: Engine = resource._engine
        kind = EventStream if isinstance(engine.driver, SyncDriver) else AsyncEventStream

        def told(event: Event) -> Any:
            try:
                return self._adapter.validate_python(exact.loads(event.data))
            except ValueError:
                if event.name in {"message", "progress", "notification"}:
                    raise
                return None  # of a kind that is not known here

        def bound(*args: Any, last_event_id: str | None = None, **kwargs: Any) -> Any:
            self.suit(resource, args, kwargs)
            call = self.call(*args, **kwargs)
            listening = Listening(engine.exchange, call, told, self._is_last, last_event_id)
            return kind(listening, engine.run)

        return _dressed(bound, self._declaration, self.signature)


class Composed(Documented, Generic[P, T]):
    """What is made of several calls: a generator of steps, which each mode runs in its way."""

    def __init__(self, flow: Callable[..., Flow[T]], routes: tuple[str, ...]) -> None:
        super().__init__(flow)
        self.routes = routes

    @property
    def sends(self) -> frozenset[str]:
        """The names of its arguments."""
        return frozenset(self.signature.parameters)

    if TYPE_CHECKING:

        @overload
        def __get__(self, resource: None, owner: Any) -> Composed[P, T]: ...
        @overload
        def __get__(self, resource: Resource[Sync], owner: Any) -> Callable[P, T]: ...
        @overload
        def __get__(
            self, resource: Resource[Async], owner: Any
        ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, resource: Any, owner: Any) -> Any:
        if resource is None:
            return self

        def bound(*args: Any, **kwargs: Any) -> Any:
            self.suit(resource, args, kwargs)
            return resource._engine.run(self._declaration(resource, *args, **kwargs))

        return _dressed(bound, self._declaration, self.signature)


def operation(
    route: str,
    *,
    rename: Mapping[str, str] | None = None,
    asked: Iterable[str] = (),
    is_public: bool = False,
) -> Callable[[Callable[Concatenate[R, P], T]], Operation[P, T]]:
    """Declares an operation by its route and a method without a body.

    Arguments named in the route go into the path, those of a GET or DELETE and those in `asked` into the query, all others
    into a JSON body; `rename` says what the API calls them where that differs, a trailing underscore is left out.
    """

    def declare(declaration: Callable[Concatenate[R, P], T]) -> Operation[P, T]:
        return Operation(route, declaration, rename=rename, asked=asked, is_public=is_public)

    return declare


def listing(
    route: str, *, rename: Mapping[str, str] | None = None
) -> Callable[[Callable[Concatenate[R, P], Page[T]]], Listing[P, T]]:
    """Declares an operation that answers pages."""

    def declare(declaration: Callable[Concatenate[R, P], Page[T]]) -> Listing[P, T]:
        return Listing(route, declaration, rename=rename)

    return declare


def streaming(
    route: str, *, is_last: Callable[[Any], bool]
) -> Callable[[Callable[Concatenate[R, P], T]], Streaming[P, T]]:
    """Declares an operation that tells events; `last_event_id` is from where to go on."""

    def declare(declaration: Callable[Concatenate[R, P], T]) -> Streaming[P, T]:
        return Streaming(route, declaration, is_last)

    return declare


def composed(
    *routes: str,
) -> Callable[[Callable[Concatenate[R, P], Flow[T]]], Composed[P, T]]:
    """Declares what is made of several calls; names the routes that only it speaks."""

    def declare(flow: Callable[Concatenate[R, P], Flow[T]]) -> Composed[P, T]:
        return Composed(flow, routes)

    return declare


def etag(match: Match) -> str:
    """`"v3"` of a version, of an ETag, or of what has one."""
    if isinstance(match, int):
        return f'"v{match}"'
    return match if isinstance(match, str) else match.etag


def _dressed(
    bound: Callable[..., Any], declaration: Callable[..., Any], signature: inspect.Signature
) -> Any:
    """A function that looks as it was declared."""
    update_wrapper(bound, declaration)
    bound.__dict__["__signature__"] = signature
    return bound


def _signature(declaration: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a method, each keyword argument by its name."""
    parameters: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(declaration).parameters.values())[1:]:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            parameters.append(parameter)
            continue
        for name in get_args(_evaluated(declaration, parameter.name))[0].__annotations__:
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, keyword, default=_ABSENT))
    return inspect.Signature(parameters)


def _evaluated(declaration: Callable[..., Any], name: str) -> Any:
    """One annotation of a function: others need not be readable by this version of Python."""
    holder = SimpleNamespace(__annotations__={name: declaration.__annotations__[name]})
    return get_type_hints(holder, declaration.__globals__)[name]


def _asked(name: str, value: Any) -> list[tuple[str, str]]:
    """A parameter of the query: once for each of several values, not at all for `None`."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [(name, f"{key}:{_text(it)}") for key, it in value.items()]
    if isinstance(value, Iterable) and not isinstance(value, (str, BaseModel)):
        return [(name, _text(it)) for it in value]
    return [(name, _text(value))]


def _segment(name: str, value: Any) -> str:
    """A part of a path that stays one, whatever it holds."""
    text = _text(value)
    if not text:
        raise ValueError(f"{name} is empty")
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return exact.day_or_instant(value)
    if isinstance(value, BaseModel):
        # A write that a report is to wait for.
        return f"{getattr(value, 'id')}:{getattr(value, 'version')}"  # noqa: B009
    return exact.dumps(value)
