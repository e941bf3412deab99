"""Clients that talk to a function instead of a server, in both modes."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterable
from typing import Any, Callable, Union

import httpx

from sales_pipeline_client import AsyncSalesPipelineClient, Clock, SalesPipelineClient

Answer = Union[httpx.Response, Exception]
Client = Any
"""One of both: what is called is the same."""


class StandingClock(Clock):
    """Time passes only when somebody sleeps, and chance always says the same."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def random(self) -> float:
        return 1.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Server:
    """Answers one request after the other, and remembers them."""

    def __init__(self, answers: Iterable[Answer] | Callable[[httpx.Request], Answer]) -> None:
        self._answers = answers if callable(answers) else iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers
        answer = answers(request) if callable(answers) else next(answers)
        if isinstance(answer, Exception):
            raise answer
        # Of one's own: a response belongs to the client that got it.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def asked(self) -> list[str]:
        """Method and path of every request."""
        return [f"{it.method} {it.url.raw_path.decode()}" for it in self.requests]

    def sent(self, number: int = -1) -> Any:
        """The body of a request."""
        return json.loads(self.requests[number].content)


class Mode:
    """Runs the same calls on a blocking or an awaiting client."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def client(self, server: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
        """A client of that server, with a key unless it is said who is calling."""
        transport = httpx.MockTransport(server)
        if not {"api_key", "username", "tokens", "client_id"} & set(options):
            options["api_key"] = "key"
        options.setdefault("clock", StandingClock())
        if self.is_async:
            async_http = httpx.AsyncClient(transport=transport)
            return AsyncSalesPipelineClient("http://api", http_client=async_http, **options)
        http = httpx.Client(transport=transport)
        return SalesPipelineClient("http://api", http_client=http, **options)

    def run(self, result: Any) -> Any:
        """What a call gives."""

        async def awaited() -> Any:
            if inspect.isawaitable(result):
                return await result
            return [it async for it in result]

        if self.is_async:
            return asyncio.run(awaited())
        return list(result) if hasattr(result, "__next__") or hasattr(result, "pages") else result


def answer(body: Any = None, status: int = 200, **headers: str) -> httpx.Response:
    """An answer with JSON."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=names)


def refusal(status: int, code: str, *, about: Any = None, **headers: str) -> httpx.Response:
    """An answer with a problem document."""
    problem = {
        "type": "about:blank",
        "title": "Title",
        "status": status,
        "detail": "some words",
        "code": code,
        "request_id": "r-1",
        "about": about or {},
        "errors": [{"field": "amount", "code": "too_large", "message": "is too large"}],
    }
    return answer(problem, status, content_type="application/problem+json", **headers)


def stage(key: str = "lead") -> dict[str, Any]:
    """A small record."""
    return {
        "default_probability": 10,
        "forecast_category": "pipeline",
        "forecast_category_is_set": False,
        "key": key,
        "kind": "open",
        "moving_to": None,
        "name": "潛在客戶",
        "position": 1,
        "required_fields": [],
        "rotting_days": None,
    }


def team(number: int = 1, version: int = 1) -> dict[str, Any]:
    """A small record that has a version."""
    return {"id": number, "name": "A", "manager_id": None, "parent_id": None, "version": version}


def teams(*numbers: int, following: str | None = None) -> dict[str, Any]:
    """A page of them."""
    return {"items": [team(it) for it in numbers], "next_cursor": following}
