"""Launching the chain: from a resolved config to a process that waits for `start`.

engine                          monitor (conmon)                        runtime (runc)
  │ fork or exec ──────────────► in its own cgroup from birth; imports; reads the start pipe
  │ (mounts, writes the bundle)
  │ start pipe: one byte ──────► forks itself; the first one exits
  │ waits for that exit          the second one: setsid, subreaper
  │ (sets the network up)        sockets, pipes or pty; create ────────► namespaces, mounts
  │                              the container's first process is its child
  │ ◄──── sync pipe: {"data": PID}, or {"data": -1, "message": …}
  │ start ─────────────────────────────────────────────────────────────► the process begins

fds of the monitor:  3 _OCI_SYNCPIPE   4 _OCI_STARTPIPE   5 _OCI_ATTACHPIPE (exec)   then the user's
"""

from __future__ import annotations

import _signal
import _socket
import os

from podling import programs
from podling.engine import paths
from podling.errors import CannotInvoke, CommandNotFound, Corrupt, PodlingError, Unavailable
from podling.linux.processes import read_small
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import Settings

SYNC, START, ATTACH = 3, 4, 5
_SYNC_TIMEOUT_SECONDS = 240.0
_NOT_PASSED_ON = ("NOTIFY_SOCKET", "DBUS_SESSION_BUS_ADDRESS")


class Monitor:
    """A monitor under way, and our ends of its pipes."""

    def __init__(self, pid: int, sync: Any, start: Any, attach: Any = None) -> None:
        self.pid = pid  # of the first one, our child; 0 once it has exited
        self.sync = sync
        self.start = start
        self.attach = attach

    def close(self) -> None:
        """Close our ends."""
        for end in (self.sync, self.start, self.attach):
            if end is not None:
                end.close()

    def release(self) -> None:
        """Send the start byte."""
        self.start.send(b"\0")

    def wait_for_fork(self) -> None:
        """Wait for the first monitor to leave the second one behind. Raise Unavailable where it failed."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        if status:
            code = os.waitstatus_to_exitcode(status)
            raise Unavailable(f"conmon failed: exit status {code}")

    def abandon(self) -> None:
        """Kill the first monitor, if it has not done its work yet, and close our ends."""
        if self.pid:
            os.kill(self.pid, _signal.SIGKILL)
            self.reap()
        self.close()

    def reap(self) -> None:
        """Wait for the first monitor, which has been killed, if it was not waited for yet."""
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0

    def receive(self, pipe: Any) -> dict[str, Any]:
        """Return one message of a pipe. Raise Unavailable where the monitor ended without one."""
        pipe.settimeout(_SYNC_TIMEOUT_SECONDS)
        try:
            line = pipe.recv(65536)
        except TimeoutError:
            raise Unavailable(f"conmon did not answer within {_SYNC_TIMEOUT_SECONDS:.0f} seconds") from None
        if not line:
            raise Unavailable("conmon ended before it answered")
        message: dict[str, Any] = jsontext.loads(line)
        if not isinstance(message, dict) or not isinstance(message.get("data"), int):
            raise Corrupt(f"conmon answered {line!r}")
        return message


def launch(
    settings: Settings,
    arguments: list[str],
    *,
    extra_descriptors: Mapping[int, int],
    preserved: int,
    with_attach_pipe: bool,
    fork: Callable[[], int] = os.fork,
    working_directory: str | None = None,
) -> Monitor:
    """Start a monitor; it waits for `release`.

    `preserved` user descriptors stand at 3 and up, so the pipes come after them, as Podman has it.
    """
    ours: list[Any] = []
    theirs: list[Any] = []
    names = ["_OCI_SYNCPIPE", "_OCI_STARTPIPE"] + (["_OCI_ATTACHPIPE"] if with_attach_pipe else [])
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    environment.setdefault("XDG_RUNTIME_DIR", "")
    descriptors = dict(extra_descriptors)
    try:
        for number, name in enumerate(names, SYNC + preserved):
            one, other = _socket_pair()
            ours.append(one)
            theirs.append(other)
            environment[name] = str(number)
            descriptors[number] = other.fileno()
        pid = programs.start(
            settings.conmon,
            arguments,
            environment,
            descriptors=descriptors,
            working_directory=working_directory,
            fork=fork,
        )
    except BaseException:
        for end in ours:
            end.close()
        raise
    finally:
        for end in theirs:
            end.close()
    return Monitor(pid, *ours)


def _socket_pair() -> tuple[Any, Any]:
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)


def common_arguments(settings: Settings, container: Container, session: str = "") -> list[str]:
    """Return the monitor's arguments that create and exec share (conmon's command line, in Podman's order)."""
    config = container.config
    home = paths.exec_bundle(settings, config.id, session) if session else paths.bundle(settings, config.id)
    exits = f"{home}/exit" if session else paths.exit_directory(settings)
    persist = f"{home}/persist/{config.id}" if session else paths.persist_directory(settings, config.id)
    pid_file = f"{home}/exec_pid" if session else f"{home}/pidfile"
    for directory in (exits, persist):
        os.makedirs(directory, mode=0o700, exist_ok=True)
    arguments = ["--api-version", "1", "-c", config.id, "-u", session or config.id, "-r", runtime_path(settings)]
    arguments += ["-b", home, "-p", pid_file, "-n", config.name, "--exit-dir", exits, "--persist-dir", persist]
    arguments += ["--full-attach"]
    for flag in [f"--root={paths.runtime_root(settings)}", *settings.runtime_flags]:
        arguments += ["--runtime-arg", flag]
    if settings.cgroup_manager == "systemd" and config.cgroups not in ("disabled", "split"):
        arguments.append("-s")
    arguments += ["--log-level", settings.log_level]
    for flag in ("--log-format=json", "--log", f"{home}/oci-log"):
        arguments += ["--runtime-arg", flag]
    return arguments


