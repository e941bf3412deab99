"""Every example of the documentation runs, one after the other, against the running product."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from launch import REPOSITORY

from conftest import Stack

pytestmark = pytest.mark.stack

README = Path(__file__).parents[2] / "README.md"
ROOT = REPOSITORY / "README.md"


def examples(file: Path) -> list[str]:
    """What a page shows in Python."""
    return re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.M | re.S)


def run(file: Path, key: str, url: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    found = examples(file)
    assert found
    for number, example in enumerate(found):
        text = example.replace('"http://localhost:8000"', repr(url)).replace('"…"', repr(key))
        exec(compile(text, f"{file.name} example {number + 1}", "exec"), names)
    return names


@pytest.fixture
def key(stack: Stack) -> str:
    with stack.admin() as admin:
        made = admin.api_keys.create(name="examples", scopes=["write"]).key
    assert made
    return made


def test_every_example_of_the_package_runs(
    stack: Stack, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(README, key, stack.url)
    names["client"].close()
    assert names["done"].created == 1
    assert names["result"].succeeded == 1
    assert (tmp_path / "open.csv").read_text(encoding="utf-8-sig").startswith("id,")
    assert sorted(it.name for it in tmp_path.iterdir()) == [
        "all.xlsx",
        "deals.csv",
        "open.csv",
        "trend.csv",
    ]


def test_the_ten_lines_of_the_projects_readme_run(stack: Stack, key: str) -> None:
    names = run(ROOT, key, stack.url)
    names["client"].close()
