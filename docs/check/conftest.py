"""What the tests of the documents share: the running product, and the programs that the pages call."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from launch import REPOSITORY

from product import PROGRAMS, Product, running
from shell import CURL


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """The product with its demonstration, started once."""
    with running() as it:
        yield it


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with what the pages call: curl that fails on errors, `spm` of the SDK, and the repository's `buf`."""
    folder = tmp_path_factory.mktemp("bin")
    real = shutil.which("curl")
    if real is None:
        pytest.fail("curl is missing; install it: sudo apt-get install curl")
    sdk = f'import sys; sys.path.insert(0, "{REPOSITORY}/sdk/python/src")'
    written = {
        "curl": CURL.format(curl=real),
        "spm": f"#!{sys.executable}\n{sdk}\nfrom sales_pipeline_client.cli import main\nmain()\n",
        "buf": f'#!/bin/sh\nexec "{PROGRAMS}/local" tool buf "$@"\n',
    }
    for name, text in written.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The clients in Python that docs/grpc.md has made, as modules by their service."""
    folder = tmp_path_factory.mktemp("contract")
    generate(folder)
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(folder=folder, load=_load)
    finally:
        importlib.invalidate_caches()


def generate(folder: Path) -> None:
    """Python from proto/, with the tools that are pinned here."""
    proto = REPOSITORY / "proto"
    files = sorted(str(it.relative_to(proto)) for it in (proto / "salespipeline").rglob("*.proto"))
    outs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}", *outs, *files], check=True)


def _load(name: str) -> SimpleNamespace:
    """`opportunities.v1.opportunity_service`: its messages and its stubs under one name."""
    module = f"salespipeline.{name}_pb2"
    messages, stubs = importlib.import_module(module), importlib.import_module(f"{module}_grpc")
    return SimpleNamespace(**{**vars(stubs), **vars(messages)})


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where `docs/check/run` keeps what it has fetched."""
    folder = os.environ.get("DOCS_TOOLS")
    if not folder:
        pytest.fail("start the tests by docs/check/run")
    return Path(folder)
