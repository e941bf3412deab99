"""Rows become tables, with exact amounts unless floats are asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from talking import Mode, Server, answer, teams
from test_retries import OPPORTUNITY

pandas = pytest.importorskip("pandas")


def test_a_list_becomes_a_table(mode: Mode) -> None:
    rows = [{**OPPORTUNITY, "amount": 0.1}, {**OPPORTUNITY, "amount": None}]
    server = Server(lambda _: answer({"items": rows, "next_cursor": None}))
    client = mode.client(server)
    exact = mode.run(client.opportunities.list().to_pandas())
    assert exact["amount"][0] == Decimal("0.1")
    assert isinstance(exact["amount"][0], Decimal)
    assert str(exact["created_at"].dtype).startswith("datetime64")
    assert list(exact.columns[:2]) == ["id", "opportunity_name"]
    fast = mode.run(client.opportunities.list().to_pandas(exact=False))
    assert fast["amount"].dtype == float
    assert pandas.isna(fast["amount"][1])


def test_a_page_and_an_empty_list_become_tables(mode: Mode) -> None:
    server = Server([answer(teams(1, 2)), answer(teams())])
    client = mode.client(server)
    assert len(mode.run(client.teams.list().page()).to_pandas()) == 2
    assert mode.run(client.teams.list().to_pandas()).empty
