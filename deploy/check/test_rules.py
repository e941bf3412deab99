"""Both overlays keep every rule; and every rule can be broken, which is tried with a manifest that breaks it."""

from __future__ import annotations

from typing import Callable

import pytest

import capacity
import networks
import rules
from manifests import OVERLAYS, Document, documents, named, of_kind, pod
from rule import RULES, Rule, version

#: What migrates.
JOB = f"migrate-{version().replace('.', '-')}"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=lambda it: it.__name__)
def test_it_holds(overlay: str, rule: Rule) -> None:
    assert list(rule(documents(overlay))) == []


def test_production_is_as_the_product_page_says() -> None:
    (settings,) = [it["data"] for it in of_kind(documents("production"), "ConfigMap") if "RATE_LIMIT" in it["data"]]
    assert settings["RATE_LIMIT"] == "100"
    assert settings["TRUSTED_PROXIES"]
    assert settings["EVENTS_REPLICAS"] == "3"
    assert named(documents("production"), "StatefulSet", "nats")["spec"]["replicas"] == 3


def container(of: list[Document], kind: str, name: str, index: int = 0) -> Document:
    return pod(named(of, kind, name))["spec"]["containers"][index]


def spread(of: list[Document], kind: str, name: str) -> list[Document]:
    return pod(named(of, kind, name))["spec"]["topologySpreadConstraints"]


def policy(of: list[Document], name: str) -> Document:
    return named(of, "NetworkPolicy", name)["spec"]


def variable(of: list[Document], name: str) -> Document:
    (found,) = [it for it in container(of, "Deployment", "gateway")["env"] if it["name"] == name]
    return found


def spec(of: list[Document], kind: str, name: str) -> Document:
    return named(of, kind, name)["spec"]


