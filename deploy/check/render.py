"""Writes what is made of something else: k8s/*.yaml, which `kubectl apply -f k8s/` takes, from the overlay `dev`, and rules as objects."""

from __future__ import annotations

from pathlib import Path

import yaml

from manifests import ROOT, kustomize

HEADER = "# Rendered from k8s/overlays/dev: change that, and `make render`.\n"

#: Where the rules are as an object, and how it begins.
RULES = ROOT / "k8s" / "components" / "monitoring" / "rules.yaml"
RULES_HEADER = """\
# Rendered from deploy/observability/rules.yml: change that, and `make render`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: programs
spec:
"""

#: Files in the order in which kubectl reads them, and what is in each.
FILES = {
    "00-namespace.yaml": lambda kind, name: kind == "Namespace",
    "05-limits.yaml": lambda kind, name: name == "limits",
    "10-network.yaml": lambda kind, name: kind == "NetworkPolicy",
    "20-settings.yaml": lambda kind, name: kind == "ConfigMap",
    "30-database.yaml": lambda kind, name: name in ("database", "database-rw"),
    "31-nats.yaml": lambda kind, name: name == "nats",
    "40-migrate.yaml": lambda kind, name: name.startswith("migrate"),
    "50-identity.yaml": lambda kind, name: name == "identity",
    "51-opportunities.yaml": lambda kind, name: name == "opportunities",
    "52-analytics.yaml": lambda kind, name: name == "analytics",
    "53-notifier.yaml": lambda kind, name: name == "notifier",
    "60-ingress.yaml": lambda kind, name: kind == "Ingress",
    "54-gateway.yaml": lambda kind, name: name == "gateway",
}


def files() -> dict[str, str]:
    """The text of each file."""
    texts: dict[str, str] = {}
    for text in kustomize("dev").split("\n---\n"):
        document = yaml.safe_load(text)
        kind, name = document["kind"], document["metadata"]["name"]
        file = next((file for file, holds in FILES.items() if holds(kind, name)), None)
        assert file is not None, f"no file is set aside for {kind} {name}"
        texts[file] = texts.get(file, HEADER) + "---\n" + text.strip("\n") + "\n"
    return texts


def rules() -> str:
    """The rules of Prometheus as an object of its operator."""
    text = (ROOT / "deploy" / "observability" / "rules.yml").read_text(encoding="utf-8")
    groups = text[text.index("groups:\n") :]
    indented = "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    return RULES_HEADER + indented


def main() -> None:
    folder: Path = ROOT / "k8s"
    for stale in folder.glob("*.yaml"):
        stale.unlink()
    for file, text in files().items():
        (folder / file).write_text(text, encoding="utf-8")
        print(f"k8s/{file}")
    RULES.write_text(rules(), encoding="utf-8")
    print(RULES.relative_to(ROOT))


if __name__ == "__main__":
    main()
