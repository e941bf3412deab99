"""Opportunities and what became of changes of them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Optional

from .base import Model, Versioned


class LineItem(Model):
    """A line of what is to be sold.

    It comes to `quantity` × `unit_price` less `discount`, rounded half up to the hundredth once;
    that of all lines together is 9999999999999.99 at most.
    """

    name: str
    quantity: Optional[Decimal] = None
    unit_price: Decimal
    discount: Optional[Decimal] = None


class NextActivity(Model):
    """What is to be done next about an opportunity."""

    id: int
    activity_type: str
    subject: str
    scheduled_at: datetime


class Opportunity(Versioned):
    """An opportunity."""

    id: int
    opportunity_name: str
    customer_id: int
    customer_name: str
    contact_id: Optional[int]
    contact_name: Optional[str]
    contact_email: Optional[str]
    pipeline_id: int
    stage: str
    stage_key: str
    status: str
    amount: Optional[Decimal]
    currency: str
    probability: int
    weighted_value: Optional[Decimal]
    forecast_category: str
    """How sure a forecast may be of it; `closed` once it is won or lost."""
    forecast_category_is_own: bool
    """Whether it is its own, and not that of its stage."""
    expected_close_date: Optional[date]
    actual_close_date: Optional[date]
    lost_reason: Optional[str]
    owner_id: int
    owner_name: str
    team_id: Optional[int]
    products: list[str]
    notes: Optional[str]
    source: Optional[str]
    external_id: Optional[str]
    tags: list[str]
    waiting_until: Optional[date]
    stale: bool
    days_in_stage: int
    created_at: datetime
    updated_at: datetime
    closed_amount: Optional[Decimal]
    closed_rate: Optional[Decimal]
    next_activity: Optional[NextActivity]
    line_items: list[LineItem]
    custom_fields: dict[str, Any]


class StageHistory(Model):
    """One move. Names are those of its time; the chain is by key."""

    id: int
    from_stage: Optional[str]
    from_stage_key: Optional[str]
    to_stage: str
    to_stage_key: str
    changed_by: int
    changed_by_name: str
    notes: Optional[str]
    probability: int
    changed_at: datetime
    seconds_in_from_stage: Optional[int]


class OpportunityAccess(Model):
    """What one person may do with an opportunity."""

    user_id: int
    username: str
    role: str
    can_write: bool
    reasons: list[str]


class OpportunityUpdateFault(Model):
    """A bad field."""

    field: str
    code: str
    message: str


class OpportunityUpdateError(Model):
    """Why a change was not made."""

    code: str
    detail: str
    errors: list[OpportunityUpdateFault]
    current_version: Optional[int]


class OpportunityUpdateResult(Model):
    """What became of one change."""

    id: int
    status: int
    opportunity: Optional[Opportunity]
    error: Optional[OpportunityUpdateError]


class BulkResult(Model):
    """What became of each change."""

    results: list[OpportunityUpdateResult]
    succeeded: int
    failed: int
