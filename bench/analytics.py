#!/usr/bin/env python3
"""Measures analytics with many opportunities: what its reports cost, how it learns, how it is made anew, and how it keeps up.

Run it as `make bench-analytics`. It needs nothing but Python and the release build; servers and data are its own, in target/large. What it prints is a part of bench/RESULTS.md.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import pathlib
import resource
import statistics
import subprocess
import threading
import time

from product import ROOT, compare, forget, memory, needs_a_build, query, running

PROGRAM = ROOT / "target" / "release" / "analytics"


def reads(product):
    year = datetime.date.today().year
    users = product.get("/users?limit=200")["items"]
    mine = {user["id"]: product.get(f"/opportunities?limit=1&owner_id={user['id']}")["items"] for user in users}
    seller = next(user for user, items in mine.items() if items)
    return {
        "overview": "/pipeline/overview",
        "overview of one person": f"/pipeline/overview?owner_id={seller}",
        "forecast": "/forecast?period=quarter",
        "forecast of one person": f"/forecast?period=quarter&owner_id={seller}",
        "forecast by person": "/forecast/breakdown?by=owner",
        "forecast day by day": "/forecast/history?period=quarter",
        "chances of 50": "/forecast/opportunities?limit=50",
        "chances of 50 of one person": f"/forecast/opportunities?limit=50&owner_id={seller}",
        "track record": "/forecast/accuracy",
        "attainment": "/forecast/attainment?period=quarter",
        "conversion-rate of all time": "/reports/conversion-rate",
        "conversion-rate of a year": f"/reports/conversion-rate?start_date={year - 1}-01-01&end_date={year - 1}-12-31",
        "sales-trend, monthly": f"/reports/sales-trend?period=monthly&year={year}",
        "sales-trend, daily": f"/reports/sales-trend?period=daily&year={year}",
        "sales-performance": f"/reports/sales-performance?period=year&year={year}",
        "velocity": f"/reports/velocity?start_date={year}-01-01&end_date={year}-12-31",
        "stage-duration": "/reports/stage-duration",
        "loss-reasons": f"/reports/loss-reasons?start_date={year}-01-01&end_date={year}-12-31",
        "cohorts": f"/reports/cohorts?start_date={year}-01-01&end_date={year}-12-31",
        "activities": f"/reports/activities?start_date={year}-01-01&end_date={year}-12-31",
        "pipeline-changes of a month": f"/reports/pipeline-changes?from={year}-09-30&to={year}-10-31",
    }


class Asking:
    """Somebody who asks for the overview, a list and the forecast in turn, and notes how long each answer takes."""

    PATHS = ("/pipeline/overview", "/opportunities?limit=50", "/forecast?period=quarter")

    def __init__(self, product):
        self.product, self.took, self.is_done = product, [], False
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.product.port)
        while not self.is_done:
            for path in self.PATHS:
                begun = time.perf_counter()
                connection.request("GET", "/api/v1" + path, None, self.product.headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, (path, answer.status)
                self.took.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_done = True
        self.thread.join()

    def says(self):
        """p50 and p99 in milliseconds."""
        cuts = statistics.quantiles(self.took, n=100)
        return cuts[49], cuts[98]


def undisturbed(product, seconds=20):
    with Asking(product) as asking:
        time.sleep(seconds)
    return asking.says()


def command(product, name):
    """Runs a command of analytics beside the service while somebody reads; its seconds, MiB, and what the reader says."""
    environment = product.settings("analytics")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Asking(product) as asking:
        begun = time.perf_counter()
        process = subprocess.Popen([PROGRAM, name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, KeyError, IndexError):
                most = max(most, memory(process.pid)[1])
            time.sleep(0.05)
        took = time.perf_counter() - begun
    assert process.returncode == 0, (name, process.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, most / 1024, asking.says()


def metrics_of(pid):
    """Where a process tells of itself: the one of its ports that answers."""
    told = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    ports = [line.split()[3].rsplit(":", 1)[1] for line in told.splitlines() if f"pid={pid}," in line]
    for port in ports:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=2)
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            if answer.status == 200 and b"consumer_lag_seconds" in answer.read():
                return int(port)
    raise SystemExit("analytics tells nothing of itself")


def lag(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    for line in connection.getresponse().read().decode().splitlines():
        if line.startswith("consumer_lag_seconds") and 'source="opportunities"' in line:
            return float(line.rsplit(" ", 1)[1])
    raise SystemExit("analytics does not tell its lag")


def sustained(product, rate, seconds):
    """Changes so many opportunities a second in bulk; the rate that was reached, and how far the read model was behind."""
    ids, path = [], "/opportunities?limit=200&status=open"
    cursor = None
    while len(ids) < 20_000:
        page = product.get(path + (f"&cursor={cursor}" if cursor else ""))
        ids += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    port = metrics_of(product.processes()["analytics"])
    lags, is_done = [], False

    def watch():
        while not is_done:
            lags.append(lag(port))
            time.sleep(0.02)

    watching = threading.Thread(target=watch)
    watching.start()
    headers = {**product.headers, "Content-Type": "application/json"}
    size, done, begun = rate // 2, 0, time.perf_counter()
    for turn in range(seconds * 2):
        at = turn * size % len(ids)
        day = datetime.date.today() + datetime.timedelta(days=1 + turn % 80)
        some = (ids + ids)[at : at + size]
        body = json.dumps({"updates": [{"id": id, "expected_close_date": str(day)} for id in some]})
        status, answer = product.send("POST", "/api/v1/opportunities/bulk", body, headers)
        assert status == 200, answer
        answer = json.loads(answer)
        assert answer["failed"] == 0, answer
        done += answer["succeeded"]
        time.sleep(max(0, begun + (turn + 1) / 2 - time.perf_counter()))
    took = time.perf_counter() - begun
    is_done = True
    watching.join()
    cuts = statistics.quantiles(lags, n=100)
    return done / took, cuts[49], cuts[98], max(lags)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60, help="of sustained changes")
    arguments = parser.parse_args()
    needs_a_build()
    with running(arguments.small, arguments.large) as (small, large):
        print(f"\nSmall is {arguments.small:,} opportunities, large {arguments.large:,}.\n")
        compare(small, large, reads, arguments.rounds)
        small.stop()
        print("\n| meanwhile | s | processor s | MiB | reads, p50 ms | p99 ms | p99 ÷ undisturbed |")
        print("|--|--:|--:|--:|--:|--:|--:|")
        p50, usual = undisturbed(large)
        print(f"| nothing | – | – | – | {p50:.1f} | {usual:.1f} | 1.00 |", flush=True)
        for name in ("train", "rebuild", "verify"):
            took, used, most, (p50, p99) = command(large, name)
            print(f"| `analytics {name}` | {took:.1f} | {used:.1f} | {most:.0f} | {p50:.1f} | {p99:.1f} | {p99 / usual:.2f} |", flush=True)
        large.rest()
        print("\n| changes a second, asked for | reached | behind, p50 s | p99 s | longest s |")
        print("|--:|--:|--:|--:|--:|")
        for rate in (1_000, 2_000):
            reached, p50, p99, longest = sustained(large, rate, arguments.seconds)
            print(f"| {rate:,} | {reached:,.0f} | {p50:.2f} | {p99:.2f} | {longest:.2f} |", flush=True)


main()
