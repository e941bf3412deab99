"""What the organisation has decided, and the record of changes."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Optional

from .base import Model, Page, Versioned


class Settings(Versioned):
    """The organisation's settings."""

    time_zone: str
    default_currency: str
    visibility: str
    fiscal_year_start: int
    currency_fixed: bool
    second_factor_roles: list[str]


class Currency(Model):
    """A currency."""

    code: str
    is_default: bool
    rate: Optional[Decimal]
    valid_from: Optional[date]


class ExchangeRate(Versioned):
    """What a unit of a currency is worth in the organisation's, from a day on."""

    currency: str
    valid_from: date
    rate: Decimal
    updated_at: datetime


class LostReason(Model):
    """A reason."""

    id: int
    name: str
    position: int
    is_active: bool


class LostReasons(Page[LostReason], Versioned):
    """A page of reasons; the version is that of the list."""


class CustomField(Model):
    """A field."""

    key: str
    name: str
    type: str
    choices: list[str]
    position: int


class CustomFields(Page[CustomField], Versioned):
    """A page of fields; the version is that of the list."""


class AuditChange(Model):
    """One field that a change altered."""

    field: str
    old: Any
    new: Any


class AuditEntry(Versioned):
    """One change of one record."""

    id: str
    source: str
    type: str
    record_type: str
    record_id: int
    occurred_at: datetime
    recorded_at: datetime
    actor_user_id: Optional[int]
    actor_service: Optional[str]
    origin: str
    request_id: Optional[str]
    changes: list[AuditChange]


class DeadLetter(Model):
    """An event that a service could not apply."""

    id: int
    consumer: str
    source: str
    position: int
    attempts: int
    failed_at: datetime
    error: str
    event_id: Optional[str]
    type: Optional[str]
    record_type: Optional[str]
    record_id: Optional[int]
    version: Optional[int]
    content: Optional[str]


class DeadLetterFailure(Model):
    """Why one cannot be applied even now."""

    id: int
    error: str


class DeadLettersReplayed(Model):
    """What came of applying again."""

    applied: int
    left: list[DeadLetterFailure]
    remaining: int
