"""Customers and contacts: `client.customers`, `client.contacts`."""

from __future__ import annotations

from typing_extensions import Required, TypedDict, Unpack

from ..models import Contact, Customer, DuplicateCustomers, Erasure, Merge, Page, Unmerge
from ..operations import Guarded, Keyed, Resource, listing, operation
from ..steps import M
from .opportunities import Order, Paging, When


class CustomerFacts(TypedDict, total=False):
    """What is said of a customer."""

    company: str | None
    industry: str | None
    email: str | None
    phone: str | None


class NewCustomer(CustomerFacts, Keyed, total=False):
    """What a customer is made of."""

    name: Required[str]


class CustomerChange(CustomerFacts, Guarded, total=False):
    """What may be changed."""

    name: str


class CustomerFilters(Paging, total=False):
    """Which customers, in which order."""

    q: str
    created_from: When
    created_to: When
    sort_by: str
    order: Order


class ContactFacts(TypedDict, total=False):
    """What is said of a contact."""

    email: str | None
    phone: str | None
    title: str | None


class NewContact(ContactFacts, Keyed, total=False):
    """What a contact is made of."""

    name: Required[str]


class ContactChange(ContactFacts, Guarded, total=False):
    """What may be changed."""

    name: str


class Customers(Resource[M]):
    """Customers. A caller sees those whose opportunities they may see, and those they made."""

    @listing("GET /customers")
    def list(self, **filters: Unpack[CustomerFilters]) -> Page[Customer]:
        """All that suit the filters."""

    @operation("POST /customers")
    def create(self, **fields: Unpack[NewCustomer]) -> Customer:
        """Makes one; names are not unique."""

    @operation("GET /customers/{customer_id}")
    def get(self, customer_id: int) -> Customer:
        """One."""

    @operation("PATCH /customers/{customer_id}")
    def update(self, customer_id: int, **change: Unpack[CustomerChange]) -> Customer:
        """Changes what is named; `None` clears."""

    @operation("DELETE /customers/{customer_id}")
    def delete(self, customer_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes it; `restore` undoes that."""

    @operation("POST /customers/{customer_id}/restore")
    def restore(self, customer_id: int, **options: Unpack[Keyed]) -> Customer:
        """Brings a deleted one back."""

    @listing("GET /customers/duplicates")
    def duplicates(self, **options: Unpack[Paging]) -> Page[DuplicateCustomers]:
        """Those that are likely the same, and why."""

    @operation("POST /customers/{customer_id}/merge")
    def merge(self, customer_id: int, from_id: int, **options: Unpack[Keyed]) -> Merge:
        """Makes one of two: what belonged to `from_id` belongs to `customer_id` afterwards."""

    @operation("POST /customers/{customer_id}/unmerge")
    def unmerge(self, customer_id: int, from_id: int, **options: Unpack[Keyed]) -> Unmerge:
        """Undoes a merge, as far as nothing was changed since."""


class Contacts(Resource[M]):
    """People at customers."""

    @listing("GET /customers/{customer_id}/contacts")
    def list(self, customer_id: int, **options: Unpack[Paging]) -> Page[Contact]:
        """Those of a customer."""

    @operation("POST /customers/{customer_id}/contacts")
    def create(self, customer_id: int, **fields: Unpack[NewContact]) -> Contact:
        """Makes one."""

    @operation("GET /contacts/{contact_id}")
    def get(self, contact_id: int) -> Contact:
        """One."""

    @operation("PATCH /contacts/{contact_id}")
    def update(self, contact_id: int, **change: Unpack[ContactChange]) -> Contact:
        """Changes what is named; `None` clears."""

    @operation("DELETE /contacts/{contact_id}")
    def delete(self, contact_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes it."""

    @operation("POST /contacts/{contact_id}/erase")
    def erase(self, contact_id: int, **options: Unpack[Keyed]) -> Erasure:
        """Removes a person's data everywhere, for good. For administrators."""
