"""Starts the product with its demonstration, asks it, and keeps what was said: standard library alone."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch import launched

BASE = "/api/v1"
# The id that every request brings along, so that a new recording differs by what changed.
REQUEST_ID = "0199d3a8-5f2e-7a54-9d1c-2f1f4b0c7a11"
PATIENCE = 60.0
# What nobody shows: members of bodies and forms whose value is replaced by one of the same form.
SECRET = {
    "access_token",
    "refresh_token",
    "client_secret",
    "key",
    "secret",
    "otpauth_uri",
    "recovery_codes",
    "invitation_url",
    "token",
    "code",
}
RECOVERY_CODE = r"\w{4}(-\w{4}){3}"


@dataclass
class Answer:
    """What came back; `body` is JSON where it is JSON, text where it is text, else nothing."""

    status: int
    headers: dict[str, str]
    body: Any

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    @property
    def etag(self) -> str:
        """Which version it is."""
        return self.headers["etag"]


@dataclass
class Person:
    """Somebody who asks."""

    email: str
    password: str
    headers: dict[str, str] = field(default_factory=dict)
    id: int = 0


class Recorder:
    """The running product, and what it was asked."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.process = process
        self.password = ""
        self.operations: dict[str, list[dict[str, Any]]] = {}
        self.problems: dict[str, Any] = {}
        document = self.send("GET", "/openapi.json", {}, None).body
        self.known = {
            f"{method.upper()} {path.removeprefix(BASE)}": operation
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, {"X-Request-Id": REQUEST_ID, **headers})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        kind = found.get("content-type", "")
        content: Any = None
        if "json" in kind and "ndjson" not in kind:
            content = json.loads(data)
        elif data and (kind.startswith("text/") or "ndjson" in kind):
            content = data.decode().removeprefix("\ufeff")
        return Answer(response.status, found, content)

    def sign_in(self, person: Person) -> Person:
        """Gets a token for somebody."""
        form = urllib.parse.urlencode({"username": person.email, "password": person.password})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.send("POST", f"{BASE}/auth/token", kind, form.encode())
        assert answer.status == 200, answer
        person.headers = {"Authorization": f"Bearer {answer['access_token']}"}
        me = self.send("GET", f"{BASE}/users/me", person.headers, None)
        person.id = me["id"]
        return person

    def attempt(
        self,
        who: Person | None,
        route: str,
        *,
        path: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        json_body: Any = None,
        raw: bytes | None = None,
        form: dict[str, str] | None = None,
        files: dict[str, tuple[str, str]] | None = None,
        kind: str = "",
    ) -> Answer:
        """Asks, whatever is answered."""
        method, filled = route.split(" ")
        for key, value in (path or {}).items():
            filled = filled.replace(f"{{{key}}}", urllib.parse.quote(str(value), safe=""))
        asked = urllib.parse.urlencode(query or {}, doseq=True)
        sent = dict(who.headers if who else {}) | (headers or {})
        body, media_type = encode(json_body, raw, form, files, kind)
        if media_type:
            sent["Content-Type"] = media_type
        return self.send(method, BASE + filled + (f"?{asked}" if asked else ""), sent, body)

    def ask(
        self, who: Person | None, route: str, *, name: str = "", says: str = "", status: int = 200, **asked: Any
    ) -> Answer:
        """Asks, and where the example has a `name`, keeps what was asked and answered."""
        answer = self.attempt(who, route, **asked)
        assert answer.status == status, (route, answer.status, status, answer.body)
        if name:
            self.keep(route, name, says, answer, **asked)
        return answer

    def keep(
        self,
        route: str,
        name: str,
        says: str,
        answer: Answer,
        *,
        path: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        json_body: Any = None,
        form: dict[str, str] | None = None,
        files: dict[str, tuple[str, str]] | None = None,
        kind: str = "",
    ) -> None:
        """Keeps an answer, and what was asked for it."""
        operation = self.known[route]
        called = operation["operationId"]
        kept: dict[str, Any] = {"name": name, "summary": says, "status": answer.status}
        parameters = {**(path or {}), **(query or {}), **(headers or {})}
        schemas = {it["name"]: it["schema"] for it in operation.get("parameters", [])}
        known = {key: it for key, it in parameters.items() if key in schemas}
        kept["parameters"] = {key: shaped(it, schemas[key]) for key, it in known.items()}
        said = json_body if json_body is not None else form
        if files is not None:
            said = {key: typed(value) for key, (_, value) in files.items()}
        if said is not None:
            kept["media_type"] = encode(json_body, None, form, files, kind)[1].split(";")[0]
            kept["body"] = hide(said)
        kept["answer_type"] = answer.headers.get("content-type")
        if answer.body is not None and kept["answer_type"]:
            kept["answer"] = hide(answer.body)
        place = self.operations.setdefault(called, [])
        assert all((it["name"], it["status"]) != (name, answer.status) for it in place), (called, name)
        place.append({key: it for key, it in kept.items() if it not in (None, {}, "")})

    def refused(self, who: Person | None, route: str, status: int, code: str, **asked: Any) -> Answer:
        """Asks what is refused, and keeps that."""
        return self.keep_refusal(route, code, self.ask(who, route, status=status, **asked))

    def keep_refusal(self, route: str, code: str, answer: Answer) -> Answer:
        """Keeps what was refused under its code; where bad fields are told, under the first of them."""
        found = answer.body.get("code") or answer.body.get("error")
        assert found == code, (route, code, answer.body)
        errors = answer.body.get("errors")
        if "code" in answer.body:
            self.problems.setdefault(code, answer.body)
        self.keep(route, f"{code}_{errors[0]['code']}" if errors else code, "", answer)
        return answer

    def until_refused(self, route: str, code: str, ask: Callable[[int], Answer]) -> None:
        """Asks, with a number that grows, until it is refused, and keeps that."""
        answers = map(ask, itertools.count(1))
        self.keep_refusal(route, code, next(it for it in answers if it.status >= 400))

    def wait(self, there: Callable[[], Any]) -> Any:
        """Waits until something is so."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if found := there():
                return found
            time.sleep(0.1)
        raise TimeoutError

    def processes(self, program: str) -> list[int]:
        """The product's processes of that program."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "comm").read_text().strip()
                parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
            except OSError:
                continue
            if name == program and int(parent) == self.process.pid:
                found.append(int(folder.name))
        assert found, program
        return found

    def environment(self, program: str) -> dict[str, str]:
        """What that program was started with."""
        read = Path(f"/proc/{self.processes(program)[0]}/environ").read_text()
        return dict(one.partition("=")[::2] for one in read.split("\0"))

    def command(self, program: str, name: str) -> None:
        """Runs a command of that program, as it runs itself."""
        found = Path(f"/proc/{self.processes(program)[0]}/exe").resolve()
        environment = {**self.environment(program), "LOG_LEVEL": "warn"}
        subprocess.run([str(found), name], env=environment, check=True)

    def psql(self, program: str) -> list[str]:
        """The command that asks the database as that program does."""
        url = self.environment(program)["DATABASE_URL"].partition("?")[0]
        found = Path(f"/proc/{self.processes('postgres')[0]}/exe").resolve().parent / "psql"
        return [str(found), "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", url]

    @contextmanager
    def holding(self, program: str, statement: str) -> Iterator[Callable[[int], None]]:
        """Meanwhile a transaction in that service's database has done that and does not end. What is answered waits until so many wait for it, or for one another."""
        with subprocess.Popen(self.psql(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
            say, said = session.stdin, session.stdout
            assert say
            assert said

            def asked(query: str) -> str:
                say.write(f"{query};\n")
                say.flush()
                return said.readline().strip()

            def wait_for(waiting: int) -> None:
                query = "select count(distinct pid) from pg_locks where not granted"
                self.wait(lambda: int(asked(query)) >= waiting)

            try:
                assert asked(f"begin; {statement} \\g /dev/null\nselect 'held'") == "held", statement
                yield wait_for
            finally:
                # Which takes back what it did.
                say.close()

    @contextmanager
    def without(self, program: str) -> Iterator[None]:
        """Meanwhile that service answers nothing."""
        stopped = self.processes(program)
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            # Each of its threads stops by itself.
            self.wait(lambda: all(state(task) == "T" for it in stopped for task in Path(f"/proc/{it}/task").iterdir()))
            yield
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)


def state(process: Path) -> str:
    """Whether a process or thread runs, sleeps, or is stopped."""
    return (process / "stat").read_text().rpartition(") ")[2].split()[0]


def encode(
    json_body: Any,
    raw: bytes | None,
    form: dict[str, str] | None,
    files: dict[str, tuple[str, str]] | None,
    kind: str,
) -> tuple[bytes | None, str]:
    """The body of a request, and its media type."""
    if files is not None:
        boundary = "----example"
        parts = ""
        for name, (file_name, value) in files.items():
            called = f'; filename="{file_name}"' if file_name else ""
            parts += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n{value}\r\n'
        return f"{parts}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
    if form is not None:
        return urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded"
    if json_body is not None:
        return json.dumps(json_body, ensure_ascii=False).encode(), kind or "application/json"
    return raw, kind


def shaped(value: Any, schema: dict[str, Any]) -> Any:
    """A parameter as its schema has it, not as it is sent."""
    if schema.get("type") == "array" and not isinstance(value, list):
        return [value]
    return typed(value) if schema.get("type") == "boolean" else value


def typed(value: str) -> Any:
    """A field of a form as its schema has it."""
    return {"true": True, "false": False}.get(value, value)


def hide(value: Any, under: str = "") -> Any:
    """The same without secrets."""
    if isinstance(value, dict):
        return {name: hide(it, name) for name, it in value.items()}
    if isinstance(value, list):
        return [hide(it, under) for it in value]
    if not isinstance(value, str):
        return value
    # Stages have keys, and refusals codes.
    is_plain = under == "key" and not value.startswith("spm_live_")
    is_plain |= under == "code" and not re.fullmatch(rf"{RECOVERY_CODE}|\d{{6}}", value)
    return made_up(value) if under in SECRET and not is_plain else value


def made_up(secret: str) -> str:
    """A text of the same form that is plainly no secret."""
    if secret.startswith("otpauth:"):
        return re.sub(r"(secret=)[A-Z2-7]+", r"\1EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAM", secret)
    if secret.isdigit():
        return "123456"
    beginning = re.match(r"https?://\S+token=|spm_live_\d+_", secret)
    kept = beginning.group() if beginning else ""
    # What stands between its parts stays; elsewhere a dash is a letter like others (RFC 4648 section 5).
    between = "-" if re.fullmatch(RECOVERY_CODE, secret) else "."
    letters = iter("EXAMPLE" * len(secret))
    return kept + "".join(it if it in between else next(letters) for it in secret[len(kept) :])


@contextmanager
def product(program: Path, settings: dict[str, str]) -> Iterator[Recorder]:
    """The whole product with the demonstration, in a folder of its own."""
    with launched("examples", program, **settings) as it:
        recorder = Recorder(it.port, it.process)
        recorder.password = it.password
        yield recorder
