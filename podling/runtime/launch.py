"""The runtime's side of a first process's birth: what is opened before the fork, and the answers after it.

The other side is init.py, the words between them are in handshake.py.
"""

from __future__ import annotations

import _signal
import _socket
import os
import struct

from podling.errors import InvalidArgument, PodlingError, reason
from podling.linux import cgroups, mounts, namespaces, seccomp, syscalls
from podling.oci.runtime_spec import namespaces_of
from podling.runtime import handshake, hooks, init, rootfs
from podling.runtime.root import host_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.runtime.container import Container


class Birth:
    """A first process in the making: its pid, and our end of the channel to it."""

    def __init__(self, pid: int, channel: handshake.Channel, plan: init.Plan) -> None:
        self.pid = pid
        self.child = pid  # which of them we wait for: a user namespace puts a short-lived process in between
        self.channel = channel
        self.plan = plan

    def see_through(self, warn: Callable[[str], None], on_pid: Callable[[int], None]) -> None:
        """Answer init until it is ready. Raise PodlingError with its reason where it fails."""
        while True:
            kind, text = self.channel.receive()
            if kind == handshake.READY:
                return
            if kind == handshake.WARNING:
                warn(text)
            elif kind == handshake.PID:
                self.pid = int(text)
                on_pid(self.pid)
            elif kind == handshake.MAPPINGS_WANTED:
                self._write_mappings()
            elif kind == handshake.HOOKS_DUE:
                self._run_hooks()
            elif kind == handshake.LISTENER:
                self._pass_listener_on(int(text))
            else:
                raise PodlingError(text if kind == handshake.FAILED else self._obituary())

    def release(self) -> None:
        """Let init go and wait for start."""
        self.channel.send(handshake.RELEASED)
        self.channel.close()

    def abandon(self) -> None:
        """Kill what there is and wait for its end."""
        self.channel.close()
        for pid in {self.pid, self.child}:
            try:
                os.kill(pid, _signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in {self.pid, self.child}:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # it was never our child, or has been waited for

    def _obituary(self) -> str:
        try:
            _pid, status = os.waitpid(self.child, 0)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            return "init ended before it was ready"
        return f"init ended before it was ready, by signal {-code}" if code < 0 else f"init ended with status {code}"

    def _write_mappings(self) -> None:
        linux = self.plan.config["linux"]
        try:
            namespaces.write_mappings(self.pid, linux["uidMappings"], linux["gidMappings"])
        except OSError as error:
            raise PodlingError("cannot map users") from error
        self.channel.send(handshake.MAPPED)

    def _run_hooks(self) -> None:
        state = {**self.plan.state, "status": "creating", "pid": self.pid}
        for point in ("prestart", "createRuntime"):
            hooks.run_all(self.plan.config, point, state)
        self.channel.send(handshake.HOOKED)

    def _pass_listener_on(self, fd: int) -> None:
        """Fetch the seccomp listener from init and send it to the agent that the configuration names."""
        pidfd = syscalls.pidfd_open(self.pid)
        listener = syscalls.pidfd_getfd(pidfd, fd)
        profile = self.plan.config["linux"]["seccomp"]
        try:
            send_listener(profile, listener, {**self.plan.state, "status": "creating", "pid": self.pid}, self.pid)
        finally:
            os.close(listener)
            os.close(pidfd)
        self.channel.send(handshake.LISTENED)


def send_listener(profile: dict[str, Any], listener: int, state: dict[str, Any], pid: int) -> None:
    """Send a seccomp listener with the container process state (config-linux.md) to the agent's socket."""
    from podling.oci.jsontext import dumps

    path = profile.get("listenerPath")
    if not path:
        raise InvalidArgument("seccomp notifies, and listenerPath is missing")
    message = {
        "ociVersion": state["ociVersion"],
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": profile.get("listenerMetadata") or "",
        "state": state,
    }
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        agent.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listener))
        agent.sendmsg([dumps(message).encode()], [rights])
    except OSError as error:
        raise PodlingError(f'cannot send the seccomp listener to "{path}"') from error
    finally:
        agent.close()


def check_preserved(count: int) -> None:
    """Raise InvalidArgument unless the descriptors 3 to N+2 are the caller's: else one of ours would be handed on."""
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise InvalidArgument(f"descriptor {fd} is to be preserved and is not open") from None


