"""docker-compose.yml is understood, and its containers can do no more than they have to. The Dockerfile has an image for each program."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any, Callable

import pytest
import yaml

from capacity import NEEDED_AT_TIMES
from manifests import PROGRAMS, ROOT, settings
from rule import version

Services = dict[str, dict[str, Any]]

#: Servers of others, and the files that say what they are told.
OTHERS = {
    "postgres": {"POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"},
    "grafana": re.compile(r"GF_[A-Z_]+"),
}


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Compose makes of the file, with secrets that are made up for it and no settings of this machine."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SECRETS_DIR": str(folder)}
    subprocess.run(["sh", str(ROOT / "deploy/secrets.sh"), "compose"], check=True, env=environment, capture_output=True)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    again = subprocess.run(["sh", str(ROOT / "deploy/secrets.sh"), "compose"], env=environment, capture_output=True, text=True)
    assert again.returncode == 1, "secrets that are there are not replaced"
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "--env-file", "/dev/null", "--profile", "*", "config"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture
def services(composed: str) -> Services:
    return yaml.safe_load(composed)["services"]


def is_ours(service: dict[str, Any]) -> bool:
    return service["image"].startswith("sales-pipeline-")


def problems(services: Services) -> list[str]:
    """What is wrong with the containers, a line for each."""
    found = []
    for name, service in services.items():
        if not service.get("read_only"):
            found.append(f"{name} may write to its root")
        if service.get("cap_drop") != ["ALL"]:
            found.append(f"{name} has capabilities")
        if service.get("security_opt") != ["no-new-privileges:true"]:
            found.append(f"{name} may gain privileges")
        if "mem_limit" not in service:
            found.append(f"{name} has no limit of memory")
        if service.get("privileged") or service.get("pid") or service.get("ipc"):
            found.append(f"{name} is not kept apart")
        # A store is given to who uses it, once, without a network. Images of Prometheus and Grafana say their user themselves.
        if name.endswith("-store"):
            if service.get("network_mode") != "none" or service.get("cap_add") != ["CHOWN"]:
                found.append(f"{name} can do more than give a volume away")
        elif service.get("cap_add"):
            found.append(f"{name} has capabilities")
        elif service.get("user", "root" if name not in ("prometheus", "grafana") else "image").split(":")[0] in ("root", "0"):
            found.append(f"{name} runs as root")
        tag = service["image"].rpartition(":")[2]
        if tag == "latest" or "/" in tag or ":" not in service["image"]:
            found.append(f"{name} has no version")
        if is_ours(service):
            found += ours(name, service)
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                found.append(f"{name} is open to the network")
        if name == "grafana" and service["environment"].get("GF_PLUGINS_PREINSTALL_DISABLED") != "true":
            found.append(f"{name} replaces its data sources, which it cannot write")
        known = OTHERS.get(name)
        for variable in service.get("environment", {}) if known is not None else ():
            is_known = variable in known if isinstance(known, set) else known.fullmatch(variable)
            if not is_known:
                found.append(f"{name} does not know {variable}")
    return found


def ours(name: str, service: dict[str, Any]) -> list[str]:
    found = []
    program = service["image"].removeprefix("sales-pipeline-").split(":")[0]
    command = (service.get("command") or ["serve"])[0]
    if not service["image"].endswith(f":{version()}"):
        found.append(f"{name} is not of version {version()}")
    if service["build"].get("target") != program:
        found.append(f"{name} is built as {service['build'].get('target')}")
    needed = NEEDED_AT_TIMES.get(program, 0) if command == "serve" else 0
    if int(service.get("mem_limit", 0)) < needed * 1024 * 1024:
        found.append(f"{name} has less memory than it needs at times")
    told = service["environment"]
    for variable in told:
        if variable not in settings(program, command):
            found.append(f"{name} does not know {variable}")
    if command == "serve":
        for needed in ("SERVICE_SECRETS" if program == "identity" else "SERVICE_SECRET", "NATS_URL", "LISTEN_ADDR", "OPS_ADDR"):
            if needed not in told:
                found.append(f"{name} is not told {needed}")
    for variable, value in told.items():
        for host, port in re.findall(r"\w+://(?:[^@/,]*@)?([a-z-]+):(\d+)", value or ""):
            if variable != "PUBLIC_URL" and (host, port) not in REACHED:
                found.append(f"{name}: {variable} leads to {host}:{port}")
    return found


#: Where the servers and services listen.
REACHED = {("postgres", "5432"), ("nats", "4222"), *((program, "7000") for program in PROGRAMS)}


def test_containers_can_do_no_more_than_they_have_to(services: Services) -> None:
    assert problems(services) == []
    assert {name for name, it in services.items() if is_ours(it) and not it.get("command")} == set(PROGRAMS)


BROKEN: list[tuple[Callable[[Services], object], str]] = [
    (lambda it: it["gateway"].pop("read_only"), "gateway may write"),
    (lambda it: it["nats"].pop("cap_drop"), "nats has capabilities"),
    (lambda it: it["postgres"].update(cap_add=["CHOWN"]), "postgres has capabilities"),
    (lambda it: it["nats-store"].update(network_mode="bridge"), "nats-store can do more"),
    (lambda it: it["identity"].pop("security_opt"), "identity may gain"),
    (lambda it: it["tempo"].pop("mem_limit"), "tempo has no limit"),
    (lambda it: it["analytics"].update(mem_limit=str(512 * 1024 * 1024)), "analytics has less memory than it needs at times"),
    (lambda it: it["tempo"].update(privileged=True), "tempo is not kept apart"),
    (lambda it: it["notifier"].pop("user"), "notifier runs as root"),
    (lambda it: it["grafana"].update(user="0:0"), "grafana runs as root"),
    (lambda it: it["nats"].update(image="nats:latest"), "nats has no version"),
    (lambda it: it["gateway"].update(image="sales-pipeline-gateway:0.0.9"), "gateway is not of version"),
    (lambda it: it["gateway"]["build"].update(target="identity"), "gateway is built as identity"),
    (lambda it: it["gateway"]["ports"][0].update(host_ip="0.0.0.0"), "gateway is open"),
    (lambda it: it["gateway"]["environment"].update(RATELIMIT="1"), "gateway does not know RATELIMIT"),
    (lambda it: it["migrate-identity"]["environment"].update(SECRET_KEY="x"), "migrate-identity does not know SECRET_KEY"),
    (lambda it: it["postgres"]["environment"].update(PASSWORD="x"), "postgres does not know PASSWORD"),
    (lambda it: it["grafana"]["environment"].update(ADMIN="x"), "grafana does not know ADMIN"),
    (lambda it: it["grafana"]["environment"].pop("GF_PLUGINS_PREINSTALL_DISABLED"), "grafana replaces its data sources"),
    (lambda it: it["analytics"]["environment"].pop("SERVICE_SECRET"), "analytics is not told SERVICE_SECRET"),
    (lambda it: it["analytics"]["environment"].update(IDENTITY_URL="http://identity:7001"), "IDENTITY_URL leads to identity:7001"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_container_that_can_do_more_is_noticed(services: Services, change: Callable[[Services], object], said: str) -> None:
    change(services)
    assert said in "\n".join(problems(services))


def test_nobody_is_given_what_another_is_to_know(services: Services) -> None:
    for name, service in services.items():
        told = service.get("environment", {})
        assert ("SECRET_KEY" in told) is (name == "identity"), name
        assert ("MIGRATE_DATABASE_URL" in told) is name.startswith("migrate-"), name
        if "DATABASE_URL" in told:
            assert f"salespipeline_{name}:" in told["DATABASE_URL"], name


def test_the_product_waits_for_its_migrations(services: Services) -> None:
    done = "service_completed_successfully"
    for program in set(PROGRAMS) - {"gateway"}:
        waits = {name: it["condition"] for name, it in services[program]["depends_on"].items()}
        migrated = {f"migrate-{it}": done for it in set(PROGRAMS) - {"gateway"}}
        # A service that is called has a name from when its container starts.
        called = {it for it in PROGRAMS if f"http://{it}:7000" in services[program]["environment"].values()}
        assert waits == {**migrated, "nats": "service_healthy", **dict.fromkeys(called, "service_started")}
        assert services[f"migrate-{program}"]["depends_on"]["provision"]["condition"] == done


DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def image_problems(dockerfile: str) -> list[str]:
    """What is wrong with the images, a line for each."""
    found = []
    stages = re.findall(r"^FROM (\S+) AS (\S+)$(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL)
    bases = {name: base for base, name, _ in stages}
    texts = {name: text for _, name, text in stages}
    for program in PROGRAMS:
        text = texts.get(program, "")
        # In this order, and in this stage: an entry point takes away what was to be run of the stage before.
        if f'ENTRYPOINT ["/usr/local/bin/{program}"]\nCMD ["serve"]\n' not in text:
            found.append(f"{program} does not serve")
        if f'CMD ["/usr/local/bin/{program}", "healthcheck"]' not in text:
            found.append(f"{program} is not asked how it is")
        base = program
        while base in bases and base != "base":
            base = bases[base]
        if base != "base":
            found.append(f"{program} has another base")
        if "\nUSER " in text:
            found.append(f"{program} has another user")
    if bases.get("base") != "scratch" or "\nUSER 65532:65532\n" not in texts.get("base", ""):
        found.append("the base is more than nothing, or runs as somebody")
    if stages[-1][1] != "gateway":
        found.append(f"without a target it is {stages[-1][1]}'s")
    return found


def test_there_is_an_image_for_each_program_and_it_is_nobody_in_particular() -> None:
    assert image_problems(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'ENTRYPOINT ["/usr/local/bin/notifier"]\nCMD ["serve"]',
            'CMD ["serve"]\nENTRYPOINT ["/usr/local/bin/notifier"]',
            "notifier does not serve",
        ),
        ('CMD ["/usr/local/bin/identity", "healthcheck"]', "NONE", "identity is not asked"),
        ("FROM service AS analytics", "FROM programs AS analytics", "analytics has another base"),
        ("FROM service AS analytics\n", "FROM service AS analytics\nUSER 0\n", "analytics has another user"),
        ("USER 65532:65532\n", "", "runs as somebody"),
        ("FROM scratch AS base", "FROM debian:12 AS base", "more than nothing"),
    ],
)
def test_an_image_that_is_not_is_noticed(old: str, new: str, said: str) -> None:
    assert old in DOCKERFILE
    assert said in "\n".join(image_problems(DOCKERFILE.replace(old, new)))
