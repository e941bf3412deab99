"""What is looked at: the rendered manifests as documents, and what can be said of pods and containers in them."""

from __future__ import annotations

import functools
import os
import pickle
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Document = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
#: What is rendered, and from where.
OVERLAYS = {
    "dev": ROOT / "k8s" / "overlays" / "dev",
    "production": ROOT / "k8s" / "overlays" / "production",
    "with_components": ROOT / "deploy" / "check" / "with_components",
}
PROGRAMS = ("identity", "opportunities", "analytics", "notifier", "gateway")
#: Kinds that operators of others bring: Kubernetes itself has no schema for them.
FOREIGN = {"Certificate", "Cluster", "ExternalSecret", "Issuer", "ObjectStore", "PodMonitor", "PrometheusRule", "ScheduledBackup"}


class Container(NamedTuple):
    """A container, with the object and the pod that it is in."""

    owner: Document
    labels: dict[str, str]
    pod: Document
    spec: Document

    def __str__(self) -> str:
        return f"{self.owner['kind']} {self.owner['metadata']['name']}, container {self.spec['name']}"

    @property
    def program(self) -> str | None:
        """Which of ours it runs."""
        name = self.spec["image"].rsplit("/", 1)[-1].split(":")[0]
        return name.removeprefix("sales-pipeline-") if name.startswith("sales-pipeline-") else None


@functools.cache
def kustomize(overlay: str) -> str:
    """What kustomize makes of an overlay."""
    command = ["kubectl", "kustomize", str(OVERLAYS[overlay])]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@functools.cache
def parsed(overlay: str) -> bytes:
    """The objects of an overlay, to be taken out again, which is faster than to read them again."""
    return pickle.dumps([document for document in yaml.safe_load_all(kustomize(overlay)) if document])


def documents(overlay: str) -> list[Document]:
    """The objects of an overlay, each time new ones."""
    return pickle.loads(parsed(overlay))


def of_kind(all_of_it: list[Document], *kinds: str) -> list[Document]:
    return [document for document in all_of_it if document["kind"] in kinds]


def named(all_of_it: list[Document], kind: str, name: str) -> Document:
    (found,) = [it for it in of_kind(all_of_it, kind) if it["metadata"]["name"] == name]
    return found


def workloads(all_of_it: list[Document]) -> list[Document]:
    """Everything that makes pods."""
    return of_kind(all_of_it, "Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob", "Pod", "ReplicaSet")


def pod(workload: Document) -> Document:
    """The template of a workload's pods."""
    return workload["spec"]["template"]


def containers(all_of_it: list[Document]) -> Iterator[Container]:
    for workload in workloads(all_of_it):
        template = pod(workload)
        spec = template["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield Container(workload, template["metadata"]["labels"], spec, container)


def matches(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


@functools.cache
def settings(program: str, command: str) -> frozenset[str]:
    """The variables that a command of a program reads, as its help says."""
    found: set[str] = set()
    folder = Path(os.environ.get("PROGRAMS", ROOT / "target" / "debug"))
    for arguments in (["--help"], [command, "--help"]):
        # Nothing of this environment: a help says what a variable is set to.
        answer = subprocess.run([str(folder / program), *arguments], check=True, capture_output=True, text=True, env={})
        found.update(re.findall(r"\[env: ([A-Z0-9_]+)", answer.stdout))
    assert found, f"the help of {program} {command} names no variable"
    return frozenset(found)


@functools.cache
def made_up_secrets() -> dict[str, dict[str, str]]:
    """What deploy/secrets.sh makes for a cluster."""
    command = ["sh", str(ROOT / "deploy" / "secrets.sh"), "kubernetes"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {it["metadata"]["name"]: it["stringData"] for it in yaml.safe_load_all(text) if it}


def secrets(all_of_it: list[Document]) -> dict[str, dict[str, str]]:
    """Every Secret that pods will find, and what is in it: brought from outside, made by an operator, or made up by hand."""
    found = {it["metadata"]["name"]: it["spec"]["target"]["template"]["data"] for it in of_kind(all_of_it, "ExternalSecret")}
    if not found:
        found = dict(made_up_secrets())
    for cluster in of_kind(all_of_it, "Cluster"):
        # CloudNativePG keeps its authority's certificate there.
        found[f"{cluster['metadata']['name']}-ca"] = {"ca.crt": ""}
    for certificate in of_kind(all_of_it, "Certificate"):
        found[certificate["spec"]["secretName"]] = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")
    return found


def values(all_of_it: list[Document], container: Container) -> dict[str, str | None]:
    """The environment of a container with what will be in it; None for what an optional Secret may add."""
    configuration = {it["metadata"]["name"]: it["data"] for it in of_kind(all_of_it, "ConfigMap")}
    found: dict[str, str | None] = {}
    for variable in container.spec.get("env", []):
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            found[variable["name"]] = secrets(all_of_it).get(reference["name"], {}).get(reference["key"])
        elif "configMapKeyRef" in source:
            reference = source["configMapKeyRef"]
            found[variable["name"]] = configuration.get(reference["name"], {}).get(reference["key"])
        else:
            found[variable["name"]] = variable.get("value", "")
    return found