def runtime_path(settings: Settings) -> str:
    """Return the runtime's path as a foreign monitor needs it."""
    name = programs.ours(settings.runtime)
    return programs.launcher(name) if name else settings.runtime


def exit_command(settings: Settings, *verb: str) -> list[str]:
    """Return the monitor's arguments for a command of ours that it runs when its process has ended."""
    command = ["--root", settings.root, "--runroot", settings.runroot, "--log-level", settings.log_level]
    command += ["--cgroup-manager", settings.cgroup_manager, "--tmpdir", settings.tmpdir]
    command += ["--network-config-dir", settings.network_config_dir]
    command += ["--runtime", settings.runtime, "--conmon", settings.conmon]
    for flag in settings.runtime_flags:
        command += ["--runtime-flag", flag.removeprefix("--")]
    arguments = ["--exit-command", programs.launcher("podling")]
    for word in (*command, *verb):
        arguments += ["--exit-command-arg", word]
    return arguments


class RuntimeCall:
    """One verb of the runtime under way; `finish` waits for its end."""

    def __init__(self, settings: Settings, verb: str, pid: int, output: int) -> None:
        self._settings = settings
        self._verb = verb
        self._pid = pid
        self._output = output

    def finish(self) -> None:
        """Wait for the end. Raise what the runtime's message means."""
        text = _read_all(self._output)
        _, status = os.waitpid(self._pid, 0)
        if status:
            raise runtime_error(self._settings, text.decode("utf-8", "replace").strip() or f"{self._verb} failed")


def call_runtime(settings: Settings, *arguments: str) -> None:
    """Run one verb of the runtime to its end. Raise what its message means."""
    begin_runtime(settings, *arguments).finish()


def begin_runtime(settings: Settings, *arguments: str) -> RuntimeCall:
    """Start one verb of the runtime."""
    flags = [f"--root={paths.runtime_root(settings)}", *settings.runtime_flags]
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        environment = {"XDG_RUNTIME_DIR": "", "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
        descriptors = {0: null, 1: writing, 2: writing}
        pid = programs.start(settings.runtime, [*flags, *arguments], environment, descriptors=descriptors)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(null)
    return RuntimeCall(settings, arguments[0], pid, reading)


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 65536):
        pieces.append(piece)
    os.close(fd)
    return b"".join(pieces)


def runtime_failure(settings: Settings, home: str, message: str) -> PodlingError:
    """Return the error of a failed create or exec: the runtime's own log knows more than the monitor heard."""
    try:
        rows = read_small(f"{home}/oci-log").splitlines()
    except OSError:
        rows = []
    for row in reversed(rows):
        try:
            entry = jsontext.loads(row)
        except Corrupt:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal") and entry.get("msg"):
            message = str(entry["msg"])
            break
    return runtime_error(settings, message)


def runtime_error(settings: Settings, message: str) -> PodlingError:
    """Return the error that a runtime's message means: 126 and 127 are told apart by their words, as Podman does."""
    name = os.path.basename(settings.runtime_name or settings.runtime)
    lowered = message.lower()
    message = " ".join(message.split())
    if "permission denied" in lowered or "operation not permitted" in lowered:
        return CannotInvoke(f"{name}: {message}: OCI permission denied")
    not_found = ("executable file not found in", "no such file or directory", "open executable")
    if any(words in lowered for words in not_found):
        return CommandNotFound(f"{name}: {message}: OCI runtime attempted to invoke a command that was not found")
    return PodlingError(f"{name}: {message}: OCI runtime error")
