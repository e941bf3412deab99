"""What is sent again, how often, how soon; and what is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sales_pipeline_client import (
    APIError,
    ConflictError,
    NotAnsweredError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RateLimitedError,
    SalesPipelineError,
    ServerError,
    TimedOutError,
    UnavailableError,
)
from talking import Answer, Mode, Server, StandingClock, answer, refusal, stage, team

BROKEN = httpx.ReadError("connection reset")
REFUSED = httpx.ConnectError("connection refused")
DOWN = refusal(503, "unavailable")


def test_reading_is_tried_again_with_pauses_that_double(mode: Mode) -> None:
    clock = StandingClock()
    server = Server([DOWN, BROKEN, refusal(502, "bad_gateway"), answer(team())])
    client = mode.client(server, clock=clock)
    assert mode.run(client.teams.get(1)).id == 1
    assert clock.slept == [0.25, 0.5, 1.0]


def test_the_pause_is_a_random_part_of_what_it_may_be(mode: Mode) -> None:
    clock = StandingClock()
    clock.random = lambda: 0.5  # type: ignore[method-assign]
    client = mode.client(Server([DOWN, DOWN, answer(team())]), clock=clock)
    mode.run(client.teams.get(1))
    assert clock.slept == [0.125, 0.25]


def test_it_gives_up_after_max_retries_with_the_last_failure(mode: Mode) -> None:
    server = Server(lambda _: DOWN)
    client = mode.client(server, max_retries=2)
    with pytest.raises(UnavailableError) as failure:
        mode.run(client.teams.get(1))
    assert len(server.requests) == 3
    assert failure.value.request_id == "r-1"


def test_all_tries_end_by_the_deadline(mode: Mode) -> None:
    clock = StandingClock()
    server = Server(lambda _: DOWN)
    client = mode.client(server, clock=clock, deadline=2.0, max_retries=100)
    with pytest.raises(UnavailableError):
        mode.run(client.teams.get(1))
    assert sum(clock.slept) < 2.0
    last = server.requests[-1].extensions["timeout"]["read"]
    assert last == pytest.approx(2.0 - sum(clock.slept))


def test_retry_after_is_waited_for_and_not_cut_short(mode: Mode) -> None:
    clock = StandingClock()
    busy = refusal(429, "rate_limited", retry_after="7")
    client = mode.client(Server([busy, answer(team())]), clock=clock)
    mode.run(client.teams.update(1, name="B"))
    assert clock.slept == [7.25]


def test_a_retry_after_that_is_too_long_is_told(mode: Mode) -> None:
    server = Server([refusal(429, "rate_limited", retry_after="900")])
    with pytest.raises(RateLimitedError) as failure:
        mode.run(mode.client(server).teams.get(1))
    assert failure.value.retry_after == 900


def test_a_post_keeps_its_idempotency_key_over_all_tries(mode: Mode) -> None:
    unknown = refusal(503, "outcome_unknown")
    server = Server([BROKEN, unknown, refusal(409, "in_progress", retry_after="1"), answer(team())])
    client = mode.client(server)
    mode.run(client.teams.create(name="A"))
    keys = {it.headers["idempotency-key"] for it in server.requests}
    assert len(server.requests) == 4
    assert len(keys) == 1
    server = Server(lambda _: answer(team()))
    client = mode.client(server)
    mode.run(client.teams.create(name="A"))
    mode.run(client.teams.create(name="A"))
    mode.run(client.teams.create(name="A", idempotency_key="mine"))
    own = [it.headers["idempotency-key"] for it in server.requests]
    assert len(set(own)) == 3
    assert own[2] == "mine"
    assert server.sent() == {"name": "A"}


def test_a_plain_change_is_not_sent_twice_when_its_answer_was_lost(mode: Mode) -> None:
    lost: list[tuple[Answer, type[SalesPipelineError]]] = [
        (BROKEN, NotAnsweredError),
        (refusal(503, "outcome_unknown"), OutcomeUnknownError),
        (refusal(504, "gateway_timeout"), ServerError),
    ]
    for failure, kind in lost:
        server = Server([failure])
        with pytest.raises(kind):
            mode.run(mode.client(server).teams.update(1, name="B"))
        assert len(server.requests) == 1


def test_what_was_refused_because_a_part_is_down_is_sent_again(mode: Mode) -> None:
    server = Server([DOWN, refusal(412, "stale")])
    with pytest.raises(PreconditionFailedError) as failure:
        mode.run(mode.client(server).teams.update(1, name="B"))
    assert not failure.value.maybe_done
    gone = Server([DOWN, refusal(404, "not_found")])
    with pytest.raises(APIError, match="404"):
        mode.run(mode.client(gone).teams.delete(1))


def test_a_change_with_a_condition_is_sent_again(mode: Mode) -> None:
    server = Server([BROKEN, answer(team(version=4))])
    client = mode.client(server)
    assert mode.run(client.teams.update(1, name="B", if_match=3)).version == 4
    assert [it.headers["if-match"] for it in server.requests] == ['"v3"', '"v3"']


def test_a_condition_that_fails_after_a_lost_answer_may_be_its_own_doing(mode: Mode) -> None:
    stale = refusal(412, "stale", about={"current_version": 4})
    cases: list[tuple[list[Answer], bool]] = [([stale], False), ([BROKEN, stale], True)]
    for answers, maybe_done in cases:
        with pytest.raises(PreconditionFailedError) as failure:
            mode.run(mode.client(Server(answers)).teams.update(1, name="B", if_match=3))
        assert failure.value.current_version == 4
        assert failure.value.maybe_done is maybe_done


def test_who_is_not_answered_is_told_by_which_address(mode: Mode) -> None:
    cases: list[tuple[httpx.RequestError, str]] = [
        (httpx.ConnectError("[Errno 111] Connection refused"), ": connection refused"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), ": name or service not known"),
        (httpx.ConnectError("[SSL: WRONG] wrong version"), ": [SSL: WRONG] wrong version"),
        (httpx.ConnectError("TLS fails"), ": TLS fails"),
        (httpx.ReadError(""), ": ReadError"),
        (httpx.ReadTimeout(""), " in time (ReadTimeout)"),
    ]
    for error, said in cases:
        client = mode.client(Server([error]), max_retries=0)
        with pytest.raises(NotAnsweredError) as failure:
            mode.run(client.teams.get(1))
        assert str(failure.value) == f"no answer from http://api{said}"


def test_what_was_never_sent_is_always_sent_again(mode: Mode) -> None:
    server = Server([REFUSED, httpx.ConnectTimeout(""), answer(team())])
    mode.run(mode.client(server).teams.update(1, name="B"))
    assert len(server.requests) == 3


def test_what_is_gone_after_a_lost_answer_was_deleted(mode: Mode) -> None:
    gone = refusal(404, "not_found")
    assert mode.run(mode.client(Server([BROKEN, gone])).teams.delete(1)) is None
    with pytest.raises(APIError, match="404"):
        mode.run(mode.client(Server([gone])).teams.delete(1))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 415, 422])
def test_a_refusal_is_final(mode: Mode, status: int) -> None:
    server = Server([refusal(status, "no")])
    with pytest.raises(APIError) as failure:
        mode.run(mode.client(server).teams.create(name="A"))
    assert (failure.value.status, failure.value.code) == (status, "no")
    assert len(server.requests) == 1


def test_a_put_is_sent_again_and_a_post_about_passwords_is_not(mode: Mode) -> None:
    server = Server([BROKEN, answer(status=204)])
    assert mode.run(mode.client(server).teams.add_member(1, 2)) is None
    server = Server([BROKEN])
    with pytest.raises(NotAnsweredError):
        mode.run(mode.client(server).auth.set_password("link", "new password"))
    assert "idempotency-key" not in server.requests[0].headers
    assert "x-api-key" not in server.requests[0].headers


def test_no_answer_in_time_has_a_type_of_its_own(mode: Mode) -> None:
    client = mode.client(Server(lambda _: httpx.ReadTimeout("")), max_retries=1)
    with pytest.raises(TimedOutError, match="ReadTimeout"):
        mode.run(client.teams.get(1))


def test_patience_is_set_for_some_calls_without_another_connection(mode: Mode) -> None:
    server = Server(lambda _: DOWN)
    client = mode.client(server, headers={"X-A": "1"})
    other = client.with_options(max_retries=0, timeout=1.5, headers={"X-Request-Id": "mine"})
    with pytest.raises(UnavailableError):
        mode.run(other.teams.get(1))
    (request,) = server.requests
    assert request.extensions["timeout"]["read"] == 1.5
    assert (request.headers["x-a"], request.headers["x-request-id"]) == ("1", "mine")
    with pytest.raises(TypeError, match="patience"):
        client.with_options(patience=3)


def test_modify_reads_again_until_nobody_was_faster(mode: Mode) -> None:
    seen: list[Any] = []

    def change(found: Any) -> Any:
        seen.append(found.version)
        return {"probability": 30}

    def opportunity(version: int) -> httpx.Response:
        return answer({**OPPORTUNITY, "version": version})

    stale = refusal(412, "stale")
    server = Server([opportunity(1), stale, opportunity(2), opportunity(3)])
    client = mode.client(server)
    assert mode.run(client.opportunities.modify(7, change)).version == 3
    assert seen == [1, 2]
    assert [it.headers.get("if-match") for it in server.requests] == [None, '"v1"', None, '"v2"']
    assert server.sent() == {"probability": 30}
    assert mode.run(mode.client(Server([opportunity(5)])).opportunities.modify(7, lambda _: None))
    server = Server(lambda it: stale if it.method == "PATCH" else opportunity(1))
    with pytest.raises(PreconditionFailedError):
        mode.run(mode.client(server).opportunities.modify(7, change, attempts=2))
    assert len(server.requests) == 4


def test_an_error_says_what_to_look_for(mode: Mode) -> None:
    taken = refusal(409, "external_id_taken", about={"opportunity_id": 5})
    with pytest.raises(ConflictError) as failure:
        mode.run(mode.client(Server([taken])).opportunities.create(opportunity_name="A"))
    assert type(failure.value).__name__ == "ExternalIdTakenError"
    assert failure.value.opportunity_id == 5  # type: ignore[attr-defined]
    assert str(failure.value) == (
        "409 external_id_taken: some words (amount: is too large) [request r-1]"
    )
    assert failure.value.errors[0].code == "too_large"


def test_an_answer_of_something_else_is_no_answer_of_the_api(mode: Mode) -> None:
    page = httpx.Response(200, text="<html>sign in to the wifi</html>")
    with pytest.raises(Exception, match="cannot be read") as failure:
        mode.run(mode.client(Server([page])).teams.get(1))
    assert type(failure.value).__name__ == "UnexpectedAnswerError"
    failed = httpx.Response(502, text="<html>")
    with pytest.raises(APIError, match="502 unexpected"):
        mode.run(mode.client(Server([failed]), max_retries=0).teams.get(1))


def test_fields_that_are_not_known_yet_are_kept(mode: Mode) -> None:
    server = Server([answer({**stage(), "colour": "red", "kind": "frozen"})])
    found = mode.run(mode.client(server).pipeline.create_stage(name="A", pipeline_id=2))
    assert (found.model_extra, found.kind) == ({"colour": "red"}, "frozen")
    assert server.asked == ["POST /api/v1/pipeline/stages?pipeline_id=2"]
    assert server.sent() == {"name": "A"}


OPPORTUNITY: dict[str, Any] = {
    "id": 7,
    "opportunity_name": "A",
    "customer_id": 1,
    "customer_name": "B",
    "contact_id": None,
    "contact_name": None,
    "contact_email": None,
    "pipeline_id": 1,
    "stage": "潛在客戶",
    "stage_key": "lead",
    "status": "open",
    "amount": 10,
    "currency": "TWD",
    "probability": 10,
    "weighted_value": 1,
    "forecast_category": "pipeline",
    "forecast_category_is_own": False,
    "expected_close_date": None,
    "actual_close_date": None,
    "lost_reason": None,
    "owner_id": 1,
    "owner_name": "C",
    "team_id": None,
    "products": [],
    "notes": None,
    "source": None,
    "external_id": None,
    "tags": [],
    "waiting_until": None,
    "stale": False,
    "days_in_stage": 0,
    "created_at": "2026-11-28T09:01:13.939748Z",
    "updated_at": "2026-11-28T09:01:13.939748Z",
    "version": 1,
    "closed_amount": None,
    "closed_rate": None,
    "next_activity": None,
    "line_items": [],
    "custom_fields": {},
}
