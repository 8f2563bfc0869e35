"""A package registry on loopback that the machine's own settings name: what pip and npm find there, and who asked."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.image.wheels import write_wheel

TOKEN = "registry-canary-90d1"


class Registry(ThreadingHTTPServer):
    """Holds the Python package ``tiny-thing`` and the npm package ``tiny-thing``. ``requests`` are (method, path, authorization)."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, str | None]] = []
        wheel = write_wheel(folder, "tiny-thing", "1.0", {"tiny_thing.py": "VALUE = 42\n"})
        self.files = {f"/files/{wheel.name}": wheel.read_bytes(), "/npm/tiny-thing/-/tiny-thing-1.0.0.tgz": _tarball()}
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        page = f'<a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a>'
        self.files["/simple/tiny-thing/"] = f"<!DOCTYPE html><html><body>{page}</body></html>".encode()
        self.files["/npm/tiny-thing"] = json.dumps(self._packument()).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def _packument(self) -> dict[str, Any]:
        tarball = self.files["/npm/tiny-thing/-/tiny-thing-1.0.0.tgz"]
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        dist = {"tarball": f"{self.url}/npm/tiny-thing/-/tiny-thing-1.0.0.tgz", "integrity": integrity}
        version = {"name": "tiny-thing", "version": "1.0.0", "main": "index.js", "dist": dist}
        return {"name": "tiny-thing", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        if self.path.startswith("/files/endless"):
            return self._endless()
        found = self.server.files.get(self.path)
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", "application/json" if self.path.startswith("/npm") else "text/html")
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found or b"")
        return None

    do_HEAD = do_POST = do_PUT = do_GET

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 31))
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 1000)
                threading.Event().wait(0.01)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


def _tarball() -> bytes:
    buffer = io.BytesIO()
    package = json.dumps({"name": "tiny-thing", "version": "1.0.0", "main": "index.js"})
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in (("package/package.json", package), ("package/index.js", "module.exports = 42\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@contextmanager
def serving(folder: Path) -> Iterator[Registry]:
    registry = Registry(folder)
    thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        registry.server_close()
        thread.join()
