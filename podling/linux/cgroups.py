"""Control groups: which kind this host has, and a container's cgroups in it.

    layout     mounted under /sys/fs/cgroup                        a container's cgroups
    v1         one hierarchy per controller (or several)           V1: a directory in each
    hybrid     the same, and the unified hierarchy beside them     V1: a directory in each, and in that one too
    v2         the unified hierarchy alone                         V2: one directory

    manager(…) ──► create ──► apply ──► add | join | fork ──► freeze, thaw, kill, statistics ──► remove

With systemd the directories belong to a scope that systemd is asked for (`cgroups_systemd.py`). `paths()` is what
state.json keeps, and `from_paths` makes a manager of it again.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, Unsupported
from podling.linux import cgroups_tree
from podling.linux.cgroups_v1 import V1
from podling.linux.cgroups_v2 import V2, hand_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Manager(Protocol):
        """A container's cgroups, whatever the host has."""

        def paths(self) -> dict[str, str]: ...
        def create(self) -> None: ...
        def apply(self, resources: dict[str, Any], *, devices: bool = True) -> None: ...
        def add(self, pid: int) -> None: ...
        def join(self, *, unified: bool = True) -> None: ...
        def fork(self) -> int: ...
        def processes(self) -> list[int]: ...
        def freeze(self) -> None: ...
        def thaw(self) -> None: ...
        def frozen(self) -> bool: ...
        def kill(self, signal: int) -> None: ...
        def remove(self, timeout_seconds: float = 10.0) -> None: ...
        def statistics(self) -> dict[str, Any]: ...
        def oom_kills(self) -> int: ...


MOUNTPOINT = "/sys/fs/cgroup"
UNIFIED = ""
_CONTROLLERS = (
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
    "debug",
)

_hierarchies: dict[str, tuple[str, str]] | None = None


def layout() -> str:
    """Return "v1", "hybrid" or "v2"."""
    found = hierarchies()
    if set(found) == {UNIFIED}:
        return "v2"
    return "hybrid" if UNIFIED in found else "v1"


def hierarchies() -> dict[str, tuple[str, str]]:
    """Return where each controller is mounted, and which cgroup is the root of that mount; "" is the unified one.

    Read once per process, and inherited by those it forks. Raise Unsupported where no cgroups are mounted.
    """
    global _hierarchies
    if _hierarchies is None:
        if os.path.exists(f"{MOUNTPOINT}/cgroup.controllers"):
            _hierarchies = {UNIFIED: (MOUNTPOINT, "/")}
        else:
            _hierarchies = parse_mounts(cgroups_tree.read("/proc/self/mountinfo"))
    if not _hierarchies:
        raise Unsupported(f"no cgroups are mounted under {MOUNTPOINT}")
    return _hierarchies


def parse_mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """Return the hierarchies of a mountinfo (proc(5)): the first mount of each counts."""
    found: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        before, _, after = line.partition(" - ")
        root, mountpoint = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found.setdefault(UNIFIED, (mountpoint, root))
        elif kind == "cgroup":
            for option in options.split(","):
                if option.startswith("name=") or option in _CONTROLLERS:
                    found.setdefault(option, (mountpoint, root))
    return found


def membership(pid: int | str = "self") -> dict[str, str]:
    """Return the cgroup that a process is in, by controller, as the kernel names it."""
    found = {}
    for line in cgroups_tree.read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            found[name] = path
    return found


def manager(cgroups_path: str, container_id: str, *, systemd: bool, disabled: bool = False) -> Manager:
    """Return a container's cgroups, not made yet.

    `cgroups_path` is `linux.cgroupsPath`: absolute from the root of the hierarchies, or relative to this process's own
    cgroup, or empty for the container's ID there; with systemd "slice:prefix:name", or empty. Raise InvalidArgument
    where it is none of these. `disabled` leaves the container where its maker is.
    """
    if disabled:
        from podling.linux.cgroups_disabled import Disabled

        return Disabled()
    if systemd:
        from podling.linux.cgroups_systemd import Scope, parse_path

        return Scope(parse_path(cgroups_path, container_id))
    if ":" in cgroups_path and "/" not in cgroups_path:
        raise InvalidArgument(
            f'cgroups path "{cgroups_path}" is for systemd, which is not asked for (--systemd-cgroup)'
        )
    return at_paths(_paths(cgroups_path or container_id))


