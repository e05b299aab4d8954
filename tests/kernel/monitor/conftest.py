"""A caller of conmon, as Podman is one: pipes, bundle, runtime; the same for ours and for the real one.

The runtime is real runc where a test needs a real container, and otherwise a shell script with the same command line
that starts the process on the host: it takes a tenth of the time, and the monitor cannot tell.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

OURS = str(Path(sys.executable).parent / "podling-conmon")
REAL = "/usr/bin/conmon"
RUNC = "/usr/sbin/runc"

SCRIPT = """#!/bin/sh
# create --bundle B --pid-file P [--console-socket S] ID: start B/command in a session of its own
while [ $# -gt 0 ]; do
    case "$1" in
        create|exec) verb=$1;;
        --bundle) bundle=$2; shift;;
        --process) process=$2; shift;;
        --pid-file) pid_file=$2; shift;;
        *) id=$1;;
    esac
    shift
done
command=$bundle/command
[ "$verb" = exec ] && command=$process
[ -e "$command" ] || { echo "no command for $id" >&2; exit 3; }
exec 9<&0  # what runs in the background would have /dev/null
start='printf %s $$ > "$0.staged"; mv "$0.staged" "$0"; exec sh "$1"'
(setsid sh -c "$start" "$pid_file" "$command" <&9 9<&- &)  # an orphan: no shell may reap it
while [ ! -s "$pid_file" ]; do sleep 0.005; done
"""


class Caller:
    """One conmon, from its command line to its end."""

    def __init__(self, conmon: str, directory: Path, runtime: str) -> None:
        self.conmon = conmon
        self.directory = directory
        self.runtime = runtime
        self.id = f"c{os.getpid()}x{abs(hash((str(directory), conmon))) % 10**10:010d}"
        self.bundle = directory / "bundle"
        self.log = directory / "ctr.log"
        self.exits = directory / "exits"
        self.persist = directory / "persist"
        for path in (self.bundle, self.exits, self.persist):
            path.mkdir(parents=True, exist_ok=True)
        self.pidfile = directory / "pidfile"
        self.monitor_pidfile = directory / "conmon.pid"
        self.sync, self._sync_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.start, self._start_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.monitor = -1
        self.pid = -1
        self.extra: list[int] = []  # descriptors that the caller leaks
        self._pidfd = -1
        self._sockets: list[socket.socket] = []
        self._environment = dict(os.environ)

    def command(self, text: str) -> None:
        """Say what the container runs, by the shell."""
        (self.bundle / "command").write_text(text)

    def arguments(self, *more: str, log: str | None = None) -> list[str]:
        """Return the command line as Podman gives it."""
        line = ["--api-version", "1", "-c", self.id, "-u", self.id, "-r", self.runtime, "-b", str(self.bundle)]
        line += ["-p", str(self.pidfile), "-n", "name", "--exit-dir", str(self.exits)]
        line += ["--persist-dir", str(self.persist), "--full-attach"]
        line += ["-l", f"k8s-file:{self.log}" if log is None else log, "--log-level", "warning"]
        return [*line, "--conmon-pidfile", str(self.monitor_pidfile), *more]

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None, attach_pipe: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Start conmon, let it go on, and return what its first process said."""
        ends = [self._sync_there.fileno(), self._start_there.fileno()]
        if attach_pipe:
            self._attach_pipe, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._sockets += [self._attach_pipe, there]
            ends.append(there.fileno())
            self._environment["_OCI_ATTACHPIPE"] = str(there.fileno())
        self._environment |= {"_OCI_SYNCPIPE": str(ends[0]), "_OCI_STARTPIPE": str(ends[1])} | (environment or {})
        first = subprocess.Popen(
            [self.conmon, *arguments],
            env=self._environment,
            pass_fds=(*ends, *self.extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
        )
        self._sync_there.close()
        self._start_there.close()
        try:
            self.start.send(b"\0")
        except OSError:
            pass  # it refused its command line
        out, err = first.communicate(timeout=20)
        if self.monitor_pidfile.exists():
            self.monitor = int(self.monitor_pidfile.read_text())
            try:
                self._pidfd = os.pidfd_open(self.monitor)
            except ProcessLookupError:
                pass  # it was a short life
        return subprocess.CompletedProcess(first.args, first.returncode, out, err)

    def create(self, *more: str, log: str | None = None, environment: dict[str, str] | None = None) -> int:
        """Create the container and return its pid."""
        done = self.run(*self.arguments(*more, log=log), environment=environment)
        assert done.returncode == 0, done.stderr
        answer = self.answer()
        assert answer["data"] > 0, answer
        self.pid = answer["data"]
        return self.pid

    def answer(self) -> dict[str, Any]:
        """Return the next answer of the sync pipe."""
        return self._answer(self.sync)

    def attach_answer(self) -> dict[str, Any]:
        """Return what comes when the attach socket of an exec session is there."""
        return self._answer(self._attach_pipe)

    def _answer(self, pipe: socket.socket) -> dict[str, Any]:
        pipe.settimeout(20)
        text = pipe.recv(65536)
        assert text.endswith(b"\n"), text
        answer: dict[str, Any] = json.loads(text)
        return answer

    def attach(self) -> socket.socket:
        """Connect to the attach socket."""
        client = self.socket(socket.SOCK_SEQPACKET)
        parent = os.open(self.bundle, os.O_PATH)
        client.connect(f"/proc/self/fd/{parent}/attach")
        os.close(parent)
        return client

    def socket(self, kind: int) -> socket.socket:
        """Return a unix socket that is closed with the test."""
        made = socket.socket(socket.AF_UNIX, kind)
        made.settimeout(20)
        self._sockets.append(made)
        return made

    def wait(self, timeout_seconds: float = 20) -> None:
        """Wait until the monitor has ended."""
        if self._pidfd >= 0:
            self.wait_for(self._pidfd, timeout_seconds)

    def wait_for(self, pidfd: int, timeout_seconds: float = 20) -> None:
        """Wait until a process has ended."""
        assert select.select([pidfd], [], [], timeout_seconds)[0], "it is still there"

    def has_ended(self) -> bool:
        """Tell whether the monitor has ended."""
        return self._pidfd < 0 or bool(select.select([self._pidfd], [], [], 0)[0])

    def exit_code(self) -> int:
        """Return the exit code that was written down, once the monitor has ended."""
        self.wait()
        assert not [path for path in self.exits.iterdir() if path.name.startswith(".")]
        return int((self.exits / self.id).read_text())

    def lines(self) -> list[tuple[str, str, str]]:
        """Return the log's lines as stream, F or P, text."""
        rows = [line.split(" ", 3) for line in self.log.read_bytes().decode().split("\n")[:-1]]
        return [(row[1], row[2], row[3]) for row in rows]

    def text(self) -> str:
        """Return what the log holds, as the container wrote it."""
        return "".join(text + ("\n" if kind == "F" else "") for _, kind, text in self.lines())

    def await_shrunk(self, timeout_seconds: float = 15) -> None:
        """Wait until the monitor runs in its small interpreter."""
        await_true(lambda: is_shrunk(self.monitor), timeout_seconds)

    def close(self) -> None:
        """End whatever is left."""
        for end in (self.sync, self.start, self._sync_there, self._start_there, *self._sockets):
            end.close()
        if self.runtime == RUNC:
            subprocess.run([RUNC, "delete", "--force", self.id], capture_output=True, timeout=20)
        for pid in (self.pid, self.monitor):
            if pid > 0 and not self.has_ended():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        if self._pidfd >= 0:
            self.wait()
            os.close(self._pidfd)


def is_shrunk(pid: int) -> bool:
    """Tell whether a monitor of ours is in its second life: without ctypes, and listening again."""
    try:
        descriptors = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return False  # it is being born again
    return b"libffi" not in Path(f"/proc/{pid}/maps").read_bytes() and "anon_inode:[eventpoll]" in descriptors


def await_true(condition: Callable[[], bool], timeout_seconds: float = 15) -> None:
    """Poll for what no descriptor tells."""
    give_up = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come true"
        time.sleep(0.01)


@pytest.fixture
def script_runtime(tmp_path: Path) -> str:
    path = tmp_path / "script-runtime"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return str(path)


@pytest.fixture(params=["real", "ours"])
def conmon(request: pytest.FixtureRequest) -> str:
    return REAL if request.param == "real" else OURS


@pytest.fixture
def caller(conmon: str, tmp_path: Path, script_runtime: str) -> Iterator[Caller]:
    """A caller of the real conmon, then of ours."""
    caller = Caller(conmon, tmp_path, script_runtime)
    yield caller
    caller.close()


@pytest.fixture
def our_caller(tmp_path: Path, script_runtime: str) -> Iterator[Caller]:
    """A caller of ours, for what the real one does not do."""
    caller = Caller(OURS, tmp_path, script_runtime)
    yield caller
    caller.close()
