"""A registry that lies: it serves an OCI image layout over TLS and alters what it was told to alter."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.layout import MANIFEST
from lab.registry import ADDRESS, make_certificate

LIES = (
    "blob altered",
    "blob cut short",
    "blob too long",
    "blob missing",
    "manifest altered",
    "config altered",
    "not json",
)


class LyingRegistry:
    """Serve one image under any name; a context manager. `served` counts the requests."""

    tls = True

    def __init__(self, directory: Path, layout: Path, name: str, lie: str) -> None:
        self.directory, self.layout, self.lie = directory, layout, lie
        directory.mkdir()
        make_certificate(directory)
        index = json.loads((layout / "index.json").read_text())
        entry = next(item for item in index["manifests"] if name in item["annotations"].values())
        self.digest = str(entry["digest"])
        self.manifest: dict[str, Any] = json.loads(self.blob(self.digest))
        self.served = 0
        self.server = ThreadingHTTPServer((ADDRESS, 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.crt", directory / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def host(self) -> str:
        """Return host and port."""
        return f"{ADDRESS}:{self.server.server_address[1]}"

    @property
    def certificates(self) -> Path:
        """Return the directory of the certificate to trust."""
        return self.directory / "certs"

    def blob(self, digest: str) -> bytes:
        """Return a blob of the layout as it is."""
        return (self.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body for a request: the truth, but for the lie."""
        if path == "/v2/":
            return 200, b"{}"
        digest = path.rsplit("/", 1)[1]
        if "/manifests/" in path:
            data = self.blob(self.digest)
            return 200, {"not json": b"{", "manifest altered": data.replace(b'"layers"', b'"layers" ')}.get(
                self.lie, data
            )
        data = self.blob(digest)
        if digest == self.manifest["config"]["digest"]:
            return 200, data.replace(b"linux", b"LINUX") if self.lie == "config altered" else data
        if digest == self.manifest["layers"][0]["digest"]:
            return self.altered(data)
        return 200, data

    def altered(self, data: bytes) -> tuple[int, bytes]:
        """Return the lowest layer as the lie has it."""
        if self.lie == "blob missing":
            return 404, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown to registry"}]}'
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        lies = {"blob altered": flipped, "blob cut short": data[:middle], "blob too long": data + b"more"}
        return 200, lies.get(self.lie, data)

    def _handler(registry) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.served += 1
                status, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", MANIFEST if "/manifests/" in self.path else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                if "/manifests/" in self.path:
                    self.send_header("Docker-Content-Digest", registry.digest)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
