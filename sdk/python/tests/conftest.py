"""What tests of both kinds share: both modes, and the running product."""

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
from dataclasses import dataclass
from pathlib import Path

import pytest

from sales_pipeline_client import SalesPipelineClient
from talking import Mode

REPOSITORY = Path(__file__).parents[3]
ADMIN = "admin@example.com"


@pytest.fixture(params=["blocking", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """A test that takes this runs once in each mode."""
    return Mode(request.param == "async")


@dataclass(frozen=True)
class Stack:
    """The running product."""

    url: str
    password: str

    def admin(self) -> SalesPipelineClient:
        """A client of its administrator."""
        return SalesPipelineClient(self.url, username=ADMIN, password=self.password)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The product, started once; or one that runs already, by `SPM_TEST_URL` and `SPM_TEST_PASSWORD`."""
    url = os.environ.get("SPM_TEST_URL")
    if url:
        yield Stack(url, os.environ["SPM_TEST_PASSWORD"])
        return
    programs = Path(os.environ.get("TEST_BIN_DIR", REPOSITORY / "target" / "debug"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Open to the user as whom PostgreSQL runs, where this is root.
    folder = Path(tempfile.mkdtemp(prefix="sdk-"))
    folder.chmod(0o755)
    stack = Stack(f"http://127.0.0.1:{port}", secrets.token_urlsafe(12))
    environment = {
        **os.environ,
        **_servers(),
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "DEMO": "false",
        "ADMIN_EMAIL": ADMIN,
        "ADMIN_PASSWORD": stack.password,
    }
    process = subprocess.Popen(
        [str(programs / "local"), "run"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait(process)
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shutil.rmtree(folder)


def _servers() -> dict[str, str]:
    """The throw-away servers of `local with-servers`, with a database of our own; without them it starts its own."""
    postgres = os.environ.get("TEST_POSTGRES_URL")
    if not postgres:
        return {}
    name = f"sdk_{secrets.token_hex(4)}"
    return {
        "DATABASE_URL": f"{postgres.rpartition('/')[0]}/{name}",
        "NATS_URL": os.environ["TEST_NATS_URL"],
        "EVENTS_PREFIX": name,
    }


def _wait(process: subprocess.Popen[str]) -> None:
    """Reads what it says until it says that it is ready."""
    too_late = threading.Timer(120, process.kill)
    too_late.start()
    said = ""
    for line in process.stdout or ():
        said += line
        if "The sales pipeline is at" in line:
            too_late.cancel()
            return
    too_late.cancel()
    pytest.fail(f"the product does not start:\n{said}")
