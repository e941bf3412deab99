"""Server-sent events: read as they come, and gone on with after a break from the last that was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Callable, Generic, TypeVar

import httpx

from . import exact
from .call import Call
from .errors import NotAnsweredError, UnexpectedAnswerError, problem
from .exchange import Exchange
from .retrying import Nature, RetryPolicy, not_answered
from .steps import Close, Flow, NextChunk, Pause, Stream

T = TypeVar("T")

# The server says that it is there every 15 seconds.
SILENCE = 60.0


@dataclass(frozen=True)
class Event:
    """One event as it was sent."""

    name: str
    data: str
    id: str | None


class Decoder:
    """Makes events of bytes as they come, as the HTML standard says: lines end with CR, LF or both, and with nothing else."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry: float | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets an event that has not ended: what comes now is of another connection."""
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end with these bytes."""
        held = self._rest + chunk
        # After a CR at the end a LF may come that belongs to it.
        ended = held[:-1] if held.endswith(b"\r") else held
        *lines, rest = ended.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held[len(ended) :]
        events = [self._line(line.decode("utf-8", "replace")) for line in lines]
        return [it for it in events if it]

    def _line(self, line: str) -> Event | None:
        """The event that a line ends, if it ends one."""
        if not line:
            event = Event(self._name or "message", "\n".join(self._data), self.last_id)
            is_event = bool(self._data)
            self._name, self._data = "", []
            return event if is_event else None
        field, _, value = line.lstrip("\ufeff").partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self.last_id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
        return None


class Listening(Generic[T]):
    """The part of a stream that knows neither threads nor coroutines."""

    def __init__(
        self,
        exchange: Exchange,
        call: Call[Any],
        read: Callable[[Event], T | None],
        is_last: Callable[[T], bool],
        last_event_id: str | None,
    ) -> None:
        policy = RetryPolicy(
            timeout=SILENCE,
            deadline=None,
            max_retries=exchange.policy.max_retries,
            backoff=exchange.policy.backoff,
            max_backoff=exchange.policy.max_backoff,
        )
        self._exchange = replace(exchange, policy=policy)
        self._call = replace(call, is_streamed=True)
        self._read = read
        self._is_last = is_last
        self._decoder = Decoder()
        self._decoder.last_id = last_event_id
        self._stream: Stream | None = None
        self._events: deque[Event] = deque()
        self._last_event_id = last_event_id
        self._is_over = False
        self._breaks = 0

    @property
    def last_event_id(self) -> str | None:
        """From where another stream would go on: the last that was told."""
        return self._last_event_id

    def next(self) -> Flow[T | None]:
        """What is told next; `None` when nothing will be any more."""
        while not self._is_over:
            if not self._events:
                yield from self._more()
                continue
            event = self._events.popleft()
            self._last_event_id = event.id
            if event.name == "problem":
                yield from self.close()
                self._told(event)
                continue
            told = self._read(event)
            if told is None:
                continue  # of a kind that is not known here
            self._breaks = 0
            if self._is_last(told):
                yield from self.close()
                self._is_over = True
            return told
        return None

    def close(self) -> Flow[None]:
        """Hangs up."""
        stream, self._stream = self._stream, None
        self._events.clear()
        self._decoder.reset()
        self._decoder.last_id = self._last_event_id
        if stream:
            yield Close(stream.response)

    def _more(self) -> Flow[None]:
        """Listens until something came; after a break from where it was."""
        if self._stream is None:
            self._stream = yield from self._opened()
        try:
            chunk: bytes | None = yield NextChunk(self._stream)
        except httpx.RequestError as error:
            yield from self._again(not_answered(error, self._exchange.base_url))
            return
        if chunk is None:
            yield from self._again(NotAnsweredError("the stream ended", maybe_done=False))
        else:
            self._events.extend(self._decoder.feed(chunk))

    def _opened(self) -> Flow[Stream]:
        headers = dict(self._call.headers)
        headers["Accept"] = "text/event-stream"
        if self._decoder.last_id is not None:
            headers["Last-Event-ID"] = self._decoder.last_id
        response = yield from self._exchange.send(replace(self._call, headers=headers))
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            yield Close(response)
            raise UnexpectedAnswerError("the answer is no stream of events")
        return Stream(response)

    def _again(self, failure: NotAnsweredError) -> Flow[None]:
        yield from self.close()
        pause = self._exchange.policy.pause(self._breaks, self._exchange.clock.random(), None)
        if pause is None:
            raise failure
        self._breaks += 1
        yield Pause(max(pause, self._decoder.retry or 0.0))

    def _told(self, event: Event) -> None:
        """The server may tell the caller no more. With another token it may."""
        said: dict[str, Any] = exact.loads(event.data)
        failure = problem(said, int(said.get("status", 500)), {})
        may_again = Nature("GET").may_repeat(failure)
        if failure.status == 401:
            may_again = self._exchange.credentials.refused({})
        self._breaks += 1
        if not may_again or self._breaks > self._exchange.policy.max_retries:
            raise failure


class EventStream(Generic[T]):
    """What is told as it happens: iterate over it. It goes on by itself after a break; `close` it, or use it in a `with`."""

    def __init__(self, listening: Listening[T], run: Callable[[Flow[Any]], Any]) -> None:
        self._listening = listening
        self._run = run

    @property
    def last_event_id(self) -> str | None:
        """From where another stream would go on."""
        return self._listening.last_event_id

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        told: T | None = self._run(self._listening.next())
        if told is None:
            raise StopIteration
        return told

    def close(self) -> None:
        """Hangs up."""
        self._run(self._listening.close())

    def __enter__(self) -> EventStream[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncEventStream(Generic[T]):
    """What is told as it happens: `async for` over it. It goes on by itself after a break; `close` it, or use it in an `async with`."""

    def __init__(self, listening: Listening[T], run: Callable[[Flow[Any]], Any]) -> None:
        self._listening = listening
        self._run = run

    @property
    def last_event_id(self) -> str | None:
        """From where another stream would go on."""
        return self._listening.last_event_id

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        told: T | None = await self._run(self._listening.next())
        if told is None:
            raise StopAsyncIteration
        return told

    async def close(self) -> None:
        """Hangs up."""
        await self._run(self._listening.close())

    async def __aenter__(self) -> AsyncEventStream[T]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
