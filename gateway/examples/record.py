"""Plays a sales team against a fresh product and writes what was asked and answered: the examples of the OpenAPI document.

`make examples` runs it. Nothing in the result is made up but what would be a secret; events that a service could not apply are
put aside by hand, since none come up by themselves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import people
import refusals
import sales
from launch import ADMIN
from recorder import Person, Recorder, product

RESULT = Path(__file__).parent.parent / "src" / "document" / "examples.json"


def main() -> None:
    """Records, and writes."""
    program = Path(sys.argv[1]).resolve()
    settings = {"RATE_LIMIT": "100", "PUBLIC_URL": "https://sales.example.com"}
    with product(program, settings) as it:
        play(it)
        result = {name: it.operations[name] for name in sorted(it.operations)}
        missing = {operation["operationId"] for operation in it.known.values()} - result.keys()
    RESULT.parent.mkdir(exist_ok=True)
    problems = {code: it.problems[code] for code in sorted(it.problems)}
    text = json.dumps({"operations": result, "problems": problems}, ensure_ascii=False, indent=1)
    RESULT.write_text(text + "\n")
    print(f"{sum(map(len, result.values()))} exchanges of {len(result)} operations, {len(text.encode())} bytes")
    if missing:
        sys.exit(f"nothing was asked of {sorted(missing)}")


def play(it: Recorder) -> None:
    """The whole story."""

    def person(email: str) -> Person:
        return it.sign_in(Person(email, it.password))

    admin = person(ADMIN)
    manager, wang = person("lin.manager@example.com"), person("wang@example.com")
    emma, viewer = person("emma@example.com"), person("viewer@example.com")
    refusals.everywhere(it, admin, wang, viewer)
    people.lists(it, admin)
    made = sales.opportunities(it, wang, emma, manager, admin)
    sales.activities(it, wang, manager, made["gone"])
    sales.customers(it, admin, wang)
    sales.imports(it, wang)
    sales.sync(it, wang)
    sales.numbers(it, manager, admin, wang, made["won"])
    sales.unplan(it, manager)
    people.users(it, admin)
    people.sessions(it, admin)
    people.teams(it, admin, wang)
    people.second_factor(it, admin)
    people.programs(it, admin, wang)
    people.stages(it, admin)
    people.settings(it, admin)
    people.notifications(it, manager)
    people.dead_letters(it, admin)
    refusals.of_sales(it, admin, manager, wang, emma, made)
    refusals.of_people(it, admin, wang)
    refusals.too_much(it, viewer)
    refusals.when_something_is_down(it, admin, wang)


if __name__ == "__main__":
    main()
