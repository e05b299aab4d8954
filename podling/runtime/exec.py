"""`exec`: execute another process in a running container.

    runtime                                    child
    checks, opens the container's pidfd
    enters its pid namespace for children
    fork into its cgroup ────────────────────► enters its other namespaces, all by one setns(2) on the pidfd
    back to its own pid namespace              terminal, limits, user, capabilities, seccomp
                         ◄──── READY           nothing is left but the exec
                         ◄──── end of channel  the exec closed it
    writes the pid file, exits or waits

As in init.py the child is not dumpable and opens nothing by name once it is inside; the words are handshake.py's, with
FAILED for whatever goes wrong, the exec included. The pid file is there exactly when the exec succeeded.
"""

from __future__ import annotations

import _signal
import os
import sys

from podling.errors import InvalidArgument, PodlingError, WrongState, reason
from podling.linux import capabilities, cgroups, namespaces, syscalls
from podling.linux.files import write_atomically
from podling.oci import runtime_spec
from podling.oci.jsontext import loads
from podling.runtime import console, container, handshake, identity, launch
from podling.runtime.root import host_proc, write_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID COMMAND [ARG...]  |  --process FILE CONTAINER-ID"
OPTIONS = (
    "console-socket=PATH",
    "pidfd-socket=PATH",
    "cwd=DIR",
    "env,e=NAME=VALUE...",
    "tty,t",
    "user,u=UID[:GID]",
    "additional-gids,g=GID...",
    "process,p=FILE",
    "detach,d",
    "pid-file=FILE",
    "process-label=LABEL",
    "apparmor=PROFILE",
    "no-new-privs",
    "cap,c=CAP...",
    "preserve-fds#N",
    "cgroup=PATH...",
    "ignore-paused",
)
INTERSPERSED = False

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Execute a process; return its exit status, or 0 at once with --detach."""
    if not words:
        raise InvalidArgument("container id cannot be empty")
    launch.check_preserved(options["preserve-fds"])
    found = container.load(context.root, words[0])
    _check_status(found, ignore_paused=options["ignore-paused"])
    config = found.config()
    process = process_of(options, words[1:], config)
    if options["detach"]:
        _check_console(process, options)
        _execute(found, config, process, options)
        return 0
    from podling.runtime import foreground

    with foreground.Session(options, terminal=bool(process.get("terminal"))) as session:
        pid = _execute(found, config, process, session.options, session.attach)
        return session.wait(pid)


def _check_status(found: Container, *, ignore_paused: bool) -> None:
    status = found.status()
    if status in (container.STOPPED, container.CREATING):
        raise WrongState("cannot exec in a stopped container: container not running")
    if status == container.PAUSED and not ignore_paused:
        raise WrongState("cannot exec in a paused container (use --ignore-paused to override)")


def _check_console(process: dict[str, Any], options: dict[str, Any]) -> None:
    if process.get("terminal") and not options["console-socket"]:
        raise InvalidArgument("a detached process with a terminal needs --console-socket")
    if options["console-socket"] and not process.get("terminal"):
        raise InvalidArgument("--console-socket is given, and the process has no terminal")


# --- what to execute


def process_of(options: dict[str, Any], command: list[str], config: dict[str, Any]) -> dict[str, Any]:
    """Return the process to execute: that of a file, or the container's own, changed by the flags."""
    own: dict[str, Any] = config["process"]
    if options["process"]:
        with open(options["process"], "rb") as file:
            process = {"capabilities": own.get("capabilities"), **loads(file.read())}
        return runtime_spec.check_process(process)
    if not command:
        raise InvalidArgument("process args cannot be empty")
    process = {**own, "args": command, "terminal": options["tty"], "user": _user(options, own.get("user") or {})}
    process["env"] = [*(own.get("env") or []), *options["env"]]
    process["cwd"] = options["cwd"] or own.get("cwd") or "/"
    process["capabilities"] = _capabilities(own.get("capabilities"), options["cap"])
    process["noNewPrivileges"] = bool(own.get("noNewPrivileges")) or options["no-new-privs"]
    process["apparmorProfile"] = options["apparmor"] or own.get("apparmorProfile")
    process["selinuxLabel"] = options["process-label"] or own.get("selinuxLabel")
    process.pop("oomScoreAdj", None)
    return runtime_spec.check_process(process)


