"""The guard of the contract: what is taken out of proto/ is found, and what is added has to be written down."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from launch import REPOSITORY

from product import PROGRAMS

WRITTEN = REPOSITORY / "proto/contract.binpb"


def buf(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [PROGRAMS / "local", "tool", "buf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    """A copy of the contract, to be changed."""
    folder = tmp_path / "proto"
    shutil.copytree(REPOSITORY / "proto/salespipeline", folder / "salespipeline")
    shutil.copy(REPOSITORY / "proto/buf.yaml", folder)
    return folder


def change(proto: Path, file: str, old: str, new: str) -> None:
    path = proto / "salespipeline" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_contract_is_written_down() -> None:
    assert buf("breaking", REPOSITORY / "proto", "--against", WRITTEN).returncode == 0
    grown = buf("breaking", WRITTEN, "--against", REPOSITORY / "proto")
    assert grown.returncode == 0, f"proto/ has grown; write it down with `make contract`:\n{grown.stdout}"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("notifier/v1/notification_service.proto", "optional bool unread = 1;", "", '"unread"'),
        ("notifier/v1/notification_service.proto", "optional bool unread = 1", "optional bool unread = 9", '"1"'),
        ("notifier/v1/notification_service.proto", "string title = 3", "string headline = 3", "headline"),
        ("notifier/v1/notification_service.proto", "int64 id = 1", "string id = 1", "type"),
        ("opportunities/v1/opportunity_service.proto", "  STATUS_LOST = 3;", "", '"Status"'),
        (
            "opportunities/v1/opportunity_service.proto",
            "  rpc GetOpportunity(GetOpportunityRequest) returns (GetOpportunityResponse);",
            "",
            "GetOpportunity",
        ),
    ],
)
def test_what_breaks_it_is_found(proto: Path, file: str, old: str, new: str, told: str) -> None:
    change(proto, file, old, new)
    found = buf("breaking", proto, "--against", WRITTEN)
    assert found.returncode != 0
    assert told in found.stdout


def test_what_is_added_is_allowed_and_has_to_be_written_down(proto: Path) -> None:
    field = "optional bool unread = 1;"
    change(proto, "notifier/v1/notification_service.proto", field, f"{field}\n  // New.\n  optional bool newer = 99;")
    assert buf("breaking", proto, "--against", WRITTEN).returncode == 0
    grown = buf("breaking", WRITTEN, "--against", proto)
    assert grown.returncode != 0
    assert '"newer"' in grown.stdout
