"""The running product: started once for all tests that need it, with demonstration data, and again with TLS between its processes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from launch import LOCAL, launched

PROGRAMS = LOCAL.parent
SERVICES = ("identity", "opportunities", "analytics", "notifier")


@dataclass
class Product:
    """Where everything is, and by which passwords one gets in."""

    url: str
    password: str
    process: subprocess.Popen[str]
    # Where each service speaks gRPC: `127.0.0.1:41001`.
    places: dict[str, str] = field(default_factory=dict)

    def ops(self, program: str) -> str:
        """Where a program of it tells of itself: the one of its two addresses that answers `/metrics`."""
        mine = [pid for pid in _children(self.process.pid) if _name(pid) == program]
        for port in (port for pid in mine for port in _listening(pid)):
            if f"127.0.0.1:{port}" != self.places.get(program) and not self.url.endswith(f":{port}"):
                return f"http://127.0.0.1:{port}"
        raise AssertionError(f"{program} listens nowhere else")


@contextmanager
def running(**settings: str) -> Iterator[Product]:
    """The product as `make run` starts it, on a free port, with a folder of its own."""
    with launched("docs", **settings) as it:
        product = Product(f"http://localhost:{it.port}", it.password, it.process)
        told = next(line for line in it.said if line.startswith("gRPC"))
        product.places = dict(re.findall(r"([a-z]+) ([\d.]+:\d+)", told))
        yield product


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


def _name(pid: int) -> str:
    return Path(os.readlink(f"/proc/{pid}/exe")).name


def _listening(pid: int) -> list[int]:
    """The ports on which a process takes connections."""
    mine = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            mine.update(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
        except OSError:
            continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in mine]
