"""Customers, their contacts, and what merging them did."""

from datetime import datetime
from typing import Optional

from pydantic import Field

from .base import Model, Versioned


class Customer(Versioned):
    """A customer."""

    id: int
    name: str
    company: Optional[str]
    industry: Optional[str]
    email: Optional[str]
    phone: Optional[str]
    created_by: int
    created_at: datetime
    updated_at: datetime
    merged_into_id: Optional[int]


class Contact(Versioned):
    """A person at a customer's."""

    id: int
    customer_id: int
    name: str
    email: Optional[str]
    phone: Optional[str]
    title: Optional[str]
    created_at: datetime
    updated_at: datetime


class DuplicateCustomers(Model):
    """Customers that are likely the same."""

    reasons: list[str]
    customers: list[Customer]
    customer_count: int


class Merge(Model):
    """What the merge came to."""

    customer: Customer
    moved_opportunities: int
    moved_contacts: int
    joined_contacts: int


class LeftBehind(Model):
    """What was left with the customer into which it was merged."""

    record_type: str
    record_id: int
    field: Optional[str]


class Unmerge(Model):
    """What undoing came to."""

    customer: Customer
    from_: Customer = Field(alias="from")
    restored_opportunities: int
    restored_contacts: int
    left: list[LeftBehind]
    left_count: int


class Erasure(Model):
    """The person is erased."""

    ids: list[int]
    erased_at: datetime
