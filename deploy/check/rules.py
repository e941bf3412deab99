"""What must be true of objects and pods in the manifests."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import kubernetes_validate

from manifests import (
    FOREIGN,
    PROGRAMS,
    ROOT,
    Container,
    Document,
    containers,
    matches,
    named,
    of_kind,
    pod,
    secrets,
    settings,
    workloads,
)
from rule import name_of, rule, version

#: The versions of Kubernetes that the manifests are valid for.
KUBERNETES = ("1.35", "1.36", "1.37")


@rule
def every_object_is_valid(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        if document["kind"] in FOREIGN:
            continue
        for kubernetes in KUBERNETES:
            try:
                kubernetes_validate.validate(document, kubernetes, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name_of(document)} in {kubernetes}: {error.message}"


@rule
def every_object_is_there_once_and_in_the_namespace(documents: list[Document]) -> Iterator[str]:
    seen = set()
    for document in documents:
        key = name_of(document)
        if key in seen:
            yield f"{key} is there twice"
        seen.add(key)
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != "sales-pipeline":
            yield f"{key} is in no namespace, or another"


@rule
def no_secret_is_written_down(documents: list[Document]) -> Iterator[str]:
    for document in of_kind(documents, "Secret"):
        yield name_of(document)
    for container in containers(documents):
        for variable in container.spec.get("env", []):
            if re.search(r"PASSWORD|SECRET|_KEY$|DATABASE_URL|NATS_URL|SMTP_URL", variable["name"]) and "value" in variable:
                yield f"{container}: {variable['name']} is written down"


@rule
def every_secret_has_one_maker(documents: list[Document]) -> Iterator[str]:
    """Two that make one Secret take turns at it: the proxy would show people a certificate that is meant for the other processes."""
    makers: dict[str, list[str]] = {}
    for document in of_kind(documents, "Certificate"):
        makers.setdefault(document["spec"]["secretName"], []).append(name_of(document))
    # cert-manager makes a Certificate of an Ingress, and in `dev` somebody by hand.
    for document in of_kind(documents, "Ingress"):
        for entry in document["spec"].get("tls", []):
            makers.setdefault(entry["secretName"], []).append(name_of(document))
    for document in of_kind(documents, "ExternalSecret"):
        makers.setdefault(document["metadata"]["name"], []).append(name_of(document))
    for secret, known in makers.items():
        if len(known) > 1:
            yield f"the Secret {secret} is made by {' and '.join(known)}"


@rule
def the_namespace_refuses_what_is_not_restricted(documents: list[Document]) -> Iterator[str]:
    labels = named(documents, "Namespace", "sales-pipeline")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
            yield f"pod-security.kubernetes.io/{mode}"


@rule
def every_container_is_limited(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        resources = container.spec.get("resources", {})
        for bound in ("requests", "limits"):
            for what in ("cpu", "memory", "ephemeral-storage"):
                if what not in resources.get(bound, {}):
                    yield f"{container} has no {bound} of {what}"
    for container in containers(documents):
        for volume in container.pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{container}: the volume {volume['name']} has no limit"


@rule
def every_pod_is_restricted(documents: list[Document]) -> Iterator[str]:
    """The restricted profile of the Pod Security Standards, and a root file system that cannot be written."""
    allowed_volumes = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for workload in workloads(documents):
        spec = pod(workload)["spec"]
        security = spec.get("securityContext", {})
        if security.get("runAsNonRoot") is not True:
            yield f"{name_of(workload)} may run as root"
        if not security.get("runAsUser"):
            yield f"{name_of(workload)} says no user"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(workload)} has no seccomp profile"
        for setting in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if spec.get(setting):
                yield f"{name_of(workload)} has {setting}"
        for volume in spec.get("volumes", []):
            if not (set(volume) - {"name"}) <= allowed_volumes:
                yield f"{name_of(workload)} has the volume {volume}"
    for container in containers(documents):
        security = container.spec.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False:
            yield f"{container} may gain privileges"
        if security.get("readOnlyRootFilesystem") is not True:
            yield f"{container} may write to its root"
        if security.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container} has capabilities"
        if not set(security) <= {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"}:
            yield f"{container} loosens what its pod says"
        for port in container.spec.get("ports", []):
            if "hostPort" in port:
                yield f"{container} has a port of the node"


@rule
def no_pod_has_a_token(documents: list[Document]) -> Iterator[str]:
    accounts = {it["metadata"]["name"]: it for it in of_kind(documents, "ServiceAccount")}
    if "default" in accounts:
        yield "the cluster makes the default account, too: whoever comes second is refused"
    for workload in workloads(documents):
        spec = pod(workload)["spec"]
        account = accounts.get(spec.get("serviceAccountName", "default"))
        if account is None or account["metadata"]["name"] == "default":
            yield f"{name_of(workload)} has no account of its own"
        elif account.get("automountServiceAccountToken") is not False:
            yield f"{name_of(account)} mounts its token"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name_of(workload)} mounts a token"


@rule
def every_container_that_stays_is_probed(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        if container.owner["kind"] == "Job" or container.spec in container.pod.get("initContainers", []):
            continue
        ports = {port["name"] for port in container.spec.get("ports", [])}
        env = {variable["name"] for variable in container.spec.get("env", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            found = container.spec.get(probe)
            if not found:
                yield f"{container} has no {probe}"
            elif "httpGet" in found and found["httpGet"]["port"] not in ports:
                yield f"{container}: its {probe} asks a port that it does not have"
            elif "pg_isready" in found.get("exec", {}).get("command", []) and not env >= {"PGUSER", "PGDATABASE"}:
                yield f"{container}: its {probe} asks as nobody, of which the server complains each time"
        if container.program:
            asked = {probe: container.spec.get(probe, {}).get("httpGet", {}).get("path") for probe in ("livenessProbe", "readinessProbe")}
            if asked != {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}:
                yield f"{container} is asked at {asked}"


@rule
def every_pod_that_stays_is_budgeted(documents: list[Document]) -> Iterator[str]:
    for workload in of_kind(documents, "Deployment", "StatefulSet"):
        labels = pod(workload)["metadata"]["labels"]
        budgets = [it for it in of_kind(documents, "PodDisruptionBudget") if matches(it["spec"]["selector"], labels)]
        if len(budgets) != 1:
            yield f"{name_of(workload)} has {len(budgets)} PodDisruptionBudgets"
        for budget in budgets:
            if budget["spec"].get("maxUnavailable") != 1:
                yield f"{name_of(budget)} lets more than one go, or none"


@rule
def every_deployment_scales(documents: list[Document]) -> Iterator[str]:
    targets = {it["spec"]["scaleTargetRef"]["name"]: it["spec"] for it in of_kind(documents, "HorizontalPodAutoscaler")}
    for deployment in of_kind(documents, "Deployment"):
        name = deployment["metadata"]["name"]
        if name not in targets:
            yield f"{name_of(deployment)} does not scale"
        elif not targets[name]["minReplicas"] < targets[name]["maxReplicas"]:
            yield f"{name_of(deployment)} has nowhere to scale to"
        if "replicas" in deployment["spec"]:
            yield f"{name_of(deployment)} says how many there are, which its autoscaler does"
        if deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{name_of(deployment)} goes before its successor is ready"
    for name in targets.keys() - {it["metadata"]["name"] for it in of_kind(documents, "Deployment")}:
        yield f"HorizontalPodAutoscaler of {name}, which is not there"


@functools.cache
def seconds(constant: str, file: str) -> int:
    """A time that the code says."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return int(re.search(rf"const {constant}: Duration = Duration::from_secs\((\d+)\);", text)[1])


