"""What stands in a page: its blocks in order, by their language, with what each is to answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from launch import REPOSITORY

# Run: `sh` in one shell a page, `python` in one program a page; one that begins with `# name.py` is a file of that name. `json` and `text` are what
# the block before them answered. The others are not run: `console` is what needs another machine, or does what no test should (it is held
# against the Makefile and the programs instead), `py` is Python that a test of its own tries.
RUN = ("sh", "python")
ANSWERS = ("json", "text")
SHOWN = ("console", "py", "proto", "yaml", "typescript", "toml", "nginx", "ini", "mermaid")


@dataclass
class Block:
    """A block of a page, and the one after it where that says what this answers."""

    page: Path
    line: int
    language: str
    text: str
    answer: Optional[Block] = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def documents() -> list[Path]:
    """Every page for people, those of the folders with code of their own included."""
    found = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "sdk").rglob("*.md")]
    return sorted(it for it in found if "node_modules" not in it.parts and ".local" not in it.parts)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    opened: Optional[Block] = None
    ended_on = 0
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"^```(\S*)\s*$", line)
        if fence and opened is None:
            opened, lines = Block(page, number, fence[1], ""), []
        elif fence and opened is not None:
            opened.text = "\n".join(lines) + "\n"
            is_answer = opened.language in ANSWERS and found and opened.line - ended_on <= 4
            if is_answer and found[-1].language in RUN:
                found[-1].answer = opened
            found.append(opened)
            opened, ended_on = None, number
        elif opened is not None:
            lines.append(line)
    assert opened is None, f"{opened} is not closed"
    return found


def indented(page: Path) -> list[tuple[int, str]]:
    """The lines of blocks that are indented by four spaces, which are not run."""
    found, is_fenced, before, in_list = [], False, "", False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            is_fenced = not is_fenced
        if re.match(r"^(\d+\.|[-*]) ", line):
            in_list = True
        elif line and not line.startswith(" "):
            in_list = False
        is_code = line.startswith("    ") and not is_fenced and not in_list
        if is_code and (not before.strip() or before.startswith("    ")):
            found.append((number, line[4:]))
        before = line
    return found