def _user(options: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    user = dict(own)
    if options["user"] is not None:
        uid, colon, gid = options["user"].partition(":")
        user["uid"] = _id(uid, options["user"])
        if colon:
            user["gid"] = _id(gid, options["user"])
    if options["additional-gids"]:
        more = [_id(gid, gid) for gid in options["additional-gids"]]
        user["additionalGids"] = [*(user.get("additionalGids") or []), *more]
    return user


def _id(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 0xFFFFFFFF:
        raise InvalidArgument(f'"{whole}" is not a user ID, or a user ID and a group ID')
    return int(text)


def _capabilities(own: dict[str, list[str]] | None, more: list[str]) -> dict[str, list[str]]:
    names = [capabilities.canonical(name) for name in more]
    sets = {kind: list((own or {}).get(kind) or ()) for kind in _SETS}
    for kind in ("bounding", "effective", "permitted"):
        sets[kind] += names
    return sets


# --- the runtime's side


def _execute(
    found: Container, config: dict[str, Any], process: dict[str, Any], options: dict[str, Any], attach: Any = None
) -> int:
    """Execute a process in a container and return its pid, once it is what was asked for."""
    pidfd = syscalls.pidfd_open(found.state.pid)
    if not found.is_alive():
        raise WrongState("container not running")
    flags = namespaces.differing(found.state.pid)
    proc = host_proc()
    connection = console.connect(options["console-socket"]) if process.get("terminal") else -1
    become = _identity(found, config, process, proc)
    here, there = handshake.pair()
    cgroup = _cgroup(found, options["cgroup"])
    own = launch.OwnPidNamespace()
    try:
        if flags & syscalls.CLONE_NEWPID:
            syscalls.setns(pidfd, syscalls.CLONE_NEWPID)
        pid = launch.fork_into(cgroup, there)
        if pid == 0:
            here.close()
            _be_child(there, become, pidfd, flags & ~syscalls.CLONE_NEWPID, connection, options["preserve-fds"])
    finally:
        own.restore()
    there.close()
    birth = _Execution(pid, here)
    try:
        if connection >= 0:
            os.close(connection)
        if attach is not None:
            attach()
        birth.see_through(config, found)
        if options["pid-file"]:
            write_atomically(options["pid-file"], str(pid), durable=False)
    except BaseException:
        birth.abandon()
        raise
    return pid


def _identity(found: Container, config: dict[str, Any], process: dict[str, Any], proc: int) -> identity.Identity:
    return identity.Identity(
        process=process,
        sets=capabilities.Sets(),  # read in the child, whose user namespace decides what can be granted
        program=found.seccomp_program(),
        seccomp_flags=launch.seccomp_flags(config),
        keyring="" if found.state.no_new_keyring else f"_ses.{found.id}",
        proc=proc,
        interpreter=identity.interpreter(proc),
    )


def _cgroup(found: Container, below: list[str]) -> cgroups.Manager:
    """Return the container's cgroup, or the one below it that --cgroup names for all or for some controllers."""
    if not below:
        manager: cgroups.Manager = found.cgroup()
        return manager
    paths = dict(found.state.cgroup)
    for word in below:
        controllers, colon, path = word.rpartition(":")
        for name in controllers.split(",") if colon else list(paths):
            if name not in paths or ".." in path.split("/"):
                raise InvalidArgument(f'"{word}" does not name a cgroup of the container')
            paths[name] = os.path.normpath(f"{paths[name]}/{path}")
    return cgroups.at_paths(paths)


class _Execution:
    """The child, and our end of the channel to it."""

    def __init__(self, pid: int, channel: handshake.Channel) -> None:
        self.pid = pid
        self.channel = channel

    def see_through(self, config: dict[str, Any], found: Container) -> None:
        """Listen until the exec has closed the channel. Raise PodlingError where it never came to that."""
        ready = False
        while True:
            kind, text = self.channel.receive()
            if kind == handshake.READY:
                ready = True
            elif kind == handshake.LISTENER:
                self._pass_listener_on(config, found, int(text))
            elif kind == handshake.ENDED and ready:
                self.channel.close()
                return
            elif kind != handshake.WARNING:
                raise PodlingError(text or "the process ended before it was ready")

    def _pass_listener_on(self, config: dict[str, Any], found: Container, fd: int) -> None:
        from podling.runtime.state import describe

        pidfd = syscalls.pidfd_open(self.pid)
        listener = syscalls.pidfd_getfd(pidfd, fd)
        try:
            launch.send_listener(config["linux"]["seccomp"], listener, describe(found), self.pid)
        finally:
            os.close(listener)
            os.close(pidfd)
        self.channel.send(handshake.LISTENED)

    def abandon(self) -> None:
        """Kill the child, which is not yet waited for, and wait for its end."""
        self.channel.close()
        os.kill(self.pid, _signal.SIGKILL)
        os.waitpid(self.pid, 0)


# --- the child's side


def _be_child(
    channel: handshake.Channel, become: identity.Identity, pidfd: int, flags: int, connection: int, preserved: int
) -> NoReturn:
    """Become the process. Ends in the exec, or says why not and exits with 1."""
    try:
        _settle_in(become)
        _enter(pidfd, flags)
        os.setsid()
        if connection >= 0:
            _open_terminal(become.process, connection)
        become.sets, _refused = capabilities.from_specification(become.process.get("capabilities"))
        environment = identity.environment_of(become.process)
        environment.setdefault("HOME", "/")
        _leave_nothing_open(channel, become, preserved)
        listener = identity.become(become)
        if listener >= 0:
            channel.send(handshake.LISTENER, str(listener))
            channel.receive()
        command = identity.find_command(become, environment)
        identity.reset_signals()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
        channel.send(handshake.READY)
        if become.program and become.late_seccomp:
            identity.load_seccomp(become)
        _exec(command, become.process["args"], environment)
    except BaseException as error:
        try:
            channel.send(handshake.FAILED, reason(error))
        except OSError:
            pass  # the runtime has ended
    finally:
        os._exit(1)


def _settle_in(become: identity.Identity) -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    score = become.process.get("oomScoreAdj")
    if score is not None:
        write_proc(become.proc, "thread-self/oom_score_adj", str(score))


def _enter(pidfd: int, flags: int) -> None:
    """Enter the container's namespaces at once; importing is off before its files are in reach."""
    sys.meta_path.clear()
    sys.path.clear()
    try:
        syscalls.setns(pidfd, flags)
    except OSError as error:
        raise PodlingError("cannot enter the container's namespaces") from error
    if flags & syscalls.CLONE_NEWUSER:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    os.chdir("/")


def _open_terminal(process: dict[str, Any], connection: int) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        master, slave = console.open_pair(root, -1, process)
    except OSError as error:
        raise PodlingError("cannot make a terminal") from error
    os.close(root)
    console.send_master(connection, master)
    console.become_controlling(slave)


def _leave_nothing_open(channel: handshake.Channel, become: identity.Identity, preserved: int) -> None:
    for fd in range(3, 3 + preserved):
        os.set_inheritable(fd, True)
    identity.close_on_exec_above(2 + preserved)


def _exec(command: str, arguments: list[str], environment: dict[str, str]) -> None:
    try:
        os.execve(command, arguments, environment)
    except OSError as error:
        raise PodlingError(f'exec "{command}"') from error
