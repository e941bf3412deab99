"""Every command, request and program of every page runs, in the order of the page, and answers what the page shows."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from pathlib import Path
from typing import Any, Optional

import httpx
import pytest
from launch import ADMIN, REPOSITORY

from pages import ANSWERS, RUN, SHOWN, Block, blocks, documents
from product import Product
from shell import Python, Shell

# Tried by the SDK's own tests, with its own fixtures.
ELSEWHERE = {REPOSITORY / "sdk/python/README.md"}
PAGES = [it for it in documents() if it not in ELSEWHERE and any(b.language in RUN for b in blocks(it))]


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_does_what_it_says(page: Path, product: Product, programs: Path, tmp_path: Path) -> None:
    reader = Reader(product, programs, tmp_path)
    try:
        for block in blocks(page):
            if block.language in RUN:
                try:
                    reader.follow(block)
                except AssertionError as error:
                    raise AssertionError(f"{block}: {error}") from error
    finally:
        reader.shell.close()
        reader.python.close()


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_block_says_whether_it_is_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in (*RUN, *ANSWERS, *SHOWN), f"{block}: {block.language or 'no language'}"


class Reader:
    """Somebody who follows a page from its top, with the passwords that `make run` has printed."""

    def __init__(self, product: Product, programs: Path, folder: Path) -> None:
        self.product = product
        self.folder = folder / "reader"
        self.folder.mkdir()
        # Where a reader stands: in the repository, seen from a folder that may be written.
        for name in ("proto", "sdk", "docs"):
            (self.folder / name).symlink_to(REPOSITORY / name)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{REPOSITORY}/sdk/python/src",
            "HOME": str(self.folder),
            "TOKEN": self.token(),
            "X_REQUEST_ID": "none",
        }
        self.shell = Shell(self.folder, environment)
        self.python = Python(self.folder, environment)
        self.key: Optional[str] = None

    def follow(self, block: Block) -> None:
        """Does what a block says, and holds what comes of it against what the page shows."""
        text = self.filled_in(block.text)
        shown = block.answer
        file = re.match(r"# (\w+\.py)\n", text)
        if block.language == "python" and file:
            (self.folder / file[1]).write_text(text, encoding="utf-8")
            return
        if block.language == "python":
            said = self.python.run(str(block), text)
        else:
            said = self.shell.run(text, refusal(shown))
        if shown is None:
            return
        if shown.language == "json":
            difference = differs(json.loads(elided(shown.text)), last_json(said))
            assert difference is None, f"the answer differs from what line {shown.line} shows: {difference}\n{said}"
        else:
            assert same_text(shown.text, said), f"line {shown.line} shows another answer:\n{said}"

    def filled_in(self, text: str) -> str:
        """The page's text with what only this product knows: address, passwords, a key."""
        text = text.replace("http://localhost:8000", self.product.url)
        # `make run` has printed the rest.
        text = re.sub(r"the password [^'\"]*(?=['\"])|(?<=')[^'\n]*的密碼(?=')", self.product.password, text)
        if '"…"' in text:
            text = text.replace('"…"', f'"{self.api_key()}"')
        for service, place in self.product.places.items():
            text = re.sub(rf"\b({service.upper()}( ?= ?\"?))[\d.]+:\d+", rf"\g<1>{place}", text)
        return text

    def token(self) -> str:
        form = {"username": ADMIN, "password": self.product.password}
        return str(self.post("/auth/token", data=form)["access_token"])

    def api_key(self) -> str:
        if self.key is None:
            headers = {"Authorization": f"Bearer {self.token()}"}
            self.key = self.post("/api-keys", headers=headers, json={"name": "docs", "scopes": ["write"]})["key"]
        return self.key

    def post(self, path: str, **request: Any) -> Any:
        return httpx.post(f"{self.product.url}/api/v1{path}", **request).raise_for_status().json()


