"""Files come and go whole, and the same to the byte when they are sent again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from sales_pipeline_client import NotAnsweredError, NotFoundError, TimedOutError
from talking import Mode, Server, StandingClock, answer, refusal
from test_events import IMPORT

ENDED = httpx.RemoteProtocolError("peer closed connection")


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that may break off."""

    def __init__(self, chunks: list[bytes], breaks: bool) -> None:
        self.chunks = chunks
        self.breaks = breaks

    def __iter__(self) -> Any:
        yield from self.chunks
        if self.breaks:
            raise ENDED

    async def __aiter__(self) -> Any:
        for chunk in self.chunks:
            yield chunk
        if self.breaks:
            raise ENDED


def files(*bodies: tuple[list[bytes], bool]) -> Any:
    """Answers one body after the other."""
    left = iter(bodies)

    def answered(request: httpx.Request) -> httpx.Response:
        chunks, breaks = next(left)
        headers = {"content-type": "text/csv"}
        return httpx.Response(200, stream=Breaking(chunks, breaks), headers=headers)

    return answered


def test_a_file_is_written_as_it_comes(mode: Mode, tmp_path: Path) -> None:
    target, told = tmp_path / "all.csv", []
    client = mode.client(files(([b"id\n", b"1\n"], False)))
    exporting = client.opportunities.export(target, progress=lambda n, _: told.append(n))
    written = mode.run(exporting)
    assert target.read_bytes() == b"id\n1\n"
    assert (written.path, written.bytes_written, written.content_type) == (target, 5, "text/csv")
    assert told == [3, 5]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_broke_off_is_begun_anew(mode: Mode, tmp_path: Path) -> None:
    target = tmp_path / "all.csv"
    client = mode.client(files(([b"id\nlong"], True), ([b"id\n1\n"], False)))
    mode.run(client.opportunities.export(target))
    assert target.read_bytes() == b"id\n1\n"
    # A file of the caller's is gone on with where it was.
    own = io.BytesIO(b"before:")
    own.seek(0, io.SEEK_END)
    client = mode.client(files(([b"id\nlong"], True), ([b"id\n1\n"], False)))
    mode.run(client.opportunities.export(own))
    assert own.getvalue() == b"before:id\n1\n"


def test_half_a_file_is_none(mode: Mode, tmp_path: Path) -> None:
    target = tmp_path / "all.csv"
    target.write_bytes(b"the one before")
    client = mode.client(files(([b"id\n"], True), ([b"id\n"], True)), max_retries=1)
    with pytest.raises(NotAnsweredError):
        mode.run(client.opportunities.export(target))
    server = Server([refusal(404, "not_found")])
    with pytest.raises(NotFoundError, match="some words"):
        mode.run(mode.client(server).opportunities.export(target))
    assert target.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_report_is_a_file_too(mode: Mode, tmp_path: Path) -> None:
    server = Server([httpx.Response(200, text="stage\n")])
    client = mode.client(server)
    downloading = client.reports.download("sales-trend", tmp_path / "a.csv", year=2026)
    assert mode.run(downloading).bytes_written == 6
    assert server.asked == ["GET /api/v1/reports/sales-trend?year=2026&format=csv"]


def test_an_import_that_is_sent_again_is_the_same_to_the_byte(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "deals.csv"
    path.write_text("Deal,Account\nA,B\n", encoding="utf-8")
    begun = answer({"id": 4, "status": "queued"}, 202)
    server = Server([httpx.ReadError("lost"), begun])
    client = mode.client(server)
    mapping = {"Deal": "opportunity_name", "Account": "customer_name"}
    assert mode.run(client.imports.create(path, mapping=mapping, dry_run=True)).id == 4
    first, second = server.requests
    assert first.content == second.content
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["content-type"] == second.headers["content-type"]
    text = first.content.decode()
    assert 'filename="deals.csv"' in text
    assert '{"Deal":"opportunity_name","Account":"customer_name"}' in text
    assert 'name="dry_run"\r\n\r\ntrue' in text
    with pytest.raises(TypeError, match="colour"):
        mode.run(client.imports.create(path, colour=1))


def test_an_import_is_waited_for_and_tells_how_far_it_is_whenever_that_is_other(mode: Mode) -> None:
    def states(*statuses: str) -> list[httpx.Response]:
        bodies = [{**IMPORT, "rows": [], "next_cursor": None, "status": it} for it in statuses]
        return [answer({"id": 4, "status": "queued"}, 202), *map(answer, bodies)]

    clock, told = StandingClock(), []
    client = mode.client(Server(states("queued", "queued", "running", "done")), clock=clock)
    running = client.imports.run(b"a", progress=lambda it: told.append(it.status))
    assert mode.run(running).created == 1
    assert told == ["queued", "running", "done"]
    assert clock.slept == pytest.approx([0.1, 0.15, 0.225])
    client = mode.client(Server(states(*["running"] * 9)))
    with pytest.raises(TimedOutError, match="import 4 is running after 1 s"):
        mode.run(client.imports.run(io.BytesIO(b"a"), within=1))
