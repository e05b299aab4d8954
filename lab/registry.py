"""A real OCI registry on loopback: Debian's docker-registry with TLS, and basic authentication on demand.

    DIRECTORY/
      server.crt  server.key    made on the spot, self-signed
      certs/ca.crt              the same certificate, in a directory as a client wants it
      config.yml  htpasswd      what docker-registry reads
      registry.log              what it says

It is started by an event, the line it writes once it listens, and stopped by its process.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import images
from lab.terminal import await_exit

ADDRESS = "127.0.0.1"


class RegistryFailed(Exception):
    """The registry or a push did not work; the message is the program's own."""


def free_port(preferred: int = 0) -> int:
    """Return a TCP port on loopback that nobody listens on: the preferred one if it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RegistryFailed("no free port on loopback")


def make_certificate(directory: Path, address: str = ADDRESS) -> None:
    """Write server.crt and server.key, a self-signed certificate for a loopback address, and certs/ca.crt."""
    names = f"subjectAltName=IP:{address},DNS:localhost"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "30", "-subj", "/CN=Podling lab registry", "-addext", names]
    command += ["-keyout", str(directory / "server.key"), "-out", str(directory / "server.crt")]
    subprocess.run(command, check=True, capture_output=True)
    (directory / "certs").mkdir(exist_ok=True)
    shutil.copy(directory / "server.crt", directory / "certs" / "ca.crt")


class Registry:
    """A docker-registry process. A context manager: started on entry, stopped on exit."""

    def __init__(
        self, directory: Path, storage: Path, *, port: int = 0, user: str = "", password: str = "", tls: bool = True
    ) -> None:
        self.directory = directory
        self.storage = storage
        self.port = free_port(port)
        self.user, self.password, self.tls = user, password, tls
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Return the registry's name in references: host and port."""
        return f"{ADDRESS}:{self.port}"

    @property
    def certificates(self) -> Path:
        """Return the directory of the certificate that a client must trust: a --cert-dir."""
        return self.directory / "certs"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def configuration(self) -> str:
        """Return docker-registry's config.yml."""
        lines = ["version: 0.1", "log: {level: info, accesslog: {disabled: true}}"]
        lines += [f"storage: {{filesystem: {{rootdirectory: {self.storage}}}, delete: {{enabled: true}}}}"]
        lines += ["http:", f"  addr: {self.host}", "  secret: lab"]
        if self.tls:
            lines += [f"  tls: {{certificate: {self.directory / 'server.crt'}, key: {self.directory / 'server.key'}}}"]
        if self.user:
            lines += ["auth:", f"  htpasswd: {{realm: lab, path: {self.directory / 'htpasswd'}}}"]
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Start the registry and return once it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.storage.mkdir(parents=True, exist_ok=True)
        if self.tls and not self.certificates.exists():
            make_certificate(self.directory)
        if self.user:
            command = ["htpasswd", "-Bbn", "-C", "4", self.user, self.password]
            made = subprocess.run(command, check=True, capture_output=True)
            (self.directory / "htpasswd").write_bytes(made.stdout)
        (self.directory / "config.yml").write_text(self.configuration())
        command = ["docker-registry", "serve", str(self.directory / "config.yml")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self._await_listening(self.process)

    def _await_listening(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        said = b""
        for line in process.stderr:
            said += line
            if b"listening on" in line:
                break
        else:
            raise RegistryFailed(f"docker-registry: {said.decode(errors='replace').strip()[-500:]}")
        drain = ["cat"]  # the pipe must not fill, and not close either
        with (self.directory / "registry.log").open("wb") as log:
            log.write(said)
            log.flush()
            self._drain = subprocess.Popen(drain, stdin=process.stderr, stdout=log)
        process.stderr.close()

    def stop(self) -> None:
        """End the registry; what it stores remains."""
        if self.process is not None:
            self.process.terminate()
            await_exit(self.process)
            await_exit(self._drain)
            self.process = None

    def push(self, layout: Path, name: str, repository: str | None = None) -> str:
        """Copy an image of an OCI layout into the registry, all its platforms; return its reference."""
        reference = f"{self.host}/{repository or f'lab/{name}:latest'}"
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--insecure-policy"]
        command += [f"--dest-cert-dir={self.certificates}", f"--dest-tls-verify={'true' if self.tls else 'false'}"]
        if self.user:
            command.append(f"--dest-creds={self.user}:{self.password}")
        pushed = subprocess.run(
            [*command, f"oci:{layout}:{name}", f"docker://{reference}"], capture_output=True, text=True
        )
        if pushed.returncode:
            raise RegistryFailed(f"skopeo: {pushed.stderr.strip()}")
        return reference


def ensure_storage(scratch: Path) -> Path:
    """Return a registry's storage that holds all images of the lab, filling it where there is none yet."""
    layout = images.ensure()
    storage = layout.with_name(layout.name.replace("images-", "registry-"))
    if storage.exists():
        return storage
    for stale in storage.parent.glob("registry-*"):
        shutil.rmtree(stale)
    staging = storage.with_name(f"staging-{scratch.name}")
    with Registry(scratch / "filling", staging) as registry:
        for name in images.NAMES:
            registry.push(layout, name)
    staging.rename(storage)
    return storage
