"""What will be won."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Optional

from pydantic import Field

from .base import Model, NotCovered, Page, Rows
from .targets import ForecastAdjustment


class ForecastRange(Model):
    """The 90th, 50th and 10th percentile."""

    optimistic: Decimal
    realistic: Decimal
    pessimistic: Decimal


class Ranged(Model):
    """What has a range."""

    forecast: ForecastRange

    @property
    def optimistic(self) -> Decimal:
        """Reached one time in ten."""
        return self.forecast.optimistic

    @property
    def realistic(self) -> Decimal:
        """Reached every other time."""
        return self.forecast.realistic

    @property
    def pessimistic(self) -> Decimal:
        """Reached nine times in ten."""
        return self.forecast.pessimistic

    def as_row(self) -> dict[str, Any]:
        """The range as three columns, at the end."""
        row = super().as_row()
        row.update(row.pop("forecast"))
        return row


class LearnedFrom(Model):
    """Closed opportunities."""

    won: int
    lost: int


class ForecastModel(Model):
    """The model behind a forecast."""

    version: int
    name: str
    learned: bool
    learned_from: Optional[LearnedFrom]
    explanation: str
    explanation_zh: str
    """The same in Traditional Chinese."""


class StageForecast(Model):
    """What is expected of one stage."""

    stage: str
    stage_key: str
    count: int
    total_value: Decimal
    weighted_value: Decimal
    predicted_value: Decimal


class CategoryForecast(Model):
    """What is open of one forecast category."""

    forecast_category: str
    count: int
    total_value: Decimal
    weighted_value: Decimal


class TrackRecord(Model):
    """How often the range held: forecasts of past periods of that length, made again from what was known then."""

    forecasts: int
    inside_range: int


class Forecast(Ranged):
    """The forecast of one period.

    `expected` = `closed_won` + `from_pipeline` + `from_new_business`, to the cent.
    """

    period: str
    start_date: date
    end_date: date
    expected: Decimal
    closed_won: Decimal
    from_pipeline: Decimal
    from_new_business: Decimal
    target: Optional[Decimal]
    target_source: Optional[str] = None
    target_is_partial: Optional[bool] = None
    adjustment: Optional[ForecastAdjustment] = None
    """What managers expect beside the model."""
    adjusted_expected: Optional[Decimal] = None
    """`expected` with the adjustment; `None` without one, and of a period that is over."""
    by_stage: list[StageForecast]
    by_category: list[CategoryForecast]
    """The same by how sure a forecast may be of it; what is `omitted` is in no other number."""
    not_covered: NotCovered
    model: ForecastModel
    track_record: Optional[TrackRecord] = None
    """`None` while there is none, of a period that is over, and where the answer is not about everything."""
    percentiles_add_up: bool
    as_of: datetime


class ForecastPart(Ranged):
    """The forecast of an owner or a team; without an id, of those without a team."""

    id: Optional[int]
    name: Optional[str]
    expected: Decimal
    closed_won: Decimal
    from_pipeline: Decimal


class ForecastBreakdown(Rows[ForecastPart]):
    """The forecast of one period by owner or team: `expected` of the rows and `unassigned` add up to `expected`, to the cent."""

    period: str
    start_date: date
    end_date: date
    unassigned: Decimal
    """What opportunities that are not made yet will bring: they have no owner."""
    expected: Decimal
    model: ForecastModel
    percentiles_add_up: bool
    as_of: datetime


class ForecastReason(Model):
    """What makes a chance better or worse than is usual in the stage."""

    feature: str
    direction: str
    effect: Decimal
    """By how many percentage points; below 0 where it lowers."""
    evidence: int
    """How many closed opportunities were like that."""
    text_zh: str
    text_en: str


class OpportunityForecast(Model):
    """What may become of an open opportunity."""

    opportunity_id: int
    version: int
    opportunity_name: str
    customer_id: int
    customer_name: Optional[str]
    pipeline_id: int
    stage: str
    stage_key: str
    owner_id: int
    owner_name: Optional[str]
    team_id: Optional[int]
    amount: Optional[Decimal]
    currency: str
    value: Optional[Decimal]
    """The amount in the organisation's currency."""
    probability: int
    """Its own, of its stage or of a person."""
    expected_close_date: Optional[date]
    created_at: datetime
    win_probability: Decimal
    """The model's, 0 to 1."""
    stage_win_probability: Decimal
    """What is usual in its stage: what `reasons` are held against."""
    expected_value: Optional[Decimal]
    probable_close_date: Optional[date]
    """If it is won: as likely before that day as after it."""
    close_date_from: Optional[date]
    close_date_to: Optional[date]
    reasons: list[ForecastReason]
    """Up to three that raise its chance, then up to three that lower it, each kind with the strongest first."""

    @property
    def strongest_reason(self) -> Optional[ForecastReason]:
        """The one that moves its chance the most, either way; `None` where nothing was learned."""
        return max(self.reasons, key=lambda it: abs(it.effect), default=None)


class OpportunityForecasts(Page[OpportunityForecast]):
    """A page of open opportunities."""

    model: ForecastModel


class KeptForecast(Ranged):
    """A forecast as it was given on a day; `replayed`: made later from what was known then."""

    date: date
    expected: Decimal
    closed_won: Decimal
    from_pipeline: Decimal
    from_new_business: Decimal
    model: str
    model_version: int
    replayed: bool
    made_at: datetime


class ForecastHistory(Rows[KeptForecast]):
    """How the forecast of one period moved, the first day first."""

    period: str
    start_date: date
    end_date: date
    actual: Optional[Decimal]
    """What was won in it; `None` while it is not over."""
    as_of: datetime


class ForecastTry(Ranged):
    """A window of the past, forecast as it began."""

    from_: datetime = Field(alias="from")
    to: datetime
    actual: Decimal
    stage_weighted: Decimal
    last_period: Decimal
    inside_range: bool


class ForecastMeasures(Model):
    """How good forecasts were over the windows, as shares: 0.12 is 12 %."""

    mape: Optional[Decimal]
    """The mean absolute error of `realistic`."""
    bias: Optional[Decimal]
    """By what share they were too high, or below 0 too low."""
    coverage: Optional[Decimal]
    """The share of windows inside the range: 0.8 is what it promises."""
    pinball: Optional[Decimal]
    """The mean pinball loss of the three percentiles, as a share of what came true; the less the better."""


class ForecastCalibration(Model):
    """Chances that were told to a group of opportunities, and what came true of them."""

    from_: Decimal = Field(alias="from")
    to: Decimal
    count: int
    told: Decimal
    won: Decimal


class ForecastAmountBand(Model):
    """Chances that were told to opportunities of about one size, and what came true of them."""

    from_: Decimal = Field(alias="from")
    """In the organisation's currency."""
    to: Decimal
    count: int
    told: Decimal
    won: Decimal


class ForecastAccuracy(Rows[ForecastTry]):
    """How past forecasts would have done, window by window, the latest first."""

    period: str
    forecast: ForecastMeasures
    stage_weighted: ForecastMeasures
    """How the open pipeline did as a forecast."""
    last_period: ForecastMeasures
    """How it did to expect what the window before had brought."""
    by_decile: list[ForecastCalibration]
    by_amount: list[ForecastAmountBand]
    log_loss: Optional[Decimal]
    model: ForecastModel
    as_of: Optional[datetime]
    """When it was tried; `None` while there is no model."""
