"""What tests of both kinds share: both modes, and the running product."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from launch import ADMIN, launched

from sales_pipeline_client import SalesPipelineClient
from talking import Mode


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
    with launched("sdk", DEMO="false") as it:
        yield Stack(f"http://127.0.0.1:{it.port}", it.password)
