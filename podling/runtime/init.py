"""The screenplay of a container's first process, from the fork to the exec.

    runtime (host)      init                                                       where it is
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    fork ─────────────► born in the cgroup, pid 1 of the new pid namespace          host's mounts, host's root
                        user namespace: enter, ask for the maps, fork again
                        join and make the other namespaces
                        loopback up, hostname, sysctls
                        the root file system, its mounts, its devices               own mounts, host's root
    ◄─ HOOKS_DUE ──►    hooks createContainer
                        read-only and masked paths, pivot                           own root
                        terminal, limits, keyring, user, capabilities, seccomp
    ◄─ READY            …nothing is left to go wrong
    RELEASED ─────────► waits at exec.fifo
    `start` reads ────► hooks startContainer, execve                                the user's program

`handshake.py` has the messages. From the pivot on the interpreter opens nothing by name in what is now somebody
else's file system: importing is switched off, codecs and modules are loaded, errors are told without tracebacks. It
is not dumpable, so nobody in a namespace that it joins can reach its memory, its descriptors or its executable.

The pid namespace is made by the runtime, which unshares it before the fork and returns to its own after it: one fork
of CPython's own kind, where raw clone(2) would leave the C library's idea of its thread behind. A user namespace costs
a second fork, since the pid namespace must belong to it.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import os
import struct
import sys

from podling.errors import PodlingError, reason
from podling.linux import capabilities, mounts, namespaces, syscalls
from podling.records import Record
from podling.runtime import console, devices, handshake, hooks, identity, rootfs
from podling.runtime.container import INIT_NAME
from podling.runtime.root import Root, read_small_file, write_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from podling.runtime.handshake import Channel

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_ENDED_BY = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2)
_FOR_CHILDREN = ("user", "pid", "time")  # entered in a step of their own


class Plan(Record):
    """All that init needs to know, settled before the fork."""

    container_id: str
    config: dict[str, Any]  # checked, "bundle" added
    state: dict[str, Any]  # for the hooks
    joined: dict[str, int] = {}  # namespace kind → fd
    proc: int  # the host's /proc
    fifo: int  # O_PATH
    console: int = -1  # a connection to the console socket
    preparation: rootfs.Preparation
    program: bytes = b""
    seccomp_flags: list[str] = []
    preserve_fds: int = 0
    listen_environment: dict[str, str] = {}
    no_pivot: bool = False
    no_new_keyring: bool = False

    def kinds(self) -> set[str]:
        """Return the kinds of namespace that are not the runtime's own."""
        return {row["type"] for row in self.config["linux"].get("namespaces") or ()}

    def makes(self, kind: str) -> bool:
        """Tell whether a namespace of that kind is made, neither joined nor shared with the runtime."""
        return kind in self.kinds() and kind not in self.joined


def main(plan: Plan, channel: Channel) -> NoReturn:
    """Be the container's first process. Ends in the exec, or says why not and exits with 1."""
    speaker = _Speaker(channel)
    try:
        live(plan, channel, speaker)
    except BaseException as error:
        speaker.tell_failure(reason(error))
    finally:
        os._exit(1)


class _Speaker:
    """Where a failure is told: to the runtime, and from `start` on to whoever reads the fifo."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.fifo = -1

    def tell_failure(self, text: str) -> None:
        try:
            if self.fifo >= 0:
                os.write(self.fifo, text.encode("utf-8", "replace")[:4000])
            else:
                self.channel.send(handshake.FAILED, text)
        except OSError:
            pass  # whoever would have listened has ended


def live(plan: Plan, channel: Channel, speaker: _Speaker) -> None:
    """Play the whole piece. Returns only by an exception."""
    _settle_in(plan)
    if "user" in plan.kinds():
        _enter_user_namespace(plan, channel)
    _enter_namespaces(plan)
    _configure_kernel(plan)
    if plan.kinds() & {"cgroup"}:
        _enter_cgroup_namespace(plan)
    root, slave, become = _assemble(plan, channel)
    _leave_host(plan, root)
    os.setsid()
    if slave >= 0:
        console.become_controlling(slave)
    environment = _environment(plan, root)
    os.close(root.fd)
    listener = identity.become(become)
    if listener >= 0:
        _hand_over_listener(channel, listener)
    command = identity.find_command(become, environment)
    identity.reset_signals()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)  # a runtime that dies from here on closes the channel, which ends us
    channel.send(handshake.READY)
    _expect(channel, handshake.RELEASED)
    channel.close()
    _await_start(plan, speaker)
    _execute(plan, become, command, environment)


# --- born


def _settle_in(plan: Plan) -> None:
    """Name ourselves, die with the runtime, and take the out-of-memory score while the host's rights last."""
    syscalls.set_process_name(INIT_NAME)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    score = plan.config["process"].get("oomScoreAdj")
    if score is not None:
        try:
            write_proc(plan.proc, "thread-self/oom_score_adj", str(score))
        except OSError as error:
            raise PodlingError(f"cannot set oom score to {score}") from error


