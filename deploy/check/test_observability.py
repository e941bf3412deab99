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


def datasources() -> list[dict[str, Any]]:
    path = FOLDER / "grafana/provisioning/datasources/datasources.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]


def expressions() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in sorted((FOLDER / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]
    for source in datasources():
        for query in source.get("jsonData", {}).get("tracesToMetrics", {}).get("queries", []):
            yield f"{source['name']}: {query['name']}", query["query"]


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
    known = {source["uid"] for source in datasources()}
    assert panels(path)
    for panel in panels(path):
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] in known, panel["title"]
        assert panel["description"], panel["title"]
    assert len({panel["id"] for panel in panels(path)}) == len(panels(path))


def test_grafana_is_given_what_there_is() -> None:
    told = dict(mount.removesuffix(":ro").split(":") for mount in compose()["grafana"]["volumes"] if mount.startswith("./"))
    there = [*(FOLDER / "grafana" / "provisioning").iterdir(), FOLDER / "grafana" / "dashboards"]
    assert {(ROOT / path).resolve() for path in told} == set(there)
    for path in told.values():
        assert path.startswith("/etc/grafana/provisioning/") or path in read_from()


def read_from() -> set[str]:
    """Where dashboards are looked for."""
    text = (FOLDER / "grafana/provisioning/dashboards/dashboards.yml").read_text(encoding="utf-8")
    return {provider["options"]["path"] for provider in yaml.safe_load(text)["providers"]}


#: What the collector's version knows of what we use, by the names that are to stay: an older one is taken with a warning, until it is not.
COMPONENTS = {"receivers": {"otlp"}, "processors": {"memory_limiter", "batch"}, "exporters": {"otlp_grpc"}}


def collector_problems(settings: dict[str, Any], memory_mib: int) -> list[str]:
    """What is wrong with the collector's settings, a line for each."""
    found = []
    for kind, known in COMPONENTS.items():
        told = set(settings.get(kind, {}))
        found += [f"{name} is none of the collector's {kind}" for name in sorted(told - known)]
        for pipeline in settings["service"]["pipelines"].values():
            found += [f"{name} is not among the {kind}" for name in pipeline[kind] if name not in told]
    limiter = settings["processors"].get("memory_limiter", {})
    if any(it["processors"][:1] != ["memory_limiter"] for it in settings["service"]["pipelines"].values()):
        found.append("more is taken than there is memory for")
    # The limit is of what Go holds; the container's is of all.
    if not 0 < limiter.get("spike_limit_mib", 0) < limiter.get("limit_mib", 0) <= memory_mib * 0.8:
        found.append("the limit of memory is not below that of the container")
    return found


def collector() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "otel-collector.yml").read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def test_the_collector_is_told_what_it_knows() -> None:
    limit = compose()["otel-collector"]["mem_limit"]
    assert limit.endswith("m")
    assert collector_problems(collector(), int(limit[:-1])) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("otlp_grpc", "otlp", "otlp is none of the collector's exporters"),
        ("exporters: [otlp_grpc]", "exporters: [other]", "other is not among the exporters"),
        ("[memory_limiter, batch]", "[batch, memory_limiter]", "more is taken than there is memory for"),
        ("limit_mib: 160", "limit_mib: 250", "not below that of the container"),
        ("limit_mib: 160", "limit: 160", "not below that of the container"),
    ],
)
def test_a_collector_that_is_told_wrong_is_noticed(old: str, new: str, said: str) -> None:
    text = (FOLDER / "otel-collector.yml").read_text(encoding="utf-8")
    assert old in text
    assert said in "\n".join(collector_problems(yaml.safe_load(text.replace(old, new)), 256))


def test_traces_and_metrics_are_looked_for_where_they_are() -> None:
    tempo = yaml.safe_load((FOLDER / "tempo.yml").read_text(encoding="utf-8"))
    port = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    assert collector()["exporters"]["otlp_grpc"]["endpoint"] == f"tempo:{port}"
    urls = {source["uid"]: source["url"] for source in datasources()}
    assert urls == {"prometheus": "http://prometheus:9090", "tempo": f"http://tempo:{tempo['server']['http_listen_port']}"}
    told = (ROOT / "docs" / "run-with-compose.md").read_text(encoding="utf-8")
    taken = collector()["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:{taken} " in told
    for source in datasources():
        link = source.get("jsonData", {}).get("tracesToMetrics")
        assert link is None or link["datasourceUid"] in urls
    # The next one refuses to start with these settings.
    assert re.search(r"grafana/tempo:(\d+)\.", compose()["tempo"]["image"])[1] == ("2" if "compactor" in tempo else "3")
    # What it keeps is on its volume: the rest of its files cannot be written.
    (volume,) = compose()["tempo"]["volumes"]
    kept = [tempo["storage"]["trace"]["wal"]["path"], tempo["storage"]["trace"]["local"]["path"]]
    assert all(path.startswith(volume.partition(":")[2] + "/") for path in kept)
