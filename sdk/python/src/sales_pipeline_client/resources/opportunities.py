"""Opportunities: `client.opportunities`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Callable, Literal, Optional, Union

from typing_extensions import Required, TypedDict, Unpack

from ..call import Call
from ..downloads import Destination, Downloaded, download
from ..errors import PreconditionFailedError
from ..exact import Amount
from ..models import BulkResult, LineItem, Opportunity, OpportunityAccess, Page, StageHistory
from ..operations import Guarded, Keyed, Resource, composed, listing, operation
from ..steps import Flow, M, Progress

Status = Literal["open", "won", "lost"]
Order = Literal["asc", "desc"]
ForecastCategory = Literal["commit", "best_case", "pipeline", "omitted"]
"""How sure a forecast may be of an opportunity that is open."""
Day = Union[date, str]
"""A day, or `YYYY-MM-DD`."""
When = Union[datetime, date, str]
"""An instant (with its zone), or a whole day."""
SortBy = Literal[
    "amount",
    "probability",
    "weighted_value",
    "expected_close_date",
    "created_at",
    "updated_at",
    "opportunity_name",
    "customer_name",
]


class Line(TypedDict, total=False):
    """A line of what is to be sold."""

    name: Required[str]
    unit_price: Required[Amount]
    quantity: Amount | None
    discount: Amount | None


class Described(TypedDict, total=False):
    """What is said of an opportunity. Left out in a change: as it was; `None`: cleared."""

    customer_id: int | None
    customer_name: str | None
    contact_name: str | None
    contact_email: str | None
    stage: str | None
    amount: Amount | None
    currency: str | None
    probability: int | None
    forecast_category: ForecastCategory | None
    expected_close_date: Day | None
    products: Sequence[str] | None
    line_items: Sequence[Line | LineItem] | None
    notes: str | None
    source: str | None
    tags: Sequence[str] | None
    custom_fields: Mapping[str, Any] | None
    owner_id: int | None
    pipeline_id: int | None
    waiting_until: Day | None


class NewOpportunity(Described, Keyed, total=False):
    """What an opportunity is made of."""

    opportunity_name: Required[str]
    external_id: str | None


class OpportunityChange(Described, Guarded, total=False):
    """What may be changed."""

    opportunity_name: str
    external_id: str | None
    lost_reason: str | None
    actual_close_date: Day | None


class UpsertedOpportunity(Described, Guarded, total=False):
    """What an opportunity of another system is."""

    opportunity_name: str
    lost_reason: str | None
    actual_close_date: Day | None


class StageMove(Guarded, total=False):
    """What may be said of a move."""

    probability: int | None
    notes: str | None
    lost_reason: str | None
    actual_close_date: Day | None


class BulkUpdate(TypedDict, total=False):
    """One change of many."""

    id: Required[int]
    version: int
    stage: str
    probability: int
    lost_reason: str | None
    owner_id: int
    expected_close_date: Day | None
    notes: str | None


class OpportunityFilters(TypedDict, total=False):
    """Which opportunities, in which order. Days are whole days, both ends included."""

    stage: str | Sequence[str]
    status: Status | Sequence[Status]
    owner_id: int
    team_id: int
    customer_id: int
    pipeline_id: int
    product: str
    tag: str
    source: str
    lost_reason: str
    forecast_category: ForecastCategory | Literal["closed"]
    q: str
    stale: bool
    min_amount: Amount
    max_amount: Amount
    expected_close_from: Day
    expected_close_to: Day
    closed_from: Day
    closed_to: Day
    created_from: When
    created_to: When
    updated_from: When
    updated_to: When
    entered_stage: str
    entered_from: When
    entered_to: When
    custom_field: Mapping[str, Any]
    sort_by: SortBy
    order: Order


class Paging(TypedDict, total=False):
    """How many at a time (1 to 200), and from where on."""

    limit: int
    cursor: str


class OpportunityList(OpportunityFilters, Paging, total=False):
    """Which opportunities, and how many at a time."""

    include_total: bool


class Opportunities(Resource[M]):
    """Opportunities."""

    @listing("GET /opportunities")
    def list(self, **filters: Unpack[OpportunityList]) -> Page[Opportunity]:
        """All that suit the filters and that the caller may see; the latest first unless `sort_by` says otherwise."""

    @operation("POST /opportunities")
    def create(self, **fields: Unpack[NewOpportunity]) -> Opportunity:
        """Makes one; a customer of that name is used or made. Needs a customer and `opportunity_name`."""

    @operation("GET /opportunities/{opportunity_id}")
    def get(self, opportunity_id: int) -> Opportunity:
        """One."""

    @operation("PATCH /opportunities/{opportunity_id}")
    def update(self, opportunity_id: int, **change: Unpack[OpportunityChange]) -> Opportunity:
        """Changes what is named; `None` clears. A named `stage` is a move, by the same rules."""

    @operation("PATCH /opportunities/{opportunity_id}/stage", rename={"new_stage": "stage"})
    def update_stage(
        self, opportunity_id: int, new_stage: str, **move: Unpack[StageMove]
    ) -> Opportunity:
        """Moves it to a stage, which is named by its name or key. `notes` belong to the history of the move.

        `lost_reason`, of a move to a lost stage, is the `name` of one of `client.lost_reasons`, or any words while there are
        none. A move to the stage in which it is changes nothing but a `probability` that is named: a reason is added
        afterwards by `update`.
        """

    @operation("DELETE /opportunities/{opportunity_id}")
    def delete(self, opportunity_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes it; `restore` undoes that."""

    @operation("POST /opportunities/{opportunity_id}/restore")
    def restore(self, opportunity_id: int, **options: Unpack[Keyed]) -> Opportunity:
        """Brings a deleted one back."""

    @listing("GET /opportunities/{opportunity_id}/history")
    def history(self, opportunity_id: int, **options: Unpack[Paging]) -> Page[StageHistory]:
        """Its moves, oldest first; the first, from nowhere, is the creation."""

    @listing("GET /opportunities/{opportunity_id}/access")
    def access(self, opportunity_id: int, **options: Unpack[Paging]) -> Page[OpportunityAccess]:
        """Who may see it, and why."""

    @operation("POST /opportunities/bulk")
    def update_many(self, updates: Sequence[BulkUpdate], **options: Unpack[Keyed]) -> BulkResult:
        """Up to 1,000 changes, each with its own result: one that fails does not stop the others."""

    @operation("PUT /opportunities/by-external-id/{external_id}")
    def upsert(self, external_id: str, **fields: Unpack[UpsertedOpportunity]) -> Opportunity:
        """Makes or changes the one that has this id in another system; without any field it answers the one that is there.

        With `if_match` none is made: it is a version, or `"*"` for whichever is there.
        """

    @composed()
    def modify(
        self,
        opportunity_id: int,
        change: Callable[[Opportunity], Optional[OpportunityChange]],
        *,
        attempts: int = 5,
    ) -> Flow[Opportunity]:
        """Reads it, asks `change` what to change, and writes that only if nobody was faster; then it reads anew.

        `change` may be asked several times. It gives the fields to change, or `None` or `{}` to leave it. After so many
        attempts the last `PreconditionFailedError` is raised.
        """
        exchange = self._engine.exchange
        while True:
            attempts -= 1
            current: Opportunity = yield from exchange.perform(
                Opportunities.get.call(opportunity_id)
            )
            fields = change(current)
            if not fields:
                return current
            guarded = {**fields, "if_match": current}
            call: Call[Opportunity] = Opportunities.update.call(opportunity_id, **guarded)
            try:
                return (yield from exchange.perform(call))
            except PreconditionFailedError:
                if attempts <= 0:
                    raise

    @operation("GET /opportunities/export")
    def _export(
        self,
        format: Literal["csv", "xlsx", "jsonl"] = "csv",
        **filters: Unpack[OpportunityFilters],
    ) -> None:
        """What `export` asks for."""

    @composed()
    def export(
        self,
        to: Destination,
        *,
        format: Literal["csv", "xlsx", "jsonl"] = "csv",
        progress: Progress | None = None,
        **filters: Unpack[OpportunityFilters],
    ) -> Flow[Downloaded]:
        """Writes all that suit the filters into a file, as it comes: nothing is held in memory.

        A path is only written when everything has come. `progress` is told how many bytes have come.
        """
        call = Opportunities._export.call(format=format, **filters)
        return (yield from download(self._engine.exchange, call, to, progress))
