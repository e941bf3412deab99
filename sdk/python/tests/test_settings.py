"""What `spm` keeps and shows, without a server."""

from __future__ import annotations

import json
import stat
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("typer")

from sales_pipeline_client.cli import settings, show
from sales_pipeline_client.models import NotCovered

URL = "http://api:8000"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SPM_BASE_URL", "SPM_API_KEY", "SPM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "sales-pipeline" / "config.json"


def test_a_key_is_kept_where_only_its_owner_reads_it(file: Path) -> None:
    saved = settings.Settings(URL, "secret", 7)
    assert settings.save(saved) == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert settings.load() == saved
    settings.save(settings.Settings(URL, "another"))
    assert settings.load().api_key == "another"
    settings.forget()
    assert settings.load() == settings.Settings("http://localhost:8000", None)
    settings.forget()


def test_a_key_that_others_may_read_is_not_used(file: Path) -> None:
    settings.save(settings.Settings(URL, "secret"))
    file.chmod(0o640)
    with pytest.raises(settings.SettingsError, match="chmod 600"):
        settings.load()


def test_a_key_goes_to_its_own_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.save(settings.Settings(URL, "secret"))
    assert settings.load(f"{URL}/").api_key == "secret"
    assert settings.load("http://elsewhere").api_key is None
    monkeypatch.setenv("SPM_BASE_URL", "http://elsewhere")
    assert settings.load() == settings.Settings("http://elsewhere", None)
    monkeypatch.setenv("SPM_API_KEY", "from the environment")
    assert settings.load().api_key == "from the environment"


def test_a_file_that_is_no_settings_is_told(file: Path) -> None:
    settings.save(settings.Settings(URL, "secret"))
    for text in ("{", "[]"):
        file.write_text(text)
        with pytest.raises(settings.SettingsError, match=r"cannot be read|holds no settings"):
            settings.load()


def test_values_are_shown_for_people() -> None:
    assert show.text(Decimal("1234567.5"), "amount") == "1,234,567.50"
    assert show.text(Decimal("1234567"), "amount") == "1,234,567"
    assert show.text(Decimal("12.5"), "average_days_to_close") == "12.5"
    assert show.text(Decimal("32.5"), "rate") == "32.5"
    assert show.text(Decimal("0.3379"), "win_rate") == "33.8%"
    assert show.text(1000, "owner_id") == "1000"
    assert show.text(1000, "count") == "1,000"
    assert show.text(date(2026, 1, 31)) == "2026-01-31"
    assert show.text(None) == "-"
    assert show.text(["a", True]) == "a, yes"
    left_out = NotCovered(without_amount=1, without_rate=0, without_date=2)
    assert show.text(left_out) == "without amount 1, without rate 0, without date 2"


def test_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json({"amount": Decimal("9999999999999.99")})
    printed = capsys.readouterr().out
    assert printed == '{"amount":9999999999999.99}\n'
    assert json.loads(printed)
