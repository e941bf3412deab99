"""One call from beginning to end: signed, sent, sent again where that is safe, and read. Written once, as flows of steps."""

from __future__ import annotations

import logging
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import httpx

from .call import Call
from .credentials import Credentials
from .errors import (
    APIError,
    NotAnsweredError,
    NotFoundError,
    SalesPipelineError,
    UnexpectedAnswerError,
    error_of,
)
from .retrying import Nature, RetryPolicy, is_lost, not_answered
from .steps import Clock, Flow, Pause, Read, Request, Send
from .version import __version__

T = TypeVar("T")

log = logging.getLogger("sales_pipeline_client")

BASE_PATH = "/api/v1"
# To get a token is to be tried again as reading is: if a refresh token was lost on the way, it is taken again for some seconds.
SIGNING = Nature("GET")
USER_AGENT = f"sales-pipeline-client/{__version__} (Python {platform.python_version()})"


@dataclass(frozen=True)
class Exchange:
    """How calls are made: where to, as whom, how patiently."""

    base_url: str
    credentials: Credentials
    policy: RetryPolicy
    clock: Clock
    headers: Mapping[str, str]

    def perform(self, call: Call[T]) -> Flow[T]:
        """Makes a call and reads its answer."""
        response = yield from self.send(call)
        return read(call, response)

    def send(self, call: Call[Any]) -> Flow[httpx.Response]:
        """Makes a call; the answer is a good one. What is safe to send again is, until the policy says that it is enough."""
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        headers.update(self.headers)
        headers.update(call.headers)
        if call.method == "POST" and call.takes_key:
            # Made once: it stays over all tries.
            headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        nature = Nature(call.method, "Idempotency-Key" in headers, "If-Match" in headers)
        began = self.clock.now()
        retry = 0
        was_lost = False
        was_refused = False
        while True:
            failure: SalesPipelineError
            signed = dict(headers)
            is_sent = False
            try:
                if not call.is_public:
                    signed.update((yield from self.credentials.headers(self._renewing(began))))
                is_sent = True
                response = yield from self._try(call, signed, began)
            except SalesPipelineError as error:
                failure = error
            else:
                if response.is_success:
                    return response
                if call.is_streamed:
                    yield Read(response)
                failure = error_of(response)
                if response.status_code == 401 and not was_refused and not call.is_public:
                    # A token may end before its time; nothing was done.
                    was_refused = True
                    if self.credentials.refused(signed):
                        continue
            if was_lost and call.method == "DELETE" and isinstance(failure, NotFoundError):
                # The try whose answer was lost has deleted it.
                return httpx.Response(204)
            if isinstance(failure, (APIError, NotAnsweredError)):
                failure.maybe_done = was_lost or (is_sent and failure.maybe_done)
            if not (nature if is_sent else SIGNING).may_repeat(failure):
                raise failure
            was_lost = was_lost or (is_sent and is_lost(failure))
            after = failure.retry_after if isinstance(failure, APIError) else None
            pause = self.policy.pause(retry, self.clock.random(), after)
            if pause is None or not self._has_time(began, pause):
                raise failure
            retry += 1
            log.info("%s %s again in %.2f s: %s", call.method, call.path, pause, failure)
            yield Pause(pause)

    def _try(self, call: Call[Any], headers: dict[str, str], began: float) -> Flow[httpx.Response]:
        request = Request(
            method=call.method,
            url=f"{self.base_url}{BASE_PATH}{call.path}",
            query=call.query,
            headers=headers,
            content=call.content,
            timeout=httpx.Timeout(self._patience(began)),
            is_streamed=call.is_streamed,
        )
        sent = self.clock.now()
        try:
            response: httpx.Response = yield Send(request)
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            raise ValueError(f"this cannot be sent: {error}") from error
        except httpx.RequestError as error:
            raise not_answered(error, self.base_url) from error
        took = (self.clock.now() - sent) * 1000
        request_id = response.headers.get("x-request-id")
        log.debug(
            "%s %s: %d in %.0f ms (%s)",
            call.method,
            call.path,
            response.status_code,
            took,
            request_id,
        )
        return response

    def _renewing(self, began: float) -> Callable[[Call[T]], Flow[T]]:
        """How credentials get tokens: by one try each, within the time of the call that needs them."""

        def once(call: Call[T]) -> Flow[T]:
            response = yield from self._try(call, {"User-Agent": USER_AGENT, **call.headers}, began)
            if not response.is_success:
                raise error_of(response)
            return read(call, response)

        return once

    def _patience(self, began: float) -> float:
        if self.policy.deadline is None:
            return self.policy.timeout
        left = began + self.policy.deadline - self.clock.now()
        return max(0.001, min(self.policy.timeout, left))

    def _has_time(self, began: float, pause: float) -> bool:
        deadline = self.policy.deadline
        return deadline is None or self.clock.now() + pause < began + deadline


def read(call: Call[T], response: httpx.Response) -> T:
    """What an answer says, or that it is none of the API's."""
    try:
        return call.read(response)
    except ValueError as error:
        message = f"{call.method} {call.path} was answered {response.status_code} with what cannot be read"
        raise UnexpectedAnswerError(f"{message}: {error}") from error
