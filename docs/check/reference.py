"""The reference pages that are made from the programs and the code: `docs/check/run --write` writes them, a test compares them."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from launch import REPOSITORY

from product import PROGRAMS

ALL = ("identity", "opportunities", "analytics", "notifier", "gateway")
PAGES = REPOSITORY / "docs/reference"
MADE = "<!-- Made by docs/check/reference.py from {what}: `docs/check/run --write` writes it anew. -->"


@dataclass
class Option:
    """An option of a command, as its help tells it."""

    name: str
    value: str
    variable: str
    default: str
    meaning: str
    is_needed: bool
    programs: list[str] = field(default_factory=list)


def settings() -> str:
    """Every setting of every program, by variable, and every command."""
    serve: dict[str, Option] = {}
    for program in ALL:
        for option in [*options(program), *options(program, "serve")]:
            known = serve.setdefault(option.variable, option)
            known.programs.append(program)
    lines = [
        "# Settings",
        "",
        MADE.format(what="the programs' own `--help`"),
        "",
        "Of each process; those of `make run` are in [README.md](../../README.md#settings). Each is a variable of the environment or an option of",
        "the command. What they mean for who runs the product, together, is in [operations.md](../operations.md).",
        "",
        "## Of `serve`",
        "",
        "A default in *italics* is none: *needed* has to be given, *none* may be left out.",
        "",
        "| variable | meaning | default | programs |",
        "|---|---|---|---|",
    ]
    for name in sorted(serve):
        option = serve[name]
        programs = "all" if option.programs == list(ALL) else ", ".join(option.programs)
        if option.programs == list(ALL[:4]):
            programs = "the four services"
        lines.append(f"| `{name}` | {cell(option.meaning)} | {shown_default(option)} | {programs} |")
    lines += [
        "",
        "The option of a variable is its name in lower case with hyphens: `LISTEN_ADDR` is `--listen-addr`",
        "",
    ]
    lines[-2] += exceptions(serve.values())
    lines += [
        "## Commands",
        "",
        "`<program> <command> --help` says the same. Settings that `serve` has mean the same here.",
        "",
    ]
    for program in ALL:
        lines += [f"### {program}", "", "| command | what it does | takes |", "|---|---|---|"]
        for command, meaning in commands(program):
            if command == "serve":
                lines.append(f"| `serve` | {cell(meaning)} | what is above |")
                continue
            inner = commands(program, command)
            for path, what in [([command], meaning)] if not inner else [([command, it], text) for it, text in inner]:
                lines.append(f"| `{' '.join(path)}` | {cell(what)} | {takes(program, path, serve)} |")
        lines.append("")
    return "\n".join(lines)


def takes(program: str, path: list[str], serve: dict[str, Option]) -> str:
    """What a command is told, its own options with what they mean."""
    parts = [f"`{name}`: {cell(meaning)}" for name, meaning in arguments(program, *path)]
    # Those of `dead-letters` are those of its commands, too.
    own = [option for end in range(1, len(path) + 1) for option in options(program, *path[:end])]
    served = {it.variable for it in options(program, "serve")}
    if served <= {it.variable for it in own}:
        parts.append("what `serve` takes")
        own = [it for it in own if it.variable not in served]
    for option in own:
        name = f"`{option.variable}`" if option.variable else f"`--{option.name}`"
        if option.variable in serve:
            parts.append(name)
        else:
            default = "" if option.default in ("", '""') else f" (`{option.default}`)"
            parts.append(f"{name}: {cell(option.meaning)}{default}")
    return "; ".join(parts) or "–"


def exceptions(found: object) -> str:
    """Of the rule by which an option is called."""
    odd = [it for it in found if it.name != it.variable.lower().replace("_", "-")]  # type: ignore[attr-defined]
    if not odd:
        return "."
    told = ", ".join(f"`{it.variable}` is `--{it.name}`" for it in sorted(odd, key=lambda it: it.variable))
    return f"; but {told}."


def shown_default(option: Option) -> str:
    if option.is_needed:
        return "*needed*"
    return "*none*" if option.default in ("", '""') else f"`{option.default}`"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def help_of(program: str, *path: str) -> str:
    """What a program says of itself, where nothing is set."""
    command = [str(PROGRAMS / program), *path, "--help"]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=True).stdout


def commands(program: str, *path: str) -> list[tuple[str, str]]:
    """The commands of a program, or of a command, with what they do."""
    part = re.search(r"^Commands:\n(.*?)\n\n", help_of(program, *path), re.M | re.S)
    found = re.findall(r"^  ([a-z-]+) +(.*)$", part[1], re.M) if part else []
    return [(name, text) for name, text in found if name != "help"]


def arguments(program: str, *path: str) -> list[tuple[str, str]]:
    """What stands without an option."""
    part = re.search(r"^Arguments:\n(.*?)(?:\n\n(?=\S)|\Z)", help_of(program, *path), re.M | re.S)
    found = re.findall(r"^  ([<\[][A-Z_]+[>\]])\s+(.*)$", part[1], re.M) if part else []
    return [(name, re.sub(r" \[default: .*\]", "", text).strip()) for name, text in found]


def options(program: str, *path: str) -> list[Option]:
    """The options of a command, but for help and version."""
    text = help_of(program, *path)
    usage = re.search(r"^Usage: (.*)$", text, re.M)
    part = text.partition("Options:\n")[2]
    found = []
    for block in re.split(r"^(?=  (?:    |-[a-zA-Z], )--)", part, flags=re.M):
        head = re.match(r"\s+(?:-\w, )?--([a-z-]+)(?: (\S+))?", block)
        if head is None or head[1] in ("help", "version"):
            continue
        rest = " ".join(block[head.end() :].split())
        variable = re.search(r"\[env: ([A-Z_]+)=?\]", rest)
        default = re.search(r"\[default: (.*?)\](?: |$)", rest)
        meaning = re.sub(r"\[(env|default|possible values): .*?\](?: |$)", "", rest)
        meaning = re.sub(r" ?Possible values: - .*", "", meaning).strip()
        values = re.search(r"\[possible values: (.*?)\]", rest)
        listed = re.findall(r"^\s+- ([a-z_]+):", block, re.M)
        choices = values[1].split(", ") if values else listed
        if choices and not all(it in meaning for it in choices):
            meaning = f"{meaning.rstrip('.')}: {', '.join(choices)}"
        is_needed = usage is not None and f" --{head[1]} " in re.sub(r"\[[^\]]*\]", "", usage[1])
        given = variable[1] if variable else ""
        found.append(Option(head[1], head[2] or "", given, default[1] if default else "", meaning, is_needed))
    return found


# What each policy of the matrix (tests/it/matrix/policy.rs) asks, and who therefore may.
POLICIES = {
    "Open": ("Open to all", "No token is needed: it is how one gets a token, or public."),
    "Readers": (
        "Who is signed in",
        "Everybody with a good token or key. Lists and numbers are about what the caller may see.",
    ),
    "OwnThings": (
        "One's own things",
        "Everybody, viewers too, about themselves; a key needs the scope `write`.",
    ),
    "OwnSession": ("One's own, signed in", "Everybody about themselves, but with a sign-in: no key may."),
    "Sellers": ("Who sells", "Reps, managers and administrators; a key needs the scope `write`. No viewers."),
    "Managers": ("Managers", "Managers within their reach, and administrators."),
    "Admins": ("Administrators", "Administrators alone."),
    "Oneself": ("The user, or an administrator", "That user, and administrators; a key needs the scope `write`."),
    "SeesRecord": (
        "Who sees the record",
        "Whoever may see it by the organisation's `VISIBILITY`. For all others it is not there (404).",
    ),
    "ChangesRecord": (
        "Who may change the record",
        "Its owner, a manager whose reach it is in, and administrators; a key needs the scope `write`. Who sees it and may not is refused (403), who does not see it gets 404.",
    ),
    "SeesCustomer": (
        "Who sees the customer",
        "Who may see one of its opportunities, or made it. For all others it is not there (404).",
    ),
    "ChangesCustomer": (
        "Who may change the customer",
        "Who made it, owns an opportunity of it, or is above such a person; administrators. Others who see it are refused (403).",
    ),
    "SeesContact": ("Who sees the contact", "Who sees its customer."),
    "ChangesContact": ("Who may change the contact", "Who may change its customer."),
    "AdminOfRecord": ("Administrators, of a record", "Administrators; others who see the record are refused (403)."),
    "Services": (
        "Services",
        "The product's own services, by the token of their secret. Nobody else may, whoever it is.",
    ),
}


# What each of nine callers is answered by them, in the order of COLUMNS: y is let through, 3 is 403, 4 is 404. tests/it/matrix holds the table in the page
# against the policies.
OUTCOMES = {
    "Open": "yyyyyyyyy",
    "Readers": "yyyyyyyyy",
    "OwnThings": "yyyyyyy3y",
    "OwnSession": "yyyyyyy33",
    "Sellers": "yyyyyy33y",
    "Managers": "333yyy333",
    "Admins": "33333y333",
    "Oneself": "y3333y33y",
    "SeesRecord": "yy4y4y4yy",
    "ChangesRecord": "y34y4y43y",
    "SeesCustomer": "yy4y4y4yy",
    "ChangesCustomer": "y34y4y43y",
    "SeesContact": "yy4y4y4yy",
    "ChangesContact": "y34y4y43y",
    "AdminOfRecord": "33434y433",
    "Services": "333333333",
}
COLUMNS = (
    *("its owner, a rep", "a rep of their team", "a rep of another", "who leads their team", "who leads another"),
    *("an administrator", "a viewer of another team", "a key of the owner that reads", "one that writes"),
)


def rows() -> list[tuple[str, str, str]]:
    """Of the matrix: method of gRPC, operation of REST, policy. A test asks each as thirteen callers."""
    found = []
    for file in [REPOSITORY / "tests/it/matrix/table.rs", *sorted((REPOSITORY / "tests/it/matrix/table").glob("*.rs"))]:
        text = file.read_text()
        for name, items in re.findall(r"const (\w+): \[&str; \d+\] = \[(.*?)\];", text, re.S):
            for index, item in enumerate(re.findall(r'"[^"]*"', items)):
                text = text.replace(f"{name}[{index}]", item)
        found += found_in(text)
        otherwise = len(re.findall(r"\brow\(", text)) - text.count("fn row(") - len(found_in(text))
        assert otherwise == 0, f"{otherwise} rows of {file.name} are written otherwise"
    return found


def found_in(text: str) -> list[tuple[str, str, str]]:
    return re.findall(r'\brow\(\s*"([^"]*)",\s*"([^"]*)",\s*(?:Policy::)?(\w+),?\s*\)', text)


def permissions() -> str:
    """Every operation by whom it is open to."""
    lines = [
        "# Permissions",
        "",
        MADE.format(what="tests/it/matrix, where each row is asked as thirteen callers, over REST and of the services"),
        "",
        "A user has one role. What they may *see* is the organisation's setting `VISIBILITY`; what they may *change* is fixed.",
        "",
        "| role | sees opportunities | changes |",
        "|---|---|---|",
        "| `admin` | all | all, and people, teams, stages, currencies, fields, settings |",
        "| `manager` | with `everyone` all; with `team` and `owner` their own, those of the teams they lead, and of the teams below; with `team` of their own team, too | the same, and targets and adjustments of those |",
        "| `rep` | with `everyone` all; with `team` their own and those of their team; with `owner` their own | their own |",
        "| `viewer` | as a rep | nothing but what is about themselves |",
        "",
        "An API key acts for who made it, with the rights of that person at the moment, and never beyond its scopes: `read` reads, `write` changes too. So does",
        "a token with a `scope`. A token that does not reach is answered 403 with code `scope`.",
        "",
        "What the caller may not see is answered as what is not there, with 404 (`NOT_FOUND`). Below, paths are under `/api/v1`, methods under",
        "`salespipeline.`.",
        "",
    ]
    lines += [
        "With `VISIBILITY=team`, about a rep's record, a caller is let through, refused (403) or told that it is not there (404):",
        "",
        "| | " + " | ".join(COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    answers = {"y": "yes", "3": "403", "4": "404"}
    for policy, (title, _) in POLICIES.items():
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        cells = " | ".join(answers[it] for it in OUTCOMES[policy])
        lines.append(f"| [{title}](#{anchor}) <!-- {policy} --> | {cells} |")
    lines.append("")
    by_policy: dict[str, list[tuple[str, str]]] = {}
    for rpc, rest, policy in rows():
        by_policy.setdefault(policy, []).append((rpc, rest))
    for policy, (title, text) in POLICIES.items():
        lines += [f"## {title}", "", text, "", "| REST | gRPC |", "|---|---|"]
        for rpc, rest in sorted(by_policy.get(policy, ()), key=lambda it: (it[1].split(" ")[-1:], it)):
            method, _, path = rest.partition(" ")
            shown = f"`{method.upper()} {path}`" if rest else "–"
            lines.append(f"| {shown} | {f'`{rpc}`' if rpc else 'as above'} |")
        lines.append("")
    return "\n".join(lines)


def made() -> dict[Path, str]:
    """The pages that are made."""
    return {PAGES / "settings.md": settings(), PAGES / "permissions.md": permissions()}


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
        print(f"Wrote {path.relative_to(REPOSITORY)}", file=sys.stderr)
