"""Forecast and reports: `client.forecast`, `client.reports`."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import Required, TypedDict, Unpack

from ..downloads import Destination, Downloaded, download
from ..exact import Amount
from ..models import (
    ActivityReport,
    AdjustmentVersion,
    Attainment,
    Cohorts,
    ConversionRate,
    Forecast,
    ForecastAccuracy,
    ForecastAdjustment,
    ForecastBreakdown,
    ForecastHistory,
    LossReasons,
    OpportunityForecasts,
    Page,
    PipelineChangeOpportunity,
    PipelineChanges,
    ReportOpportunity,
    SalesPerformance,
    SalesTrend,
    StageDurations,
    Target,
    Velocity,
)
from ..operations import Guarded, Resource, composed, listing, operation
from ..steps import Flow, M, Progress
from .activities import ActivityType
from .opportunities import Day, Paging, When
from .pipelines import After, Scope

Period = Literal["month", "quarter", "year"]
TrendPeriod = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]


class ForecastOf(Scope, total=False):
    """Which period, of whom; the current one by default."""

    period: Period
    year: int
    quarter: int
    month: int


class BreakdownOf(ForecastOf, total=False):
    """Which period, of whom; by whom."""

    by: Literal["owner", "team"]


class ForecastOpportunitiesOf(ForecastOf, Paging, total=False):
    """Which open opportunities; those that are expected to close in a period where one is named."""

    stage: str


class AttainmentOf(TypedDict, total=False):
    """Which period, of whom; by person or not."""

    period: Period
    year: int
    quarter: int
    month: int
    owner_id: int
    team_id: int
    by: Literal["owner"]
    after: After


class PlanFilters(Paging, total=False):
    """Of which period, of whom."""

    period: Period
    year: int
    quarter: int
    month: int
    owner_id: int
    team_id: int


class NewTarget(Guarded, total=False):
    """What is to be won, when, by whom."""

    period: Required[Period]
    year: Required[int]
    quarter: int
    month: int
    owner_id: int
    team_id: int
    amount: Required[Amount]


class NewAdjustment(NewTarget, total=False):
    """What is expected, and why."""

    note: str | None


class ForecastResource(Resource[M]):
    """What will be won."""

    @operation("GET /forecast")
    def get(self, **of: Unpack[ForecastOf]) -> Forecast:
        """The forecast of a period, by default of the current one; by stage, and by how sure a forecast may be of it."""

    @composed()
    def get_monthly(self, year: int, month: int, **scope: Unpack[Scope]) -> Flow[Forecast]:
        """The forecast of a month."""
        return (yield from self._of(period="month", year=year, month=month, **scope))

    @composed()
    def get_quarterly(self, year: int, quarter: int, **scope: Unpack[Scope]) -> Flow[Forecast]:
        """The forecast of a quarter, which follows the organisation's fiscal year."""
        return (yield from self._of(period="quarter", year=year, quarter=quarter, **scope))

    @composed()
    def get_yearly(self, year: int, **scope: Unpack[Scope]) -> Flow[Forecast]:
        """The forecast of a year, which is the organisation's fiscal year."""
        return (yield from self._of(period="year", year=year, **scope))

    @operation("GET /forecast/breakdown")
    def breakdown(self, **of: Unpack[BreakdownOf]) -> ForecastBreakdown:
        """The forecast of a period by owner, or with `by="team"` by team; with what is unassigned it adds up to the whole."""

    @listing("GET /forecast/opportunities")
    def opportunities(self, **of: Unpack[ForecastOpportunitiesOf]) -> OpportunityForecasts:
        """Open opportunities, the newest first: the chance of each to be won, when it probably closes, and why."""

    @operation("GET /forecast/history")
    def history(self, **of: Unpack[ForecastOf]) -> ForecastHistory:
        """How the forecast of a period moved, day by day as it was given, and what came true."""

    @operation("GET /forecast/accuracy")
    def accuracy(self, period: Period = "quarter") -> ForecastAccuracy:
        """How past forecasts of months, quarters or years would have done. For who sees every opportunity."""

    @operation("GET /forecast/attainment")
    def get_attainment(self, **of: Unpack[AttainmentOf]) -> Attainment:
        """How a period stands to its target, and how much pipeline the rest needs; `by="owner"` has a row for each person."""

    @listing("GET /forecast/adjustments")
    def list_adjustments(self, **filters: Unpack[PlanFilters]) -> Page[ForecastAdjustment]:
        """What managers expect beside the model."""

    @operation("PUT /forecast/adjustments")
    def set_adjustment(self, **fields: Unpack[NewAdjustment]) -> ForecastAdjustment:
        """Says what is expected in a period, of a person, of a team, or of the organisation; `if_match="*"`: only in the place of another."""

    @operation("GET /forecast/adjustments/{adjustment_id}")
    def get_adjustment(self, adjustment_id: int) -> ForecastAdjustment:
        """One."""

    @operation("DELETE /forecast/adjustments/{adjustment_id}")
    def delete_adjustment(self, adjustment_id: int, **options: Unpack[Guarded]) -> None:
        """Takes it back."""

    @listing("GET /forecast/adjustments/{adjustment_id}/history")
    def adjustment_history(
        self, adjustment_id: int, **options: Unpack[Paging]
    ) -> Page[AdjustmentVersion]:
        """Every version of it, the latest first."""

    def _of(self, **of: Any) -> Flow[Forecast]:
        forecast: Forecast = yield from self._engine.exchange.perform(
            ForecastResource.get.call(**of)
        )
        return forecast


