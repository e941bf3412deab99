"""What can go wrong, as types: a caller catches what they can do something about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from . import exact


class SalesPipelineError(Exception):
    """Whatever this package raises."""


class NotAnsweredError(SalesPipelineError):
    """There was no answer: the connection failed, or broke. `maybe_done` says whether the server may have done it all the same."""

    def __init__(self, message: str, *, maybe_done: bool) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done


class TimedOutError(NotAnsweredError):
    """There was no answer in time."""


class UnexpectedAnswerError(SalesPipelineError):
    """The answer is not what the API answers: something else may listen at that address."""


@dataclass(frozen=True)
class FieldError:
    """One bad field of a request."""

    field: str
    code: str
    message: str


class APIError(SalesPipelineError):
    """The API refused, with a problem document (RFC 9457) or, at the token endpoint, as RFC 6749 says.

    `code` is stable and meant for programs, `detail` for people. `errors` are all bad fields. `about` is what the caller may
    know of what is in the way, such as `{"opportunity_id": 5}`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str = "",
        errors: tuple[FieldError, ...] = (),
        about: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.errors = errors
        self.about: Mapping[str, Any] = about or {}
        self.request_id = request_id
        self.retry_after = retry_after
        self.maybe_done = False
        """Whether an earlier try of the same call, whose answer was lost, may have done it."""

    def __str__(self) -> str:
        fields = "; ".join(f"{it.field}: {it.message}" for it in self.errors)
        text = f"{self.status} {self.code}: {self.detail}" + (f" ({fields})" if fields else "")
        return text + (f" [request {self.request_id}]" if self.request_id else "")


class BadRequestError(APIError):
    """400: what was sent cannot be read; a cursor that nobody was given."""


class AuthenticationError(APIError):
    """401: the key or token is not good, or there is none."""


class TokenError(AuthenticationError):
    """The token endpoint gives no token; `code` is the `error` of RFC 6749, such as `invalid_grant`."""


class PermissionDeniedError(APIError):
    """403: the caller may not."""


class NotFoundError(APIError):
    """404: it is not there, or the caller may not see it."""


class ConflictError(APIError):
    """409: it does not go with what is there; `about` names what is in the way."""


class ExternalIdTakenError(ConflictError):
    """There is an opportunity with that `external_id` already."""

    @property
    def opportunity_id(self) -> int | None:
        """Which, where the caller may see it."""
        found = self.about.get("opportunity_id")
        return found if isinstance(found, int) else None


class PreconditionFailedError(APIError):
    """412: it was changed since it was read. Read it again, or let `modify` do that."""

    @property
    def current_version(self) -> int | None:
        """The version that is there now."""
        found = self.about.get("current_version")
        return found if isinstance(found, int) else None


class TooLargeError(APIError):
    """413: it is too large."""


class UnsupportedMediaTypeError(APIError):
    """415: that kind of file or body is not read."""


class InvalidError(APIError):
    """422: it can be read, but is not valid; `errors` names every bad field."""


class IdempotencyKeyReusedError(InvalidError):
    """The idempotency key was used for another request."""


class RateLimitedError(APIError):
    """429: too many requests, or too many wrong passwords. `retry_after` is in seconds."""


class ServerError(APIError):
    """5xx: the server cannot answer at present."""


class UnavailableError(ServerError):
    """503: a part of the system is down; nothing was done."""


class OutcomeUnknownError(UnavailableError):
    """503: nobody knows whether it was done. Try again with the same idempotency key, or look."""

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        self.maybe_done = True


_BY_CODE: dict[tuple[int, str], type[APIError]] = {
    (409, "external_id_taken"): ExternalIdTakenError,
    (422, "idempotency_key_reused"): IdempotencyKeyReusedError,
    (503, "outcome_unknown"): OutcomeUnknownError,
}

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: TooLargeError,
    415: UnsupportedMediaTypeError,
    422: InvalidError,
    429: RateLimitedError,
    503: UnavailableError,
}


def error_of(response: httpx.Response) -> APIError:
    """The error that an answer tells of; its body has been read."""
    try:
        body = exact.loads(response.content)
    except ValueError:
        body = None
    said: dict[str, Any] = body if isinstance(body, dict) else {}
    return problem(said, response.status_code, response.headers)


def problem(said: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> APIError:
    """The error of a problem document, or of the body that RFC 6749 gives errors of the token endpoint."""
    is_token_failure = "error" in said and "code" not in said
    if is_token_failure:
        code, detail = str(said["error"]), str(said.get("error_description", ""))
    else:
        code = str(said.get("code", "unexpected"))
        detail = str(said.get("detail", "the answer says nothing more"))
    of_status = _BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    if is_token_failure and status < 429:
        of_status = TokenError
    found = said.get("errors")
    errors = tuple(_field_errors(found)) if isinstance(found, list) else ()
    codes = [code, *(it.code for it in errors)]
    kind = next((_BY_CODE[status, it] for it in codes if (status, it) in _BY_CODE), of_status)
    about = said.get("about")
    return kind(
        status,
        code,
        detail,
        title=str(said.get("title", "")),
        errors=errors,
        about=about if isinstance(about, dict) else None,
        request_id=said.get("request_id") or headers.get("x-request-id"),
        retry_after=_seconds(headers.get("retry-after")),
    )


def _field_errors(errors: list[Any]) -> list[FieldError]:
    return [
        FieldError(str(it.get("field", "")), str(it.get("code", "")), str(it.get("message", "")))
        for it in errors
        if isinstance(it, dict)
    ]


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds. The API never gives a date; of one from something in between nothing is known."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
