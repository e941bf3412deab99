"""What is looked at while the product runs is there: rules and dashboards speak of what docs/reference/metrics.md names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import PROGRAMS, ROOT

FOLDER = ROOT / "deploy" / "observability"

#: What is no metric of ours in an expression: functions, keywords, labels, and what Prometheus adds itself.
WORDS = {
    *("absent", "and", "avg", "by", "count", "histogram_quantile", "ignoring", "increase", "le", "max", "max_over_time"),
    *("min", "min_over_time", "on", "or", "rate", "sum", "topk", "unless", "up", "without"),
}


def documented() -> set[str]:
    """The metrics of docs/reference/metrics.md, which a test of the product holds against what it tells."""
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    return {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([a-z_]+)", row)}


def metrics(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"[a-z_]+", bare)} - WORDS


def expressions() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in sorted((FOLDER / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_for_is_a_metric_of_the_product(where: str, expression: str) -> None:
    assert metrics(expression) <= documented(), where


def test_a_metric_that_is_not_there_is_noticed() -> None:
    assert metrics('sum by (code) (rate(rpc_request_total{code="OK"}[5m])) / on (source) up > 0') == {"rpc_request_total"}
    assert not {"rpc_request_total"} <= documented()
    assert len(documented()) > 15


def test_every_metric_of_the_page_is_in_the_code() -> None:
    places = [path for folder in ("crates", "services", "gateway") for path in (ROOT / folder).rglob("*.rs")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in places)
    assert {name for name in documented() if f'"{name}"' not in code} == set()


def test_everything_that_is_to_be_watched_has_a_rule() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    watched = re.search(r"^What to watch:(.*?)\n\n", text, re.MULTILINE | re.DOTALL)[1]
    named = set(re.findall(r"`([a-z_]+)`", watched)) & documented()
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    asked = set().union(*(metrics(rule["expr"]) for group in rules for rule in group["rules"]))
    assert named
    assert named <= asked


def test_every_service_is_scraped_where_it_tells_of_itself() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert set(names["names"]) == set(PROGRAMS)
    assert names["port"] == 9000


def panels(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["panels"]


@pytest.mark.parametrize("path", sorted((FOLDER / "grafana" / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_asks_the_sources_that_are_provisioned(path: Path) -> None:
    sources = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/datasources.yml").read_text(encoding="utf-8"))["datasources"]
    known = {source["uid"] for source in sources}
    assert panels(path)
    for panel in panels(path):
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] in known, panel["title"]
        assert panel["description"], panel["title"]
    assert len({panel["id"] for panel in panels(path)}) == len(panels(path))
