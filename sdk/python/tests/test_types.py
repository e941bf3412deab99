"""What a type checker knows of both clients. It runs nothing: mypy reads it, and an `ignore` that is not needed is an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Optional

from typing_extensions import assert_type

from sales_pipeline_client import (
    AsyncPager,
    AsyncSalesPipelineClient,
    Downloaded,
    Page,
    Pager,
    SalesPipelineClient,
)
from sales_pipeline_client.models import (
    Forecast,
    ForecastAccuracy,
    ForecastHistory,
    ForecastReason,
    ImportProgress,
    Opportunity,
    OpportunityForecast,
    StageClosing,
)


def blocking(client: SalesPipelineClient) -> None:
    assert_type(client.opportunities.get(1), Opportunity)
    assert_type(client.opportunities.get(1).amount, Optional[Decimal])
    assert_type(client.opportunities.list(status="open"), Pager[Opportunity])
    assert_type(client.opportunities.list().pages(), Iterator[Page[Opportunity]])
    assert_type(client.opportunities.export("a.csv"), Downloaded)
    assert_type(client.pipeline.delete_stage("a"), Optional[StageClosing])
    assert_type(client.forecast.get_quarterly(year=2025, quarter=4), Forecast)
    assert_type(client.forecast.opportunities(stage="lead"), Pager[OpportunityForecast])
    for it in client.forecast.opportunities():
        assert_type(it.strongest_reason, Optional[ForecastReason])
    assert_type(client.forecast.accuracy(), ForecastAccuracy)
    client.forecast.breakdown(by="person")  # type: ignore[arg-type]
    client.opportunities.create(oportunity_name="A")  # type: ignore[call-arg]
    client.opportunities.create(opportunity_name="A", amount="1")  # type: ignore[arg-type]
    client.opportunities.create(customer_name="A")  # type: ignore[call-arg]
    client.opportunities.list(status="opened")  # type: ignore[arg-type]
    client.teams.get("1")  # type: ignore[arg-type]


async def awaiting(client: AsyncSalesPipelineClient) -> None:
    assert_type(await client.opportunities.get(1), Opportunity)
    assert_type(client.opportunities.list(status="open"), AsyncPager[Opportunity])
    assert_type(client.opportunities.list().pages(), AsyncIterator[Page[Opportunity]])
    assert_type(await client.opportunities.export("a.csv"), Downloaded)
    assert_type(client.forecast.opportunities(), AsyncPager[OpportunityForecast])
    assert_type(await client.forecast.history(period="year"), ForecastHistory)
    async for progress in client.imports.watch(1):
        assert_type(progress, ImportProgress)
    _ = client.opportunities.get(1).amount  # type: ignore[attr-defined]
    await client.opportunities.create(oportunity_name="A")  # type: ignore[call-arg]
