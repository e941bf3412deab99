"""What must be true of who talks to whom: Services, NetworkPolicies, certificates, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from manifests import PROGRAMS, Container, Document, containers, matches, named, of_kind, pod, values
from rule import name_of, rule


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
