"""A page of another origin asks the services over gRPC-web in Chromium, by a client made from proto/."""

from __future__ import annotations

import json
import os
import platform
import queue
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import google.rpc
import grpc_tools
import pytest
from launch import ADMIN, REPOSITORY

from product import Product

# Without the sandbox, which does not run as root in a container; it visits nothing but our own page.
OPTIONS = (
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
UNPACK = """
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
const [from, to] = process.argv.slice(1);
await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
"""


@pytest.fixture(scope="module")
def chromium(tools: Path) -> Path:
    """The Chromium of the package that is pinned, unpacked once. It is for x86-64: elsewhere that of the machine, if it has one."""
    if platform.machine() != "x86_64":
        own = shutil.which("chromium") or shutil.which("google-chrome")
        if own is None:
            pytest.skip(
                f"no Chromium is packed for {platform.machine()}, and none is installed: sudo apt-get install chromium"
            )
        return Path(own)
    folder = tools / "chromium"
    if not (folder / "chromium").exists():
        packed = tools / "browser/node_modules/@sparticuz/chromium/bin"
        new = tools / "chromium.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name in ("al2023.tar", "chromium"):
            command = ["node", "--input-type=module", "-e", UNPACK, "--", packed / f"{name}.br", new / name]
            subprocess.run(command, check=True)
        # Libraries that a machine without a desktop lacks.
        with tarfile.open(new / "al2023.tar") as libraries:
            libraries.extractall(new, filter="data") if hasattr(tarfile, "data_filter") else libraries.extractall(new)
        (new / "chromium").chmod(0o755)
        new.rename(folder)
    return folder / "chromium"


@pytest.fixture(scope="module")
def page(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page's script, with the client that protoc-gen-es makes of proto/."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(Path(__file__).parent / "browser/page.js", folder)
    (folder / "node_modules").symlink_to(tools / "browser/node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    proto, errors = REPOSITORY / "proto", Path(next(iter(google.rpc.__path__))).parents[1]
    files = [str(it.relative_to(proto)) for it in (proto / "salespipeline").rglob("*.proto")]
    plugin = tools / "browser/node_modules/.bin/protoc-gen-es"
    command = [
        "python",
        "-m",
        "grpc_tools.protoc",
        f"-I{proto}",
        f"-I{errors}",
        f"-I{Path(grpc_tools.__file__).parent}/_proto",
    ]
    outs = [f"--plugin=protoc-gen-es={plugin}", f"--es_out={folder}", "--es_opt=target=js,import_extension=js"]
    subprocess.run([*command, *outs, *files, "google/rpc/error_details.proto"], check=True)
    bundle = [tools / "browser/node_modules/.bin/esbuild", "page.js", "--bundle", "--format=esm", "--log-level=warning"]
    return subprocess.run(bundle, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def site(page: str, product: Product) -> Iterator[tuple[str, queue.Queue[Any]]]:
    """A server of the page, and what the page tells it."""
    settings = {"username": ADMIN, "password": product.password, **product.places}
    served = {
        "/": ("text/html", '<!doctype html><script type="module" src="page.js"></script>'),
        "/page.js": ("text/javascript", page),
        "/settings.json": ("application/json", json.dumps(settings)),
    }
    told: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = served.get(self.path, ("text/plain", ""))
            self.answer(200 if self.path in served else 404, kind, text)

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(200, "text/plain", "")

        def answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_in_chromium_asks_the_services(
    chromium: Path, site: tuple[str, queue.Queue[Any]], tmp_path: Path
) -> None:
    url, told = site
    libraries = f"{os.environ.get('LD_LIBRARY_PATH', '')}:{chromium.parent / 'lib'}".lstrip(":")
    command = [chromium, "--headless", *OPTIONS, f"--user-data-dir={tmp_path}", url]
    with (tmp_path / "chromium.log").open("w") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": libraries})
        try:
            result = told.get(timeout=60)
        except queue.Empty:
            pytest.fail(f"the page says nothing:\n{(tmp_path / 'chromium.log').read_text()}")
        finally:
            browser.kill()
            browser.wait()
    assert "error" not in result, result
    assert "Chrome/" in result["browser"]
    assert result["period"].startswith("Q")
    assert result["hasRange"]
    assert result["items"] > 100
    fields = ["amount", "opportunity_name"]
    assert result["refused"] == {"code": "InvalidArgument", "reason": "INVALID", "fields": fields}
