"""Reports: rows of numbers, each of which can be opened."""

from datetime import date, datetime
from decimal import Decimal
from typing import Optional

from pydantic import Field

from .base import Model, NotCovered, Rows, Versioned


class StageConversion(Model):
    """Conversion of one stage. Each opportunity counts once; fates are as of now."""

    stage: str
    stage_key: str
    entered: int
    advanced: int
    lost: int
    in_progress: int
    conversion_rate: Optional[Decimal]
    average_days_in_stage: Optional[Decimal]


class ConversionRate(Rows[StageConversion]):
    """Conversion by stage."""

    win_rate: Optional[Decimal]
    start_date: Optional[date]
    end_date: Optional[date]
    as_of: datetime


class TrendPeriod(Model):
    """One period."""

    period: str
    start_date: date
    end_date: date
    won_count: int
    won_value: Decimal
    lost_count: int
    created_count: int
    created_value: Decimal
    win_rate: Optional[Decimal]
    average_deal_size: Optional[Decimal]
    won_value_change: Optional[Decimal]


class SalesTrend(Rows[TrendPeriod]):
    """The trend."""

    not_covered: NotCovered
    as_of: datetime


class SalespersonPerformance(Model):
    """One salesperson's period."""

    owner_id: int
    owner_name: str
    team_id: Optional[int]
    won_count: int
    won_value: Decimal
    lost_count: int
    win_rate: Optional[Decimal]
    average_deal_size: Optional[Decimal]
    average_days_to_close: Optional[Decimal]
    open_pipeline_value: Decimal
    open_count: int
    target: Optional[Decimal]
    attainment: Optional[Decimal]
    rank: int


class SalesPerformance(Rows[SalespersonPerformance]):
    """The performance of a period."""

    period: str
    start_date: date
    end_date: date
    not_covered: NotCovered
    as_of: datetime


class Velocity(Model):
    """`closed_count` × `win_rate` × `average_deal_size` ÷ `average_days_to_close`."""

    start_date: Optional[date]
    end_date: Optional[date]
    closed_count: int
    won_count: int
    lost_count: int
    won_value: Decimal
    win_rate: Optional[Decimal]
    average_deal_size: Optional[Decimal]
    average_days_to_close: Optional[Decimal]
    velocity_per_day: Optional[Decimal]
    not_covered: NotCovered
    as_of: datetime


class StageDuration(Model):
    """How long opportunities are in a stage.

    Each counts once, for all the time that it has been there together, in tenths of a day. Of one
    that is there now it is known only that it takes longer than so far: it is censored. The days
    are those of the Kaplan-Meier estimate, which takes both in: after t days the share still
    there is the product, over all times u ≤ t at which some left, of 1 − (those who left at u) ÷
    (those who were there for u or longer). `pNN_days` is the least time after which NN % have
    left; null where the curve does not come down so far, since too many are still there: then it
    is longer than any time that was seen. A mean of the ended alone would leave out the slowest.
    """

    pipeline_id: int
    stage: str
    stage_key: str
    entered: int
    ended: int
    open: int
    p25_days: Optional[Decimal]
    median_days: Optional[Decimal]
    p75_days: Optional[Decimal]
    p90_days: Optional[Decimal]


class StageDurations(Rows[StageDuration]):
    """How long opportunities are in each open stage."""

    start_date: Optional[date]
    end_date: Optional[date]
    as_of: datetime


class CohortMonth(Model):
    """A cohort at the end of a month.

    Fates are as of now: one that was closed and is open again is open, and won and lost count
    from the day of `actual_close_date` on. Values are what each is worth now, or was when it
    closed. `won`, `lost` and `open` add up to `created`.
    """

    period: str
    start_date: date
    end_date: date
    month: int
    until: date
    created_count: int
    created_value: Decimal
    won_count: int
    won_value: Decimal
    lost_count: int
    lost_value: Decimal
    open_count: int
    open_value: Decimal
    won_share: Optional[Decimal]


class Cohorts(Rows[CohortMonth]):
    """What became of cohorts."""

    not_covered: NotCovered
    as_of: datetime


class LossStage(Model):
    """Those that were lost for a reason from a stage."""

    pipeline_id: Optional[int]
    stage: Optional[str]
    stage_key: Optional[str]
    count: int
    value: Decimal


class LossShare(Model):
    """One reason."""

    lost_reason: Optional[str]
    count: int
    value: Decimal
    share: Optional[Decimal]
    by_stage: list[LossStage]


class LossReasons(Rows[LossShare]):
    """Why opportunities were lost."""

    lost_count: int
    lost_value: Decimal
    not_covered: NotCovered
    start_date: Optional[date]
    end_date: Optional[date]
    as_of: datetime


class PipelineChangeTerm(Model):
    """One term."""

    value: Decimal
    count: int


class PipelineChanges(Model):
    """The terms.

    `start_value` + `created` + `reopened` + `restored` + `grown` + `shrunk` + `revalued` +
    `reassigned_in` + `reassigned_out` + `moved_in` + `moved_out` + `pulled_in` + `pushed_out` +
    `won` + `lost` + `deleted` = `end_value`, to the cent.
    """

    from_: str = Field(alias="from")
    to: str
    start_value: PipelineChangeTerm
    created: PipelineChangeTerm
    reopened: PipelineChangeTerm
    restored: PipelineChangeTerm
    grown: PipelineChangeTerm
    shrunk: PipelineChangeTerm
    revalued: PipelineChangeTerm
    reassigned_in: PipelineChangeTerm
    reassigned_out: PipelineChangeTerm
    moved_in: PipelineChangeTerm
    moved_out: PipelineChangeTerm
    pulled_in: Optional[PipelineChangeTerm] = None
    pushed_out: Optional[PipelineChangeTerm] = None
    won: PipelineChangeTerm
    lost: PipelineChangeTerm
    deleted: PipelineChangeTerm
    end_value: PipelineChangeTerm
    not_covered: NotCovered
    as_of: datetime


class PipelineChangeOpportunity(Model):
    """An opportunity behind a term. All but `value` is as of now."""

    id: int
    opportunity_name: str
    customer_id: int
    customer_name: Optional[str]
    value: Decimal
    pipeline_id: int
    stage_key: str
    status: str
    owner_id: int
    team_id: Optional[int]
    is_deleted: bool


class ReportOpportunity(Versioned):
    """An opportunity as reports know it."""

    id: int
    opportunity_name: str
    customer_id: int
    customer_name: Optional[str]
    pipeline_id: int
    stage: str
    stage_key: str
    status: str
    owner_id: int
    owner_name: str
    team_id: Optional[int]
    amount: Optional[Decimal]
    currency: str
    value: Optional[Decimal]
    probability: int
    expected_close_date: Optional[date]
    actual_close_date: Optional[date]
    lost_reason: Optional[str]
    created_at: datetime


class ActivityCounts(Model):
    """How many activities, by kind."""

    call: int
    email: int
    meeting: int
    task: int
    note: int
    total: int


class ActivityReportRow(Model):
    """What one person did about opportunities, and how the open ones stand that they own."""

    owner_id: int
    owner_name: str
    team_id: Optional[int]
    created: ActivityCounts
    completed: ActivityCounts
    overdue_count: int
    touched_count: int
    open_count: int
    untouched_count: int
    without_next_count: int


class ActivityReport(Rows[ActivityReportRow]):
    """What each person did."""

    start_date: Optional[date]
    end_date: Optional[date]
    as_of: datetime
