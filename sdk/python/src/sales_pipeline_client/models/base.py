"""What all answers have in common: fields by name, unknown ones kept, numbers exact."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar

from pydantic import BaseModel, ConfigDict

from ..frames import frame_of

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")


class Model(BaseModel):
    """An answer of the API. Fields that this version of the package does not know are in `model_extra`."""

    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, protected_namespaces=()
    )

    def as_row(self) -> dict[str, Any]:
        """Its fields as the columns of a table."""
        return self.model_dump()


class Versioned(Model):
    """What has a version, by which a change can say what it was made on."""

    version: int

    @property
    def etag(self) -> str:
        """The version, as `If-Match` has it."""
        return f'"v{self.version}"'


class Rows(Model, Generic[T]):
    """An answer of rows: iterate over it."""

    items: list[T]

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        return self.items[index]

    def to_pandas(self, *, exact: bool = True) -> "pandas.DataFrame":
        """The rows as a table; amounts stay `Decimal`, or become floats with `exact=False`."""
        return frame_of(self.items, exact=exact)


class Page(Rows[T]):
    """A page of a collection."""

    next_cursor: Optional[str] = None
    total_count: Optional[int] = None
    """How many there are in all, where that was asked for."""
    as_of: Optional[datetime] = None
    """Of a report: what it takes in."""

    @property
    def following(self) -> Optional[tuple[str, str]]:
        """The parameter by which the next page is asked for; `None` after the last."""
        return ("cursor", self.next_cursor) if self.next_cursor else None

    @property
    def position(self) -> Optional[str]:
        """Where to go on another time; of `sync.changes` it is there after the last page, too."""
        return self.next_cursor


class NotCovered(Model):
    """How many opportunities are left out of the values, for want of what."""

    without_amount: int
    without_rate: int
    without_date: int
