"""The processes of a container as the host's /proc shows them, with the numbers that the container sees.

    host /proc/4711/status       NSpid: 4711 1     the last that the container's first process also has is its own view
                                 Uid:   100000 …   and /proc/PID/uid_map says that it is 0 inside

A container's processes are those of its cgroup, and those of its pid namespace where that is not ours: a process can
be in one without the other (nsenter, a nested manager of cgroups).
"""

from __future__ import annotations

import os

from podling.engine.users import read_regular
from podling.linux import cgroups_tree

_PTS_MAJORS = range(136, 144)
_TTY_MAJOR = 4
_FIRST_SERIAL = 64


class Names:
    """Users and groups by number, from a root directory's own files; read when first asked for."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found: dict[str, dict[int, str]] = {}

    def user(self, uid: int) -> str:
        """Return a user's name, or the number."""
        return self._table("etc/passwd").get(uid, str(uid))

    def group(self, gid: int) -> str:
        """Return a group's name, or the number."""
        return self._table("etc/group").get(gid, str(gid))

    def _table(self, path: str) -> dict[int, str]:
        if path not in self._found:
            table: dict[int, str] = {}
            for line in read_regular(self._root, path).decode("utf-8", "surrogateescape").splitlines():
                row = line.split(":")
                if len(row) > 2 and row[0] and row[2].isascii() and row[2].isdigit():
                    table.setdefault(int(row[2]), row[0])
            self._found[path] = table
        return self._found[path]


class View:
    """How numbers look from inside a container."""

    def __init__(self, pid: int) -> None:
        status = read_status(pid)
        self.depth = len(status.get("NSpid", "").split()) - 1
        self.namespace = os.readlink(f"/proc/{pid}/ns/pid")
        self.is_ours = self.namespace == os.readlink("/proc/self/ns/pid")
        self._uids = _mapping(f"/proc/{pid}/uid_map")
        self._gids = _mapping(f"/proc/{pid}/gid_map")

    def uid(self, uid: int) -> int:
        """Return a user of the host as the container's number; one that is not mapped is 65534, as the kernel says."""
        return _inside(uid, self._uids)

    def gid(self, gid: int) -> int:
        """Return a group of the host as the container's number."""
        return _inside(gid, self._gids)


def _mapping(path: str) -> list[tuple[int, int, int]]:
    rows = [line.split() for line in cgroups_tree.read(path).splitlines()]
    return [(int(inside), int(outside), int(count)) for inside, outside, count in rows]


def _inside(identity: int, mapping: list[tuple[int, int, int]]) -> int:
    for inside, outside, count in mapping:
        if outside <= identity < outside + count:
            return inside + identity - outside
    return 65534


class Process:
    """One process. Raise ProcessLookupError or FileNotFoundError where it has ended."""

    inside_parent = "0"  # outside the container, until `read_all` finds it inside

    def __init__(self, pid: int, view: View) -> None:
        self.pid = pid
        self._view = view
        self.status = read_status(pid)
        stat = cgroups_tree.read(f"/proc/{pid}/stat")
        self.name = stat[stat.index("(") + 1 : stat.rindex(")")]
        fields = stat[stat.rindex(")") + 2 :].split()
        self.state = fields[0]
        self.parent = int(fields[1])
        self.terminal = terminal(int(fields[4]))
        self.cpu_ticks = int(fields[11]) + int(fields[12])
        self.nice = fields[16]
        self.start_ticks = int(fields[19])
        self.virtual_bytes = int(fields[20])
        self.uids = [int(uid) for uid in self.status["Uid"].split()]
        self.gids = [int(gid) for gid in self.status["Gid"].split()]
        self.groups = [int(gid) for gid in self.status["Groups"].split()]

    def inside(self, field: str) -> str:
        """Return a number of NSpid or NSpgid as the container sees it; 0 for one from outside."""
        numbers = self.status.get(field, "").split()
        return numbers[self._view.depth] if self._view.depth < len(numbers) else "0"

    def inside_uid(self, uid: int) -> int:
        """Return a user as the container's number."""
        return self._view.uid(uid)

    def inside_gid(self, gid: int) -> int:
        """Return a group as the container's number."""
        return self._view.gid(gid)

    @property
    def arguments(self) -> str:
        """Return the command line; the name in brackets where there is none."""
        text = cgroups_tree.read(f"/proc/{self.pid}/cmdline")
        return " ".join(text.rstrip("\0").split("\0")) if text.strip("\0") else f"[{self.name}]"

    def label(self) -> str:
        """Return the security label, "?" where the host has none."""
        try:
            return cgroups_tree.read(f"/proc/{self.pid}/attr/current").rstrip("\0") or "?"
        except OSError:
            return "?"


def read_status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status. Raise FileNotFoundError where the process has ended."""
    rows = cgroups_tree.read(f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (row.partition(":") for row in rows)}


def terminal(number: int) -> str:
    """Return the name of a controlling terminal by its device number, "?" for none."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if major in _PTS_MAJORS:
        return f"pts/{minor + (major - _PTS_MAJORS.start) * 256}"
    if major == _TTY_MAJOR:
        return f"tty{minor}" if minor < _FIRST_SERIAL else f"ttyS{minor - _FIRST_SERIAL}"
    return "?"


def read_all(pid: int, cgroup_path: str) -> list[Process]:
    """Return the processes of the container whose first process is given, by the container's pids."""
    view = View(pid)
    found: dict[int, Process] = {}
    for member in _members(pid, cgroup_path, view):
        try:
            process = Process(member, view)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if process.inside("NSpid") != "0":
            found[member] = process
    for process in found.values():
        if process.parent in found:
            process.inside_parent = found[process.parent].inside("NSpid")
    return sorted(found.values(), key=lambda process: int(process.inside("NSpid")))


def _members(pid: int, cgroup_path: str, view: View) -> set[int]:
    members = {pid, *_cgroup_members(pid, cgroup_path)}
    if view.is_ours:
        return members
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in members and _namespace(name) == view.namespace:
            members.add(int(name))
    return members


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _cgroup_members(pid: int, cgroup_path: str) -> list[int]:
    """Return the processes of the container's cgroup; none where it shares one with others."""
    from podling.errors import PodlingError
    from podling.linux import cgroups

    try:
        controller = next(name for name in ("pids", "devices", "") if name in cgroups.hierarchies())
        path = cgroup_path or cgroups.membership(pid).get(controller, "/")
        if path == "/" or cgroups.membership().get(controller) == path:
            return []
        return cgroups_tree.processes(cgroups.directory(controller, path))
    except (StopIteration, PodlingError, FileNotFoundError, ProcessLookupError):
        return []
