"""Where `spm` finds the API and its key: the environment first, then a file that only its owner may read."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..client import DEFAULT_BASE_URL

# What others may do with a file.
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SettingsError(Exception):
    """What is set cannot be used."""


@dataclass(frozen=True)
class Settings:
    """Where to go, as whom."""

    base_url: str
    api_key: str | None
    api_key_id: int | None = None


def path() -> Path:
    """The file: `SPM_CONFIG`, or `sales-pipeline/config.json` where configuration is kept."""
    named = os.environ.get("SPM_CONFIG")
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "sales-pipeline" / "config.json"


def load(base_url: str | None = None) -> Settings:
    """What holds now: what was named, then the environment, then the file. The key of the file is for its address alone."""
    saved = _read(path())
    url = base_url or os.environ.get("SPM_BASE_URL") or saved.get("base_url") or DEFAULT_BASE_URL
    url = url.rstrip("/")
    key = os.environ.get("SPM_API_KEY")
    if key:
        return Settings(url, key)
    if saved.get("base_url") == url:
        return Settings(url, saved.get("api_key"), saved.get("api_key_id"))
    return Settings(url, None)


def save(settings: Settings) -> Path:
    """Writes the file, for its owner alone."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    # It is never open to others, not even while it is empty.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(vars(settings), out)
    os.replace(new, file)
    return file


def forget() -> None:
    """Deletes the file."""
    path().unlink(missing_ok=True)


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8") as open_file:
            mode = os.fstat(open_file.fileno()).st_mode
            if os.name == "posix" and mode & OTHERS:
                raise SettingsError(f"others may read {file}: chmod 600 {file}")
            found = json.load(open_file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{file} holds no settings")
    return found
