"""Forecasts that were learned, as the product has answered them, are read and shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sales_pipeline_client import SalesPipelineClient
from talking import Mode, Server, answer

ANSWERS = Path(__file__).parent / "answers"


def answered(name: str) -> Any:
    """What the product has said of demonstration data."""
    return json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))


def test_a_forecast_says_how_much_it_learned_and_how_often_it_held(mode: Mode) -> None:
    found = mode.run(mode.client(Server([answer(answered("forecast"))])).forecast.get())
    assert (found.model.name, found.model.learned) == ("blend", True)
    learned_from = found.model.learned_from
    assert learned_from is not None
    assert (learned_from.won, learned_from.lost) == (277, 504)
    assert "相似的商機" in found.model.explanation_zh
    assert (found.track_record.inside_range, found.track_record.forecasts) == (7, 9)
    assert found.pessimistic < found.realistic < found.optimistic == Decimal("37405235.63")
    assert found.expected == found.closed_won + found.from_pipeline + found.from_new_business
    assert found.from_pipeline == sum(it.predicted_value for it in found.by_stage)


def test_parts_add_up_to_the_whole_with_what_is_unassigned(mode: Mode) -> None:
    server = Server([answer(answered("breakdown"))])
    found = mode.run(mode.client(server).forecast.breakdown(by="team", year=2026, quarter=4))
    assert server.asked == ["GET /api/v1/forecast/breakdown?year=2026&quarter=4&by=team"]
    assert sum(it.expected for it in found) + found.unassigned == found.expected
    assert [it.name for it in found] == ["北區業務", "南區業務"]
    assert found[0].realistic == Decimal("17917991.75")
    assert not found.percentiles_add_up


def test_opportunities_of_all_pages_have_chances_days_and_reasons(mode: Mode) -> None:
    said = answered("opportunities")
    pages = [{**said, "items": said["items"][:2], "next_cursor": "c2"}]
    pages += [{**said, "items": said["items"][2:], "next_cursor": None}]
    server = Server(map(answer, pages))
    client = mode.client(server)
    first, second, third = mode.run(client.forecast.opportunities(stage="lead", limit=2))
    assert server.asked == [
        "GET /api/v1/forecast/opportunities?limit=2&stage=lead",
        "GET /api/v1/forecast/opportunities?limit=2&stage=lead&cursor=c2",
    ]
    assert [it.opportunity_id for it in (first, second, third)] == [1000, 999, 998]
    assert first.win_probability == Decimal("0.3846")
    assert first.value is None
    assert third.expected_value == Decimal("463956.83")
    days = (third.close_date_from, third.probable_close_date, third.close_date_to)
    assert days == (date(2026, 12, 21), date(2027, 1, 29), date(2027, 9, 11))
    # The one that says most, and not the first.
    strongest = first.strongest_reason
    assert (strongest.feature, strongest.direction) == ("age", "down")
    assert (strongest.effect, strongest.evidence) == (Decimal("-8.3"), 249)
    assert first.model_copy(update={"reasons": []}).strongest_reason is None


def test_a_page_of_opportunities_says_which_model_spoke(mode: Mode) -> None:
    client = mode.client(Server([answer(answered("opportunities"))]))
    page = mode.run(client.forecast.opportunities().page())
    assert page.model.learned
    assert page.as_of.tzinfo is not None


def test_the_history_of_a_forecast_tells_what_was_made_later(mode: Mode) -> None:
    server = Server([answer(answered("history"))])
    found = mode.run(mode.client(server).forecast.history(period="quarter", pipeline_id=1))
    assert server.asked == ["GET /api/v1/forecast/history?pipeline_id=1&period=quarter"]
    days = [date(2026, 10, 5), date(2026, 10, 12), date(2026, 11, 29)]
    assert [it.date for it in found] == days
    assert [it.replayed for it in found] == [True, True, False]
    for it in found:
        assert it.expected == it.closed_won + it.from_pipeline + it.from_new_business
    assert found.actual is None


def test_past_forecasts_are_measured_beside_simpler_ones(mode: Mode) -> None:
    server = Server(lambda _: answer(answered("accuracy")))
    client = mode.client(server)
    found = mode.run(client.forecast.accuracy())
    mode.run(client.forecast.accuracy(period="month"))
    assert server.asked == [
        "GET /api/v1/forecast/accuracy",
        "GET /api/v1/forecast/accuracy?period=month",
    ]
    held = [it.pessimistic <= it.actual <= it.optimistic for it in found]
    assert held == [it.inside_range for it in found]
    assert found.forecast.coverage == round(Decimal(sum(held)) / len(held), 4)
    assert found.forecast.mape < found.stage_weighted.mape < found.last_period.mape
    assert found.stage_weighted.coverage is None
    assert found[0].from_ == datetime(2026, 8, 29, 22, 2, 34, tzinfo=timezone.utc)
    assert found.by_decile[0].from_ == Decimal("0.2672")
    assert (len(found.by_decile), len(found.by_amount)) == (10, 5)


def test_without_a_model_there_is_no_past_to_measure(mode: Mode) -> None:
    none = {"mape": None, "bias": None, "coverage": None, "pinball": None}
    said = answered("accuracy")
    said.update(items=[], by_decile=[], by_amount=[], log_loss=None, as_of=None)
    said.update(forecast=none, stage_weighted=none, last_period=none)
    found = mode.run(mode.client(Server([answer(said)])).forecast.accuracy())
    assert len(found) == 0
    assert found.as_of is found.forecast.mape is None


def test_ranges_are_columns_of_a_table(mode: Mode) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["breakdown", "history", "opportunities", "opportunities"]
    client = mode.client(Server([answer(answered(it)) for it in names]))
    parts = mode.run(client.forecast.breakdown(by="team")).to_pandas()
    assert list(parts.columns[-3:]) == ["optimistic", "realistic", "pessimistic"]
    assert parts["expected"].sum() == Decimal("31708913.30")
    history = mode.run(client.forecast.history()).to_pandas(exact=False)
    assert history["realistic"].dtype == float
    listed = mode.run(client.forecast.opportunities().to_pandas())
    assert listed["win_probability"][0] == Decimal("0.3846")
    fast = mode.run(client.forecast.opportunities().to_pandas(exact=False))
    assert pandas.isna(fast["value"][0])
    assert fast["value"][2] == 1154000.0


Shown = Any


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Runs `spm forecast` on what the product has answered."""
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from sales_pipeline_client.cli import commands, forecast, show

    monkeypatch.setattr(show.out, "_width", 400)

    @contextmanager
    def connected(_: str | None) -> Iterator[SalesPipelineClient]:
        def said(request: Any) -> Any:
            return answer(answered(request.url.path.rpartition("/")[2]))

        yield Mode(is_async=False).client(Server(said))

    monkeypatch.setattr(forecast, "connected", connected)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(commands.app, ["forecast", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def row(table: str, name: str) -> list[str]:
    """What is in the line of a table that has this in it."""
    (found,) = [it for it in table.splitlines() if name in it]
    return found.split()


def test_the_command_line_shows_all_that_is_told_of_a_forecast(shown: Shown) -> None:
    whole = shown()
    assert "7 of 9 past forecasts held their range" in whole
    assert "blend, learned from 277 won and 504 lost: What is won already" in whole
    parts = shown("breakdown", "--by", "team")
    assert row(parts, "北區業務")[2:5] == ["10,099,000", "8,270,877.97", "18,369,877.97"]
    assert "unassigned 0, all of it 31,708,913.30; ranges do not add up" in parts
    history = shown("history")
    assert row(history, "2026-10-05")[-2:] == ["blend", "yes"]
    assert row(history, "2026-11-29")[-2:] == ["blend", "no"]
    accuracy = shown("accuracy")
    assert row(accuracy, "36,719,708.07")[5:7] == ["34,957,149.95", "yes"]
    assert "the forecast   error 18.8%, bias 10.7%, inside the range 77.8%" in accuracy
    assert row(accuracy, "0.2672") == ["0.2672", "0.4094", "69", "36.4%", "39.1%"]


def test_the_command_line_shows_the_strongest_reason_of_each_opportunity(shown: Shown) -> None:
    table = shown("opportunities")
    assert "38.5%" in row(table, "Data platform")
    assert "瑞豐科技股份有限公司" in row(table, "Data platform")
    assert "open for less than 7 days: −8.3 points (249 closed" in table
    assert "source “官網”" not in table
    assert json.loads(shown("opportunities", "--limit", "1", "--json"))[0]["reasons"]
