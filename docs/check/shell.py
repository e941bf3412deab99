"""A shell, and a Python, that keep what a reader's keep from one command to the next, and stop where one fails."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Optional

# What the shell says of itself when a command was right and when it was not.
OPTIONS = "set -eu -o pipefail\n"

# curl fails where the answer is an error, unless it is the error that the page shows.
CURL = """#!/usr/bin/env bash
said=$(mktemp)
trap 'rm -f "$said"' EXIT
failed=0
{curl} --fail-with-body --write-out '%{{stderr}}%{{http_code}}' "$@" 2>"$said" || failed=$?
status=$(tail -c 3 "$said")
echo "$status" > "$LAST_STATUS"
[ "$status" != "${{EXPECTED_STATUS:-}}" ] || exit 0
[ "$failed" = 0 ] || echo "curl fails ($failed) with status $status: $*" >&2
exit "$failed"
"""


# Reads programs as JSON, a line each, and answers what each wrote, and how it failed if it did.
DRIVER = """
import contextlib, io, json, sys, traceback
names = {"__name__": "example"}
for line in sys.stdin:
    name, text = json.loads(line)
    said, error = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(text, name, "exec"), names)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps([said.getvalue(), error]), flush=True)
"""


class Python:
    """One program that is written piece by piece."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, text: str) -> str:
        """What the next piece writes; where it fails, an error that says how."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, text]) + "\n")
        self.process.stdin.flush()
        said, error = json.loads(self.process.stdout.readline())
        if error is not None:
            raise AssertionError(f"{error}\nIt wrote: {said}")
        return str(said)

    def close(self) -> None:
        """Ends it."""
        self.process.communicate()


class Shell:
    """One bash with a folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.status = folder.parent / f"{folder.name}.status"
        self.errors = (folder.parent / f"{folder.name}.errors").open("w+")
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**os.environ, **environment, "LAST_STATUS": str(self.status)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self._say(OPTIONS)

    def run(self, text: str, status: Optional[int] = None) -> str:
        """What the commands write; where one fails, an error that says what they said. With `status`, that is what the last curl has to be answered."""
        mark = secrets.token_hex(8)
        script = self.folder.parent / f"{self.folder.name}.{mark}.sh"
        script.write_text(text, encoding="utf-8")
        expected = f"export EXPECTED_STATUS={status}\n" if status else "unset EXPECTED_STATUS\n"
        self._say(f"{expected}. {script}\necho\necho {mark}\n")
        written = []
        for line in self.process.stdout or ():
            if line.strip() == mark:
                answered = self.status.read_text().strip() if status else None
                assert status is None or answered == str(status), f"the status is {answered}, not {status}: {written}"
                # Without the line that was begun before the mark.
                return "".join(written)[:-1]
            written.append(line)
        self.errors.seek(0)
        raise AssertionError(f"a command fails:\n{text}\nIt wrote: {''.join(written)}\n{self.errors.read()}")

    def close(self) -> None:
        """Ends it, and what it still runs."""
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.stdout:
            self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        self.errors.close()

    def _say(self, text: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
