"""How `spm` shows what it was answered: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import exact

# The columns of a list, and what they are called.
LIST = {
    "id": "id",
    "opportunity_name": "opportunity",
    "customer_name": "customer",
    "stage": "stage",
    "amount": "amount",
    "currency": "",
    "probability": "%",
    "expected_close_date": "closes",
    "owner_name": "owner",
}

# What is told as a percentage, by how its name ends, and by all of it.
SHARES = ("_rate", "share", "attainment", "_change", "_probability")
SHARE_NAMES = {"told", "won"}
# What is no amount: amounts with cents have two digits of them.
MEASURES = {
    "coverage",
    "quantity",
    "pinball",
    "mape",
    "bias",
    "elapsed",
    "effect",
    "rate",
    "log_loss",
}

# Into a file or a pipe goes all of it, however wide.
out = Console(width=None if sys.stdout.isatty() else 400)
err = Console(stderr=True)


def as_json(value: Any) -> None:
    """One line of JSON with exact numbers."""
    sys.stdout.write(exact.dumps(value) + "\n")


def table(rows: Iterable[Any], columns: Sequence[str] | dict[str, str], title: str = "") -> None:
    """A table with these fields of rows; numbers are on the right."""
    names = columns if isinstance(columns, dict) else {it: it.replace("_", " ") for it in columns}
    rows = list(rows)
    shown = Table(
        title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for field, name in names.items():
        values = [getattr(row, field, None) for row in rows]
        is_number = any(isinstance(it, (int, Decimal)) for it in values)
        is_day = any(type(it) is date for it in values)
        # A number is never cut, nor is a day.
        longest = max((cell_len(text(it, field)) for it in values), default=0)
        width = longest if is_number or is_day else min(longest, 8)
        shown.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number or is_day,
            min_width=width,
        )
    for row in rows:
        # As text: what people have written is no markup.
        shown.add_row(*(Text(text(getattr(row, field, None), field)) for field in names))
    out.print(shown)


def facts(model: Any, *, leave_out: Sequence[str] = ()) -> None:
    """A record, a line a field."""
    shown = Table(show_header=False, box=None)
    shown.add_column(style="bold")
    shown.add_column()
    for field in type(model).model_fields:
        value = getattr(model, field)
        if field not in leave_out and value not in (None, [], {}):
            shown.add_row(field.replace("_", " "), Text(text(value, field)))
    out.print(shown)


def line(words: str) -> None:
    """One line for people, as it is."""
    out.print(words, markup=False, highlight=False, soft_wrap=True)


def note(words: str) -> None:
    """One line that is no part of the answer, on standard error."""
    err.print(words, markup=False, highlight=False, soft_wrap=True)


def text(value: Any, field: str = "") -> str:
    """A value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        if field.endswith(SHARES) or field in SHARE_NAMES:
            return f"{value:.1%}"
        is_amount = field not in MEASURES and "days" not in field
        has_one_digit = value.as_tuple().exponent == -1
        return f"{value:,f}" + ("0" if is_amount and has_one_digit else "")
    if isinstance(value, int):
        return str(value) if field.endswith("id") else f"{value:,}"
    if isinstance(value, BaseModel):
        return ", ".join(f"{name.replace('_', ' ')} {text(it, name)}" for name, it in value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value))
    return str(value)
