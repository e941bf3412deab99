"""Activities: `client.activities`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from typing_extensions import Required, Unpack

from ..models import Activity, Page
from ..operations import Guarded, Keyed, Resource, listing, operation
from ..steps import M
from .opportunities import Paging

ActivityType = Literal["call", "email", "meeting", "task", "note"]


class NewActivity(Keyed, total=False):
    """What an activity is made of."""

    activity_type: Required[ActivityType]
    subject: Required[str]
    description: str | None
    scheduled_at: datetime | str | None
    completed_at: datetime | str | None
    owner_id: int | None


class ActivityChange(Guarded, total=False):
    """What may be changed."""

    activity_type: ActivityType
    subject: str
    description: str | None
    scheduled_at: datetime | str | None
    completed_at: datetime | str | None
    owner_id: int | None


class ActivityFilters(Paging, total=False):
    """Which activities."""

    due: Literal["overdue", "today", "week"]
    owner_id: int
    include_total: bool


class ActivitiesOfOpportunity(Paging, total=False):
    """Which of an opportunity's activities."""

    activity_type: ActivityType
    completed: bool


class Activities(Resource[M]):
    """What was done, and what is to be done."""

    @listing("GET /activities")
    def list(self, **filters: Unpack[ActivityFilters]) -> Page[Activity]:
        """Activities of all opportunities, newest first; with `due` what is to be done then, the earliest first."""

    @listing("GET /opportunities/{opportunity_id}/activities")
    def list_for(
        self, opportunity_id: int, **filters: Unpack[ActivitiesOfOpportunity]
    ) -> Page[Activity]:
        """Those of one opportunity."""

    @operation("POST /opportunities/{opportunity_id}/activities")
    def create(self, opportunity_id: int, **fields: Unpack[NewActivity]) -> Activity:
        """Writes one down; who is mentioned in it (`@[id]`) is told."""

    @operation("GET /activities/{activity_id}")
    def get(self, activity_id: int) -> Activity:
        """One."""

    @operation("PATCH /activities/{activity_id}")
    def update(self, activity_id: int, **change: Unpack[ActivityChange]) -> Activity:
        """Changes what is named; `None` clears."""

    @operation("DELETE /activities/{activity_id}")
    def delete(self, activity_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes it; `restore` undoes that."""

    @operation("POST /activities/{activity_id}/restore")
    def restore(self, activity_id: int, **options: Unpack[Keyed]) -> Activity:
        """Brings a deleted one back."""
