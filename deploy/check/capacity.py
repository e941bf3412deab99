"""What must be true of memory, connections and volumes, and of backups."""

from __future__ import annotations

import re
from collections.abc import Iterator

from manifests import Document, containers, of_kind, secrets
from rule import name_of, rule

#: MiB that a program needs at times, beside what it was measured to need always: opportunities has two children of 224 read
#: workbooks, analytics learns from a million opportunities (bench/RESULTS.md).
NEEDED_AT_TIMES = {"opportunities": 2 * 224 + 128, "analytics": 480 + 128}


@rule
def programs_have_the_memory_that_they_need_at_times(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        needed = NEEDED_AT_TIMES.get(container.program)
        if needed is None or container.owner["kind"] != "Deployment":
            continue
        limit = container.spec["resources"]["limits"]["memory"]
        if mebibytes(limit) < needed:
            yield f"{container} has {limit}, and needs {needed}Mi at times"


@rule
def the_database_has_connections_for_all(documents: list[Document]) -> Iterator[str]:
    """As docs/operations.md counts them: for all that autoscalers make, one more of each while it is replaced, and ten people."""
    each = {"identity": 13, "opportunities": 14, "analytics": 15, "notifier": 14}
    most = {it["metadata"]["name"]: it["spec"]["maxReplicas"] for it in of_kind(documents, "HorizontalPodAutoscaler")}
    needed = sum(connections * (most[name] + 1) for name, connections in each.items()) + 10
    for cluster in of_kind(documents, "Cluster"):
        there = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
        if there < needed:
            yield f"{name_of(cluster)} has {there} connections, {needed} are needed"
    for container in containers(documents):
        if container.spec["name"] == "postgres":
            (there,) = [int(it.partition("=")[2]) for it in container.spec["args"] if it.startswith("-cmax_connections=")]
            if there < needed:
                yield f"{container} has {there} connections, {needed} are needed"


def mebibytes(size: str) -> int:
    """A size as PostgreSQL or Kubernetes has it: `4GB`, `10Gi`. To both a thousand is 1,024."""
    number, unit = re.fullmatch(r"(\d+)([MG])[Bi]", size).groups()
    return int(number) * (1024 if unit == "G" else 1)


@rule
def the_log_of_the_database_has_room(documents: list[Document]) -> Iterator[str]:
    """For what is written between checkpoints and what is kept for an instance that is away: a full volume stops the database."""
    for cluster in of_kind(documents, "Cluster"):
        parameters = cluster["spec"]["postgresql"]["parameters"]
        kept = parameters.get("max_slot_wal_keep_size")
        if kept is None:
            yield f"{name_of(cluster)} keeps its log for an instance that is away until the volume is full"
        elif mebibytes(kept) + mebibytes(parameters["max_wal_size"]) >= mebibytes(cluster["spec"]["walStorage"]["size"]):
            yield f"{name_of(cluster)} keeps more of its log than its volume has room for"


@rule
def the_database_is_backed_up(documents: list[Document]) -> Iterator[str]:
    """To a store that is there, all the time and once a day, with credentials that are there, and not for ever."""
    for cluster in of_kind(documents, "Cluster"):
        name = cluster["metadata"]["name"]
        plugins = [it for it in cluster["spec"].get("plugins", []) if it.get("isWALArchiver")]
        stores = {it["metadata"]["name"]: it["spec"] for it in of_kind(documents, "ObjectStore")}
        store = stores.get(plugins[0]["parameters"]["barmanObjectName"] if plugins else None)
        if store is None:
            yield f"the log of {name_of(cluster)} goes into no archive"
            continue
        if "retentionPolicy" not in store:
            yield f"backups of {name_of(cluster)} are kept for ever"
        for reference in store["configuration"]["s3Credentials"].values():
            if reference["key"] not in secrets(documents).get(reference["name"], {}):
                yield f"Secret {reference['name']}/{reference['key']} is not there"
        schedules = [it["spec"] for it in of_kind(documents, "ScheduledBackup") if it["spec"]["cluster"]["name"] == name]
        # Seconds come first here, unlike in a CronJob.
        if not any(
            it.get("pluginConfiguration", {}).get("name") == plugins[0]["name"] and len(it["schedule"].split()) == 6 for it in schedules
        ):
            yield f"{name_of(cluster)} is not backed up once a day"
