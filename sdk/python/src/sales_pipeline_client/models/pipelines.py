"""Pipelines, their stages, and the funnel as it stands."""

from datetime import datetime
from decimal import Decimal
from typing import Optional

from .base import Model, NotCovered, Page, Versioned


class Stage(Model):
    """A step on that way."""

    key: str
    name: str
    kind: str
    default_probability: int
    rotting_days: Optional[int]
    required_fields: list[str]
    position: int
    moving_to: Optional[str]
    forecast_category: str
    """That of what stands in it and has none of its own."""
    forecast_category_is_set: bool
    """Whether that is set, and not by its probability."""


class Pipeline(Versioned):
    """A way from first contact to a decision."""

    id: int
    name: str
    is_default: bool
    stages: list[Stage]


class StageClosing(Model):
    """A stage that goes when what stands in it has been moved."""

    pipeline_id: int
    key: str
    move_to: str
    remaining: int


class Pipelines(Page[Pipeline]):
    """A page of pipelines."""

    requirable_fields: list[str]


class Stages(Page[Stage], Versioned):
    """A page of stages in order; the version is that of their pipeline."""

    pipeline_id: int
    requirable_fields: list[str]


class StageOverview(Model):
    """One stage of the funnel."""

    name: str
    key: str
    kind: str
    count: int
    total_value: Decimal
    weighted_value: Decimal
    conversion_rate: Optional[Decimal]


class PipelineOverview(Model):
    """The funnel."""

    stages: list[StageOverview]
    total_opportunities: int
    open_opportunities: int
    total_pipeline_value: Decimal
    weighted_pipeline_value: Decimal
    not_covered: NotCovered
    as_of: datetime
