"""What a rule of the manifests is: it takes all objects of an overlay and says what is wrong, a line for each."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from manifests import ROOT, Document

Rule = Callable[[list[Document]], Iterator[str]]

RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


@functools.cache
def version() -> str:
    """The product's, as Cargo.toml says."""
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', text, re.MULTILINE)[1]


def name_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"
