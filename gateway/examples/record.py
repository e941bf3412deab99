"""Plays a sales team against a fresh product and writes what was asked and answered: the examples of the OpenAPI document.

`make examples` runs it. Nothing in the result is made up but what would be a secret. What does not come up by itself is brought about in the
database: events that a service could not apply are put aside, and what somebody else would hold for a moment is held.
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
    settings = {"PUBLIC_URL": "https://sales.example.com"}
    strict_ones = {"ACCESS_TOKEN_EXPIRE_MINUTES": "1", "RATE_LIMIT": "2", "DEMO": "false"}
    with product(program, settings) as it, product(program, strict_ones) as strict:
        early = strict.sign_in(Person(ADMIN, strict.password))
        refusals.too_often(it, strict, early)
        play(it)
        refusals.too_late(it, strict, early)
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
    people.second_factor(it, admin, wang)
    people.programs(it, admin, wang)
    people.stages(it, admin)
    people.settings(it, admin)
    people.notifications(it, manager)
    people.dead_letters(it, admin)
    refusals.of_sales(it, admin, manager, wang, emma, made)
    refusals.of_people(it, admin, wang)
    refusals.of_stages(it, admin)
    refusals.of_files(it, emma)
    refusals.meanwhile(it, admin, emma)
    refusals.enough(it, admin, emma)
    refusals.busy(it, admin)
    refusals.too_much(it, viewer)
    refusals.when_something_is_down(it, admin, wang)


if __name__ == "__main__":
    main()