#: A rule, what is done to the manifests of `dev`, and a part of what the rule says of it.
BROKEN: list[tuple[Rule, Callable[[list[Document]], object], str]] = [
    (rules.every_object_is_valid, lambda of: spec(of, "Deployment", "gateway").update(replica=2), "replica"),
    (rules.every_object_is_valid, lambda of: spec(of, "Service", "gateway")["ports"][0].update(port="http"), "Service gateway"),
    (rules.every_object_is_there_once_and_in_the_namespace, lambda of: of.append(of[-1]), "twice"),
    (
        rules.every_object_is_there_once_and_in_the_namespace,
        lambda of: named(of, "Service", "nats")["metadata"].update(namespace="default"),
        "Service nats",
    ),
    (rules.no_secret_is_written_down, lambda of: of.append({"kind": "Secret", "metadata": {"name": "it"}}), "Secret it"),
    (
        rules.no_secret_is_written_down,
        lambda of: container(of, "Deployment", "gateway")["env"].append({"name": "SERVICE_SECRET", "value": "x"}),
        "SERVICE_SECRET",
    ),
    (
        rules.the_namespace_refuses_what_is_not_restricted,
        lambda of: named(of, "Namespace", "sales-pipeline")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
        "enforce",
    ),
    (
        rules.every_container_is_limited,
        lambda of: container(of, "Deployment", "identity")["resources"]["limits"].pop("memory"),
        "limits of memory",
    ),
    (
        rules.every_container_is_limited,
        lambda of: container(of, "Job", JOB, 2).pop("resources"),
        "container analytics has no requests",
    ),
    (
        rules.every_container_is_limited,
        lambda of: container(of, "Deployment", "gateway")["resources"]["limits"].pop("ephemeral-storage"),
        "limits of ephemeral-storage",
    ),
    (
        rules.every_container_is_limited,
        lambda of: pod(named(of, "StatefulSet", "database"))["spec"]["volumes"][1]["emptyDir"].clear(),
        "no limit",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: pod(named(of, "Deployment", "gateway"))["spec"]["securityContext"].pop("runAsNonRoot"),
        "as root",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: pod(named(of, "Deployment", "gateway"))["spec"]["securityContext"].update(runAsUser=0),
        "no user",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: pod(named(of, "StatefulSet", "nats"))["spec"]["securityContext"].pop("seccompProfile"),
        "seccomp",
    ),
    (rules.every_pod_is_restricted, lambda of: pod(named(of, "Deployment", "gateway"))["spec"].update(hostNetwork=True), "hostNetwork"),
    (
        rules.every_pod_is_restricted,
        lambda of: pod(named(of, "StatefulSet", "nats"))["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
        "hostPath",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: container(of, "Deployment", "gateway")["securityContext"].update(allowPrivilegeEscalation=True),
        "privileges",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: container(of, "Deployment", "gateway")["securityContext"].update(readOnlyRootFilesystem=False),
        "write to its root",
    ),
    (
        rules.every_pod_is_restricted,
        lambda of: container(of, "Deployment", "gateway")["securityContext"].pop("capabilities"),
        "capabilities",
    ),
    (rules.every_pod_is_restricted, lambda of: container(of, "Deployment", "gateway")["securityContext"].update(runAsUser=0), "loosens"),
    (rules.every_pod_is_restricted, lambda of: container(of, "Deployment", "gateway")["ports"][0].update(hostPort=80), "port of the node"),
    (
        rules.no_pod_has_a_token,
        lambda of: pod(named(of, "Job", JOB))["spec"].pop("automountServiceAccountToken"),
        "mounts a token",
    ),
    (rules.no_pod_has_a_token, lambda of: named(of, "ServiceAccount", "nats").pop("automountServiceAccountToken"), "mounts its token"),
    (rules.no_pod_has_a_token, lambda of: pod(named(of, "Deployment", "gateway"))["spec"].pop("serviceAccountName"), "account of its own"),
    (
        rules.no_pod_has_a_token,
        lambda of: named(of, "ServiceAccount", "nats")["metadata"].update(name="default"),
        "the default account",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: pod(named(of, "Deployment", "gateway"))["spec"].pop("enableServiceLinks"),
        "told of every Service",
    ),
    (
        rules.every_container_that_stays_is_probed,
        lambda of: container(of, "Deployment", "notifier").pop("readinessProbe"),
        "no readinessProbe",
    ),
    (
        rules.every_container_that_stays_is_probed,
        lambda of: container(of, "StatefulSet", "nats")["livenessProbe"]["httpGet"].update(port="no"),
        "asks a port",
    ),
    (
        rules.every_container_that_stays_is_probed,
        lambda of: container(of, "Deployment", "notifier")["livenessProbe"]["httpGet"].update(path="/readyz"),
        "is asked at",
    ),
    (
        rules.every_container_that_stays_is_probed,
        lambda of: [it.update(name="USER") for it in container(of, "StatefulSet", "database")["env"] if it["name"] == "PGUSER"],
        "asks as nobody",
    ),
    (rules.every_pod_that_stays_is_budgeted, lambda of: of.remove(named(of, "PodDisruptionBudget", "nats")), "has 0"),
    (rules.every_pod_that_stays_is_budgeted, lambda of: spec(of, "PodDisruptionBudget", "nats").update(maxUnavailable=0), "or none"),
    (rules.every_deployment_scales, lambda of: of.remove(named(of, "HorizontalPodAutoscaler", "gateway")), "does not scale"),
    (rules.every_deployment_scales, lambda of: spec(of, "HorizontalPodAutoscaler", "gateway").update(maxReplicas=1), "nowhere"),
    (rules.every_deployment_scales, lambda of: spec(of, "Deployment", "gateway").update(replicas=1), "its autoscaler"),
    (rules.every_deployment_scales, lambda of: spec(of, "Deployment", "gateway").pop("strategy"), "successor"),
    (rules.every_deployment_scales, lambda of: of.remove(named(of, "Deployment", "notifier")), "HorizontalPodAutoscaler of notifier"),
    (rules.a_pod_has_time_to_end, lambda of: container(of, "Deployment", "gateway").pop("lifecycle"), "before others know"),
    (
        rules.a_pod_has_time_to_end,
        lambda of: container(of, "Deployment", "identity")["lifecycle"]["preStop"]["sleep"].update(seconds=30),
        "before others know",
    ),
    (
        rules.a_pod_has_time_to_end,
        lambda of: pod(named(of, "Deployment", "gateway"))["spec"].update(terminationGracePeriodSeconds=15),
        "killed",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spread(of, "Deployment", "gateway").pop(),
        "Deployment gateway is not spread by topology.kubernetes.io/zone",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spread(of, "Deployment", "gateway")[0]["matchLabelKeys"].pop(),
        "is not spread by kubernetes.io/hostname among its own kind and version",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spread(of, "Deployment", "gateway")[0]["labelSelector"].update(matchLabels={"app": "gateway"}),
        "is not spread by kubernetes.io/hostname",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: variable(of, "RATE_LIMIT").update(name="RATELIMIT"),
        "does not know RATELIMIT",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: container(of, "Job", JOB)["env"].append({"name": "SECRET_KEY", "value": ""}),
        "does not know SECRET_KEY",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: container(of, "Deployment", "gateway")["env"].append(variable(of, "RATE_LIMIT")),
        "twice",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: container(of, "Deployment", "gateway").update(envFrom=[{"secretRef": {"name": "identity"}}]),
        "takes all",
    ),
    (
        rules.every_variable_is_known_to_the_program,
        lambda of: pod(named(of, "Job", JOB))["spec"]["initContainers"][0]["env"].pop(),
        "is not told NOTIFIER_OWNER_PASSWORD",
    ),
    (
        rules.what_is_referred_to_is_there,
        lambda of: variable(of, "SERVICE_SECRET")["valueFrom"]["secretKeyRef"].update(key="SERVICE_SECRETS"),
        "gateway/SERVICE_SECRETS",
    ),
    (
        rules.what_is_referred_to_is_there,
        lambda of: variable(of, "RATE_LIMIT")["valueFrom"]["configMapKeyRef"].update(key="RATE"),
        "/RATE is not there",
    ),
    (
        rules.what_is_referred_to_is_there,
        lambda of: container(of, "StatefulSet", "nats")["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"}),
        "mounts tmp",
    ),
    (
        rules.what_is_referred_to_is_there,
        lambda of: pod(named(of, "StatefulSet", "nats"))["spec"]["volumes"][0]["configMap"].update(name="none"),
        "ConfigMap none",
    ),
    (
        rules.what_is_referred_to_is_there,
        lambda of: pod(named(of, "Deployment", "gateway"))["spec"].update(
            volumes=[{"name": "ca", "secret": {"secretName": "database-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]
        ),
        "Secret database-ca/ca.crt",
    ),
    (networks.services_lead_to_pods, lambda of: spec(of, "Service", "nats").update(selector={"app": "nats"}), "leads nowhere"),
    (networks.services_lead_to_pods, lambda of: spec(of, "Service", "nats")["ports"][0].update(targetPort="client"), "no port client"),
    (networks.services_lead_to_pods, lambda of: spec(of, "Service", "identity").pop("clusterIP"), "headless"),
    (networks.services_lead_to_pods, lambda of: spec(of, "Ingress", "gateway").pop("tls"), "without TLS"),
    (networks.services_lead_to_pods, lambda of: spec(of, "Service", "gateway")["ports"][0].update(name="web"), "leads to a port"),
    (
        networks.programs_listen_where_they_say,
        lambda of: container(of, "Deployment", "gateway")["ports"][0].update(containerPort=80),
        "are not its ports",
    ),
    (
        networks.programs_listen_where_they_say,
        lambda of: pod(named(of, "Deployment", "gateway"))["metadata"]["annotations"].update({"prometheus.io/port": "8000"}),
        "annotations",
    ),
    (
        networks.who_has_to_talk_may_and_nobody_else,
        lambda of: policy(of, "nobody").update(ingress=[{}], egress=[{}]),
        "gateway may talk to database on 5432 and need not",
    ),
    (
        networks.who_has_to_talk_may_and_nobody_else,
        lambda of: policy(of, "gateway").pop("egress"),
        "gateway has to talk to identity on 7000 and may not",
    ),
    (
        networks.who_has_to_talk_may_and_nobody_else,
        lambda of: policy(of, "database").pop("ingress"),
        "identity has to talk to database on 5432",
    ),
    (
        networks.who_has_to_talk_may_and_nobody_else,
        lambda of: variable(of, "ANALYTICS_URL").update(value=""),
        "gateway may talk to analytics",
    ),
    (networks.whoever_is_not_named_is_refused, lambda of: policy(of, "nobody").update(policyTypes=["Ingress"]), "refuses all"),
    (
        networks.whoever_is_not_named_is_refused,
        lambda of: of.remove(named(of, "NetworkPolicy", "migrate")),
        f"{JOB} is covered by no policy",
    ),
    (networks.whoever_is_not_named_is_refused, lambda of: policy(of, "way-in")["ingress"][0].pop("ports"), "every port"),
    (
        rules.versions_are_those_of_the_product,
        lambda of: container(of, "Deployment", "gateway").update(image="sales-pipeline-gateway:0.0.9"),
        "0.0.9",
    ),
    (
        rules.versions_are_those_of_the_product,
        lambda of: container(of, "StatefulSet", "nats").update(image="nats:latest"),
        "has no version",
    ),
    (
        rules.versions_are_those_of_the_product,
        lambda of: named(of, "Job", JOB)["metadata"].update(name="migrate"),
        "not named after",
    ),
    (rules.every_program_is_there_and_migrated, lambda of: of.remove(named(of, "Deployment", "notifier")), "there are"),
    (
        rules.every_program_is_there_and_migrated,
        lambda of: pod(named(of, "Job", JOB))["spec"]["containers"].pop(),
        "migrated are",
    ),
    (
        capacity.programs_have_the_memory_that_they_need_at_times,
        lambda of: container(of, "Deployment", "opportunities")["resources"]["limits"].update(memory="512Mi"),
        "container program has 512Mi, and needs 576Mi",
    ),
    (
        capacity.programs_have_the_memory_that_they_need_at_times,
        lambda of: container(of, "Deployment", "analytics")["resources"]["limits"].update(memory="512Mi"),
        "container program has 512Mi, and needs 608Mi",
    ),
    (
        capacity.the_database_has_connections_for_all,
        lambda of: spec(of, "HorizontalPodAutoscaler", "analytics").update(maxReplicas=9),
        "has 250 connections",
    ),
]


#: The same of `production` with all components.
BROKEN_WITH_COMPONENTS: list[tuple[Rule, Callable[[list[Document]], object], str]] = [
    (
        networks.certificates_are_for_whoever_shows_them,
        lambda of: spec(of, "Certificate", "identity").update(dnsNames=["idp"]),
        "identity shows no certificate for identity",
    ),
    (
        networks.certificates_are_for_whoever_shows_them,
        lambda of: spec(of, "Certificate", "identity").update(usages=["server auth"]),
        "not for a server and a client",
    ),
    (
        networks.certificates_are_for_whoever_shows_them,
        lambda of: variable(of, "ANALYTICS_URL").update(value="http://analytics:7000"),
        "gateway calls http://analytics:7000 without TLS",
    ),
    (
        networks.certificates_are_for_whoever_shows_them,
        lambda of: variable(of, "ANALYTICS_URL").update(value="https://notifier:7000"),
        "analytics serves gateway, and is called by []",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spread(of, "StatefulSet", "nats")[0].pop("minDomains"),
        "StatefulSet nats may have two on one node",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spec(of, "Cluster", "database")["affinity"].update(podAntiAffinityType="preferred"),
        "Cluster database may have two on one node",
    ),
    (
        rules.replicas_are_apart,
        lambda of: spec(of, "Cluster", "database").pop("topologySpreadConstraints"),
        "Cluster database is not spread by topology.kubernetes.io/zone",
    ),
    (
        rules.brokers_go_one_after_the_other,
        lambda of: container(of, "StatefulSet", "nats").pop("lifecycle"),
        "does not send its clients away",
    ),
    (
        rules.brokers_go_one_after_the_other,
        lambda of: pod(named(of, "StatefulSet", "nats"))["spec"].update(terminationGracePeriodSeconds=30),
        "is killed while it sends",
    ),
    (
        rules.brokers_go_one_after_the_other,
        lambda of: container(of, "StatefulSet", "nats")["startupProbe"]["httpGet"].update(path="/healthz?js-enabled-only=true"),
        "before it has caught up",
    ),
    (
        networks.a_certificate_can_be_had,
        lambda of: of.remove(named(of, "NetworkPolicy", "certificate")),
        "Ingress gateway gets no certificate",
    ),
    (
        networks.a_certificate_can_be_had,
        lambda of: policy(of, "way-in")["ingress"][0].update({"from": [{"namespaceSelector": {"matchLabels": {"proxy": "yes"}}}]}),
        "Ingress gateway gets no certificate",
    ),
    (
        capacity.the_log_of_the_database_has_room,
        lambda of: spec(of, "Cluster", "database")["postgresql"]["parameters"].pop("max_slot_wal_keep_size"),
        "until the volume is full",
    ),
    (
        capacity.the_log_of_the_database_has_room,
        lambda of: spec(of, "Cluster", "database")["walStorage"].update(size="8Gi"),
        "than its volume has room for",
    ),
    (
        capacity.the_database_is_backed_up,
        lambda of: spec(of, "Cluster", "database")["plugins"][0].pop("isWALArchiver"),
        "the log of Cluster database goes into no archive",
    ),
    (
        capacity.the_database_is_backed_up,
        lambda of: of.remove(named(of, "ExternalSecret", "database-backup")),
        "Secret database-backup/ACCESS_KEY_ID is not there",
    ),
    (capacity.the_database_is_backed_up, lambda of: spec(of, "ObjectStore", "database").pop("retentionPolicy"), "are kept for ever"),
    (
        capacity.the_database_is_backed_up,
        lambda of: spec(of, "ScheduledBackup", "database").update(schedule="0 18 * * *"),
        "is not backed up once a day",
    ),
    (
        networks.metrics_are_fetched_of_all,
        lambda of: spec(of, "PodMonitor", "programs")["selector"]["matchExpressions"][0]["values"].remove("notifier"),
        "no metrics of notifier are fetched",
    ),
    (
        networks.metrics_are_fetched_of_all,
        lambda of: spec(of, "PodMonitor", "programs")["podMetricsEndpoints"][0].update(port="metrics"),
        "has no port metrics",
    ),
    (
        networks.metrics_are_fetched_of_all,
        lambda of: spec(of, "PodMonitor", "database")["podMetricsEndpoints"][0].pop("relabelings"),
        "rules ask for sales-pipeline-database",
    ),
    (rules.what_is_referred_to_is_there, lambda of: of.remove(named(of, "Certificate", "gateway")), "Secret gateway-mtls/tls.crt"),
    (
        rules.every_secret_has_one_maker,
        lambda of: spec(of, "Certificate", "gateway").update(secretName="gateway-tls"),
        "the Secret gateway-tls is made by Certificate gateway and Ingress gateway",
    ),
    (
        rules.every_secret_has_one_maker,
        lambda of: spec(of, "Certificate", "gateway").update(secretName="gateway"),
        "the Secret gateway is made by Certificate gateway and ExternalSecret gateway",
    ),
]


@pytest.mark.parametrize(
    ("rule", "change", "said"),
    [*BROKEN, *BROKEN_WITH_COMPONENTS],
    ids=lambda it: getattr(it, "__name__", None) if it in RULES else None,
)
def test_it_can_be_broken(rule: Rule, change: Callable[[list[Document]], object], said: str) -> None:
    broken = documents("with_components" if (rule, change, said) in BROKEN_WITH_COMPONENTS else "dev")
    change(broken)
    assert said in "\n".join(rule(broken))


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, _, _ in [*BROKEN, *BROKEN_WITH_COMPONENTS]} == set(RULES)