def _enter_user_namespace(plan: Plan, channel: Channel) -> None:
    """Join or make the user namespace and be born again in it, so that the pid namespace belongs to it.

    Namespaces to be joined may belong to the host or to the user namespace: what we may not enter now is tried again
    when we are in it.
    """
    for kind in [kind for kind in plan.joined if kind not in _FOR_CHILDREN]:
        if _try_to_join(kind, plan.joined[kind]):
            del plan.joined[kind]
            plan.config["linux"]["namespaces"] = [
                row for row in plan.config["linux"]["namespaces"] if row["type"] != kind
            ]
    if plan.makes("user"):
        _step("cannot make user namespace", syscalls.unshare, syscalls.CLONE_NEWUSER)
        channel.send(handshake.MAPPINGS_WANTED)
        _expect(channel, handshake.MAPPED)
    else:
        _step("cannot join user namespace", syscalls.setns, plan.joined["user"], syscalls.CLONE_NEWUSER)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    enter_for_children(plan)
    pid = os.fork()
    if pid:
        channel.send(handshake.PID, str(pid))
        os._exit(0)


def enter_for_children(plan: Plan) -> None:
    """Join or make the namespaces that only children enter: the next fork is in them."""
    for kind in ("pid", "time"):
        if kind in plan.joined:
            _step(f"cannot join {kind} namespace", syscalls.setns, plan.joined[kind], namespaces.FLAGS[kind])
        elif plan.makes(kind):
            _step(f"cannot make {kind} namespace", syscalls.unshare, namespaces.FLAGS[kind])
    offsets = plan.config["linux"].get("timeOffsets") or {}
    if plan.makes("time") and offsets:
        rows = [f"{clock} {row.get('secs', 0)} {row.get('nanosecs', 0)}\n" for clock, row in offsets.items()]
        _step("cannot set time offsets", write_proc, plan.proc, "self/timens_offsets", "".join(rows))


def _try_to_join(kind: str, fd: int) -> bool:
    try:
        syscalls.setns(fd, namespaces.FLAGS[kind])
    except PermissionError:
        return False
    return True


def _step(intent: str, act: Any, *arguments: Any) -> None:
    try:
        act(*arguments)
    except OSError as error:
        raise PodlingError(intent) from error


def _expect(channel: Channel, kind: bytes) -> None:
    """Wait for a message; a runtime that has gone ends us."""
    found, _text = channel.receive()
    if found != kind:
        os._exit(1)


# --- namespaces


def _enter_namespaces(plan: Plan) -> None:
    """Join what is to be joined, then make the others; the cgroup namespace comes later."""
    for kind, fd in plan.joined.items():
        if kind not in _FOR_CHILDREN:
            _step(f"cannot join {kind} namespace", syscalls.setns, fd, namespaces.FLAGS[kind])
    flags = 0
    for kind in plan.kinds():
        if kind not in _FOR_CHILDREN and kind != "cgroup" and plan.makes(kind):
            flags |= namespaces.FLAGS[kind]
    _step("cannot make namespaces", syscalls.unshare, flags)


def _enter_cgroup_namespace(plan: Plan) -> None:
    """Make our cgroup the root of what we see of cgroups; we are in it since our birth."""
    if plan.makes("cgroup"):
        _step("cannot make cgroup namespace", syscalls.unshare, syscalls.CLONE_NEWCGROUP)


def _configure_kernel(plan: Plan) -> None:
    """Set what belongs to the new namespaces: loopback, names, sysctls."""
    config = plan.config
    if plan.makes("network"):
        _step("cannot bring up loopback", _bring_up_loopback)
    if config.get("hostname"):
        _step("cannot set hostname", syscalls.sethostname, config["hostname"])
    if config.get("domainname"):
        _step("cannot set domain name", syscalls.setdomainname, config["domainname"])
    for name, value in (config["linux"].get("sysctl") or {}).items():
        path = name if "/" in name else name.replace(".", "/")
        _step(f'cannot set sysctl "{name}"', write_proc, plan.proc, f"sys/{path}", value)