#: How long the cluster's DNS goes on with what it has told: CoreDNS as kubeadm sets it up (`ttl 30`).
NAMES_ARE_KEPT = 30


@rule
def a_pod_has_time_to_end(documents: list[Document]) -> Iterator[str]:
    """It serves until callers know of its successor, as late as DNS tells them, and has then what it drains for and some more."""
    known_after = NAMES_ARE_KEPT + seconds("LOOK_UP_EVERY", "crates/rpc/src/channel.rs")
    drained_after = seconds("GRACE", "crates/process/src/lifecycle.rs")
    for container in containers(documents):
        if container.owner["kind"] != "Deployment":
            continue
        wait = container.spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if wait < known_after:
            yield f"{container} ends before others know of its successor"
        if container.pod.get("terminationGracePeriodSeconds", 30) < wait + drained_after + 5:
            yield f"{container} is killed before it has finished"


@rule
def replicas_are_apart(documents: list[Document]) -> Iterator[str]:
    """On nodes and in zones of their own: where it can be those of a program, and always those that decide together."""
    for workload in of_kind(documents, "Deployment", "StatefulSet"):
        replicas = workload["spec"].get("replicas", 2)
        if replicas == 1:
            continue
        template = pod(workload)
        constraints = {it["topologyKey"]: it for it in template["spec"].get("topologySpreadConstraints", [])}
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
            labels = template["metadata"]["labels"]
            alike = constraints.get(key, {}).get("matchLabelKeys", [])
            if workload["kind"] == "Deployment" and set(alike) != {"app.kubernetes.io/name", "pod-template-hash"}:
                yield f"{name_of(workload)} is not spread by {key} among its own kind and version"
            elif key not in constraints or not matches(constraints[key]["labelSelector"], labels):
                yield f"{name_of(workload)} is not spread by {key}"
        node = constraints.get("kubernetes.io/hostname", {})
        if workload["kind"] == "StatefulSet" and (node.get("whenUnsatisfiable"), node.get("minDomains")) != ("DoNotSchedule", replicas):
            yield f"{name_of(workload)} may have two on one node"
    for cluster in of_kind(documents, "Cluster"):
        affinity = cluster["spec"].get("affinity", {})
        if (affinity.get("podAntiAffinityType"), affinity.get("topologyKey")) != ("required", "kubernetes.io/hostname"):
            yield f"{name_of(cluster)} may have two on one node"
        if not any(it["topologyKey"] == "topology.kubernetes.io/zone" for it in cluster["spec"].get("topologySpreadConstraints", [])):
            yield f"{name_of(cluster)} is not spread by topology.kubernetes.io/zone"


