"""The release build running with many opportunities, and how it is asked and watched while it is measured."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCAL = ROOT / "target" / "release" / "local"
PASSWORD = "a password to measure with"
WARM, TRIES, LONGEST = 8, 60, 5


class Product:
    """The product with so many opportunities, on a port of its own."""

    def __init__(self, count):
        self.data = ROOT / "target" / "large" / str(count)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **os.environ,
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "ADMIN_EMAIL": "admin@example.com",
            "ADMIN_PASSWORD": PASSWORD,
        }
        seeded = self.data / "seeded"
        if not seeded.exists():
            self.data.mkdir(parents=True, exist_ok=True)
            self.local("seed", "--count", str(count))
            seeded.touch()
        self.log = open(self.data / "run.log", "w")
        self.process = subprocess.Popen([LOCAL, "run"], env=self.environment, stdout=self.log, stderr=self.log)
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if self.send("GET", "/readyz")[0] == 200:
                    break
            time.sleep(0.1)
        form = urllib.parse.urlencode({"username": "admin@example.com", "password": PASSWORD})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = self.send("POST", "/api/v1/auth/token", form, headers)
        assert status == 200, body
        self.headers = {"Authorization": "Bearer " + json.loads(body)["access_token"]}
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def local(self, *arguments):
        with open(self.data / "seed.log", "w") as log:
            subprocess.run([LOCAL, *arguments], env=self.environment, stdout=log, stderr=log, check=True)

    def send(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def get(self, path):
        try:
            body, answer = self.ask(path)
        except http.client.RemoteDisconnected:
            # It had been idle.
            body, answer = self.ask(path)
        assert answer.status == 200, body
        return json.loads(body)

    def ask(self, path):
        self.connection.request("GET", "/api/v1" + path, None, self.headers)
        answer = self.connection.getresponse()
        return answer.read(), answer

    def processes(self):
        """The services' process ids, by name."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid), "-a"], capture_output=True, text=True, check=True)
        known = {}
        for line in children.stdout.splitlines():
            pid, command, *_ = line.split()
            known[pathlib.Path(command).name] = int(pid)
        return known

    def settings(self, name):
        """The environment of a service, for its commands."""
        pairs = pathlib.Path(f"/proc/{self.processes()[name]}/environ").read_bytes().split(b"\0")
        return dict(pair.decode().split("=", 1) for pair in pairs if b"=" in pair)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.log.close()

    def rest(self):
        """Waits until its forecast is learned and, for five seconds, nothing has been worked on."""
        while not self.get("/forecast")["model"]["learned"]:
            time.sleep(1)
        quiet, before = 0, self.busy()
        while quiet < 5:
            time.sleep(1)
            now = self.busy()
            quiet = quiet + 1 if now - before < 10 else 0
            before = now

    def busy(self):
        """The processor time of its processes so far, PostgreSQL's and NATS's too, in hundredths of a second."""
        parents, used = {}, {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                pid = int(stat.parent.name)
                parents[pid], used[pid] = int(fields[1]), int(fields[11]) + int(fields[12])

        def is_ours(pid):
            while pid in parents and pid != self.process.pid:
                pid = parents[pid]
            return pid == self.process.pid

        return sum(time for pid, time in used.items() if is_ours(pid))


def milliseconds(product, path):
    """The median of many answers, of fewer where they are slow."""
    enough = time.perf_counter() + LONGEST
    for _ in range(WARM):
        product.get(path)
    took = []
    while len(took) < TRIES and (not took or time.perf_counter() < enough):
        begun = time.perf_counter()
        product.get(path)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def query(**parameters):
    return urllib.parse.urlencode(parameters)


def memory(pid, reset=False):
    """Resident KiB now, and the most since the last reset."""
    if reset:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    value = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Vm")}
    return int(value["VmRSS"]), int(value["VmHWM"])


def compare(small, large, reads, rounds):
    """Asks two products the same in turn, and prints a row for each request."""
    paths = reads(small), reads(large)
    print("| request | small, p50 ms | large, p50 ms | large ÷ small |")
    print("|--|--:|--:|--:|")
    for name in paths[0]:
        pairs = [(milliseconds(small, paths[0][name]), milliseconds(large, paths[1][name])) for _ in range(rounds)]
        ratio = statistics.median(b / a for a, b in pairs)
        a, b = (statistics.median(column) for column in zip(*pairs))
        print(f"| {name} | {a:.2f} | {b:.2f} | {ratio:.2f} |", flush=True)


@contextlib.contextmanager
def running(*counts):
    """Products with so many opportunities each, at rest."""
    products = []
    try:
        for count in counts:
            products.append(Product(count))
        for product in products:
            product.rest()
        yield products
    finally:
        for product in products:
            product.stop()


def forget(count):
    """Deletes the data of a product that has become another."""
    shutil.rmtree(ROOT / "target" / "large" / str(count), ignore_errors=True)


def needs_a_build():
    if not LOCAL.exists():
        sys.exit("no release build: run it by make")