def listen_descriptors(environment: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Return how many descriptors a service manager passes on (sd_listen_fds(3)), and the environment for them."""
    count = environment.get("LISTEN_FDS", "")
    if not count.isdigit() or not int(count):
        return 0, {}
    passed = {"LISTEN_FDS": count, "LISTEN_PID": "1"}
    if "LISTEN_FDNAMES" in environment:
        passed["LISTEN_FDNAMES"] = environment["LISTEN_FDNAMES"]
    return int(count), passed


def seccomp_program(config: dict[str, Any], cache_directory: str) -> bytes:
    """Return the compiled filter; empty where there is none."""
    profile = config["linux"].get("seccomp")
    return seccomp.compile_profile(profile, cache_directory=cache_directory) if seccomp.applies(profile) else b""


def seccomp_flags(config: dict[str, Any]) -> list[str]:
    """Return the flags to load the filter with."""
    return seccomp.flags_of(config["linux"].get("seccomp") or {})


def open_namespaces(config: dict[str, Any]) -> dict[str, int]:
    """Return a fd of each namespace that is to be joined."""
    opened = {}
    for kind, path in namespaces_of(config).items():
        if path:
            try:
                opened[kind] = namespaces.open_namespace(kind, path)
            except OSError as error:
                raise PodlingError(f"cannot join {kind} namespace") from error
    return opened


def prepare_mounts(config: dict[str, Any]) -> rootfs.Preparation:
    """Clone the bind sources that only the host's root can reach, and make namespaces for idmapped mounts."""
    preparation = rootfs.Preparation()
    in_user_namespace = "user" in namespaces_of(config)
    for index, entry in enumerate(config.get("mounts") or ()):
        options = mounts.parse_options(entry.get("options") or [])
        is_bind = options.bind or (entry.get("type") or "bind") == "bind"
        if is_bind and in_user_namespace:
            preparation.sources[index] = _clone(entry, options, config)
        if is_idmapped(entry):
            from podling.runtime import idmap

            preparation.user_namespaces[index] = idmap.user_namespace(entry, config)
    return preparation


def is_idmapped(entry: dict[str, Any]) -> bool:
    """Tell whether a mount has ID mappings of its own."""
    options = entry.get("options") or ()
    return bool(entry.get("uidMappings") or entry.get("gidMappings") or "idmap" in options or "ridmap" in options)


def _clone(entry: dict[str, Any], options: mounts.Options, config: dict[str, Any]) -> int:
    try:
        tree = rootfs.clone_source(entry, options, config)
        mounts.set_propagation(tree, syscalls.MS_SLAVE, recursive=True)
    except OSError as error:
        raise PodlingError(f'cannot mount bind "{entry.get("source")}" at "{entry["destination"]}"') from error
    return tree


def plan_for(container: Container, config: dict[str, Any], state: dict[str, Any]) -> init.Plan:
    """Return a plan with all that is opened on the host; the caller adds console and descriptors."""
    return init.Plan(
        container_id=container.id,
        config=config,
        state=state,
        joined=open_namespaces(config),
        proc=host_proc(),
        fifo=os.open(container.fifo, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC),
        preparation=prepare_mounts(config),
    )


def start_init(plan: init.Plan, cgroup: cgroups.Manager) -> Birth:
    """Fork init into the cgroup. The caller's own namespaces are as before, whatever happens."""
    here, there = handshake.pair()
    own = OwnPidNamespace()
    try:
        if "user" not in plan.kinds():
            init.enter_for_children(plan)
        pid = fork_into(cgroup, there)
        if pid == 0:
            here.close()
            init.main(plan, there)
    finally:
        own.restore()
    there.close()
    return Birth(pid, here, plan)


class OwnPidNamespace:
    """The pid namespace that our children are born in, to be restored after a fork into another."""

    def __init__(self) -> None:
        self.fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def restore(self) -> None:
        """Let the next child be born beside us again."""
        syscalls.setns(self.fd, syscalls.CLONE_NEWPID)
        os.close(self.fd)


def fork_into(cgroup: cgroups.Manager, there: handshake.Channel) -> int:
    """Fork a process that is in the cgroup and cannot be looked into; return as os.fork does."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    us = os.getpid()
    try:
        return cgroup.fork()
    except BaseException as error:
        if os.getpid() == us:
            raise PodlingError("cannot make a process in the cgroup") from error
        there.send(handshake.FAILED, f"cannot enter the cgroup: {reason(error)}")
        os._exit(1)
