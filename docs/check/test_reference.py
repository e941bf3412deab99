"""The reference pages say what the code says: settings, permissions, errors, events, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from launch import REPOSITORY

import reference
from product import Product

PAGES = REPOSITORY / "docs/reference"
# Texts in capitals that are the reason of no error: what others have named.
NO_REASONS = {
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"),
    *("FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS", "UNAUTHENTICATED"),
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "DENY"),
    *("POSIX", "SIGINT", "SIGTERM", "OKP", "JWT", "S256", "MIT", "DIR", "OUT", "TWD", "CARGO_PKG_VERSION", "OUT_DIR"),
    # Of spans.
    "ERROR",
    # What a status means that names no reason: none of ours lacks one.
    *("CONFLICT", "EXHAUSTED", "PRECONDITION"),
}


def test_the_pages_that_are_made_are_as_they_would_be_made() -> None:
    for path, text in reference.made().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not up to date: docs/check/run --write"


def test_every_method_of_the_contract_is_in_the_permissions() -> None:
    named = {rpc for rpc, _, _ in reference.rows() if rpc}
    found = set()
    for file in (REPOSITORY / "proto/salespipeline").rglob("*.proto"):
        package = re.search(r"^package salespipeline\.([\w.]+);", file.read_text(), re.M)
        service = re.search(r"^service (\w+)", file.read_text(), re.M)
        for method in re.findall(r"^  rpc (\w+)\(", file.read_text(), re.M):
            assert package is not None
            assert service is not None
            found.add(f"{package[1]}.{service[1]}/{method}")
    assert named == found
    assert {policy for _, _, policy in reference.rows()} <= set(reference.POLICIES)


def test_the_settings_of_make_run_are_those_it_reads() -> None:
    """Every variable of the table in README.md is known to the launcher or to a program, and none that the launcher reads is missing."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    named = set(
        re.findall(
            r"`([A-Z][A-Z_]+)`", "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
        )
    )
    read = set()
    for file in (REPOSITORY / "deploy/local/src").glob("*.rs"):
        read |= set(re.findall(r"settings::(?:get|number)\(\s*\"([A-Z_]+)\"", file.read_text()))
    known = {option.variable for program in reference.ALL for option in served(program)}
    of_tests = {name for name in read if name.startswith("TEST_")}
    of_secrets = {"ADMIN_EMAIL", "ADMIN_PASSWORD", "DEMO_PASSWORD", "SECRET_KEY"}
    assert named <= known | read | of_secrets
    assert read - of_tests <= named
    example = set(re.findall(r"^#?([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(), re.M))
    assert named - example == set(), "missing in .env.example"


def test_the_settings_that_operators_read_of_are_those_of_the_programs() -> None:
    text = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", table))
    known = {option.variable for program in reference.ALL for option in served(program)}
    assert known - named == set(), "settings that operations.md does not name"
    assert named - known - NO_REASONS == {"MIGRATE_DATABASE_URL"}


def served(program: str) -> list[reference.Option]:
    return [*reference.options(program), *reference.options(program, "serve")]


def sources() -> Iterator[tuple[Path, str]]:
    """What runs, without tests."""
    for folder in ("crates", "services", "gateway", "proto"):
        for file in (REPOSITORY / folder).rglob("*.rs"):
            is_test = "tests" in file.parts or "examples" in file.parts or file.name == "tests.rs"
            if not is_test and "target" not in file.parts:
                yield file, re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", file.read_text())[0]


def errors_of(section: str, column: int = 0) -> set[str]:
    """The codes in the tables of a part of the page."""
    rows = [row.split("|")[1:] for row in section.splitlines() if row.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row[column])}


def test_every_code_of_an_error_is_told_and_no_other() -> None:
    page = (PAGES / "errors.md").read_text(encoding="utf-8")
    top = errors_of(page.partition("\n## Fields")[0])
    env = {option.variable for program in reference.ALL for option in served(program)}
    env |= {"MIGRATE_DATABASE_URL", "DEMO_PASSWORD"}
    reasons, problems = {}, {}
    for file, text in sources():
        for reason in re.findall(r'"([A-Z]{2,}(?:_[A-Z]+)*)"', text):
            if reason not in NO_REASONS and reason not in env:
                reasons[reason.lower()] = file
        if "gateway" in file.relative_to(REPOSITORY).parts:
            found = re.findall(r'(?:Problem|Self)::(?:new|bad|later)\(\s*(?:StatusCode::\w+,\s*)?"([a-z_]+)"', text)
            if file.name == "problem.rs":
                found += re.findall(r'\("([a-z_]+)", "', text)
            problems.update(dict.fromkeys(found, file))
    # `Places` makes its reasons from what they are places for.
    places = {f"too_many_{name}" for _, text in sources() for name in re.findall(r'Places::new\("(\w+)"', text)}
    places |= {"too_many_files", "too_many_streams"}
    # Said of a field.
    of_fields = {"idempotency_key_reused", "temporarily_unavailable"}
    known = {**reasons, **problems, **dict.fromkeys(places), **dict.fromkeys(of_fields)}
    missing = {code: str(file) for code, file in known.items() if code not in top}
    assert missing == {}, "codes of the code that are not in errors.md"
    assert top - set(known) == set(), "codes of errors.md that are not in the code"


# How an error of the workspace is made, and what it is answered as.
ANSWERS = {
    "conflict": ("409", "ALREADY_EXISTS"),
    "exhausted": ("429", "RESOURCE_EXHAUSTED"),
    "precondition": ("422", "FAILED_PRECONDITION"),
    "unauthenticated": ("401", "UNAUTHENTICATED"),
    "Denied": ("403", "PERMISSION_DENIED"),
}


def test_every_code_is_told_with_the_status_that_it_comes_with() -> None:
    page = (PAGES / "errors.md").read_text(encoding="utf-8").partition("\n## Fields")[0]
    rows = {}
    for row in page.splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        for code in re.findall(r"`([a-z_]+)`", cells[0]) if row.startswith("| `") else ():
            rows.setdefault(code, []).append(cells)
    # These are of the token endpoint, which has statuses of its own; the last is told in words.
    of_tokens = errors_of(page.partition("## Signing in")[2]) | {"second_factor_required"}
    found = set()
    for _, text in sources():
        found |= set(re.findall(r'Error::(\w+)\(\s*"([A-Z_]+)"', text))
        found |= set(re.findall(r'Error::(\w+) \{\s*reason: "([A-Z_]+)"', text))
    wrong = []
    for kind, reason in sorted(found):
        if kind not in ANSWERS or reason.lower() in of_tokens:
            continue
        status, code = ANSWERS[kind]
        told = rows[reason.lower()]
        if not any(code in " ".join(cells) and (status in cells[1] or cells[1] == "–") for cells in told):
            wrong.append(f"{reason}: {kind}, not {told}")
    assert len(found) > 40
    assert wrong == []


def test_every_code_of_a_field_is_told_and_no_other() -> None:
    page = (PAGES / "errors.md").read_text(encoding="utf-8")
    told = errors_of(page.partition("\n## Fields")[2])
    texts = dict(sources())
    said = {}
    calls = r"(?:\.add|\.field|FieldError::new|Error::invalid|wrong|Fault::new|fault)\(\s*[^,;()]*?(?:\([^()]*\))?,\s*\"([a-z_]+)\","
    for file, text in texts.items():
        said.update({code: str(file) for code in re.findall(calls, text)})
    told_of_requests = {code: file for code, file in said.items() if code not in told}
    assert told_of_requests == {}, "codes of fields that are not in errors.md"
    everything = "\n".join(texts.values())
    assert {code for code in told if f'"{code}"' not in everything and f'"{code.upper()}"' not in everything} == set()


def test_every_event_is_told_and_no_other() -> None:
    page = (PAGES / "events.md").read_text(encoding="utf-8")
    proto = (REPOSITORY / "proto/salespipeline/events/v1/events.proto").read_text()
    aggregates = set(re.findall(r"// Of aggregate `(\w+)`", proto)) | {"currency"}
    for source in ("identity", "opportunities"):
        told = {
            name
            for row in page.splitlines()
            if f"| {source} |" in row
            for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
        }
        found = set()
        for file in (REPOSITORY / "services" / source / "src").rglob("event.rs"):
            names = re.findall(r'"(\w+)\.(\w+)"', re.split(r"#\[cfg\(test\)\]", file.read_text())[0])
            found |= {f"{kind}.{what}" for kind, what in names if kind in aggregates}
        assert told == found


@pytest.fixture(scope="module")
def told(product: Product) -> dict[str, str]:
    """What each process of the running product tells."""
    return {program: httpx.get(f"{product.ops(program)}/metrics").text for program in reference.ALL}


def test_every_metric_is_told_and_no_other(told: dict[str, str]) -> None:
    page = (PAGES / "metrics.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| `")]
    documented = {re.findall(r"`(\w+)", name)[0]: (name, kind, of) for name, kind, of, _ in rows}
    in_code = {}
    for file, text in sources():
        for kind, name in re.findall(r'metrics::(counter|gauge|histogram)!\(\s*"(\w+)"', text):
            in_code[name] = (kind, file)
    assert set(documented) == set(in_code)
    assert {name: kind for name, (_, kind, _) in documented.items()} == {
        name: kind for name, (kind, _) in in_code.items()
    }
    groups = {"all": reference.ALL, "services": reference.ALL[:4]}
    seen = {}
    for program, text in told.items():
        for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.M):
            name = re.sub(r"_(bucket|sum|count)$", "", name) if name.rpartition("_")[0] in documented else name
            seen.setdefault(name, set()).add(program)
            shown = set(re.findall(r"\w+", documented[name][0].partition("{")[2]))
            given = set(re.findall(r"(\w+)=\"", labels)) - {"service", "le", "quantile"}
            assert given == shown, f"{program} {name}: {labels}"
    for name, programs in seen.items():
        of = documented[name][2]
        assert programs <= set(groups.get(of, of.split(", "))), f"{name} is told by {programs}, not by {of}"
    # Of every part something is told by a product that has just been filled.
    assert {
        "http_requests_total",
        "rpc_requests_total",
        "relay_leader",
        "consumer_position",
        "connections_open",
    } <= set(seen)
