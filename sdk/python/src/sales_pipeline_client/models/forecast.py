"""What will be won."""

from datetime import date, datetime
from decimal import Decimal
from typing import Optional

from .base import Model, NotCovered
from .targets import ForecastAdjustment


class ForecastRange(Model):
    """The 90th, 50th and 10th percentile."""

    optimistic: Decimal
    realistic: Decimal
    pessimistic: Decimal


class ForecastModel(Model):
    """The model behind a forecast."""

    version: int
    name: str
    learned: bool
    explanation: str


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


class Forecast(Model):
    """The forecast of one period.

    `expected` = `closed_won` + `from_pipeline` + `from_new_business`, to the cent.
    """

    period: str
    start_date: date
    end_date: date
    forecast: ForecastRange
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
    percentiles_add_up: bool
    as_of: datetime

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
