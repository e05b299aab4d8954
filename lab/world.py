"""A private world for one engine: its root, its configuration, a home, and the environment that leads there.

    DIRECTORY (/var/tmp/pl-XXXXXX)
      root/  runroot → /run/pl-XXXXXX        what the engine keeps
      conf/containers.conf  storage.conf  registries.conf  auth.json
      home/.config/containers/certs.d/       the registry's certificate, as Podman and Podling look for it
      bin/podling                            where the engine is another program: the name the lab types

The lab is typed verbatim, without flags, so everything comes from the files that Podman and Podling both read, named by
CONTAINERS_CONF, CONTAINERS_STORAGE_CONF and CONTAINERS_REGISTRIES_CONF. The engine is ours, or with PODLING=podman in
the environment Debian's Podman, on which every harness is proved first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import images, inventory, processes
from lab.registry import Registry

CHECKOUT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.prefix) / "bin"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PODMAN_LIMITS = 'default_ulimits = ["nproc=1000:1000", "nofile=1000:1000"]'  # it asks for more than a host may permit


class Failed(AssertionError):
    """A command did not end as it should."""


class World:
    """A private engine root and configuration. A context manager: emptied and removed on exit."""

    def __init__(
        self, *, engine: str | None = None, registry: Registry | None = None, runtime: str = "", conmon: str = "",
        containers_conf: str = "",
    ) -> None:  # fmt: skip
        self.engine = engine or os.environ.get("PODLING") or "podling"
        self.registry = registry
        self.runtime, self.conmon = runtime, conmon
        self.directory = Path(tempfile.mkdtemp(prefix="pl-", dir="/var/tmp"))
        self.runroot = Path("/run") / self.directory.name
        self.root = self.directory / "root"
        self.home = self.directory / "home"
        for path in (self.root, self.home, self.directory / "conf", self.directory / "bin"):
            path.mkdir()
        self.runroot.mkdir()
        self._write_configuration(containers_conf)
        self.program = self._link_program()

    @property
    def is_podman(self) -> bool:
        """Tell whether the engine is the real Podman."""
        return Path(self.engine).name == "podman"

    @property
    def own_root(self) -> Path:
        """Return where the engine itself keeps things: Podling takes a directory of its own in a moved graphroot."""
        return self.root if self.is_podman else self.root / "podling"

    @property
    def own_runroot(self) -> Path:
        """Return the engine's runtime state, likewise."""
        return self.runroot if self.is_podman else self.runroot / "podling"

    @property
    def environment(self) -> dict[str, str]:
        """Return the complete environment of a command in this world."""
        conf = self.directory / "conf"
        values = {
            "PATH": f"{self.directory / 'bin'}:{PROGRAMS}:{SYSTEM_PATH}",
            "HOME": str(self.home),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "CONTAINERS_CONF": str(conf / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(conf / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(conf / "registries.conf"),
            "CONTAINERS_REGISTRIES_CONF_DIR": str(conf / "none"),
            "REGISTRY_AUTH_FILE": str(conf / "auth.json"),
        }
        if self.registry is None:
            del values["CONTAINERS_REGISTRIES_CONF"], values["CONTAINERS_REGISTRIES_CONF_DIR"]
        return values

    def _link_program(self) -> Path:
        if self.engine == "podling":
            return PROGRAMS / "podling"
        found = shutil.which(self.engine, path=SYSTEM_PATH)
        if found is None:
            raise FileNotFoundError(f"no engine {self.engine}")
        (self.directory / "bin" / "podling").symlink_to(found)
        return Path(found)

    def _write_configuration(self, extra: str) -> None:
        conf = self.directory / "conf"
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{self.root}"\nrunroot = "{self.runroot}"\n'
        (conf / "storage.conf").write_text(storage)
        (conf / "auth.json").write_text("{}")
        (conf / "containers.conf").write_text(extra or self._containers_conf())
        if self.registry is not None:
            (conf / "registries.conf").write_text(registries_conf(self.registry.host))
            personal = self.home / ".config/containers/registries.conf.d"  # Podman 4.3 has no variable for the drop-ins
            personal.mkdir(parents=True)
            shutil.copy(conf / "registries.conf", personal / "lab.conf")
            if self.registry.tls:
                trusted = self.home / ".config/containers/certs.d" / self.registry.host
                shutil.copytree(self.registry.certificates, trusted)

    def _containers_conf(self) -> str:
        runtime = self.runtime or ("runc" if self.is_podman else "")
        lines = ["[containers]", *([PODMAN_LIMITS] if self.is_podman else []), 'log_driver = "k8s-file"', "[engine]"]
        lines += [f'runtime = "{runtime}"'] if runtime else []
        lines += [f'conmon_path = ["{self.conmon}"]'] if self.conmon else []
        lines += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"', f'tmp_dir = "{self.runroot / "tmp"}"']
        if self.is_podman:
            lines += [f'static_dir = "{self.root / "libpod"}"', f'volume_path = "{self.root / "volumes"}"']
        lines += ["[network]", 'network_backend = "netavark"', f'network_config_dir = "{self.directory / "networks"}"']
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def run(
        self, *arguments: str, stdin: str | bytes = b"", timeout_seconds: float = 60, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine to its end. Standard input is empty unless given; `variables` join the environment."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        environment = {**self.environment, **variables}
        command = [str(self.program), *arguments]
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            env=environment,
            timeout=timeout_seconds,
            cwd=self.directory,
        )
        return subprocess.CompletedProcess(
            command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def check(self, *arguments: str, stdin: str | bytes = b"", timeout_seconds: float = 60) -> str:
        """Run the engine, expect status 0, and return its standard output without the last newline."""
        done = self.run(*arguments, stdin=stdin, timeout_seconds=timeout_seconds)
        if done.returncode:
            raise Failed(f"{' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout.removesuffix("\n")

    def roots(self) -> list[Path]:
        """Return the directories whose content belongs to this world."""
        return [self.directory, self.runroot]

    def destroy(self) -> None:
        """Remove everything of this world: with the engine if it can, then by hand, so that nothing can remain."""
        if not self.directory.exists():
            return
        for _ in ("what is there", "what a command that was still at work has made meanwhile, and was killed at"):
            self._remove_containers()
            inventory.await_collectors()
            self.kill_processes()
        self.unmount()
        for path in self.roots():
            shutil.rmtree(path, ignore_errors=True)

    def _remove_containers(self) -> None:
        for verb in (("rm", "--all", "--force", "--time", "0"), ("network", "prune", "--force")):
            try:
                self.run(*verb)
            except subprocess.TimeoutExpired:
                continue

    def processes(self) -> list[int]:
        """Return the processes of this world: by argument, environment or cgroup, and all that descend from one."""
        marks = [str(self.directory).encode(), *(container_id.encode() for container_id in self._container_ids())]
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
        ours = {pid for pid in pids if any(mark in facts(pid) for mark in marks)}
        return [pid for pid in pids if pid in ours or ours.intersection(processes.ancestors(pid))]

    def _container_ids(self) -> set[str]:
        places = [self.own_root / "containers", self.own_runroot / "containers", self.root / "overlay-containers"]
        return {path.name for place in places for path in place.glob("?" * 64)}

    def kill_processes(self) -> None:
        """Kill what is left of this world's processes and wait until it is gone."""
        import time

        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            inventory.await_end(pid, time.monotonic() + 5)

    def unmount(self) -> None:
        """Unmount what is still mounted in this world, upper mounts first."""
        points = []
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4].replace("\\040", " ")
            if point.startswith((f"{self.directory}/", f"{self.runroot}/")):
                points.append(point)
        for point in reversed(points):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def facts(pid: int) -> bytes:
    """Return what tells whose a process is: its arguments, environment and cgroups; nothing for one that is gone."""
    content = b""
    for name in ("cmdline", "environ", "cgroup"):
        try:
            content += Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
    return content


def registries_conf(host: str) -> str:
    """Return a registries.conf in which the lab's short names are aliases into a registry."""
    lines = [f'unqualified-search-registries = ["{host}"]', 'short-name-mode = "enforcing"', "[aliases]"]
    lines += [f'"{name}" = "{host}/lab/{name}"' for name in images.NAMES]
    return "\n".join(lines) + "\n"