class Targets(Resource[M]):
    """What is to be won in a month, a quarter or a year."""

    @listing("GET /targets")
    def list(self, **filters: Unpack[PlanFilters]) -> Page[Target]:
        """All that suit the filters."""

    @operation("PUT /targets")
    def set(self, **fields: Unpack[NewTarget]) -> Target:
        """Says what is to be won, by a person, by a team, or by the organisation; `if_match="*"`: only in the place of another."""

    @operation("GET /targets/{target_id}")
    def get(self, target_id: int) -> Target:
        """One."""

    @operation("DELETE /targets/{target_id}")
    def delete(self, target_id: int, **options: Unpack[Guarded]) -> None:
        """Takes it back."""


class Between(Scope, total=False):
    """From which day to which, both included; of whom."""

    start_date: Day
    end_date: Day


class TrendOf(Scope, total=False):
    """Rows of what length, of which year; of whom."""

    period: TrendPeriod
    year: int


class PerformanceOf(Scope, total=False):
    """Of which period; of whom."""

    period: Period
    year: int
    quarter: int
    month: int


class CohortsOf(Between, total=False):
    """By what they were made in, followed for how many months."""

    period: str
    months: int


class ChangesOf(Scope, total=False):
    """Between the ends of which days, or between which instants; within which window of close dates."""

    from_: When
    to: When
    close_from: Day
    close_to: Day


class ChangeBehind(ChangesOf, Paging, total=False):
    """Which number of pipeline-changes."""

    term: Required[str]


class Behind(Between, Paging, total=False):
    """Which number: the parameters of the report and of a row, and `term` for which of its numbers."""

    term: str
    period: str
    year: int
    quarter: int
    month: int
    until: Day
    stage: str
    stage_key: str
    lost_reason: str
    activity_type: ActivityType


class ReportParameters(Between, total=False):
    """The parameters of any report."""

    period: str
    year: int
    quarter: int
    month: int
    months: int


class Reports(Resource[M]):
    """Reports. All amounts are in the organisation's currency; what is left out for want of a rate is in `not_covered`."""

    @operation("GET /reports/conversion-rate")
    def conversion_rate(self, **of: Unpack[Between]) -> ConversionRate:
        """By stage: how many came into it, and what became of them."""

    @operation("GET /reports/sales-trend")
    def sales_trend(self, **of: Unpack[TrendOf]) -> SalesTrend:
        """A row for every period of a year."""

    @operation("GET /reports/sales-performance")
    def sales_performance(self, **of: Unpack[PerformanceOf]) -> SalesPerformance:
        """A row for every salesperson."""

    @operation("GET /reports/velocity")
    def velocity(self, **of: Unpack[Between]) -> Velocity:
        """What is won a day."""

    @operation("GET /reports/stage-duration")
    def stage_duration(self, **of: Unpack[Between]) -> StageDurations:
        """How long opportunities are in each stage."""

    @operation("GET /reports/cohorts")
    def cohorts(self, **of: Unpack[CohortsOf]) -> Cohorts:
        """What became of those made in the same period, month by month."""

    @operation("GET /reports/loss-reasons")
    def loss_reasons(self, **of: Unpack[Between]) -> LossReasons:
        """Why they were lost."""

    @operation("GET /reports/activities")
    def activities(self, **of: Unpack[Between]) -> ActivityReport:
        """What each person did about opportunities, and which of theirs nobody touched; from the first day of the quarter unless `start_date` says another."""

    @operation("GET /reports/pipeline-changes")
    def pipeline_changes(self, **of: Unpack[ChangesOf]) -> PipelineChanges:
        """How the open pipeline became what it is, adding up to the cent."""

    @listing("GET /reports/pipeline-changes/opportunities")
    def pipeline_change_opportunities(
        self, **of: Unpack[ChangeBehind]
    ) -> Page[PipelineChangeOpportunity]:
        """Exactly the opportunities behind one `term` of pipeline-changes."""

    @listing("GET /reports/{report}/opportunities")
    def opportunities(self, report: str, **of: Unpack[Behind]) -> Page[ReportOpportunity]:
        """Exactly the opportunities behind a number of a report, such as `"sales-trend"`."""

    @composed()
    def download(
        self,
        report: str,
        to: Destination,
        *,
        progress: Progress | None = None,
        **of: Unpack[ReportParameters],
    ) -> Flow[Downloaded]:
        """Writes a report, such as `"sales-trend"`, into a CSV file; `of` are the parameters of the report."""
        declared = Reports.__dict__[report.replace("-", "_")]
        call = declared.call(**of).ask("format", "csv")
        return (yield from download(self._engine.exchange, call, to, progress))
