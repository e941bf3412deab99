"""What changed, for who keeps a copy."""

from typing import Any, Optional, Union

from pydantic import ValidationInfo, field_validator

from .activities import Activity
from .base import Model, Page, Versioned
from .customers import Contact, Customer
from .opportunities import Opportunity
from .pipelines import Pipeline

SyncRecord = Union[Pipeline, Customer, Contact, Opportunity, Activity]
_RECORDS: dict[str, type[Model]] = {
    "pipeline": Pipeline,
    "customer": Customer,
    "contact": Contact,
    "opportunity": Opportunity,
    "activity": Activity,
}


class SyncItem(Versioned):
    """A record as it is now, or that it is not there for the caller any more."""

    type: str
    id: int
    deleted: bool
    record: Optional[Union[SyncRecord, dict[str, Any]]] = None
    """Of a type that this version of the package does not know, a dictionary."""

    @field_validator("record", mode="before")
    @classmethod
    def _of_its_type(cls, record: Any, info: ValidationInfo) -> Any:
        kind = _RECORDS.get(info.data.get("type", ""))
        return kind.model_validate(record) if kind and record is not None else record


class SyncPage(Page[SyncItem]):
    """Some of what changed."""

    next: str
    """Where to go on another time."""
    has_more: bool

    @property
    def following(self) -> Optional[tuple[str, str]]:
        """By which what follows is asked for; `None` where there is nothing at present."""
        return ("since", self.next) if self.has_more else None

    @property
    def position(self) -> Optional[str]:
        """`since` of another time."""
        return self.next
