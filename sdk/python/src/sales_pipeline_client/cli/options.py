"""The options that commands of `spm` have in common."""

from enum import Enum
from typing import Annotated, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Answer JSON, for programs.")]
Url = Annotated[Optional[str], typer.Option("--base-url", help="Where the API is (SPM_BASE_URL).")]
Owner = Annotated[Optional[int], typer.Option("--owner", help="Id of the owner.")]
Team = Annotated[Optional[int], typer.Option("--team", help="Id of the team.")]
Pipeline = Annotated[Optional[int], typer.Option("--pipeline", help="Id of the pipeline.")]
Stages = Annotated[Optional[list[str]], typer.Option("--stage", help="Name or key; repeatable.")]
Statuses = Annotated[Optional[list[str]], typer.Option("--status", help="open, won or lost.")]
Search = Annotated[Optional[str], typer.Option("--q", help="Text in names, customer or notes.")]
Least = Annotated[Optional[str], typer.Option("--min-amount")]
Most = Annotated[Optional[str], typer.Option("--max-amount")]
Year = Annotated[Optional[int], typer.Option("--year")]
Quarter = Annotated[Optional[int], typer.Option("--quarter", min=1, max=4)]
Month = Annotated[Optional[int], typer.Option("--month", min=1, max=12)]


class Format(str, Enum):
    """Kinds of files."""

    csv = "csv"
    xlsx = "xlsx"
    jsonl = "jsonl"


class Report(str, Enum):
    """Names of reports."""

    conversion_rate = "conversion-rate"
    sales_trend = "sales-trend"
    sales_performance = "sales-performance"
    velocity = "velocity"
    stage_duration = "stage-duration"
    cohorts = "cohorts"
    loss_reasons = "loss-reasons"
    pipeline_changes = "pipeline-changes"
    activities = "activities"


class ForecastPart(str, Enum):
    """What is told of a forecast."""

    whole = "whole"
    breakdown = "breakdown"
    opportunities = "opportunities"
    history = "history"
    accuracy = "accuracy"


class By(str, Enum):
    """By whom a forecast is cut."""

    owner = "owner"
    team = "team"


class Mode(str, Enum):
    """What happens to good rows next to bad ones."""

    each_row = "each_row"
    all_or_nothing = "all_or_nothing"


class Kind(str, Enum):
    """What a file holds: deals as they are, or with their past."""

    sales = "sales"
    history = "history"
