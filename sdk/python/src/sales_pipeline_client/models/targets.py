"""What is to be won, how things stand to it, and what managers expect beside the model."""

from datetime import date, datetime
from decimal import Decimal
from typing import Optional

from .base import Model, NotCovered, Rows, Versioned


class Target(Versioned):
    """What is to be won in a period: by a person, by a team, or, where neither is named, by the organisation."""

    id: int
    period: str
    year: Optional[int]
    quarter: Optional[int]
    month: Optional[int]
    label: str
    start_date: date
    end_date: date
    owner_id: Optional[int]
    owner_name: Optional[str]
    team_id: Optional[int]
    team_name: Optional[str]
    amount: Decimal
    set_by: int
    set_by_name: str
    set_at: datetime


class PersonAttainment(Model):
    """How a person stands to their target."""

    owner_id: int
    owner_name: str
    team_id: Optional[int]
    target: Optional[Decimal]
    target_source: Optional[str]
    target_is_partial: Optional[bool]
    closed_won: Decimal
    attainment: Optional[Decimal]
    pace: Optional[Decimal]
    ahead: Optional[Decimal]
    gap: Optional[Decimal]
    open_pipeline: Decimal
    open_count: int
    coverage: Optional[Decimal]
    win_rate: Optional[Decimal]
    pipeline_needed: Optional[Decimal]
    pipeline_missing: Optional[Decimal]
    status: str
    text_zh: str
    text_en: str


class Attainment(Rows[PersonAttainment]):
    """How a period stands to its target, with a row for each person where that was asked for."""

    period: str
    start_date: date
    end_date: date
    days_elapsed: int
    days: int
    elapsed: Decimal
    target: Optional[Decimal]
    target_source: Optional[str]
    target_is_partial: Optional[bool]
    closed_won: Decimal
    attainment: Optional[Decimal]
    pace: Optional[Decimal]
    ahead: Optional[Decimal]
    gap: Optional[Decimal]
    open_pipeline: Decimal
    open_count: int
    coverage: Optional[Decimal]
    win_rate: Optional[Decimal]
    pipeline_needed: Optional[Decimal]
    pipeline_missing: Optional[Decimal]
    status: str
    text_zh: str
    text_en: str
    not_covered: NotCovered
    as_of: datetime


class ForecastAdjustment(Versioned):
    """What is expected in a period beside the model."""

    id: int
    period: str
    year: Optional[int]
    quarter: Optional[int]
    month: Optional[int]
    label: str
    start_date: date
    end_date: date
    owner_id: Optional[int]
    owner_name: Optional[str]
    team_id: Optional[int]
    team_name: Optional[str]
    amount: Decimal
    note: Optional[str]
    set_by: int
    set_by_name: str
    set_at: datetime


class AdjustmentVersion(Versioned):
    """A version of an adjustment; without an amount it was deleted."""

    amount: Optional[Decimal]
    note: Optional[str]
    changed_by: int
    changed_by_name: str
    changed_at: datetime
