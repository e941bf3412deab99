"""What is looked at while the product runs is there: rules and dashboards speak of what docs/reference/metrics.md names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import PROGRAMS, ROOT

FOLDER = ROOT / "deploy" / "observability"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))

#: What is no metric of ours in an expression: functions, keywords, labels, and what Prometheus adds itself.
WORDS = {
    *("absent", "and", "avg", "by", "count", "histogram_quantile", "ignoring", "increase", "le", "max", "max_over_time"),
    *("label_replace", "min", "min_over_time", "on", "or", "rate", "sum", "topk", "unless", "up", "vector", "without"),
}


def documented() -> set[str]:
    """The metrics of docs/reference/metrics.md, which a test of the product holds against what it tells."""
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    return {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([a-z_]+)", row)}


def metrics(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"[a-z_:]+", bare)} - WORDS


def datasources() -> list[dict[str, Any]]:
    path = FOLDER / "grafana/provisioning/datasources/datasources.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]


def dashboard(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard and those that are folded away in its rows; the rows, too."""
    return [panel for it in dashboard(path)["panels"] for panel in (it, *it.get("panels", []))]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    """What rules keep under a name of its own."""
    return {rule["record"] for rule in rules() if "record" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]
    for source in datasources():
        for query in source.get("jsonData", {}).get("tracesToMetrics", {}).get("queries", []):
            yield f"{source['name']}: {query['name']}", query["query"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_for_is_a_metric_of_the_product(where: str, expression: str) -> None:
    assert metrics(expression) <= documented() | recorded(), where


def from_elsewhere(expression: str) -> set[str]:
    """The metrics that an expression takes from whatever is scraped: others have some of the same names."""
    asked = re.findall(r"([a-z_]+)(\{[^}]*\})?", re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression))
    named = {name for name, of in asked if 'job="sales-pipeline"' not in of}
    return {name for name in named if re.sub(r"_(bucket|count|sum)$", "", name) in documented() | {"up"}}


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_only_the_product_is_asked(where: str, expression: str) -> None:
    assert from_elsewhere(expression) == set(), where


def test_what_is_asked_of_everybody_is_noticed() -> None:
    ours = 'sum by (service) (rate(rpc_requests_total{code!="OK", job="sales-pipeline"}[5m]))'
    assert from_elsewhere(ours) == set()
    assert from_elsewhere(f"{ours} / process_open_fds") == {"process_open_fds"}
    assert from_elsewhere('up == 0 or dead_letters{job="other"}') == {"up", "dead_letters"}
    assert from_elsewhere('http_request_duration_seconds_bucket{le="1"}') == {"http_request_duration_seconds_bucket"}


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
    asked = set().union(*(metrics(rule["expr"]) for rule in rules()))
    assert named
    assert named <= asked


def test_every_service_is_scraped_where_it_tells_of_itself() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert set(names["names"]) == set(PROGRAMS)
    assert names["port"] == 9000


def dashboard_problems(board: dict[str, Any], sources: set[str]) -> list[str]:
    """What is wrong with a dashboard, a line for each."""
    found = []
    taken: dict[tuple[int, int], str] = {}
    everything = [(panel, it) for it in board["panels"] for panel in (it, *it.get("panels", []))]
    for panel, row in everything:
        title = panel.get("title") or f"panel {panel['id']}"
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            found.append(f"{title} is wider than the page")
        if panel is not row and not row["collapsed"]:
            found.append(f"{title} is in a row that is not folded")
        # What is folded away takes the place of what is below it once it is unfolded: it is compared with its row alone.
        spots = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        if panel is row:
            found += [f"{title} covers {other}" for other in sorted({taken[spot] for spot in spots & set(taken)})]
            taken |= dict.fromkeys(spots, title)
        elif place["y"] <= row["gridPos"]["y"]:
            found.append(f"{title} is not below its row")
        if panel["type"] != "row":
            found += [f"{title}: {it}" for it in panel_problems(panel, sources)]
    for what in ("id", "title"):
        told = [panel.get(what) for panel, _ in everything if panel["type"] != "row" or what == "id"]
        found += [f"the {what} {it} is there twice" for it in sorted({it for it in told if told.count(it) > 1}, key=str)]
    return found


