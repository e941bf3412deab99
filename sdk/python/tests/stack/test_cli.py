"""`spm` against the running product, as its own process."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from launch import ADMIN

from conftest import Stack
from sales_pipeline_client import exact

pytest.importorskip("typer")
pytestmark = pytest.mark.stack
SOURCE = Path(__file__).parents[2] / "src"


class Spm:
    """Runs `spm` in a folder of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: it for name, it in os.environ.items() if not name.startswith("SPM_")},
            "PYTHONPATH": str(SOURCE),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SPM_BASE_URL": stack.url,
            "COLUMNS": "160",
        }

    def __call__(self, *arguments: str, fails: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sales_pipeline_client.cli", *arguments],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == fails, done.stderr
        return done.stdout or done.stderr

    def json(self, *arguments: str) -> Any:
        return exact.loads(self(*arguments, "--json"))


@pytest.fixture(scope="module")
def spm(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spm]:
    spm = Spm(stack, tmp_path_factory.mktemp("spm"))
    said = spm("login", SPM_USERNAME=ADMIN, SPM_PASSWORD=stack.password)
    assert "Logged in as" in said
    yield spm
    assert "The key is forgotten" in spm("logout")
    assert "nobody is logged in" in spm("overview", fails=1)


def test_an_opportunity_is_found_shown_and_moved(spm: Spm, stack: Stack) -> None:
    customer = f"Shell {secrets.token_hex(4)}"
    with stack.admin() as admin:
        made = admin.opportunities.create(
            customer_name=customer, opportunity_name="[bold]A", amount=Decimal("1234.5")
        )
    listed = spm("list", "--q", customer, "--status", "open")
    assert "1,234.50" in listed
    assert "[bold]A" in listed
    (found,) = spm.json("list", "--q", customer)
    assert (found["id"], found["amount"]) == (made.id, Decimal("1234.5"))
    moved = spm("move", str(made.id), "需求確認", "--probability", "40", "--notes", "confirmed")
    assert moved.strip() == "[bold]A: 潛在客戶 → 需求確認 (40 %)"
    shown = spm.json("show", str(made.id))
    assert [it["notes"] for it in shown["history"]] == [None, "confirmed"]
    assert "confirmed" in spm("show", str(made.id))


def test_the_numbers_are_there_for_people_and_for_programs(spm: Spm) -> None:
    assert "潛在客戶" in spm("overview")
    assert spm.json("overview")["stages"][0]["key"] == "lead"
    forecast = spm("forecast", "--period", "year")
    assert "optimistic" in forecast
    assert "best_case" in forecast
    assert spm.json("forecast", "--year", "2025", "--quarter", "4")["period"] == "Q4 2025"
    assert "unassigned" in spm("forecast", "breakdown", "--by", "team")
    assert "strongest reason" in spm("forecast", "opportunities", "--stage", "lead")
    assert len(spm.json("forecast", "opportunities", "--limit", "1")) == 1
    assert "replayed" in spm("forecast", "history", "--period", "month")
    assert "the forecast" in spm("forecast", "accuracy")
    assert spm.json("forecast", "accuracy", "--period", "year")["period"] == "year"
    assert "accuracy is not asked by by" in spm("forecast", "accuracy", "--by", "team", fails=2)
    assert "won value change" in spm("report", "sales-trend")
    assert "won count" in spm("report", "velocity")
    assert spm.json("report", "sales-performance")["as_of"]
    changes = spm.json("report", "pipeline-changes", "--start", "2026-10-01", "--end", "2026-10-31")
    assert changes["from"] == "2026-10-01"
    spm("report", "loss-reasons", "--csv", "reasons.csv")
    assert (spm.folder / "reasons.csv").read_text(encoding="utf-8-sig")
    assert "not asked by start_date" in spm(
        "report", "sales-trend", "--start", "2026-01-01", fails=2
    )


def test_files_go_in_and_come_out(spm: Spm) -> None:
    customer = f"File {secrets.token_hex(4)}"
    file = spm.folder / "in.csv"
    file.write_text(f"Deal,Account\nA,{customer}\n,{customer}\n", encoding="utf-8")
    columns = ["--map", "Deal=opportunity_name", "--map", "Account=customer_name"]
    tried = spm("import", "in.csv", *columns, "--dry-run", fails=1)
    assert "1 would be created" in tried
    assert "row 3: opportunity_name: is required" in tried
    file.write_text(f"Deal,Account\nA,{customer}\n", encoding="utf-8")
    assert spm.json("import", "in.csv", *columns)["created"] == 1
    past = "opportunity_name,customer_name,created_at,stage_history\n"
    past += f"Old,{customer} of old,2025-03-03,lead@2025-03-03; won@2025-04-15\n"
    (spm.folder / "past.csv").write_text(past, encoding="utf-8")
    assert spm.json("import", "past.csv", "--kind", "history", "--dry-run")["kind"] == "history"
    assert "all.jsonl: " in spm("export", "all.jsonl", "--q", customer)
    (line,) = (spm.folder / "all.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["customer_name"] == customer


def test_what_goes_wrong_is_one_line(spm: Spm) -> None:
    said = spm("show", "999999999", fails=1)
    assert said.startswith("spm: 404 not_found: ")
    assert said.count("\n") == 1
    said = spm("overview", fails=1, SPM_API_KEY="spk_wrong")
    assert said.startswith("spm: 401 ")
    assert "spm login" in said
    said = spm("overview", "--base-url", "http://127.0.0.1:1", fails=1)
    assert "nobody is logged in at http://127.0.0.1:1" in said
    said = spm("overview", fails=1, SPM_BASE_URL="http://127.0.0.1:1", SPM_API_KEY="spk_any")
    assert said == (
        "spm: no answer from http://127.0.0.1:1: connection refused"
        " (another address: SPM_BASE_URL, --base-url)\n"
    )