@rule
def brokers_go_one_after_the_other(documents: list[Document]) -> Iterator[str]:
    """One of several sends its clients away before it ends, and the next one goes when it has caught up again."""
    for workload in of_kind(documents, "StatefulSet"):
        if workload["spec"]["replicas"] == 1:
            continue
        (container,) = [it for it in containers(documents) if it.owner is workload]
        command = container.spec.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        if command[1:] != ["--signal", "ldm=1"]:
            yield f"{container} does not send its clients away"
        (config,) = [it["data"]["nats.conf"] for it in of_kind(documents, "ConfigMap") if "nats.conf" in it["data"]]
        duration = re.search(r'^lame_duck_duration: "(\d+)s"$', config, re.MULTILINE)
        if not duration or container.pod["terminationGracePeriodSeconds"] < int(duration[1]) + 10:
            yield f"{container} is killed while it sends its clients away"
        # With parameters it says that it is up, and not that it has what the others have.
        if container.spec["startupProbe"]["httpGet"]["path"] != "/healthz":
            yield f"{container} has started before it has caught up"


#: What the programs of others are told, beside what their files of settings ask for.
OTHERS = {
    "nats": set(),
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "PGDATA", "PGUSER", "PGDATABASE"},
    "psql": {"PGHOST", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"},
}


