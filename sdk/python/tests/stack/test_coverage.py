"""Nothing of the API is missing here, and nothing is here that the API has not: the running product is asked for its document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Union, get_args, get_origin

import httpx
import pytest
from pydantic import BaseModel

from conftest import Stack
from sales_pipeline_client import SalesPipelineClient
from sales_pipeline_client.models import ImportRows
from sales_pipeline_client.operations import Composed, Declared, Resource, Streaming
from sales_pipeline_client.resources.opportunities import BulkUpdate, Line
from sales_pipeline_client.resources.pipelines import StageOfPipeline

pytestmark = pytest.mark.stack

# Spoken by the client itself, to sign in and out.
BY_ITSELF = {"POST /auth/token", "POST /auth/revoke"}
# Of the product's contract, and not in the API yet: a row that is no longer true fails.
AHEAD = {"GET /notifications/stream": "section 7 of the contract: real-time notifications"}
# What the client sends by itself, or never has to.
NOT_SENT = {"If-Match", "Idempotency-Key", "Last-Event-ID", "format", "total_count"}
# What only the client knows of.
BY_ITSELF_SAID = {"idempotency_key"}
# What is said inside of lists, by the name of its schema.
INSIDE: dict[str, Any] = {
    "LineItem": Line,
    "NewStage": StageOfPipeline,
    "OpportunityUpdate": BulkUpdate,
}
METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    read: dict[str, Any] = httpx.get(f"{stack.url}/openapi.json").json()
    return read


def shape(route: str) -> str:
    """A route without the names of what is in its path."""
    return re.sub(r"\{\w+\}", "{}", route)


@cache
def calls() -> list[Any]:
    """Everything that is declared of any resource."""
    with SalesPipelineClient("http://api") as client:
        resources = [it for it in vars(client).values() if isinstance(it, Resource)]
    return [it for resource in resources for it in vars(type(resource)).values()]


@cache
def declared() -> dict[str, list[Declared]]:
    """Every declaration, by the shape of its route."""
    found: dict[str, list[Declared]] = {}
    for it in calls():
        if isinstance(it, Declared):
            found.setdefault(shape(it.route), []).append(it)
    return found


def composed() -> dict[str, list[Composed[Any, Any]]]:
    """What is made of several calls, by the shapes of the routes that only it speaks."""
    found = [it for it in calls() if isinstance(it, Composed)]
    return {shape(route): [it] for it in found for route in it.routes}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation of the document that is part of the API proper, by its route."""
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            if path.startswith("/api/v1/"):
                operation = dict(item[method])
                operation["parameters"] = item.get("parameters", []) + operation.get(
                    "parameters", []
                )
                yield f"{method.upper()} {path.removeprefix('/api/v1')}", operation


def schema_of(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its references followed, and without the null that it may be."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "oneOf" in schema or "anyOf" in schema:
            choices = schema.get("oneOf") or schema["anyOf"]
            choices = [it for it in choices if it.get("type") != "null"]
            if len(choices) != 1:
                return {}
            schema = choices[0]
        else:
            return schema


def test_every_operation_of_the_api_can_be_called(document: dict[str, Any]) -> None:
    known = declared().keys() | composed().keys() | {shape(it) for it in BY_ITSELF}
    missing = [route for route, _ in operations(document) if shape(route) not in known]
    assert not missing, "the SDK lacks:\n" + "\n".join(sorted(missing))


def test_every_call_is_an_operation_of_the_api(document: dict[str, Any]) -> None:
    there = {shape(route) for route, _ in operations(document)}
    invented = (declared().keys() | composed().keys()) - there - {shape(it) for it in AHEAD}
    assert not invented, f"the API has not: {sorted(invented)}"
    arrived = [it for it in AHEAD if shape(it) in there]
    assert not arrived, f"the API has them now, so their rows in AHEAD can go: {arrived}"


def test_everything_that_can_be_said_to_the_api_can_be_said_here(document: dict[str, Any]) -> None:
    missing: list[str] = []
    for route, operation in operations(document):
        spoken: list[Declared | Composed[Any, Any]]
        spoken = [*declared().get(shape(route), []), *composed().get(shape(route), [])]
        there = {it["name"] for it in operation["parameters"] if it["in"] == "query"}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            there |= schema_of(document, content["schema"]).get("properties", {}).keys()
        for call in spoken:
            missing += [f"{route}: {name}" for name in there - call.sends - NOT_SENT]
            invented = call.sends - there - BY_ITSELF_SAID
            assert not invented, f"{route} does not know {sorted(invented)}"
    assert not missing, "the SDK cannot say:\n" + "\n".join(sorted(missing))


def test_what_is_said_inside_of_lists_can_be_said_here(document: dict[str, Any]) -> None:
    for name, known in INSIDE.items():
        there = document["components"]["schemas"][name]["properties"].keys()
        assert there == set(known.__annotations__), name


def test_everything_that_the_api_answers_can_be_read_here(document: dict[str, Any]) -> None:
    missing: set[str] = set()
    for route, operation in operations(document):
        for call in declared().get(shape(route), []):
            if isinstance(call, Streaming) or call.returns is ImportRows:
                continue  # what it tells is read by `get`, too
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json")
                if status.startswith("2") and content:
                    for model in models_in(call.returns):
                        missing |= lacking(document, content["schema"], model, set())
    assert not missing, "the SDK does not read:\n" + "\n".join(sorted(missing))


def lacking(
    document: dict[str, Any], schema: dict[str, Any], model: type[BaseModel], seen: set[Any]
) -> set[str]:
    schema = schema_of(document, schema)
    if model in seen:
        return set()
    seen.add(model)
    fields = {it.alias or name: it for name, it in model.model_fields.items()}
    found: set[str] = set()
    for name, inner in schema.get("properties", {}).items():
        if name not in fields:
            found.add(f"{model.__name__}.{name}")
            continue
        inner = schema_of(document, inner)
        if inner.get("type") == "array" or "array" in inner.get("type", []):
            inner = schema_of(document, inner["items"])
        if "properties" in inner:
            nested = models_in(fields[name].annotation)
            if not nested:
                found.add(f"{model.__name__}.{name} (as a type of its own)")
            for it in nested:
                found |= lacking(document, inner, it, seen)
    return found


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation is made of."""
    if get_origin(annotation) in (Union, list, dict):
        return [it for argument in get_args(annotation) for it in models_in(argument)]
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return [annotation] if is_model else []
