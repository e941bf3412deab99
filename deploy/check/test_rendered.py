"""k8s/*.yaml is what kustomize makes of the overlay `dev`, in an order that a cluster can take; rules are those of Prometheus."""

from __future__ import annotations

import re

import yaml

from manifests import ROOT
from render import RULES, files, rules
from rule import version


def test_the_files_are_what_they_are_rendered_from() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "k8s").glob("*.y*ml")}
    assert there == files(), "`make render` writes them anew"


def test_the_rules_are_those_of_prometheus_itself() -> None:
    text = RULES.read_text(encoding="utf-8")
    assert text == rules(), "`make render` writes them anew"
    there = yaml.safe_load((ROOT / "deploy" / "observability" / "rules.yml").read_text(encoding="utf-8"))
    assert yaml.safe_load(text)["spec"] == there


def test_the_namespace_comes_first_and_nothing_else_is_applied() -> None:
    names = sorted(path.name for path in (ROOT / "k8s").iterdir() if path.is_file())
    (first,) = [it for it in yaml.safe_load_all((ROOT / "k8s" / names[0]).read_text(encoding="utf-8")) if it]
    assert first["kind"] == "Namespace"
    # kubectl takes these endings from a folder.
    assert all(name.endswith(".yaml") for name in names)


def test_the_page_speaks_of_this_version() -> None:
    text = (ROOT / "docs" / "run-on-kubernetes.md").read_text(encoding="utf-8")
    assert set(re.findall(r"migrate-(\d+-\d+-\d+)|sales-pipeline-identity:(\d+\.\d+\.\d+)", text)) == {
        (version().replace(".", "-"), ""),
        ("", version()),
    }
