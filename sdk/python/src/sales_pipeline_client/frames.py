"""Rows as a table of pandas, which is only needed here and comes with the extra `pandas`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


def frame_of(rows: Sequence[Any], *, exact: bool) -> pandas.DataFrame:
    """A table with a column a field; instants are `datetime64` in UTC.

    Amounts stay `Decimal`, which adds up exactly; with `exact=False` they become floats, which are faster and plot at once.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "to_pandas needs pandas. In the repository: pip install './sdk/python[pandas]'"
        ) from None
    frame: pandas.DataFrame = pandas.DataFrame(
        [it.as_row() if hasattr(it, "as_row") else it for it in rows]
    )
    if "version" in frame:
        frame["version"] = frame.pop("version")  # at the end: it is the least of interest
    if not exact:
        for name in frame.columns:
            present = frame[name].dropna()
            if len(present) and present.map(lambda it: isinstance(it, Decimal)).all():
                frame[name] = frame[name].astype(float)
    return frame
