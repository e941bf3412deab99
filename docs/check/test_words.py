"""What pages say besides what is run: links lead somewhere, commands and requests exist, and both READMEs have the same content."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from launch import REPOSITORY

import reference
from pages import blocks, documents, indented
from product import PROGRAMS

COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S* )*((?:\./|target/\w+/)?[a-z][\w./-]*)(?: |$)")
METHODS = "GET|POST|PUT|PATCH|DELETE"


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def plain(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@cache
def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub makes anchors of them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", plain(page), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", plain(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_in_the_index() -> None:
    index = REPOSITORY / "docs/README.md"
    linked = {
        (index.parent / it.partition("#")[0]).resolve() for it in re.findall(r"\]\(([^)\s:]+)\)", index.read_text())
    }
    pages = {it for it in (REPOSITORY / "docs").rglob("*.md") if "decisions" not in it.parts} - {index}
    assert {name_of(it) for it in pages - linked} == set()
    decisions = REPOSITORY / "docs/decisions"
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (decisions / "README.md").read_text()))
    assert listed == {it.name for it in decisions.glob("0*.md")}


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_command_that_is_not_run_exists(page: Path) -> None:
    lines = list(indented(page))
    for block in blocks(page):
        if block.language == "console":
            lines += [(block.line + 1 + at, line) for at, line in enumerate(block.text.splitlines())]
    wrong = [f"{number}: {line}" for number, line in lines if not exists(line)]
    assert wrong == []


def exists(line: str) -> bool:
    """Whether a line is no command of ours, or one that there is."""
    found = COMMAND.match(line)
    if found is None:
        return True
    words = line.split()
    program = found[1].rpartition("/")[2]
    after = words[[it.rpartition("/")[2] for it in words].index(program) + 1 :]
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
        asked = [it for it in after[:1] if "=" not in it and not it.startswith("#")]
        return all(it in targets for it in asked)
    if program == "local":
        return not after or after[0] in {it for it, _ in reference.commands("local")}
    if program in reference.ALL and after and re.fullmatch(r"[a-z-]+", after[0]):
        inner = (
            {it for it, _ in reference.commands(program, after[0])}
            if after[0] in dict(reference.commands(program))
            else None
        )
        is_inner = not inner or len(after) == 1 or after[1] in inner
        return inner is not None and is_inner
    if program == "spm":
        return is_spoken_by_spm(shlex.split(line, comments=True)[1:])
    return True


def is_spoken_by_spm(words: list[str]) -> bool:
    """Whether the command line of the SDK has such a command, with such options."""
    from sales_pipeline_client.cli.commands import app

    command = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands") or word.startswith("-"):
            break
        if word not in command.commands:
            return False
        command = command.commands[word]
    options = {name for it in command.params for name in (*it.opts, *it.secondary_opts)}
    is_whole = not hasattr(command, "commands") or getattr(command, "invoke_without_command", False)
    return is_whole and all(word in options for word in words if word.startswith("--"))


@cache
def operations() -> list[tuple[str, re.Pattern[str], set[str]]]:
    """What the gateway answers: method, path, parameters."""
    said = subprocess.run([PROGRAMS / "gateway", "openapi"], env={}, capture_output=True, text=True, check=True).stdout
    document: dict[str, Any] = json.JSONDecoder().raw_decode(said)[0]
    found = []
    for path, item in document["paths"].items():
        pattern = re.compile(re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(path)))
        for method, operation in item.items():
            names = {it["name"] for it in operation.get("parameters", []) if it["in"] == "query"}
            found.append((method.upper(), pattern, names))
    return found


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_request_that_is_spoken_of_exists(page: Path) -> None:
    if page.name in ("CHANGELOG.md", "adding-an-rpc.md"):
        pytest.skip("it tells of what was, or of what could be")
    text = page.read_text(encoding="utf-8")
    spoken_of = re.findall(rf"(?:`|^    )((?:{METHODS})(?:[/,] ?(?:{METHODS}))*) (/[^\s`]*)", text, re.M)
    wrong = []
    for methods, address in spoken_of:
        path, _, query = address.partition("?")
        # What a page leaves out, and what is not of the API.
        if "…" in path or path.startswith(("/docs", "/healthz", "/readyz", "/metrics", "/openapi", "/.well-known")):
            continue
        path = path if path.startswith("/api/v1") else f"/api/v1{path}"
        names = {it.partition("=")[0] for it in query.split("&") if it and "…" not in it}
        for method in re.findall(METHODS, methods):
            known = [known for verb, pattern, known in operations() if verb == method and pattern.fullmatch(path)]
            if not known or not any(names <= it for it in known):
                wrong.append(f"{method} {address}")
    assert wrong == []


def test_both_readmes_have_the_same_content() -> None:
    english, chinese = (REPOSITORY / "README.md", REPOSITORY / "README.zh-TW.md")

    def shape(page: Path) -> dict[str, Any]:
        text = plain(page)
        commands = [
            re.sub(r"'[^'\n]*(?:the password|密碼|characters|字元)[^'\n]*'", "''", it.text) for it in blocks(page)
        ]
        return {
            "levels of headings": [len(it) for it in re.findall(r"^(#+) ", text, re.M)],
            "blocks": [it.language for it in blocks(page)],
            "what is run": [re.sub(r"\s*#.*", "", it) for it in commands],
            "links": sorted(it for it in re.findall(r"\]\(([^)\s]+)\)", text) if not it.startswith("README")),
            "rows of tables": len(re.findall(r"^\|", text, re.M)),
            "settings and names": sorted(set(re.findall(r"`([^`\n]+)`", text))),
        }

    assert shape(english) == shape(chinese)


def test_the_headers_that_an_import_is_said_to_know_are_known() -> None:
    code = (REPOSITORY / "services/opportunities/src/sheet/column.rs").read_text(encoding="utf-8")
    columns = re.findall(r'\b(?:both|brought)\(\s*"(\w+)",\s*&\[(.*?)\]', code, re.S)
    known = {field: set(re.findall(r'"([^"]+)"', names)) for field, names in columns}
    page = (REPOSITORY / "docs/how-to-import-and-export.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M)
    assert len(said) > 10
    assert [(field, it) for field, names in said for it in names.split(", ") if it.lower() not in known[field]] == []


def test_what_does_not_exist_is_found() -> None:
    assert exists("make run PORT=8080")
    assert not exists("make everything")
    assert exists("target/release/analytics verify")
    assert not exists("target/release/analytics falsify")
    assert exists("analytics dead-letters replay [ID]")
    assert not exists("analytics dead-letters forget")
    assert exists("spm forecast breakdown --by team")
    assert not exists("spm forecast breakdown --by-team")
    assert not exists("spm forget 42")
