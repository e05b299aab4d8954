"""A registry as the great ones are: bearer tokens from a service of its own, blobs behind a redirect to another host.

    registry  HOST:A   401 until it sees a token ──► realm on HOST:B
    tokens    HOST:B   gives a token for the right credentials, or for none where the image is public
    storage   HOST:C   serves the blobs; breaks a connection off, or wants credentials that it must not get

Each notes what Authorization it was shown.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from lab.layout import INDEX, MANIFEST
from lab.registry import ADDRESS, make_certificate

TOKEN = "a-token"


class TokenRegistry:
    """Serve an image of a layout under any name; a context manager."""

    def __init__(
        self,
        directory: Path,
        layout: Path,
        *,
        credentials: str = "",
        certified: str = ADDRESS,
        break_after: int = 0,
        storage_wants_credentials: bool = False,
        realm: str = "",
        redirect_to: str = "",
        redirects: int = 1,
    ) -> None:
        directory.mkdir()
        make_certificate(directory, certified)
        self.directory, self.layout = directory, layout
        self.credentials, self.break_after, self.redirects = credentials, break_after, redirects
        self.storage_wants_credentials = storage_wants_credentials
        self.seen: dict[str, list[str | None]] = {"registry": [], "tokens": [], "storage": []}
        self.ranges: list[str | None] = []
        self.scopes: list[str] = []
        roles = {"registry": self._registry, "tokens": self._tokens, "storage": self._storage}
        self.servers = {role: self._server(role, answer) for role, answer in roles.items()}
        self.realm = realm or f"https://{self.host('tokens')}/token"
        self.redirect_to = redirect_to or f"https://{self.host('storage')}"
        self.threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in self.servers.values()
        ]

    def host(self, role: str = "registry") -> str:
        """Return host and port of one of the three."""
        return f"{ADDRESS}:{self.servers[role].server_address[1]}"

    @property
    def certificates(self) -> str:
        """Return the directory of the certificate to trust."""
        return str(self.directory / "certs")

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        for thread in self.threads:
            thread.join()

    def _server(self, role: str, answer: object) -> ThreadingHTTPServer:
        seen = self.seen[role]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization"))
                answer(self)  # type: ignore[operator]

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer((ADDRESS, 0), Handler)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return server

    def _registry(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{self.realm}",service="the registry",scope="repository:x:pull"'
            send(handler, 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', challenge)
        elif "/blobs/" in handler.path:
            step = int((parse_qs(urlsplit(handler.path).query).get("step") or ["1"])[0])
            path = urlsplit(handler.path).path
            where = self.redirect_to + path if step >= self.redirects else f"{path}?step={step + 1}"
            send(handler, 307, b"", location=where)
        elif "/manifests/" in handler.path:
            content = self._blob(self._digest(handler.path.rsplit("/", 1)[1]))
            send(handler, 200, content, kind=INDEX if b'"manifests"' in content else MANIFEST)
        else:
            send(handler, 200, b"{}")

    def _tokens(self, handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        self.scopes += query.get("scope", [])
        wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        if self.credentials and handler.headers.get("Authorization") != wanted:
            send(handler, 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}')
        else:
            send(handler, 200, json.dumps({"token": TOKEN}).encode())

    def _storage(self, handler: BaseHTTPRequestHandler) -> None:
        if self.storage_wants_credentials:
            send(handler, 401, b"", 'Basic realm="mine"')
            return
        content = self._blob(handler.path.rsplit("/", 1)[1])
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        offset = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Length", str(len(content) - offset))
        handler.end_headers()
        if self.break_after and len(content) - offset > self.break_after:
            handler.wfile.write(content[offset : offset + self.break_after])
            handler.wfile.flush()
            handler.connection.close()
            handler.close_connection = True
        else:
            handler.wfile.write(content[offset:])

    def _digest(self, reference: str) -> str:
        if reference.startswith("sha256:"):
            return reference
        return str(json.loads((self.layout / "index.json").read_text())["manifests"][0]["digest"])

    def _blob(self, digest: str) -> bytes:
        return (self.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    challenge: str = "",
    kind: str = "",
    location: str = "",
) -> None:
    """Send a whole answer."""
    handler.send_response(status)
    for name, value in (("WWW-Authenticate", challenge), ("Content-Type", kind), ("Location", location)):
        if value:
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
