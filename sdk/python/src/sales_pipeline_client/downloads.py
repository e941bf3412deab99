"""Answers that are files: written as they come, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Union

import httpx

from .call import Call
from .exchange import Exchange
from .retrying import Nature, not_answered
from .steps import Flow, Pause, Progress, Save

Destination = Union[str, "os.PathLike[str]", BinaryIO]
"""A path, or a file that is open for bytes."""


@dataclass(frozen=True)
class Downloaded:
    """What was written."""

    path: Path | None
    """Where to, where that was a path."""
    bytes_written: int
    content_type: str


def download(
    exchange: Exchange, call: Call[Any], to: Destination, progress: Progress | None
) -> Flow[Downloaded]:
    """Makes a call and writes what it answers. If that breaks off, it is begun anew."""
    call = replace(call, is_streamed=True)
    if not isinstance(to, (str, os.PathLike)):
        return (yield from _into(exchange, call, to, progress, None))
    path = Path(to)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            written = yield from _into(exchange, call, file, progress, path)
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return written


def _into(
    exchange: Exchange,
    call: Call[Any],
    file: BinaryIO,
    progress: Progress | None,
    path: Path | None,
) -> Flow[Downloaded]:
    begin = file.tell() if file.seekable() else None
    retry = 0
    while True:
        response: httpx.Response = yield from exchange.send(call)
        try:
            written: int = yield Save(response, file, progress)
        except httpx.RequestError as error:
            failure = not_answered(error, exchange.base_url)
            pause = exchange.policy.pause(retry, exchange.clock.random(), None)
            if begin is None or pause is None or not Nature(call.method).may_repeat(failure):
                raise failure from error
        else:
            content_type = response.headers.get("content-type", "")
            return Downloaded(path, written, content_type)
        retry += 1
        yield Pause(pause)
        file.seek(begin)
        file.truncate()