def from_paths(paths: dict[str, str], *, systemd: bool = False) -> Manager:
    """Return the manager that `paths()` was kept of; with `systemd`, of its scope as well."""
    if not paths:
        from podling.linux.cgroups_disabled import Disabled

        return Disabled()
    if systemd:
        from podling.linux.cgroups_systemd import Scope, scope_of

        return Scope(scope_of(paths), paths)
    return at_paths(paths)


def at_paths(paths: dict[str, str]) -> V1 | V2:
    """Return the cgroups at certain directories, by controller."""
    if set(paths) == {UNIFIED}:
        return V2(paths[UNIFIED], _mountpoint_of(paths[UNIFIED]))
    return V1(paths)


def _mountpoint_of(path: str) -> str:
    mountpoint = hierarchies().get(UNIFIED, (MOUNTPOINT, "/"))[0]
    return mountpoint if path.startswith(f"{mountpoint}/") else MOUNTPOINT


def directory(controller: str, cgroup: str) -> str:
    """Return the directory of a cgroup in a controller's hierarchy. Raise Unsupported if there is none."""
    if controller not in hierarchies():
        raise Unsupported(f"this host has no {controller or 'unified'} cgroup hierarchy")
    mountpoint, root = hierarchies()[controller]
    inside = cgroup.removeprefix(root) if root != "/" and cgroup.startswith(root) else cgroup
    return os.path.normpath(f"{mountpoint}/{inside}")


def _paths(cgroup: str) -> dict[str, str]:
    """Return the directory of a cgroup in every hierarchy.

    One that is relative starts at this process's own, and on version 2 beside it: a cgroup with processes cannot hand
    controllers down.
    """
    clean = os.path.normpath(cgroup)
    if clean.startswith("../") or clean in ("..", ".", "/"):
        raise InvalidArgument(f'cgroups path "{cgroup}" does not name a cgroup below the root')
    if clean.startswith("/"):
        return {name: directory(name, clean) for name in hierarchies()}
    own = membership()
    if layout() == "v2":
        return {UNIFIED: directory(UNIFIED, f"{os.path.dirname(own[UNIFIED])}/{clean}")}
    return {name: directory(name, f"{own.get(name, '/')}/{clean}") for name in hierarchies()}


def place(pid: int, cgroup: str) -> None:
    """Put a process into a cgroup in every hierarchy, making it where it is missing.

    For what runs beside the containers, such as a monitor. `pid` 0 is the calling process; with one thread it enters
    the version 1 hierarchies without the kernel's global lock.
    """
    paths = _paths(cgroup)
    for path in paths.values():
        cgroups_tree.make(path)
    prepare(paths)
    if pid:
        at_paths(paths).add(pid)
    else:
        at_paths(paths).join()


def prepare(paths: dict[str, str]) -> None:
    """Make directories ready for processes: cpusets filled, controllers handed down."""
    if "cpuset" in paths:
        from podling.linux.cgroups_v1 import inherit_cpuset

        inherit_cpuset(paths["cpuset"])
    if set(paths) == {UNIFIED}:
        hand_down(_mountpoint_of(paths[UNIFIED]), os.path.dirname(paths[UNIFIED]))


def fork_into(where: V1 | V2) -> int:
    """Fork, the child being in the cgroups from birth; return as os.fork does.

    The child is born in its cgroup of the unified hierarchy (CLONE_INTO_CGROUP) and joins those of version 1 itself:
    0.4 ms, where moving it costs 8. In the child, raise OSError where it could not enter.
    """
    from podling.linux.forking import fork_into_cgroup

    path = where.paths().get(UNIFIED)
    if path is None:
        pid = os.fork()
    else:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid = fork_into_cgroup(fd)
        finally:
            os.close(fd)
    if pid == 0:
        where.join(unified=False)
    return pid


def fork_and_add(where: Manager) -> int:
    """Fork, the child waiting until it was added; return as os.fork does. A child that cannot be added is killed."""
    gate, opener = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(opener)
        if not os.read(gate, 1):
            os._exit(1)
        os.close(gate)
        return 0
    os.close(gate)
    try:
        where.add(pid)
        os.write(opener, b"+")
    except BaseException:
        os.close(opener)
        os.waitpid(pid, 0)
        raise
    os.close(opener)
    return pid
