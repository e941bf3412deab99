"""Whom the commands of `spm` talk to, and what they ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

from ..client import SalesPipelineClient
from . import settings


@contextmanager
def connected(base_url: Optional[str] = None) -> Iterator[SalesPipelineClient]:
    """A client as whoever has logged in."""
    found = settings.load(base_url)
    if found.api_key is None:
        raise settings.SettingsError(
            f"nobody is logged in at {found.base_url}: spm login, or set SPM_API_KEY"
        )
    with SalesPipelineClient(found.base_url, api_key=found.api_key) as client:
        yield client


def given(**values: Any) -> dict[str, Any]:
    """What was said of these options."""
    return {name: value for name, value in values.items() if value is not None}
