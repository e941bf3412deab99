"""`spm forecast`: what will be won, of what, why, and how good such forecasts were."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any, Optional

import typer

from ..client import SalesPipelineClient
from ..models import (
    Forecast,
    ForecastAccuracy,
    ForecastBreakdown,
    ForecastHistory,
    ForecastMeasures,
    ForecastModel,
    ForecastTry,
    Model,
    OpportunityForecast,
)
from . import show
from .connection import connected, given
from .options import By, ForecastPart, Json, Month, Owner, Pipeline, Quarter, Team, Url, Year

RANGE = ["pessimistic", "realistic", "optimistic"]
OPPORTUNITIES = {
    "opportunity_id": "id",
    "opportunity_name": "opportunity",
    "customer_name": "customer",
    "stage": "stage",
    "owner_name": "owner",
    "value": "value",
    "win_probability": "chance",
    "stage_win_probability": "usual in stage",
    "expected_value": "expected",
    "probable_close_date": "probably closes",
    "reason": "strongest reason",
}
WINDOWS = {
    "began": "from",
    "ended": "to",
    "pessimistic": "pessimistic",
    "realistic": "realistic",
    "optimistic": "optimistic",
    "actual": "came true",
    "inside_range": "held",
    "stage_weighted": "stage weighted",
    "last_period": "last period",
}
GROUPS = {"from_": "from", "to": "to", "count": "count", "told": "told", "won": "won"}
PERIOD = {"period", "year", "quarter", "month"}
SCOPE = {"owner_id", "team_id", "pipeline_id"}
UNDERSTOOD = {
    ForecastPart.whole: PERIOD | SCOPE,
    ForecastPart.breakdown: PERIOD | SCOPE | {"by"},
    ForecastPart.opportunities: PERIOD | SCOPE | {"stage", "limit"},
    ForecastPart.history: PERIOD | SCOPE,
    ForecastPart.accuracy: {"period"},
}


def forecast(
    part: Annotated[
        ForecastPart, typer.Argument(help="Of the whole, or what is told beside it.")
    ] = ForecastPart.whole,
    period: Annotated[Optional[str], typer.Option(help="month, quarter or year.")] = None,
    year: Year = None,
    quarter: Quarter = None,
    month: Month = None,
    owner: Owner = None,
    team: Team = None,
    pipeline: Pipeline = None,
    by: Annotated[Optional[By], typer.Option(help="Of breakdown: by whom.")] = None,
    stage: Annotated[
        Optional[str], typer.Option(help="Of opportunities: name or key of their stage.")
    ] = None,
    limit: Annotated[
        Optional[int],
        typer.Option(min=0, help="Of opportunities: how many at most (50); 0 for all."),
    ] = None,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """What will be won, by default in this quarter: the whole, its breakdown by owner or team, the chances of the open opportunities and why, the history of the forecast, or the accuracy of past ones."""
    of = given(period=period, year=year, quarter=quarter, month=month)
    of.update(given(owner_id=owner, team_id=team, pipeline_id=pipeline))
    of.update(given(by=by.value if by else None, stage=stage, limit=limit))
    understood = UNDERSTOOD[part]
    unknown = of.keys() - understood
    if unknown:
        raise typer.BadParameter(f"{part.value} is not asked by {', '.join(sorted(unknown))}")
    with connected(base_url) as client:
        found = _asked(client, part, of)
    if json:
        return show.as_json(found)
    if isinstance(found, Forecast):
        _whole(found)
    elif isinstance(found, ForecastBreakdown):
        _breakdown(found)
    elif isinstance(found, ForecastHistory):
        _history(found)
    elif isinstance(found, ForecastAccuracy):
        _accuracy(found)
    else:
        _opportunities(found)
    return None


def _asked(client: SalesPipelineClient, part: ForecastPart, of: dict[str, Any]) -> Any:
    if part is ForecastPart.breakdown:
        return client.forecast.breakdown(**of)
    if part is ForecastPart.opportunities:
        limit = of.pop("limit", 50)
        pages = client.forecast.opportunities(limit=min(limit or 200, 200), **of)
        return list(islice(pages, limit or None))
    if part is ForecastPart.history:
        return client.forecast.history(**of)
    if part is ForecastPart.accuracy:
        return client.forecast.accuracy(**of)
    return client.forecast.get(**of)


def _whole(found: Forecast) -> None:
    _period(found)
    names = [*RANGE, "expected", "closed_won", "from_pipeline", "from_new_business", "target"]
    for name in names:
        show.line(f"  {name.replace('_', ' '):<18} {show.text(getattr(found, name)):>22}")
    show.table(found.by_stage, ["stage", "count", "total_value", "predicted_value"])
    columns = ["forecast_category", "count", "total_value", "weighted_value"]
    show.table(found.by_category, columns)
    if found.track_record:
        it = found.track_record
        show.line(f"{it.inside_range:,} of {it.forecasts:,} past forecasts held their range")
    _model(found.model)


def _breakdown(found: ForecastBreakdown) -> None:
    _period(found)
    show.table(found, ["id", "name", "closed_won", "from_pipeline", "expected", *RANGE])
    whole = f"unassigned {show.text(found.unassigned)}, all of it {show.text(found.expected)}"
    show.line(f"{whole}; ranges do not add up")
    _model(found.model)


def _opportunities(found: Sequence[OpportunityForecast]) -> None:
    show.table([_with_reason(it) for it in found], OPPORTUNITIES)


def _with_reason(it: OpportunityForecast) -> OpportunityForecast:
    """With its strongest reason in words."""
    reason = it.strongest_reason
    return it.model_copy(update={"reason": reason.text_en if reason else None})


def _history(found: ForecastHistory) -> None:
    _period(found)
    show.table(found, ["date", *RANGE, "expected", "closed_won", "model", "replayed"])
    if found.actual is not None:
        show.line(f"what came true: {show.text(found.actual)}")


def _accuracy(found: ForecastAccuracy) -> None:
    show.table([_with_days(it) for it in found], WINDOWS)
    measured = {
        "the forecast": found.forecast,
        "stage weighted": found.stage_weighted,
        "last period": found.last_period,
    }
    for name, it in measured.items():
        show.line(f"  {name:<14} {_measures(it)}")
    _groups("by chance", found.by_decile)
    _groups("by amount", found.by_amount)
    _model(found.model)


def _groups(title: str, groups: Sequence[Model]) -> None:
    if groups:
        show.table(groups, GROUPS, title)


def _with_days(it: ForecastTry) -> ForecastTry:
    """With the days on which its window began and ended."""
    return it.model_copy(
        update={"began": it.from_.astimezone().date(), "ended": it.to.astimezone().date()}
    )


def _measures(it: ForecastMeasures) -> str:
    said = {"error": it.mape, "bias": it.bias, "inside the range": it.coverage}
    known = [f"{name} {value:.1%}" for name, value in said.items() if value is not None]
    return ", ".join(known) or "no past to tell from"


def _period(found: Any) -> None:
    show.line(f"{found.period} ({found.start_date} to {found.end_date})")


def _model(model: ForecastModel) -> None:
    learned = ""
    it = model.learned_from
    if it is not None:
        learned = f", learned from {it.won:,} won and {it.lost:,} lost"
    show.line(f"{model.name}{learned}: {model.explanation}")
