"""Files that were brought in."""

from datetime import datetime
from typing import Optional

from pydantic import Field

from .base import Model, Page


class ImportColumn(Model):
    """A column of the file."""

    header: str
    field: Optional[str]


class ImportFault(Model):
    """What is not good about a row."""

    field: str
    code: str
    message: str


class ImportRow(Model):
    """What became of a row."""

    row: int
    status: str
    opportunity_id: Optional[int]
    errors: list[ImportFault]


class ImportBegun(Model):
    """An import that has begun."""

    id: int
    status: str


class ImportProgress(Model):
    """How far an import is."""

    id: int
    status: str
    dry_run: bool
    mode: str
    columns: list[ImportColumn]
    total_rows: int
    created: int
    updated: int
    skipped: int
    failed: int
    undone: int
    kept: int
    requested_by: int
    created_at: datetime
    updated_at: datetime
    kind: str
    undone_by: Optional[int]
    unmapped_columns: list[str]

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.status in {"done", "failed", "undone"}


class Import(ImportProgress):
    """An import and a page of its rows."""

    rows: list[ImportRow]
    next_cursor: Optional[str]


class ImportRows(Page[ImportRow]):
    """A page of an import's rows."""

    items: list[ImportRow] = Field(alias="rows")
