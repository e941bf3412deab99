"""The few things that touch the world, as data, and who does them: one driver that blocks, one that awaits.

Everything else of this package is written once, as generators that yield steps and are sent their results.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Generic, Optional, TypeVar, Union

import anyio
import httpx

T = TypeVar("T")
Flow = Generator[Any, Any, T]
"""What yields steps, is sent their results, and gives a `T` at the end."""

Progress = Callable[[int, Optional[int]], None]
"""Told how many bytes have come, of how many where that is known."""


class Sync:
    """Marks what blocks."""


class Async:
    """Marks what is awaited."""


M = TypeVar("M", Sync, Async)


@dataclass
class Request:
    """What is to be sent in one try."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    content: bytes | None
    timeout: httpx.Timeout
    is_streamed: bool = False


@dataclass
class Stream:
    """An answer that is read as it comes."""

    response: httpx.Response
    chunks: Any = None
    """An iterator over what comes, made by who reads it."""


@dataclass
class Send:
    """Sends a request; gives the `httpx.Response`, read unless it is streamed."""

    request: Request


@dataclass
class Pause:
    """Waits so many seconds."""

    seconds: float


@dataclass
class Alone(Generic[T]):
    """Runs a flow while no other of this client's runs alone; gives its result."""

    flow: Flow[T]


@dataclass
class Read:
    """Reads all of a streamed answer and closes it."""

    response: httpx.Response


@dataclass
class Save:
    """Writes a streamed answer into a file and closes it; gives the number of bytes."""

    response: httpx.Response
    file: BinaryIO
    progress: Progress | None


@dataclass
class NextChunk:
    """Gives what comes next of a stream, `None` at its end."""

    stream: Stream


@dataclass
class Close:
    """Closes an answer."""

    response: httpx.Response


Step = Union[Send, Pause, Alone[Any], Read, Save, NextChunk, Close]


class Clock:
    """Time and chance, which tests set."""

    def now(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def random(self) -> float:
        """From 0 to 1."""
        return random.random()  # noqa: S311

    def sleep(self, seconds: float) -> None:
        """Waits, blocking."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Waits, letting others run."""
        await anyio.sleep(seconds)


def _built(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    return client.build_request(
        request.method,
        request.url,
        params=request.query or None,
        headers=request.headers,
        content=request.content,
        timeout=request.timeout,
    )


def _expected(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length")
    return int(length) if length is not None and length.isdigit() else None


class SyncDriver:
    """Does steps one after the other, blocking."""

    def __init__(self, client: httpx.Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._lock = threading.Lock()

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end."""
        try:
            wanted = next(flow)
            while True:
                try:
                    argument = self._do(wanted)
                except BaseException as error:
                    wanted = flow.throw(error)
                else:
                    wanted = flow.send(argument)
        except StopIteration as ended:
            result: T = ended.value
            return result

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return self.client.send(
                _built(self.client, step.request), stream=step.request.is_streamed
            )
        if isinstance(step, Pause):
            return self.clock.sleep(step.seconds)
        if isinstance(step, Alone):
            with self._lock:
                return self.run(step.flow)
        if isinstance(step, NextChunk):
            if step.stream.chunks is None:
                step.stream.chunks = step.stream.response.iter_bytes()
            return next(step.stream.chunks, None)
        if isinstance(step, Close):
            return step.response.close()
        try:
            if isinstance(step, Read):
                return step.response.read()
            written = 0
            for chunk in step.response.iter_bytes():
                written += step.file.write(chunk)
                if step.progress:
                    step.progress(written, _expected(step.response))
            return written
        finally:
            step.response.close()


class AsyncDriver:
    """Does steps one after the other, letting others run meanwhile."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._lock = anyio.Lock()

    async def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end."""
        try:
            wanted = next(flow)
            while True:
                try:
                    argument = await self._do(wanted)
                except BaseException as error:
                    wanted = flow.throw(error)
                else:
                    wanted = flow.send(argument)
        except StopIteration as ended:
            result: T = ended.value
            return result

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.aclose()

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return await self.client.send(
                _built(self.client, step.request), stream=step.request.is_streamed
            )
        if isinstance(step, Pause):
            return await self.clock.sleep_async(step.seconds)
        if isinstance(step, Alone):
            async with self._lock:
                return await self.run(step.flow)
        if isinstance(step, NextChunk):
            if step.stream.chunks is None:
                step.stream.chunks = step.stream.response.aiter_bytes()
            async for chunk in step.stream.chunks:
                return chunk
            return None
        if isinstance(step, Close):
            return await step.response.aclose()
        try:
            if isinstance(step, Read):
                return await step.response.aread()
            written = 0
            async for chunk in step.response.aiter_bytes():
                written += step.file.write(chunk)
                if step.progress:
                    step.progress(written, _expected(step.response))
            return written
        finally:
            await step.response.aclose()
