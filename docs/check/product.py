"""The running product: started once for all tests that need it, with demonstration data, and again with TLS between its processes."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("TEST_BIN_DIR", REPOSITORY / "target" / "debug"))
SERVICES = ("identity", "opportunities", "analytics", "notifier")
ADMIN = "admin@example.com"


@dataclass
class Product:
    """Where everything is, and by which passwords one gets in."""

    url: str
    password: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Open to the user as whom PostgreSQL runs, where this is root.
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    folder.chmod(0o755)
    password = secrets.token_urlsafe(12)
    environment = {
        **os.environ,
        **_servers(),
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "ADMIN_EMAIL": ADMIN,
        "ADMIN_PASSWORD": password,
        "DEMO_PASSWORD": password,
        **settings,
    }
    process = subprocess.Popen(
        [str(PROGRAMS / "local"), "run"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    product = Product(f"http://localhost:{port}", password, process)
    try:
        _wait(product)
        yield product
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shutil.rmtree(folder)


def _servers() -> dict[str, str]:
    """The throw-away servers of `local with-servers`, with a database of our own; without them it starts its own."""
    postgres = os.environ.get("TEST_POSTGRES_URL")
    if not postgres:
        return {}
    name = f"docs_{secrets.token_hex(4)}"
    return {
        "DATABASE_URL": f"{postgres.rpartition('/')[0]}/{name}",
        "NATS_URL": os.environ["TEST_NATS_URL"],
        "EVENTS_PREFIX": name,
        "EVENTS_MAX_BYTES": str(64 << 20),
    }


def _wait(product: Product) -> None:
    """Reads what it says until it says that all of it is there."""
    too_late = threading.Timer(180, product.process.kill)
    too_late.start()
    for line in product.process.stdout or ():
        product.said.append(line)
        if line.startswith("gRPC"):
            product.places = dict(re.findall(r"([a-z]+) ([\d.]+:\d+)", line))
        if line.startswith("Ctrl-C"):
            too_late.cancel()
            return
    too_late.cancel()
    raise AssertionError("the product does not start:\n" + "".join(product.said))


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
