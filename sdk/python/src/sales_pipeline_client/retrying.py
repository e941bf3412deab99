"""Which call may be sent again after what, and how long to wait before."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from .errors import APIError, NotAnsweredError, SalesPipelineError, TimedOutError

# With these the request was not sent, or not all of it.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# A server that says this may answer another time. Whether it did something is not known.
_PASSING = {408, 500, 502, 503, 504}


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a client is. All times are in seconds."""

    timeout: float = 30.0
    """How long one try may wait for the server to say something."""
    deadline: float | None = 120.0
    """How long all tries of a call may take together, with the pauses between them; `None` for no end."""
    max_retries: int = 4
    """How often a call is sent again at most."""
    backoff: float = 0.25
    """The longest pause before the first retry. It doubles each time; the pause is a random part of it (full jitter)."""
    max_backoff: float = 8.0
    """What it doubles to at most."""
    max_retry_after: float = 60.0
    """The longest `Retry-After` that is waited for; longer ones are told the caller."""

    def pause(self, retry: int, random: float, retry_after: float | None) -> float | None:
        """How long to wait before a retry (the first is 0), `random` being from 0 to 1; `None` where not to try again."""
        if retry >= self.max_retries:
            return None
        spread = min(self.max_backoff, self.backoff * 2.0**retry) * random
        if retry_after is None:
            return spread
        # Not before that time, and not all at that time.
        return retry_after + spread if retry_after <= self.max_retry_after else None


@dataclass(frozen=True)
class Nature:
    """What a request is, as far as sending it twice is concerned."""

    method: str
    has_key: bool = False
    has_condition: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether to do it twice is to do it once."""
        if self.method == "POST":
            return self.has_key
        if self.method == "PATCH":
            return self.has_condition
        return self.method in {"GET", "HEAD", "PUT", "DELETE"}

    def may_repeat(self, failure: SalesPipelineError) -> bool:
        """Whether the request may be sent again after a failure."""
        if isinstance(failure, NotAnsweredError):
            return self.is_repeatable or not failure.maybe_done
        if not isinstance(failure, APIError):
            return False
        if failure.status == 429 or _is_down(failure):
            return True  # nothing was done
        if failure.status == 409:
            # A twin with the same key still runs.
            return self.has_key and failure.retry_after is not None
        return failure.status in _PASSING and self.is_repeatable


def is_lost(failure: SalesPipelineError) -> bool:
    """Whether the request may have been done although there was a failure."""
    if isinstance(failure, NotAnsweredError):
        return failure.maybe_done
    return isinstance(failure, APIError) and failure.status in _PASSING and not _is_down(failure)


def _is_down(failure: APIError) -> bool:
    """The API says of what it may have done that the outcome is unknown: of this it has done nothing."""
    return failure.status == 503 and failure.code == "unavailable"


def not_answered(error: httpx.RequestError, base_url: str) -> NotAnsweredError:
    """What a failure of the connection to that address is to the caller."""
    maybe_done = not isinstance(error, _NOT_SENT)
    if isinstance(error, httpx.TimeoutException):
        text = f"no answer from {base_url} in time ({type(error).__name__})"
        return TimedOutError(text, maybe_done=maybe_done)
    why = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    if why[1:2].islower():
        why = why[0].lower() + why[1:]
    text = f"no answer from {base_url}: {why or type(error).__name__}"
    return NotAnsweredError(text, maybe_done=maybe_done)
