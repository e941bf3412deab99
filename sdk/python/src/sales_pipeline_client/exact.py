"""JSON whose numbers are exact both ways: none of them is ever a binary float on its way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Union

from pydantic import BaseModel

Amount = Union[Decimal, int, float]
"""A number as callers may give it.

A `float` is taken for what it reads as (`0.1` is one tenth): its shortest decimal form is sent, so that a sum of floats
with digits beyond the hundredth is refused by the server instead of being rounded by anybody.
"""


def loads(text: str | bytes) -> Any:
    """Reads JSON; numbers with a point or an exponent become `Decimal`."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def dumps(value: Any) -> str:
    """Writes JSON; `Decimal` is written digit by digit, dates and instants as the API reads them."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float, Decimal)):
        return digits(value)
    if isinstance(value, (date, datetime)):
        return f'"{day_or_instant(value)}"'
    if isinstance(value, BaseModel):
        return dumps(value.model_dump(by_alias=True))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{dumps(str(name))}:{dumps(it)}" for name, it in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(map(dumps, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON form")


def number(value: Amount) -> Decimal:
    """The exact number that is meant; `ValueError` where it is none that ends."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return exact


def digits(value: Amount) -> str:
    """A number in digits, without an exponent."""
    return str(int(value)) if isinstance(value, int) else format(number(value), "f")


def day_or_instant(value: date) -> str:
    """`YYYY-MM-DD` of a day, RFC 3339 in UTC of an instant, which must say its zone."""
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise ValueError(f"{value!r} does not say in which time zone it is: give it a tzinfo")
    return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