def known_to(documents: list[Document], container: Container) -> set[str] | frozenset[str]:
    if container.program:
        return settings(container.program, "migrate" if container.spec.get("args") == ["migrate"] else "serve")
    if container.spec["name"] == "provision":
        (script,) = [it["data"]["provision.sql"] for it in of_kind(documents, "ConfigMap") if it["metadata"]["name"] == "provision"]
        return OTHERS["psql"] | set(re.findall(r"^\\getenv \w+ (\w+)$", script, re.MULTILINE))
    if container.spec["name"] == "nats":
        (config,) = [it["data"]["nats.conf"] for it in of_kind(documents, "ConfigMap") if "nats.conf" in it["data"]]
        return {"GOMEMLIMIT", *re.findall(r"\$(\w+)", config)}
    return OTHERS.get(container.spec["name"], set())


@rule
def every_variable_is_known_to_the_program(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        given = [variable["name"] for variable in container.spec.get("env", [])]
        known = known_to(documents, container)
        for variable in given:
            if variable not in known:
                yield f"{container} does not know {variable}"
            if given.count(variable) > 1:
                yield f"{container} is told {variable} twice"
        if container.spec.get("envFrom"):
            yield f"{container} takes all of something"
        if container.pod.get("enableServiceLinks") is not False:
            yield f"{container} is told of every Service"
        if not container.program and container.spec["name"] in ("provision", "nats"):
            for variable in known - set(given) - OTHERS["psql"]:
                yield f"{container} is not told {variable}"


@rule
def what_is_referred_to_is_there(documents: list[Document]) -> Iterator[str]:
    configuration = {it["metadata"]["name"]: it["data"] for it in of_kind(documents, "ConfigMap")}
    known = {"secretKeyRef": secrets(documents), "configMapKeyRef": configuration}
    for container in containers(documents):
        for variable in container.spec.get("env", []):
            for kind, there in known.items():
                reference = variable.get("valueFrom", {}).get(kind)
                if reference and reference.get("optional") is not True and reference["key"] not in there.get(reference["name"], {}):
                    yield f"{container}: {kind} {reference['name']}/{reference['key']} is not there"
        volumes = {volume["name"]: volume for volume in container.pod.get("volumes", [])}
        volumes.update({it["metadata"]["name"]: {} for it in container.owner["spec"].get("volumeClaimTemplates", [])})
        for mount in container.spec.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{container} mounts {mount['name']}, which is not there"
        for volume in volumes.values():
            if "configMap" in volume and volume["configMap"]["name"] not in configuration:
                yield f"{container}: ConfigMap {volume['configMap']['name']} is not there"
            if "secret" in volume:
                keys = known["secretKeyRef"].get(volume["secret"]["secretName"], {})
                for item in volume["secret"]["items"]:
                    if item["key"] not in keys:
                        yield f"{container}: Secret {volume['secret']['secretName']}/{item['key']} is not there"


@rule
def versions_are_those_of_the_product(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        tag = container.spec["image"].rpartition(":")[2]
        if container.program and tag != version():
            yield f"{container} has version {tag}, the product {version()}"
        if "latest" in tag or ":" not in container.spec["image"]:
            yield f"{container} has no version"
    jobs = [it["metadata"]["name"] for it in of_kind(documents, "Job")]
    if jobs != [f"migrate-{version().replace('.', '-')}"]:
        yield f"{jobs} is not named after {version()}"


@rule
def every_program_is_there_and_migrated(documents: list[Document]) -> Iterator[str]:
    running = {it.program for it in containers(documents) if it.owner["kind"] == "Deployment"}
    if running != set(PROGRAMS):
        yield f"there are {running}"
    migrated = {it.program for it in containers(documents) if it.spec.get("args") == ["migrate"]}
    if migrated != set(PROGRAMS) - {"gateway"}:
        yield f"migrated are {migrated}"
