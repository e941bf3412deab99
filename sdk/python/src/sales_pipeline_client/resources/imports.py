"""Imports and notifications: `client.imports`, `client.notifications`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Callable, Literal, Optional, Union

import httpx
from pydantic import TypeAdapter
from typing_extensions import TypedDict, Unpack

from .. import exact
from ..call import Call, json_of
from ..errors import TimedOutError
from ..models import Import, ImportBegun, ImportProgress, ImportRows, Notification, Page
from ..operations import Keyed, Resource, composed, listing, operation, streaming
from ..steps import Flow, M, Pause
from .opportunities import Paging

Source = Union[str, "os.PathLike[str]", bytes, BinaryIO]
"""A path, the bytes of a file, or a file that is open for bytes."""
RowStatus = Literal["created", "updated", "skipped", "failed", "undone", "kept"]
_BEGUN = TypeAdapter(ImportBegun)
# What becomes other while one goes on.
_HOW_FAR = {"status", "total_rows", "created", "updated", "skipped", "failed"}


class ImportOptions(Keyed, total=False):
    """How a file is read."""

    mapping: Mapping[str, str]
    """The field that each column is, by the column's header; without it columns are known by their headers."""
    dry_run: bool
    mode: Literal["each_row", "all_or_nothing"]
    kind: Literal["sales", "history"]


class ImportFilters(Paging, total=False):
    """Which rows."""

    row_status: RowStatus


class Imports(Resource[M]):
    """Files of opportunities that are brought in: CSV, or an Excel workbook."""

    @composed("POST /imports")
    def create(self, file: Source, **options: Unpack[ImportOptions]) -> Flow[ImportBegun]:
        """Begins one, which goes on by itself: `watch` it, or `get` it from time to time."""
        return (yield from self._engine.exchange.perform(_creation(file, options)))

    @composed()
    def run(
        self,
        file: Source,
        *,
        progress: Optional[Callable[[ImportProgress], None]] = None,
        within: Optional[float] = None,
        **options: Unpack[ImportOptions],
    ) -> Flow[Import]:
        """Brings a file in and waits for the end; `progress` is told how far it is, whenever that is other than before.

        `TimedOutError` after `within` seconds; the import goes on all the same. Rows that failed are in `rows(id,
        row_status="failed")`.
        """
        exchange = self._engine.exchange
        began = exchange.clock.now()
        begun: ImportBegun = yield from exchange.perform(_creation(file, options))
        pause = 0.1
        told = None
        while True:
            state: Import = yield from exchange.perform(Imports.get.call(begun.id, limit=1))
            how_far = state.model_dump(include=_HOW_FAR)
            if progress and how_far != told:
                progress(state)
            told = how_far
            if state.is_over:
                return state
            if within is not None and exchange.clock.now() - began + pause > within:
                text = f"import {begun.id} is {state.status} after {within:g} s, and goes on"
                raise TimedOutError(text, maybe_done=True)
            yield Pause(pause)
            pause = min(2.0, pause * 1.5)

    @operation("GET /imports/{import_id}")
    def get(self, import_id: int, **filters: Unpack[ImportFilters]) -> Import:
        """How far it is, with some of its rows."""

    @listing("GET /imports/{import_id}")
    def rows(self, import_id: int, **filters: Unpack[ImportFilters]) -> ImportRows:
        """What became of its rows."""

    @streaming("GET /imports/{import_id}/stream", is_last=lambda told: told.is_over)
    def watch(self, import_id: int) -> ImportProgress:
        """Tells how far it is whenever that changes, until it is over."""

    @operation("POST /imports/{import_id}/undo")
    def undo(self, import_id: int, **options: Unpack[Keyed]) -> ImportBegun:
        """Takes back all of it but what was changed since."""


def _creation(file: Source, options: Any) -> Call[ImportBegun]:
    name, content = _content(file)
    form: dict[str, str] = {}
    for field in ("mapping", "dry_run", "mode", "kind"):
        if field in options:
            value = options[field]
            form[field] = value if isinstance(value, str) else exact.dumps(value)
    # Encoded once, so that what is sent again is the same to the byte.
    encoded = httpx.Request("POST", "http://form", data=form, files={"file": (name, content)})
    headers = {"Content-Type": encoded.headers["content-type"]}
    if "idempotency_key" in options:
        headers["Idempotency-Key"] = options["idempotency_key"]
    return Call(
        "POST",
        "/imports",
        lambda response: _BEGUN.validate_python(json_of(response)),
        content=encoded.read(),
        headers=headers,
        takes_key=True,
    )


def _content(file: Source) -> tuple[str, bytes]:
    if isinstance(file, bytes):
        return "import", file
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        return path.name, path.read_bytes()
    return Path(str(getattr(file, "name", "import"))).name, file.read()


class NotificationFilters(Paging, total=False):
    """Which notifications."""

    unread: bool


class StreamOptions(TypedDict, total=False):
    """From where to go on."""

    last_event_id: str


class Notifications(Resource[M]):
    """What one is told."""

    @listing("GET /notifications")
    def list(self, **filters: Unpack[NotificationFilters]) -> Page[Notification]:
        """The latest first."""

    @streaming("GET /notifications/stream", is_last=lambda _: False)
    def stream(self, **options: Unpack[StreamOptions]) -> Notification:
        """Tells them as they happen, after `last_event_id` those that were missed, too."""
