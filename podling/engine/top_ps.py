"""The host's ps(1) in a container's pid namespace, where the container can do nothing with it.

    engine
      └─ keeper      own mount namespace: a root of tmpfs with the host's /usr, read-only, and little else
          └─ ps      in the container's pid namespace, on a /proc of its own, as a user that nobody else is,
                     without capabilities

The container sees this ps among its processes, and one that has CAP_SYS_PTRACE may trace it. It would find a process
that can read what every user of the host can read in /usr, and nothing else: so there is no reason to run the
container's own ps instead, which could print what it likes.
"""

from __future__ import annotations

import os
import stat

from podling.errors import PodlingError, Unsupported
from podling.linux import capabilities, syscalls

_SETUP_FAILED = 255
_ROOT = "/run"  # where the new root is mounted, in a mount namespace of its own
_SHOWN = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
_SHOWN_FILES = ("etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ld.so.cache", "etc/ld.so.conf", "etc/localtime")
_READ_ONLY = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV


def run(pid: int, words: list[str], terminals: set[str]) -> list[str]:
    """Run ps with arguments and return its lines, without that of ps itself. Raise PodlingError with what it says.

    `terminals` are those that ps may name: pts/0, for instance.
    """
    path = _ps()
    out, out_write = os.pipe2(os.O_CLOEXEC)
    error, error_write = os.pipe2(os.O_CLOEXEC)
    told, told_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _child(pid, path, words, terminals, (out_write, error_write, told_write))
    for fd in (out_write, error_write, told_write):
        os.close(fd)
    output, complaint, inner = _drain(out, error, told)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == _SETUP_FAILED:
        raise Unsupported(f"cannot run ps(1) in the container's pid namespace: {complaint}")
    if status:
        raise PodlingError(f"ps(1) failed with exit code {status}: {complaint.splitlines()[0] if complaint else ''}")
    return without_itself(output.splitlines(), words, inner)


def _ps() -> str:
    for directory in ("/usr/bin", "/bin"):
        if os.access(f"{directory}/ps", os.X_OK):
            return f"{directory}/ps"
    raise Unsupported("ps(1) is not installed on this host")


def split_words(text: str) -> list[str]:
    """Return the words of a command line, quotes taken off: `top CONTAINER "-o pid,comm"` is one argument."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError as error:
        raise PodlingError(f"parsing ps args: {error}") from None


def without_itself(lines: list[str], words: list[str], own_pid: str) -> list[str]:
    """Return ps's lines without the one about itself: it has the pid, or the very command line."""
    command = " ".join(["ps", *words])
    kept = lines[:1]
    for line in lines[1:]:
        fields = line.split()
        is_named = any(os.path.basename(field) == "ps" for field in fields)
        if not (is_named and own_pid in fields) and not line.endswith(command):
            kept.append(line)
    return kept


def _drain(*descriptors: int) -> tuple[str, ...]:
    """Read several pipes to their ends, none waiting for another."""
    import select

    found = {fd: bytearray() for fd in descriptors}
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    left = set(descriptors)
    while left:
        for fd, _events in poll.poll():
            part = os.read(fd, 65536)
            found[fd] += part
            if not part:
                poll.unregister(fd)
                os.close(fd)
                left.discard(fd)
    return tuple(bytes(found[fd]).decode("utf-8", "replace").strip("\n") for fd in descriptors)


def _child(pid: int, path: str, words: list[str], terminals: set[str], pipes: tuple[int, int, int]) -> None:
    """Be the keeper, and end with ps's status."""
    status = _SETUP_FAILED
    try:
        out, error, told = pipes
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for source, target in ((null, 0), (out, 1), (error, 2)):
            os.dup2(source, target)
        status = _keep(pid, path, words, terminals, told)
    except BaseException as failure:
        os.write(2, f"{failure}\n".encode("utf-8", "replace"))
    finally:
        os._exit(status)


def _keep(pid: int, path: str, words: list[str], terminals: set[str], told: int) -> int:
    import _signal

    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC)
    _build_root()
    _make_terminals(terminals)
    syscalls.pivot_root(_ROOT, f"{_ROOT}/old")
    os.chdir("/")
    syscalls.setns(namespace, syscalls.CLONE_NEWPID)
    ps = os.fork()
    if ps == 0:
        _become_ps(path, words, told)
    return os.waitstatus_to_exitcode(os.waitpid(ps, 0)[1]) & 0xFF


def _build_root() -> None:
    """Make a root with the host's programs and libraries and the names of its users; all of it read-only."""
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", _ROOT, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=64k")
    for name in ("proc", "etc", "dev", "old"):
        os.mkdir(f"{_ROOT}/{name}", 0o755)
    for name in _SHOWN:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{_ROOT}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{_ROOT}/{name}", 0o755)
            _bind(f"/{name}", f"{_ROOT}/{name}")
    for name in _SHOWN_FILES:
        if os.path.isfile(f"/{name}"):
            os.close(os.open(f"{_ROOT}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            _bind(os.path.realpath(f"/{name}"), f"{_ROOT}/{name}")


def _make_terminals(terminals: set[str]) -> None:
    """Make nodes for ps to compare device numbers with; on this mount they open nothing."""
    os.mkdir(f"{_ROOT}/dev/pts", 0o755)
    for name in terminals:
        kind, _, number = name.partition("/")
        try:
            if kind == "pts":
                device = os.makedev(136 + int(number) // 256, int(number) % 256)
                os.mknod(f"{_ROOT}/dev/{name}", stat.S_IFCHR | 0o600, device)
        except PermissionError:
            return  # in a user namespace: ps then prints a question mark


def _bind(source: str, target: str) -> None:
    syscalls.mount(source, target, None, syscalls.MS_BIND)
    syscalls.mount(None, target, None, syscalls.MS_BIND | syscalls.MS_REMOUNT | _READ_ONLY)


def _become_ps(path: str, words: list[str], told: int) -> None:
    """In the container's pid namespace: mount its /proc, let go of the host's root and of every right, be ps."""
    status = _SETUP_FAILED
    try:
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC | syscalls.MS_RDONLY
        syscalls.mount("proc", "/proc", "proc", flags)
        syscalls.umount2("/old", syscalls.MNT_DETACH)
        syscalls.mount(None, "/", None, syscalls.MS_REMOUNT | _READ_ONLY)
        os.write(told, str(os.getpid()).encode())
        syscalls.close_range(3)
        highest = capabilities.last()
        identity = 0x70000000 | int.from_bytes(os.getrandom(3), "little")
        capabilities.drop_bounding(0, highest)
        os.setgroups([])
        os.setresgid(identity, identity, identity)
        os.setresuid(identity, identity, identity)
        capabilities.install(capabilities.Sets())
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        os.execve(path, ["ps", *words], {"LC_ALL": "C.UTF-8", "COLUMNS": "10000"})
    except BaseException as failure:
        os.write(2, f"{failure}\n".encode("utf-8", "replace"))
    finally:
        os._exit(status)
