"""Writes k8s/*.yaml, which `kubectl apply -f k8s/` takes, from the overlay `dev`."""

from __future__ import annotations

from pathlib import Path

import yaml

from manifests import ROOT, kustomize

HEADER = "# Rendered from k8s/overlays/dev: change that, and `make render`.\n"

#: Files in the order in which kubectl reads them, and what is in each.
FILES = {
    "00-namespace.yaml": lambda kind, name: kind == "Namespace",
    "05-limits.yaml": lambda kind, name: name in ("limits", "default"),
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


def main() -> None:
    folder: Path = ROOT / "k8s"
    for stale in folder.glob("*.yaml"):
        stale.unlink()
    for file, text in files().items():
        (folder / file).write_text(text, encoding="utf-8")
        print(f"k8s/{file}")


if __name__ == "__main__":
    main()
