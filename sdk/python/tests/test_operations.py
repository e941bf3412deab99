"""Operations are declared once: both clients have them, with the same names and arguments."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path
from typing import Any, Callable

import pytest

from sales_pipeline_client import AsyncSalesPipelineClient, SalesPipelineClient, models
from sales_pipeline_client.operations import Composed, Declared
from talking import Mode, Server, answer, team
from test_retries import OPPORTUNITY


def nouns(client: Any) -> dict[str, Any]:
    return {name: it for name, it in vars(client).items() if not name.startswith("_")}


def test_both_clients_have_the_same_calls_with_the_same_arguments() -> None:
    blocking, awaiting = SalesPipelineClient(), AsyncSalesPipelineClient()
    assert nouns(blocking).keys() == nouns(awaiting).keys()
    seen = 0
    for name, resource in nouns(blocking).items():
        other = nouns(awaiting)[name]
        assert type(other) is type(resource)
        for call, declared in vars(type(resource)).items():
            if isinstance(declared, (Declared, Composed)) and not call.startswith("_"):
                bound, awaited = getattr(resource, call), getattr(other, call)
                assert inspect.signature(bound) == inspect.signature(awaited)
                assert bound.__doc__ == awaited.__doc__
                assert bound.__doc__
                assert bound.__name__ == call
                seen += 1
    assert seen > 100
    blocking.close()


def test_what_is_called_wrongly_is_not_sent(mode: Mode) -> None:
    server = Server([])
    client = mode.client(server)
    mistakes: list[Callable[[], Any]] = [
        lambda: client.opportunities.create(oportunity_name="A"),
        lambda: client.teams.get(),
        lambda: client.teams.get(1, 2),
        lambda: client.opportunities.list(colour="red"),
    ]
    for wrong in mistakes:
        with pytest.raises(TypeError, match="argument"):
            wrong()
    assert server.requests == []


def test_what_is_called_wrongly_is_told_what_there_is(mode: Mode, tmp_path: Path) -> None:
    client = mode.client(Server([]))
    mistakes: dict[str, Callable[[], Any]] = {
        "opportunities.list() has no argument 'external_id'; it has stage, status, owner_id, ": (
            lambda: client.opportunities.list(external_id="A")
        ),
        "lost_reasons.list() has no argument 'colour'; it has ": (
            lambda: client.lost_reasons.list(colour="red")
        ),
        "users.me() has no argument 'id'; it has none": lambda: client.users.me(id=1),
        "imports.watch() has no argument 'colour'; it has import_id": (
            lambda: client.imports.watch(1, colour="red")
        ),
        "imports.run() has no argument 'colour'; it has file, progress, within, ": (
            lambda: client.imports.run(tmp_path / "none.csv", colour="red")
        ),
        "teams.get(): missing a required argument: 'team_id'": lambda: client.teams.get(),
    }
    for said, wrong in mistakes.items():
        with pytest.raises(TypeError) as failure:
            wrong()
        assert str(failure.value).startswith(said)


def test_help_names_every_argument(mode: Mode) -> None:
    client = mode.client(Server([]))
    shown = str(inspect.signature(client.opportunities.update_stage))
    assert shown.startswith("(opportunity_id: 'int', new_stage: 'str', *, if_match=...")
    assert "probability=..." in shown


def test_help_of_a_noun_says_what_there_is(mode: Mode) -> None:
    client = mode.client(Server([]))
    shown = pydoc.plain(pydoc.render_doc(client.opportunities))
    for call, declared in vars(type(client.opportunities)).items():
        if isinstance(declared, (Declared, Composed)) and not call.startswith("_"):
            assert f" |  {call}(" in shown
            assert str(declared.__doc__).splitlines()[0] in shown
    assert "update_stage(opportunity_id: 'int', new_stage: 'str', *, if_match=..." in shown


def test_arguments_go_where_the_api_wants_them(mode: Mode) -> None:
    server = Server(lambda _: answer(team()))
    client = mode.client(server)
    mode.run(client.teams.update(1, name="B", manager_id=None, if_match='"v2"'))
    assert server.asked == ["PATCH /api/v1/teams/1"]
    assert server.sent() == {"name": "B", "manager_id": None}
    assert server.requests[0].headers["if-match"] == '"v2"'
    read = models.Team.model_validate(team(version=5))
    mode.run(client.teams.update(1, if_match=read))
    assert server.requests[1].headers["if-match"] == '"v5"'
    assert server.sent() == {}
    server = Server(lambda _: answer(status=204))
    client = mode.client(server)
    mode.run(client.currencies.delete_rate("US/D", "2026-01-01"))
    mode.run(client.pipeline.delete_stage("lead", move_to="won"))
    mode.run(client.custom_fields.delete(".."))
    assert server.asked == [
        "DELETE /api/v1/currencies/US%2FD/rates/2026-01-01",
        "DELETE /api/v1/pipeline/stages/lead?move_to=won",
        "DELETE /api/v1/custom-fields/%2E%2E",
    ]
    with pytest.raises(ValueError, match="key is empty"):
        client.custom_fields.delete("")


def test_a_report_waits_for_a_write_that_is_given_to_it(mode: Mode) -> None:
    server = Server(lambda _: answer({"items": [], "next_cursor": None}))
    client = mode.client(server)
    written = models.Opportunity.model_validate({**OPPORTUNITY, "version": 3})
    mode.run(client.reports.opportunities("sales-trend", after=written, term="won"))
    mode.run(client.audit.list(from_="2026-01-01"))
    assert server.asked == [
        "GET /api/v1/reports/sales-trend/opportunities?after=7%3A3&term=won",
        "GET /api/v1/audit?from=2026-01-01",
    ]


def test_what_a_service_put_aside_is_applied_again_one_by_one_or_together(mode: Mode) -> None:
    left = {"id": 8, "error": "out of disk"}
    server = Server(lambda _: answer({"applied": 1, "left": [left], "remaining": 2}))
    client = mode.client(server)
    done = mode.run(client.dead_letters.replay("analytics", 7))
    assert (done.applied, done.left[0].error, done.remaining) == (1, "out of disk", 2)
    mode.run(client.dead_letters.replay_all("notifier"))
    assert server.asked == [
        "PUT /api/v1/dead-letters/analytics/7/replay",
        "PUT /api/v1/dead-letters/notifier/replay",
    ]