def _bring_up_loopback() -> None:
    handle = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sh22x", b"lo", 0)
    flags = struct.unpack_from("h", fcntl.ioctl(handle.fileno(), _SIOCGIFFLAGS, request), 16)[0]
    fcntl.ioctl(handle.fileno(), _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
    handle.close()


# --- the root file system


def _assemble(plan: Plan, channel: Channel) -> tuple[Root, int, identity.Identity]:
    """Build the root file system; return it, the slave of the terminal or -1, and what we are to become."""
    config = plan.config
    if "mount" not in plan.kinds():
        raise PodlingError("a container without a mount namespace of its own is not supported")
    propagation = config["linux"].get("rootfsPropagation") or ""
    _step("cannot change the propagation of mounts", rootfs.enter, propagation)
    null = rootfs.open_null()
    root = rootfs.adopt(config["root"]["path"])
    assembly = rootfs.Assembly(root, config, plan.preparation)
    assembly.mount_all()
    if devices.is_wanted(config):
        devices.make_all(root, config, bind="user" in plan.kinds())
    _make_working_directory(root, config["process"]["cwd"])
    slave = _open_terminal(plan, root, assembly.devpts)
    _run_hooks(plan, channel)
    assembly.finish()
    rootfs.make_read_only(root, config["linux"].get("readonlyPaths") or [])
    rootfs.mask(root, config["linux"].get("maskedPaths") or [], null)
    os.close(null)
    if config["root"].get("readonly"):
        _step("cannot make root read-only", _make_root_read_only, root)
    return root, slave, _identity(plan, channel)


def _make_root_read_only(root: Root) -> None:
    mounts.set_attributes(root.fd, to_set=syscalls.MOUNT_ATTR_RDONLY)


def _make_working_directory(root: Root, path: str) -> None:
    """Make the working directory where the image has none, as `docker run -w` users expect."""
    try:
        os.close(root.directory(path))
    except OSError:
        pass  # a read-only volume, a file in the way: entering it tells


def _open_terminal(plan: Plan, root: Root, devpts: int) -> int:
    """Make the terminal, send its master off and put its slave at /dev/console; -1 where none is wanted."""
    process = plan.config["process"]
    if not process.get("terminal"):
        return -1
    try:
        master, slave = console.open_pair(root.fd, devpts, process)
    except OSError as error:
        raise PodlingError("cannot make a terminal") from error
    console.cover_dev_console(root, slave)
    console.send_master(plan.console, master)
    return slave


def _run_hooks(plan: Plan, channel: Channel) -> None:
    if hooks.of(plan.config, "prestart") or hooks.of(plan.config, "createRuntime"):
        channel.send(handshake.HOOKS_DUE)
        _expect(channel, handshake.HOOKED)
    hooks.run_all(plan.config, "createContainer", {**plan.state, "status": "creating", "pid": os.getpid()})


def _leave_host(plan: Plan, root: Root) -> None:
    """Switch importing off and make the root "/"."""
    sys.meta_path.clear()
    sys.path.clear()
    act = rootfs.move_to_root if plan.no_pivot else rootfs.pivot
    _step("cannot change root", act, root, plan.config["linux"].get("rootfsPropagation") or "")
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


# --- the user's process


def _identity(plan: Plan, channel: Channel) -> identity.Identity:
    process = plan.config["process"]
    sets, refused = capabilities.from_specification(process.get("capabilities"))
    if refused:
        channel.send(handshake.WARNING, f"capabilities not granted: {' '.join(refused)}")
    return identity.Identity(
        process=process,
        sets=sets,
        program=plan.program,
        seccomp_flags=plan.seccomp_flags,
        keyring="" if plan.no_new_keyring else f"_ses.{plan.container_id}",
        proc=plan.proc,
        interpreter=identity.interpreter(plan.proc),
    )


def _environment(plan: Plan, root: Root) -> dict[str, str]:
    """Return the environment, with HOME from the image's own passwd where it is missing."""
    environment = identity.environment_of(plan.config["process"])
    environment.update(plan.listen_environment)
    if "HOME" not in environment:
        environment["HOME"] = home_of(root, (plan.config["process"].get("user") or {}).get("uid", 0))
    return environment


def home_of(root: Root, uid: int) -> str:
    """Return a user's home directory by the root's /etc/passwd; "/" where it does not say."""
    for row in read_small_file(root, "/etc/passwd").split(b"\n"):
        fields = row.split(b":")
        if len(fields) == 7 and fields[2] == str(uid).encode() and fields[5].startswith(b"/"):
            return os.fsdecode(fields[5])
    return "/"


def _hand_over_listener(channel: Channel, listener: int) -> None:
    channel.send(handshake.LISTENER, str(listener))
    _expect(channel, handshake.LISTENED)
    os.close(listener)


def _await_start(plan: Plan, speaker: _Speaker) -> None:
    """Wait until `start` opens the fifo for reading. A signal that would end the program ends us meanwhile.

    The first process of a pid namespace is spared signals that it does not handle, so it has to handle them.
    """
    for number in _ENDED_BY:
        _signal.signal(number, lambda number, _frame: os._exit(128 + number))
    flags = os.O_WRONLY | os.O_CLOEXEC
    fifo = os.open(f"self/fd/{plan.fifo}", flags, dir_fd=plan.proc)
    os.write(fifo, b"0")
    speaker.fifo = fifo


def _execute(plan: Plan, become: identity.Identity, command: str, environment: dict[str, str]) -> None:
    """Run the last hooks, load a filter that could wait until now, and become the user's program."""
    config = plan.config
    hooks.run_all(config, "startContainer", {**plan.state, "status": "created", "pid": os.getpid()})
    for fd in range(3, 3 + plan.preserve_fds):
        os.set_inheritable(fd, True)
    identity.close_on_exec_above(2 + plan.preserve_fds)
    if become.program and become.late_seccomp:
        identity.load_seccomp(become)
    try:
        os.execve(command, config["process"]["args"], environment)
    except OSError as error:
        raise PodlingError(f'exec "{command}"') from error
