"""The API's document: valid, whole, with examples that are what it says, and shown without asking anybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from conftest import Stack

pytestmark = pytest.mark.stack

# Its files cannot be shown as an example.
BINARY = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# They answer 401 to a client that does not show who it is.
OAUTH = ("issue_token", "revoke_token")
HERE = "urn:document"


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    read: dict[str, Any] = httpx.get(f"{stack.url}/openapi.json").json()
    return read


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation: its name, where it is in the document, and itself."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}"
            yield operation["operationId"], place, operation


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What is referred to, if something is."""
    if "$ref" not in value:
        return value
    found: Any = document
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(document, found)


def contents(
    document: dict[str, Any], place: str, operation: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body of an operation: its status (none of a request), where it is, and its content."""
    for kind in operation.get("requestBody", {}).get("content", {}):
        yield (
            "",
            f"{place}/requestBody/content/{escaped(kind)}",
            operation["requestBody"]["content"][kind],
        )
    for status, response in operation["responses"].items():
        whole = resolved(document, response)
        at = response.get("$ref", f"{place}/responses/{status}")
        for kind, content in whole.get("content", {}).items():
            yield status, f"{at}/content/{escaped(kind)}", content


def escaped(name: str) -> str:
    """A name as part of a pointer."""
    return name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def test_it_is_a_valid_openapi_3_1_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    errors = [str(it.message) for it in OpenAPIV31SpecValidator(document).iter_errors()]
    assert errors == []


def test_every_operation_says_what_it_is_for_and_shows_a_request_and_an_answer(
    document: dict[str, Any],
) -> None:
    lacking = []
    for name, place, operation in operations(document):
        lacking += [f"{name}: {it}" for it in ("summary", "description") if not operation.get(it)]
        lacking += [
            f"{name}: what {it['name']} is"
            for it in operation.get("parameters", [])
            if not it.get("description")
        ]
        for status, at, content in contents(document, place, operation):
            is_answer = not status or status.startswith("2")
            if is_answer and not content.get("examples") and BINARY not in at.replace("~1", "/"):
                lacking.append(f"{name}: an example at {at}")
        for it in operation.get("parameters", []):
            if it["in"] == "path" and "example" not in it:
                lacking.append(f"{name}: an example of {it['name']}")
    assert lacking == []


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(HERE, DRAFT202012.create_resource(document))
    wrong: list[str] = []
    seen = 0

    def check(at: str, value: Any) -> None:
        nonlocal seen
        seen += 1
        schema = {"$ref": f"{HERE}{at}"}
        checker = Draft202012Validator.FORMAT_CHECKER
        validator = Draft202012Validator(schema, registry=registry, format_checker=checker)
        wrong.extend(f"{at} {it.json_path}: {it.message}" for it in validator.iter_errors(value))

    for name, schema in document["components"]["schemas"].items():
        for at, value in own_examples(f"#/components/schemas/{name}", schema):
            check(at, value)
    for _, place, operation in operations(document):
        for index, parameter in enumerate(operation.get("parameters", [])):
            shown = [parameter["example"]] if "example" in parameter else []
            for value in shown + parameter["schema"].get("examples", []):
                check(f"{place}/parameters/{index}/schema", value)
        for _, at, content in contents(document, place, operation):
            for example in content.get("examples", {}).values():
                check(f"{at}/schema", resolved(document, example)["value"])
    assert wrong == []
    assert seen > 500


def own_examples(at: str, schema: Any) -> Iterator[tuple[str, Any]]:
    """The examples inside of a schema, each with where its schema is."""
    if isinstance(schema, dict):
        # A member may be called that, too.
        if "example" in schema and not at.endswith("/properties"):
            yield at, schema["example"]
        for value in schema.get("examples", []) if isinstance(schema.get("examples"), list) else []:
            yield at, value
        for name, inner in schema.items():
            if name not in ("example", "examples", "default", "enum"):
                yield from own_examples(f"{at}/{escaped(name)}", inner)
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from own_examples(f"{at}/{index}", inner)


def test_every_refusal_that_is_shown_is_one_of_those_that_are_told(
    document: dict[str, Any],
) -> None:
    shown: dict[str, set[str]] = {}
    for name, place, operation in operations(document):
        assert not {"default", "4XX", "5XX"} & operation["responses"].keys(), name
        assert {"400", "429", "500", "503"} <= operation["responses"].keys(), name
        is_open = operation["security"] == [{}]
        assert ("401" in operation["responses"]) != is_open or name in OAUTH, name
        for status, at, content in contents(document, place, operation):
            if status < "4":
                continue
            told = resolved(document, operation["responses"][status])["description"]
            codes = set(re.findall(r"^- `(\w+)`: ", told, re.MULTILINE))
            assert codes, f"{name} {status}"
            for example in content.get("examples", {}).values():
                value = resolved(document, example)["value"]
                assert value.get("code", value.get("error")) in codes, f"{at}: {value}"
                assert value.get("status", int(status)) == int(status), f"{at}: {value}"
                shown.setdefault(status, set()).update(codes & {value.get("code")})
    assert {
        "400",
        "401",
        "403",
        "404",
        "409",
        "412",
        "413",
        "415",
        "422",
        "429",
        "503",
    } <= shown.keys()


def test_tags_are_told_in_reading_order_and_every_one_is_used(document: dict[str, Any]) -> None:
    tags = [it["name"] for it in document["tags"]]
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    assert set(tags) == used
    assert tags[:3] == ["auth", "pipeline", "opportunities"]
    assert all(it["description"] for it in document["tags"])


def test_it_is_shown_without_asking_anybody_else(stack: Stack, document: dict[str, Any]) -> None:
    page = httpx.get(f"{stack.url}/docs/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    for name in ("", "swagger-initializer.js", "oauth2-redirect.html", "index.css"):
        text = httpx.get(f"{stack.url}/docs/{name}").text
        assert not re.findall(r"https?://[^\s\"']+", text), name
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert loaded
    for name in loaded:
        assert httpx.get(f"{stack.url}/docs/").url.join(name).host == httpx.URL(stack.url).host
        assert httpx.get(httpx.URL(f"{stack.url}/docs/").join(name)).status_code == 200, name
    # Addresses of the examples lead nowhere (RFC 2606).
    hosts = set(
        re.findall(r"https?://([^/\s\"`\\:]+)", httpx.get(f"{stack.url}/openapi.json").text)
    )
    assert all(re.search(r"(^|\.)example(\.com)?$|^localhost$", it) for it in hosts), hosts
