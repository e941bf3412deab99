"""Starts the whole product for a program in Python that asks it: what `make run` does, on a free port and with a folder of its own. Standard library alone."""

from __future__ import annotations

import os
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

ADMIN = "admin@example.com"
REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL = Path(os.environ.get("TEST_BIN_DIR", REPOSITORY / "target" / "debug")) / "local"
# How many seconds it may take until all of it is there; the demonstration may be filled in before.
PATIENCE = 300


@dataclass
class Launched:
    """Where it is, and by which password its administrator and the people of the demonstration get in."""

    port: int
    password: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)


@contextmanager
def launched(purpose: str, program: Path = LOCAL, **settings: str) -> Iterator[Launched]:
    """The product, ready to be asked; gone with all of its data afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Open to the user as whom PostgreSQL runs, where this is root.
    folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-"))
    folder.chmod(0o755)
    password = secrets.token_urlsafe(12)
    environment = {
        **os.environ,
        **_servers(purpose),
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "ADMIN_EMAIL": ADMIN,
        "ADMIN_PASSWORD": password,
        "DEMO_PASSWORD": password,
        **settings,
    }
    process = subprocess.Popen(
        [str(program), "run"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    it = Launched(port, password, process)
    try:
        _wait(it)
        yield it
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shutil.rmtree(folder)


def _servers(purpose: str) -> dict[str, str]:
    """The throw-away servers of `local with-servers`, with a database of our own; without them it starts its own."""
    postgres = os.environ.get("TEST_POSTGRES_URL")
    if not postgres:
        return {}
    name = f"{purpose}_{secrets.token_hex(4)}"
    return {
        "DATABASE_URL": f"{postgres.rpartition('/')[0]}/{name}",
        "NATS_URL": os.environ["TEST_NATS_URL"],
        "EVENTS_PREFIX": name,
        "EVENTS_MAX_BYTES": str(64 << 20),
    }


def _wait(it: Launched) -> None:
    """Reads what it says until it says that all of it is there."""
    too_late = threading.Timer(PATIENCE, it.process.kill)
    too_late.start()
    try:
        for line in it.process.stdout or ():
            it.said.append(line)
            if line.startswith("Ctrl-C"):
                return
    finally:
        too_late.cancel()
    raise AssertionError("the product does not start:\n" + "".join(it.said))
