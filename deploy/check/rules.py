"""What must be true of the manifests. A rule takes all objects of an overlay and says what is wrong, a line for each."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

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
    values,
    workloads,
)

#: The versions of Kubernetes that the manifests are valid for.
KUBERNETES = ("1.35", "1.36", "1.37")

Rule = Callable[[list[Document]], Iterator[str]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


@functools.cache
def version() -> str:
    """The product's, as Cargo.toml says."""
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', text, re.MULTILINE)[1]


def name_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


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
    if accounts.get("default", {}).get("automountServiceAccountToken") is not False:
        yield "the default account mounts its token"
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
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            found = container.spec.get(probe)
            if not found:
                yield f"{container} has no {probe}"
            elif "httpGet" in found and found["httpGet"]["port"] not in ports:
                yield f"{container}: its {probe} asks a port that it does not have"
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
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "PGDATA"},
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
def services_lead_to_pods(documents: list[Document]) -> Iterator[str]:
    for service in of_kind(documents, "Service"):
        found = [it for it in containers(documents) if matches({"matchLabels": service["spec"]["selector"]}, it.labels)]
        found = [it for it in found if it.owner["kind"] in ("Deployment", "StatefulSet")]
        if not found:
            yield f"{name_of(service)} leads nowhere"
        for port in service["spec"]["ports"]:
            for container in found:
                if port["targetPort"] not in {it["name"] for it in container.spec["ports"]}:
                    yield f"{name_of(service)}: {container} has no port {port['targetPort']}"
    for deployment in of_kind(documents, "Deployment"):
        name = deployment["metadata"]["name"]
        service = named(documents, "Service", name)
        # A service's calls are spread over all its addresses by who calls; people come through a proxy.
        if (service["spec"].get("clusterIP") == "None") is (name == "gateway"):
            yield f"{name_of(service)} is headless, or should be"
    for ingress in of_kind(documents, "Ingress"):
        hosts = {host for entry in ingress["spec"].get("tls", []) for host in entry["hosts"]}
        for entry in ingress["spec"]["rules"]:
            if entry["host"] not in hosts:
                yield f"{name_of(ingress)}: {entry['host']} is without TLS"
            for path in entry["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = {it["name"] for it in named(documents, "Service", backend["name"])["spec"]["ports"]}
                if backend["port"]["name"] not in ports:
                    yield f"{name_of(ingress)} leads to a port that {backend['name']} does not have"


@rule
def programs_listen_where_they_say(documents: list[Document]) -> Iterator[str]:
    for container in containers(documents):
        if container.owner["kind"] != "Deployment":
            continue
        told = values(documents, container)
        ports = {it["name"]: it["containerPort"] for it in container.spec["ports"]}
        main = ports.get("http" if container.program == "gateway" else "grpc")
        if told.get("LISTEN_ADDR") != f"0.0.0.0:{main}" or told.get("OPS_ADDR") != f"0.0.0.0:{ports.get('ops')}":
            yield f"{container}: {told.get('LISTEN_ADDR')} and {told.get('OPS_ADDR')} are not its ports {ports}"
        annotations = pod(container.owner)["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/port") != str(ports.get("ops")):
            yield f"{container}: metrics are not where its annotations say"


def called(documents: list[Document], container: Container) -> set[tuple[str, int]]:
    """The hosts and ports that a container's environment names, as far as they are in the cluster."""
    found = set()
    for name, value in values(documents, container).items():
        if name == "PGHOST":
            found.add((value, 5432))
        for host, port in re.findall(r"(?:^|,)\w+://(?:[^@/,]*@)?([a-z-]+):(\d+)", value or ""):
            if name != "PUBLIC_URL":
                found.add((host, int(port)))
    return found


def places(documents: list[Document]) -> dict[str, tuple[dict[str, str], list[int]]]:
    """The labels and the ports of every kind of pod, the database's of an operator included."""
    found: dict[str, tuple[dict[str, str], list[int]]] = {}
    for container in containers(documents):
        ports = [it["containerPort"] for it in container.spec.get("ports", [])]
        labels, known = found.get(container.owner["metadata"]["name"], (container.labels, []))
        found[container.owner["metadata"]["name"]] = (labels, known + ports)
    for cluster in of_kind(documents, "Cluster"):
        found[cluster["metadata"]["name"]] = (cluster["spec"]["inheritedMetadata"]["labels"], [5432, 8000, 9187])
    return found


def lets(documents: list[Document], direction: str, here: dict[str, str], there: dict[str, str], port: int) -> bool:
    """Whether pods with the labels `here` are let, in that direction, to or from pods of the namespace with the labels `there`."""
    for policy in of_kind(documents, "NetworkPolicy"):
        if direction not in policy["spec"]["policyTypes"] or not matches(policy["spec"]["podSelector"], here):
            continue
        for entry in policy["spec"].get(direction.lower(), []):
            peers = entry.get("from" if direction == "Ingress" else "to")
            is_peer = peers is None or any(
                "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], there) for peer in peers
            )
            is_port = "ports" not in entry or any(it.get("port") == port and it.get("protocol", "TCP") == "TCP" for it in entry["ports"])
            if is_peer and is_port:
                return True
    return False


@rule
def who_has_to_talk_may_and_nobody_else(documents: list[Document]) -> Iterator[str]:
    everywhere = places(documents)
    heads = {it["metadata"]["name"]: it["spec"]["selector"] for it in of_kind(documents, "Service")}
    heads.update({"database-rw": {"sales-pipeline/part": "database"}})
    needed = set()
    for container in containers(documents):
        for host, port in called(documents, container):
            for name, (labels, ports) in everywhere.items():
                if host in heads and matches({"matchLabels": heads[host]}, labels) and port in ports:
                    needed.add((container.owner["metadata"]["name"], name, port))
    # Servers of one kind among themselves.
    if any(it["spec"]["replicas"] > 1 for it in of_kind(documents, "StatefulSet")):
        needed.add(("nats", "nats", 6222))
    for cluster in of_kind(documents, "Cluster"):
        needed |= {(cluster["metadata"]["name"], cluster["metadata"]["name"], port) for port in (5432, 8000)}
    for source, (from_labels, _) in everywhere.items():
        for target, (to_labels, ports) in everywhere.items():
            for port in ports:
                may = lets(documents, "Egress", from_labels, to_labels, port) and lets(documents, "Ingress", to_labels, from_labels, port)
                if may and (source, target, port) not in needed:
                    yield f"{source} may talk to {target} on {port} and need not"
                if not may and (source, target, port) in needed:
                    yield f"{source} has to talk to {target} on {port} and may not"


@rule
def whoever_is_not_named_is_refused(documents: list[Document]) -> Iterator[str]:
    nobody = [
        it
        for it in of_kind(documents, "NetworkPolicy")
        if it["spec"]["podSelector"] == {}
        and set(it["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and "ingress" not in it["spec"]
        and "egress" not in it["spec"]
    ]
    if not nobody:
        yield "there is no policy that refuses all"
    for name, (labels, _) in places(documents).items():
        own = [it for it in of_kind(documents, "NetworkPolicy") if it["spec"]["podSelector"] and matches(it["spec"]["podSelector"], labels)]
        if not own:
            yield f"{name} is covered by no policy of its own"
    # Past the namespace: only what is named here, and never everything.
    for policy in of_kind(documents, "NetworkPolicy"):
        for entry in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            if not entry.get("ports"):
                yield f"{name_of(policy)} opens every port"


@rule
def a_certificate_can_be_had(documents: list[Document]) -> Iterator[str]:
    """By HTTP-01 cert-manager has a pod of its own answer for the host of an Ingress, through the proxy."""
    for ingress in of_kind(documents, "Ingress"):
        if "cert-manager.io/cluster-issuer" not in ingress["metadata"].get("annotations", {}):
            continue
        proxy = named(documents, "NetworkPolicy", "way-in")["spec"]["ingress"][0]["from"]
        wanted = {"from": proxy, "ports": [{"port": 8089}]}
        solver = {"acme.cert-manager.io/http01-solver": "true"}
        if not any(
            it["spec"]["podSelector"] and matches(it["spec"]["podSelector"], solver) and wanted in it["spec"].get("ingress", [])
            for it in of_kind(documents, "NetworkPolicy")
        ):
            yield f"{name_of(ingress)} gets no certificate: the proxy may not ask who answers for its host"


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


#: MiB that a program needs at times, beside what it was measured to need always: opportunities has two children of 224 read
#: workbooks, analytics learns from a million opportunities (bench/RESULTS.md).
NEEDED_AT_TIMES = {"opportunities": 2 * 224 + 128, "analytics": 427 + 128}


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


@rule
def metrics_are_fetched_of_all(documents: list[Document]) -> Iterator[str]:
    """Where the Prometheus Operator looks after it: at a port that is there, under the name that the rules ask for."""
    monitors = of_kind(documents, "PodMonitor")
    if not monitors:
        return
    seen = set()
    for monitor in monitors:
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        jobs = {it["replacement"] for it in endpoint.get("relabelings", []) if it.get("targetLabel") == "job"}
        for container in containers(documents):
            if not matches(monitor["spec"]["selector"], container.labels):
                continue
            if endpoint["port"] not in {it["name"] for it in container.spec.get("ports", [])}:
                yield f"{name_of(monitor)}: {container} has no port {endpoint['port']}"
            elif jobs == {"sales-pipeline"}:
                seen.add(container.program)
    for program in sorted(set(PROGRAMS) - seen):
        yield f"no metrics of {program} are fetched as those of sales-pipeline"
    asked = {job for it in of_kind(documents, "PrometheusRule") for job in re.findall(r'job="([^"]+)"', str(it["spec"]))}
    known = {it["replacement"] for monitor in monitors for it in monitor["spec"]["podMetricsEndpoints"][0].get("relabelings", [])}
    for job in sorted(asked - known):
        yield f"rules ask for {job}, which nobody is called"


@rule
def certificates_are_for_whoever_shows_them(documents: list[Document]) -> Iterator[str]:
    """With TLS: each shows a certificate for the name that others call it by, and serves whoever calls it and nobody else."""
    if not of_kind(documents, "Issuer"):
        return
    programs = {it.program: it for it in containers(documents) if it.owner["kind"] == "Deployment"}
    certificates = {it["spec"]["secretName"]: it["spec"] for it in of_kind(documents, "Certificate")}
    for name, container in programs.items():
        mounted = [it["secret"]["secretName"] for it in container.pod.get("volumes", []) if it["name"] == "tls"]
        certificate = certificates.get(mounted[0] if mounted else "", {})
        if certificate.get("dnsNames") != [name]:
            yield f"{name} shows no certificate for {name}"
        if sorted(certificate.get("usages", [])) != ["client auth", "server auth"]:
            yield f"the certificate of {name} is not for a server and a client"
        told = values(documents, container)
        for variable, value in told.items():
            if variable in ("IDENTITY_URL", "OPPORTUNITIES_URL", "ANALYTICS_URL", "NOTIFIER_URL") and not value.startswith("https://"):
                yield f"{name} calls {value} without TLS"
        callers = {other for other, it in programs.items() if (name, 7000) in called(documents, it)}
        if set(filter(None, (told.get("TLS_CLIENT_NAMES") or "").split(","))) != callers:
            yield f"{name} serves {told.get('TLS_CLIENT_NAMES')}, and is called by {sorted(callers)}"