def refusal(shown: Optional[Block]) -> Optional[int]:
    """The status of a problem document that a page shows."""
    if shown is None or shown.language != "json":
        return None
    document = json.loads(elided(shown.text))
    is_problem = isinstance(document, dict) and {"status", "title", "code"} <= set(document)
    return document["status"] if is_problem else None


def elided(text: str) -> str:
    """JSON as a page shows it: `…` stands for more of the same, in lists and objects."""
    text = re.sub(r",\s*…", "", text)
    return re.sub(r"(?<=[\[{])\s*…", "", text)


def last_json(said: str) -> Any:
    """The last JSON value that was written, whatever stands before it."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while True:
        begin = re.compile(r"[\[{]").search(said, at)
        if begin is None:
            assert found, f"no JSON was written: {said}"
            return found[-1]
        try:
            value, at = decoder.raw_decode(said, begin.start())
            found.append(value)
        except ValueError:
            at = begin.end()


def differs(shown: Any, found: Any, path: str = "") -> Optional[str]:
    """Where an answer has not the shape that is shown: a member that is missing, or another type. Values may differ, and there may be more."""
    if shown is None or found is None:
        return None
    if isinstance(shown, bool) or isinstance(found, bool):
        return None if type(shown) is type(found) else f"{path}: {found!r}"
    if isinstance(shown, (int, float)):
        return None if isinstance(found, (int, float)) else f"{path}: {found!r} is no number"
    if isinstance(shown, dict):
        if not isinstance(found, dict):
            return f"{path} is no object"
        missing = [name for name in shown if name not in found]
        if missing:
            return f"{path} has no {', '.join(missing)}"
        parts = (differs(shown[name], found[name], f"{path}.{name}") for name in shown)
    elif isinstance(shown, list):
        if not isinstance(found, list):
            return f"{path} is no list"
        if shown and not found:
            return f"{path} is empty"
        parts = (differs(item, found[min(i, len(found) - 1)], f"{path}[{i}]") for i, item in enumerate(shown))
    else:
        is_word = re.fullmatch(r"[a-z_]+", shown) is not None
        if not isinstance(found, str):
            return f"{path}: {found!r} is no text"
        # A word in lower case is one of few, and stays: `open`, `invalid`, `bearer`.
        return f"{path}: {found!r} is not {shown!r}" if is_word and found != shown else None
    return next((part for part in parts if part is not None), None)


def same_text(shown: str, found: str) -> bool:
    """Whether a text is what is shown, but for numbers, spaces, and what `…` stands for."""

    def plain(text: str) -> str:
        return " ".join(re.sub(r"\d[\d,.]*", "0", text).split())

    pattern = re.sub(r"([\[\]?*])", r"[\1]", plain(shown)).replace("…", "*")
    return fnmatch.fnmatchcase(plain(found), pattern)


def test_what_a_page_shows_is_held_against_what_is_answered() -> None:
    assert (
        differs({"a": 1, "b": [{"c": "x"}]}, {"a": 2, "b": [{"c": "y", "d": 1}], "e": 1}) == ".b[0].c: 'y' is not 'x'"
    )
    assert differs({"a": 1}, {"b": 1}) == " has no a"
    assert differs({"a": "2025"}, {"a": 2025}) == ".a: 2025 is no text"
    assert differs([1], []) == " is empty"
    assert (
        differs(json.loads(elided('{"items": [{"id": 1, …}, …], "n": {…}}')), {"items": [{"id": 7}], "n": {}}) is None
    )
    assert same_text("won 1,200 of …\n", "won 7 of many")
    assert not same_text("won 1", "lost 1")


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    (tmp_path / "reader").mkdir()
    shell = Shell(tmp_path / "reader", {})
    try:
        assert shell.run("A=1; f() { echo $A; }").strip() == ""
        assert shell.run("f").strip() == "1"
        with pytest.raises(AssertionError, match="a command fails"):
            shell.run("false | cat")
    finally:
        shell.close()
