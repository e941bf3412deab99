"""Whole stories against the running product: as somebody works with it."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from launch import ADMIN

from conftest import Stack
from sales_pipeline_client import (
    AsyncSalesPipelineClient,
    ConflictError,
    ExternalIdTakenError,
    IdempotencyKeyReusedError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    SalesPipelineClient,
    TokenError,
)
from sales_pipeline_client.models import Opportunity

pytestmark = pytest.mark.stack
LARGEST = Decimal("9999999999999.99")


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Iterator[SalesPipelineClient]:
    with stack.admin() as client:
        yield client


def arrived(client: SalesPipelineClient, written: Opportunity) -> None:
    """Asks until a write is in the reports; each asking waits a moment for it."""
    asked = (client.pipeline.get_overview(after=written).as_of for _ in range(80))
    assert any(as_of >= written.updated_at for as_of in asked)


def named(name: str) -> str:
    return f"{name} {secrets.token_hex(4)}"


def test_the_calls_of_the_contract_are_these(stack: Stack, admin: SalesPipelineClient) -> None:
    key = admin.api_keys.create(name="contract", scopes=["write"]).key
    with SalesPipelineClient(base_url=stack.url, api_key=key) as client:
        opportunity = client.opportunities.create(
            customer_name="XYZ 公司",
            opportunity_name="軟體授權採購",
            stage="潛在客戶",
            amount=300000,
            probability=25,
        )
        moved = client.opportunities.update_stage(
            opportunity_id=opportunity.id,
            new_stage="需求確認",
            probability=40,
            notes="需求訪談完成，預算確認",
        )
        assert (moved.stage, moved.stage_key, moved.probability) == (
            "需求確認",
            "qualification",
            40,
        )
        arrived(client, moved)
        overview = client.pipeline.get_overview(after=moved)
        open_ones = client.opportunities.list(status="open", limit=200)
        assert overview.total_pipeline_value == sum(it.amount or 0 for it in open_ones)
        forecast = client.forecast.get_quarterly(year=2025, quarter=4)
        assert forecast.period == "Q4 2025"
        assert forecast.realistic == forecast.forecast.realistic == forecast.closed_won
        assert client.forecast.get_monthly(2025, 10).period == "2025-10"
        assert client.forecast.get_yearly(2025).period == "2025"
        history = client.opportunities.history(opportunity.id).all()
        assert [it.to_stage for it in history] == ["潛在客戶", "需求確認"]
        assert history[1].notes == "需求訪談完成，預算確認"


def test_amounts_dates_and_instants_come_back_as_they_were_sent(admin: SalesPipelineClient) -> None:
    for amount in (LARGEST, Decimal("0.1"), Decimal("0.07"), Decimal("2500000")):
        made = admin.opportunities.create(
            customer_name="Exact", opportunity_name="A", amount=amount, probability=100
        )
        assert made.amount == made.weighted_value == amount
        found = admin.opportunities.list(min_amount=amount, max_amount=amount, limit=1).first()
        assert found
        assert found.amount == amount
    lines: list[Any] = [{"name": "Seat", "quantity": 3, "unit_price": Decimal("0.1")}]
    made = admin.opportunities.create(
        customer_name="Exact",
        opportunity_name="B",
        line_items=lines,
        expected_close_date=date(2027, 2, 28),
    )
    assert made.amount == Decimal("0.3")
    assert made.expected_close_date == date(2027, 2, 28)
    assert made.created_at.utcoffset() == timedelta(0)
    again = admin.opportunities.update(made.id, line_items=made.line_items, tags=["a"])
    assert again.line_items == made.line_items
    at = datetime(2026, 12, 1, 9, 30, tzinfo=timezone(timedelta(hours=8)))
    call = admin.activities.create(
        made.id, activity_type="call", subject="Call", scheduled_at=at, description=None
    )
    assert call.scheduled_at == at
    assert admin.activities.list_for(made.id).all() == [call]


def test_a_list_is_walked_through_whole_and_in_order(admin: SalesPipelineClient) -> None:
    customer = named("Paged")
    for number in range(7):
        admin.opportunities.create(
            customer_name=customer, opportunity_name=f"{number}", amount=number
        )
    found = admin.opportunities.list(q=customer, sort_by="amount", order="asc", limit=3)
    assert [it.amount for it in found] == list(range(7))
    assert [len(page) for page in found.pages()] == [3, 3, 1]
    counted = admin.opportunities.list(q=customer, include_total=True, limit=1)
    assert counted.page().total_count == 7
    frame = found.to_pandas()
    assert frame["amount"].sum() == Decimal(21)


def test_who_was_slower_is_told_and_modify_reads_again(admin: SalesPipelineClient) -> None:
    made = admin.opportunities.create(customer_name="Race", opportunity_name="A", amount=0)
    admin.opportunities.update(made.id, notes="first", if_match=made)
    with pytest.raises(PreconditionFailedError) as failure:
        admin.opportunities.update(made.id, notes="second", if_match=made.version)
    assert failure.value.current_version == made.version + 1

    def add(_: int) -> None:
        admin.opportunities.modify(
            made.id, lambda now: {"amount": (now.amount or Decimal(0)) + 1}, attempts=50
        )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(12)))
    assert admin.opportunities.get(made.id).amount == 12


def test_failures_are_told_by_their_types(stack: Stack, admin: SalesPipelineClient) -> None:
    with pytest.raises(InvalidError) as invalid:
        admin.opportunities.create(opportunity_name="", amount=-1, probability=101)
    assert {it.field for it in invalid.value.errors} >= {
        "opportunity_name",
        "amount",
        "probability",
    }
    assert invalid.value.request_id
    with pytest.raises(NotFoundError):
        admin.opportunities.get(2**40)
    external_id = named("erp")
    made = admin.opportunities.create(
        customer_name="A", opportunity_name="A", external_id=external_id
    )
    with pytest.raises(ExternalIdTakenError) as taken:
        admin.opportunities.create(customer_name="A", opportunity_name="A", external_id=external_id)
    assert taken.value.opportunity_id == made.id
    assert admin.opportunities.upsert(external_id, opportunity_name="B").id == made.id
    read = admin.opportunities.upsert(external_id, if_match="*")
    assert (read.opportunity_name, read.version) == ("B", 2)
    for unknown in (named("EXT"), external_id):
        with pytest.raises(PreconditionFailedError):
            admin.opportunities.upsert(unknown, if_match=7, notes="not written")
    key = named("key").replace(" ", "-")
    first = admin.teams.create(name=named("T"), idempotency_key=key)
    assert admin.teams.create(name=first.name, idempotency_key=key) == first
    with pytest.raises(IdempotencyKeyReusedError):
        admin.teams.create(name=named("U"), idempotency_key=key)
    wrong = SalesPipelineClient(stack.url, username=ADMIN, password="not that one")
    with wrong, pytest.raises(TokenError) as token:
        wrong.users.me()
    assert token.value.code == "invalid_grant"
    email = f"{secrets.token_hex(4)}@example.com"
    admin.users.create(email=email, username="V", password="long enough 1", role="viewer")
    with SalesPipelineClient(stack.url, username=email, password="long enough 1") as viewer:
        with pytest.raises(PermissionDeniedError):
            viewer.opportunities.update(made.id, notes="mine")
        assert viewer.opportunities.list(limit=1).first()
    with pytest.raises(ConflictError):
        admin.users.create(email=email, username="W", password="long enough 1")


def test_deleting_is_undone_and_many_changes_have_a_result_each(admin: SalesPipelineClient) -> None:
    made = admin.opportunities.create(customer_name="Bulk", opportunity_name="A", amount=1)
    admin.opportunities.delete(made.id, if_match=made)
    with pytest.raises(NotFoundError):
        admin.opportunities.get(made.id)
    assert admin.opportunities.restore(made.id).id == made.id
    result = admin.opportunities.update_many(
        [{"id": made.id, "stage": "proposal"}, {"id": 2**40, "probability": 1}]
    )
    assert [it.status for it in result.results] == [200, 404]
    assert result.results[0].opportunity
    assert result.results[0].opportunity.stage_key == "proposal"


def test_what_goes_out_as_a_file_comes_in_again(admin: SalesPipelineClient) -> None:
    customer = named("Exported")
    for number in range(3):
        admin.opportunities.create(
            customer_name=customer, opportunity_name=f"O{number}", amount=number
        )
    file = io.BytesIO()
    written = admin.opportunities.export(file, q=customer)
    assert written.bytes_written == len(file.getvalue())
    assert file.getvalue().count(b"\n") == 4
    states: list[str] = []
    done = admin.imports.run(
        b"customer_name,opportunity_name,amount\n%s,A,1.5\n%s,,2\n"
        % (customer.encode(), customer.encode()),
        progress=lambda it: states.append(it.status),
    )
    assert (done.status, done.created, done.failed) == ("done", 1, 1)
    assert states[-1] == "done"
    rows = admin.imports.rows(done.id, limit=1).all()
    assert [it.status for it in rows] == ["created", "failed"]
    assert rows[1].errors[0].field == "opportunity_name"
    with admin.imports.watch(done.id) as told:
        assert [it.status for it in told] == ["done"]
    admin.imports.undo(done.id)


def test_a_copy_is_kept_by_what_changed(admin: SalesPipelineClient) -> None:
    made = admin.opportunities.create(customer_name=named("Sync"), opportunity_name="A")
    *_, last = admin.sync.changes(limit=200).pages()
    admin.opportunities.update(made.id, notes="changed")
    changed: list[Any] = []
    until = datetime.now(timezone.utc) + timedelta(seconds=20)
    while not changed and datetime.now(timezone.utc) < until:
        changed = [it.record for it in admin.sync.changes(since=last.position) if it.id == made.id]
    assert [type(it).__name__ for it in changed] == ["Opportunity"]
    assert changed[0].notes == "changed"


def test_reports_agree_with_what_is_behind_them(admin: SalesPipelineClient) -> None:
    made = admin.opportunities.create(
        customer_name="Reported", opportunity_name="A", amount=Decimal("12.34")
    )
    won = admin.opportunities.update_stage(made.id, "won")
    arrived(admin, won)
    year = date.today().year
    trend = admin.reports.sales_trend(period="yearly", year=year, after=won)
    assert len(trend) == 5
    behind = admin.reports.opportunities("sales-trend", period=trend[-1].period, term="won")
    assert sum(it.value or 0 for it in behind) == trend[-1].won_value
    for report in ("conversion_rate", "loss_reasons", "velocity", "stage_duration", "cohorts"):
        assert getattr(admin.reports, report)() is not None
    assert admin.reports.sales_performance(period="year", year=year).to_pandas().shape[0] >= 1
    changes = admin.reports.pipeline_changes(from_=date.today() - timedelta(7), to=date.today())
    terms = [getattr(changes, it) for it in TERMS]
    assert changes.start_value.value + sum(it.value for it in terms) == changes.end_value.value
    admin.activities.create(made.id, activity_type="call", subject="Call")
    done = admin.reports.activities(owner_id=made.owner_id)
    assert done[0].created.call >= 1
    with pytest.raises(NotFoundError):
        admin.reports.opportunities("no-such-report").first()


def test_a_forecast_stands_beside_a_target_and_what_managers_expect(
    admin: SalesPipelineClient,
) -> None:
    period: Any = {"period": "month", "year": 2031, "month": 5}
    amount = Decimal("1000.55")
    target = admin.targets.set(amount=amount, **period)
    assert admin.targets.get(target.id) == target
    assert target in admin.targets.list(**period).all()
    with pytest.raises(PreconditionFailedError):
        admin.forecast.set_adjustment(amount=1, if_match="*", **period)
    expected = admin.forecast.set_adjustment(amount=1, note="a feeling", **period)
    changed = admin.forecast.set_adjustment(amount=2, if_match=expected, **period)
    versions = admin.forecast.adjustment_history(changed.id).all()
    assert [it.amount for it in versions[:2]] == [2, 1]
    forecast = admin.forecast.get_monthly(2031, 5)
    assert forecast.target == amount
    assert forecast.adjustment == changed
    assert forecast.adjusted_expected == forecast.expected + 2
    standing = admin.forecast.get_attainment(by="owner", **period)
    assert standing.gap == amount
    assert standing.text_en
    admin.forecast.delete_adjustment(changed.id, if_match=changed)
    admin.targets.delete(target.id)
    assert admin.forecast.get_monthly(2031, 5).target is None


def test_a_forecast_is_as_sure_as_an_opportunity_or_its_stage_says(
    admin: SalesPipelineClient,
) -> None:
    source = named("category")
    said: Any = {"customer_name": source, "source": source, "amount": 1000, "stage": "lead"}
    said["expected_close_date"] = date(2032, 5, 31)
    own = admin.opportunities.create(opportunity_name="own", forecast_category="commit", **said)
    assert (own.forecast_category, own.forecast_category_is_own) == ("commit", True)
    other = admin.opportunities.create(opportunity_name="of its stage", **said)
    lead = next(it for it in admin.pipeline.list_stages() if it.key == "lead")
    assert not lead.forecast_category_is_set
    assert other.forecast_category == lead.forecast_category == "pipeline"
    assert not other.forecast_category_is_own
    found = admin.opportunities.list(source=source, forecast_category="commit").all()
    assert [it.id for it in found] == [own.id]
    arrived(admin, other)
    forecast = admin.forecast.get_monthly(2032, 5, after=other)
    rows = {it.forecast_category: it for it in forecast.by_category}
    assert list(rows) == ["commit", "best_case", "pipeline", "omitted"]
    assert rows["commit"].total_value == rows["pipeline"].total_value == 1000
    for field in ["count", "total_value", "weighted_value"]:
        of_stages = sum(getattr(it, field) for it in forecast.by_stage)
        assert sum(getattr(it, field) for it in forecast.by_category) == of_stages

    changed = admin.pipeline.update_stage("lead", forecast_category="best_case")
    assert (changed.forecast_category, changed.forecast_category_is_set) == ("best_case", True)
    back = admin.pipeline.update_stage("lead", forecast_category=None)
    assert (back.forecast_category, back.forecast_category_is_set) == ("pipeline", False)
    cleared = admin.opportunities.update(own.id, forecast_category=None)
    assert (cleared.forecast_category, cleared.forecast_category_is_own) == ("pipeline", False)
    won = admin.opportunities.update_stage(own.id, "won")
    assert won.forecast_category == "closed"
    closed = admin.opportunities.list(source=source, forecast_category="closed").all()
    assert [it.id for it in closed] == [own.id]


def test_a_forecast_says_of_what_it_is_made_how_it_moved_and_how_good_it_was(
    admin: SalesPipelineClient,
) -> None:
    made = admin.opportunities.create(
        customer_name=named("parts"),
        opportunity_name="A",
        amount=Decimal("2000.10"),
        probability=50,
        expected_close_date=date(2033, 5, 31),
    )
    arrived(admin, made)
    # So far ahead that no model looks there: what was learned meanwhile changes nothing.
    period: Any = {"period": "month", "year": 2033, "month": 5, "after": made}
    whole = admin.forecast.get(**period)
    assert not whole.model.learned
    assert whole.model.explanation_zh
    assert whole.from_pipeline == Decimal("1000.05")
    for by in ("owner", "team"):
        parts = admin.forecast.breakdown(by=by, **period)
        assert sum(it.expected for it in parts) + parts.unassigned == parts.expected
        assert parts.expected == whole.expected
    me = admin.users.me()
    (part,) = admin.forecast.breakdown(owner_id=me.id, **period)
    assert (part.id, part.from_pipeline) == (me.id, Decimal("1000.05"))
    assert part.optimistic > part.realistic > part.pessimistic

    (found,) = admin.forecast.opportunities(stage=made.stage_key, **period)
    assert (found.opportunity_id, found.version) == (made.id, made.version)
    assert (found.value, found.expected_close_date) == (made.amount, date(2033, 5, 31))
    assert 0 <= found.win_probability <= 1
    several = admin.forecast.opportunities(after=made, limit=5)
    places = [(it.created_at, it.opportunity_id) for it in several]
    assert places == sorted(set(places), reverse=True)
    assert len(places) > 5
    assert (made.created_at, made.id) in places

    past = admin.forecast.history(period="quarter", year=2020, quarter=1)
    assert past.period == "Q1 2020"
    assert past.actual == admin.forecast.get_quarterly(2020, 1).closed_won
    assert admin.forecast.history(**period).actual is None
    accuracy = admin.forecast.accuracy(period="month")
    assert accuracy.period == "month"
    with pytest.raises(InvalidError) as wrong:
        admin.forecast.accuracy(period="week")  # type: ignore[arg-type]
    assert [it.field for it in wrong.value.errors] == ["period"]


TERMS = [
    "created",
    "reopened",
    "restored",
    "grown",
    "shrunk",
    "revalued",
    "reassigned_in",
    "reassigned_out",
    "moved_in",
    "moved_out",
    "won",
    "lost",
    "deleted",
]


def test_the_same_is_awaited(stack: Stack) -> None:
    async def story() -> None:
        async with AsyncSalesPipelineClient(
            stack.url, username=ADMIN, password=stack.password
        ) as client:
            made = await asyncio.gather(
                *(
                    client.opportunities.create(
                        customer_name="Async", opportunity_name=f"{it}", amount=it
                    )
                    for it in range(8)
                )
            )
            assert sum(it.amount or 0 for it in made) == 28
            found = client.opportunities.list(q="Async", limit=3)
            assert len({it.id async for it in found}) >= 8
            file = io.BytesIO()
            await client.opportunities.export(file, format="jsonl", q="Async")
            assert file.getvalue().count(b"\n") >= 8
            run = await client.imports.run(b"customer_name,opportunity_name\nAsync,I\n")
            async with client.imports.watch(run.id) as told:
                assert [it.status async for it in told] == ["done"]
            changed = await client.opportunities.modify(made[0].id, lambda _: {"notes": "x"})
            assert changed.version == made[0].version + 1
            with pytest.raises(PreconditionFailedError):
                await client.opportunities.delete(made[0].id, if_match=made[0])
            await client.sign_out()
            with pytest.raises(TokenError):
                await client.users.me()

    asyncio.run(story())
