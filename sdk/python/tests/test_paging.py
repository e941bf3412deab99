"""Lists are walked through page by page, as far as somebody walks."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from talking import Mode, Server, answer, team, teams


def test_all_items_of_all_pages_come_in_order(mode: Mode) -> None:
    server = Server([answer(teams(1, 2, following="a b")), answer(teams(3))])
    found = mode.run(mode.client(server).teams.list(limit=2))
    assert [it.id for it in found] == [1, 2, 3]
    assert server.asked == ["GET /api/v1/teams?limit=2", "GET /api/v1/teams?limit=2&cursor=a+b"]


def test_what_administrators_manage_is_walked_through_and_a_page_tells_its_version(
    mode: Mode,
) -> None:
    def reasons(id: int, following: str | None) -> dict[str, Any]:
        reason = {"id": id, "name": "A", "position": id, "is_active": True}
        return {"items": [reason], "version": 7, "next_cursor": following}

    server = Server([answer(reasons(1, "b")), answer(reasons(2, None)), answer(reasons(1, "b"))])
    client = mode.client(server)
    assert [it.id for it in mode.run(client.lost_reasons.list(limit=1))] == [1, 2]
    assert mode.run(client.lost_reasons.list(limit=1).page()).etag == '"v7"'
    asked = "GET /api/v1/lost-reasons?limit=1"
    assert server.asked == [asked, f"{asked}&cursor=b", asked]


def test_nothing_is_asked_before_it_is_needed(mode: Mode) -> None:
    server = Server(lambda _: answer(teams(1, following="more")))
    client = mode.client(server)
    pager = client.teams.list()
    assert server.asked == []
    assert mode.run(pager.first()).id == 1
    assert len(server.asked) == 1
    if not mode.is_async:
        assert len(list(itertools.islice(pager, 3))) == 3
        assert len(server.asked) == 4


def test_whole_pages_say_how_many_there_are(mode: Mode) -> None:
    body: dict[str, Any] = {"items": [], "next_cursor": None, "total_count": 7}
    server = Server(lambda _: answer(body))
    client = mode.client(server)
    assert mode.run(client.opportunities.list(include_total=True).page()).total_count == 7
    assert [it.total_count for it in mode.run(client.opportunities.list().pages())] == [7]
    assert mode.run(client.opportunities.list().first()) is None
    assert mode.run(client.opportunities.list().all()) == []


def test_a_walk_can_be_gone_on_with_another_time(mode: Mode) -> None:
    first = {"items": [], "next": "s1", "has_more": True}
    last = {
        "items": [{"type": "team", "id": 1, "version": 1, "deleted": False, "record": team()}],
        "next": "s2",
        "has_more": False,
    }
    server = Server([answer(first), answer(last)])
    pages = mode.run(mode.client(server).sync.changes(since="s0").pages())
    assert pages[-1].position == "s2"
    # Of a type that this version does not know.
    assert pages[-1][0].record == team()
    assert server.asked == ["GET /api/v1/sync?since=s0", "GET /api/v1/sync?since=s1"]


def test_trio_runs_the_async_client_too() -> None:
    trio = pytest.importorskip("trio")
    server = Server([answer({}, 503), answer(teams(1, following="x")), answer(teams(2))])

    async def walk() -> list[int]:
        async with Mode(is_async=True).client(server) as client:
            return [it.id async for it in client.teams.list()]

    assert trio.run(walk) == [1, 2]


def test_filters_are_sent_as_the_api_reads_them(mode: Mode) -> None:
    server = Server(lambda _: answer({"items": [], "next_cursor": None}))
    listed = mode.client(server).opportunities.list(
        stage=["lead", "won"],
        status="open",
        min_amount=Decimal("0.10"),
        stale=True,
        expected_close_to=date(2026, 1, 31),
        created_from=datetime(2026, 1, 1, tzinfo=timezone.utc),
        custom_field={"region": "北區"},
        owner_id=None,
    )
    mode.run(listed)
    assert sorted(server.requests[0].url.params.multi_items()) == [
        ("created_from", "2026-01-01T00:00:00Z"),
        ("custom_field", "region:北區"),
        ("expected_close_to", "2026-01-31"),
        ("min_amount", "0.10"),
        ("stage", "lead"),
        ("stage", "won"),
        ("stale", "true"),
        ("status", "open"),
    ]
