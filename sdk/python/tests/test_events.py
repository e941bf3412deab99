"""Server-sent events are read as they come, and gone on with after a break."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from sales_pipeline_client import NotAnsweredError, PermissionDeniedError
from sales_pipeline_client.events import Decoder, Event
from talking import Mode, Server, StandingClock, refusal

NOTIFICATION: dict[str, Any] = {
    "event": "opportunity.won",
    "title": "t",
    "body": "b",
    "opportunity_id": 3,
    "occurred_at": "2026-01-01T00:00:00Z",
    "created_at": "2026-01-01T00:00:00Z",
    "read_at": None,
}


def told(*numbers: int, name: str = "notification", ending: str = "") -> httpx.Response:
    """A stream that tells some notifications and ends."""
    events = [
        f"id: {it}\nevent: {name}\ndata: {json.dumps({**NOTIFICATION, 'id': it})}\n\n"
        for it in numbers
    ]
    text = ": there\n\n" + "".join(events) + ending
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_events_are_decoded_as_the_standard_says() -> None:
    text = "event: a\rdata: 1\r\ndata:2 \u2028 公\nid: 7\n:hm\nretry: 1500\n\n\ndata\r\r"
    expected = [Event("a", "1\n2 \u2028 公", "7"), Event("message", "", "7")]
    for size in (1, 2, 3, 1000):
        decoder = Decoder()
        sent = f"\ufeff{text}\n".encode()
        chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert [it for chunk in chunks for it in decoder.feed(chunk)] == expected
        assert decoder.retry == 1.5


def test_a_stream_goes_on_after_a_break_from_the_last_that_was_heard(mode: Mode) -> None:
    clock = StandingClock()
    half = told(1, 2, ending="id: 9\ndata: {")
    server = Server([half, httpx.ReadError("lost"), told(3), refusal(403, "denied")])
    stream = mode.client(server, clock=clock).notifications.stream()
    heard: list[int] = []
    with pytest.raises(PermissionDeniedError):
        _listen(mode, stream, heard)
    assert heard == [1, 2, 3]
    assert stream.last_event_id == "3"
    sent = [it.headers.get("last-event-id") for it in server.requests]
    assert sent[0] is None
    assert sent[-1] == "3"
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert len(clock.slept) == 3


def test_a_stream_begins_where_another_ended(mode: Mode) -> None:
    server = Server([told(8), refusal(403, "denied")])
    stream = mode.client(server).notifications.stream(last_event_id="7")
    heard: list[int] = []
    with pytest.raises(PermissionDeniedError):
        _listen(mode, stream, heard)
    assert heard == [8]
    assert server.requests[0].headers["last-event-id"] == "7"


def test_a_stream_that_only_breaks_is_given_up(mode: Mode) -> None:
    server = Server(lambda _: told())
    stream = mode.client(server, max_retries=2).notifications.stream()
    with pytest.raises(NotAnsweredError, match="the stream ended"):
        _listen(mode, stream, [])
    assert len(server.requests) == 3


def test_a_problem_in_a_stream_is_raised(mode: Mode) -> None:
    problem = json.dumps({"status": 403, "code": "denied", "detail": "no more"})
    server = Server([told(1, ending=f"event: problem\ndata: {problem}\n\n")])
    heard: list[int] = []
    with pytest.raises(PermissionDeniedError, match="no more"):
        _listen(mode, mode.client(server).notifications.stream(), heard)
    assert heard == [1]


def test_what_is_told_under_another_name_is_passed_over(mode: Mode) -> None:
    greeting = told(2, ending="")
    greeting = httpx.Response(
        200,
        text="event: greeting\ndata: {}\n\n" + greeting.text,
        headers={"content-type": "text/event-stream"},
    )
    server = Server([greeting, refusal(403, "denied")])
    heard: list[int] = []
    with pytest.raises(PermissionDeniedError):
        _listen(mode, mode.client(server).notifications.stream(), heard)
    assert heard == [2]


def test_an_import_is_watched_until_it_is_over(mode: Mode) -> None:
    states = "".join(
        f"event: progress\ndata: {json.dumps({**IMPORT, 'status': it})}\n\n"
        for it in ("queued", "running", "done", "running")
    )
    content_type = {"content-type": "text/event-stream"}
    server = Server([httpx.Response(200, text=states, headers=content_type)])
    found = mode.run(_all(mode, mode.client(server).imports.watch(4)))
    assert [it.status for it in found] == ["queued", "running", "done"]
    assert server.asked == ["GET /api/v1/imports/4/stream"]


def _all(mode: Mode, stream: Any) -> Any:
    async def collected() -> list[Any]:
        async with stream:
            return [it async for it in stream]

    if mode.is_async:
        return collected()
    with stream:
        return list(stream)


def _listen(mode: Mode, stream: Any, heard: list[int]) -> None:
    async def listening() -> None:
        async with stream:
            async for it in stream:
                heard.append(it.id)

    if mode.is_async:
        mode.run(listening())
        return
    with stream:
        for it in stream:
            heard.append(it.id)


IMPORT: dict[str, Any] = {
    "id": 4,
    "status": "done",
    "mode": "each_row",
    "dry_run": False,
    "total_rows": 2,
    "created": 1,
    "updated": 0,
    "skipped": 0,
    "failed": 1,
    "undone": 0,
    "kept": 0,
    "columns": [],
    "requested_by": 1,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "kind": "sales",
    "undone_by": None,
    "unmapped_columns": [],
}