def panel_problems(panel: dict[str, Any], sources: set[str]) -> Iterator[str]:
    for what in ("title", "description"):
        if not panel.get(what):
            yield f"no {what}"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "no unit"
    for it in (panel, *panel["targets"]):
        if it["datasource"]["uid"] not in sources:
            yield f"{it['datasource']['uid']} is not provisioned"
    references = [target["refId"] for target in panel["targets"]]
    if len(set(references)) < len(references):
        yield "two expressions have one name"
    for target in panel["targets"]:
        # The last value of an hour is shown for a process that has gone, too.
        if panel["type"] == "stat" and not target.get("instant"):
            yield "shows what was, and not what is"
        # It is another number at another zoom.
        if "increase(" in target["expr"] and "$__rate_interval" in target["expr"]:
            yield "counts over a time that nobody sees"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_read(path: Path) -> None:
    board = dashboard(path)
    assert dashboard_problems(board, {source["uid"] for source in datasources()}) == []
    assert board["panels"]
    assert board["uid"] == f"sales-pipeline-{path.stem}"
    # By its tag a dashboard is among the links of the others.
    assert [link["tags"] for link in board["links"]] == [board["tags"]] == [["sales-pipeline"]]


SPOILT: list[tuple[Callable[[list[dict[str, Any]]], object], str]] = [
    (lambda it: it[1]["gridPos"].update(x=20), "Alerts is wider than the page"),
    (lambda it: it[2]["gridPos"].update(x=0), "Requests now covers Alerts"),
    (lambda it: it[1].pop("description"), "Alerts: no description"),
    (lambda it: it[1].pop("title"), "panel 2: no title"),
    (lambda it: it[1]["fieldConfig"]["defaults"].pop("unit"), "Alerts: no unit"),
    (lambda it: it[1].update(datasource={"uid": "loki"}), "Alerts: loki is not provisioned"),
    (lambda it: it[1]["targets"].append(it[2]["targets"][0]), "Alerts: two expressions have one name"),
    (lambda it: it[1]["targets"][0].pop("instant"), "Alerts: shows what was"),
    (lambda it: it[6]["targets"][0].update(expr="increase(a[$__rate_interval])"), "Requests: counts over a time"),
    (lambda it: it[2].update(id=it[1]["id"]), "the id 2 is there twice"),
    (lambda it: it[2].update(title="Alerts"), "the title Alerts is there twice"),
    (lambda it: it[-1].update(collapsed=False), "is in a row that is not folded"),
    (lambda it: it[-1]["panels"][0]["gridPos"].update(y=0), "is not below its row"),
]


@pytest.mark.parametrize(("change", "said"), SPOILT, ids=[said for _, said in SPOILT])
def test_a_dashboard_that_cannot_be_read_is_noticed(change: Callable[[list[dict[str, Any]]], object], said: str) -> None:
    board = dashboard(FOLDER / "grafana" / "dashboards" / "requests.json")
    change(board["panels"])
    assert said in "\n".join(dashboard_problems(board, {"prometheus"}))


def test_every_alert_is_shown() -> None:
    files = [FOLDER / "rules.yml", ROOT / "k8s" / "components" / "monitoring" / "servers.yaml"]
    groups = [group for path in files for group in re.findall(r"- alert: (\w+)", path.read_text(encoding="utf-8"))]
    (alerts,) = (panel for panel in panels(FOLDER / "grafana" / "dashboards" / "requests.json") if panel["title"] == "Alerts")
    for names in re.findall(r'alertname=~"([^"]*)"', alerts["targets"][0]["expr"]):
        assert names.split("|") == groups
    # And where nothing looks it is not said that there are none.
    assert recorded() == {"sales_pipeline:rules"}
    assert "absent(sales_pipeline:rules)" in alerts["targets"][0]["expr"]


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
