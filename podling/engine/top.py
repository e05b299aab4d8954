"""`top`: the processes of a container, as descriptors name their columns.

    top CONTAINER                     the default descriptors
    top CONTAINER pid,user args       descriptors, or AIX codes such as %p
    top CONTAINER -ef                 anything else is for ps(1): the host's, in the container's pid namespace

Descriptors are read from the host's /proc: nothing of the container's is executed, and none of its namespaces is
entered. Names of users and groups are the container's, from its own files; those of huser and hgroup the host's.
"""

from __future__ import annotations

import os
import time

from podling.engine.top_processes import Names, Process, read_all
from podling.errors import WrongState
from podling.linux import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.container import Container
    from podling.engine.options import Settings

DEFAULT = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")

_EVERY_CAPABILITY = (1 << len(capabilities.NAMES)) - 1
_SECCOMP = {"0": "disabled", "1": "strict", "2": "filter"}


class Table:
    """What the columns of one listing are made from."""

    def __init__(self, pid: int, now: float) -> None:
        self.now = now
        self.names = Names(f"/proc/{pid}/root")
        self.host = Names("/")
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.boot = _boot_time()

    def started(self, process: Process) -> int:
        """Return when a process started, in whole seconds since the epoch."""
        return self.boot + process.start_ticks // self.ticks

    def elapsed(self, process: Process) -> float:
        """Return for how many seconds a process has lived."""
        return self.now - self.started(process)

    def cpu(self, process: Process) -> int:
        """Return the CPU time a process has used, in whole seconds."""
        return process.cpu_ticks // self.ticks


def _boot_time() -> int:
    with open("/proc/stat", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("btime "):
                return int(line.split()[1])
    return 0


def _capabilities(name: str) -> Callable[[Table, Process], str]:
    def column(_table: Table, process: Process) -> str:
        mask = int(process.status.get(name, "0"), 16)
        if mask == _EVERY_CAPABILITY:
            return "full"
        return ",".join(sorted(_capability(bit) for bit in range(64) if mask >> bit & 1)) or "none"

    return column


def _capability(bit: int) -> str:
    return capabilities.NAMES[bit].removeprefix("CAP_") if bit < len(capabilities.NAMES) else "unknown"


def _percent(table: Table, process: Process) -> str:
    elapsed = table.elapsed(process)
    return f"{100 * table.cpu(process) / elapsed if elapsed > 0 else 0:.3f}"


def _start(table: Table, process: Process) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(table.started(process)))


def _groups(table: Table, process: Process) -> str:
    return ",".join(table.names.group(process.inside_gid(gid)) for gid in process.groups)


_COLUMNS: dict[str, tuple[str, str, Callable[[Table, Process], str]]] = {
    "args": ("%a", "COMMAND", lambda _, process: process.arguments),
    "capamb": ("", "AMBIENT CAPS", _capabilities("CapAmb")),
    "capbnd": ("", "BOUNDING CAPS", _capabilities("CapBnd")),
    "capeff": ("", "EFFECTIVE CAPS", _capabilities("CapEff")),
    "capinh": ("", "INHERITED CAPS", _capabilities("CapInh")),
    "capprm": ("", "PERMITTED CAPS", _capabilities("CapPrm")),
    "comm": ("%c", "COMMAND", lambda _, process: process.name),
    "etime": ("%t", "ELAPSED", lambda table, process: go_duration(table.elapsed(process))),
    "group": ("%G", "GROUP", lambda table, process: table.names.group(process.inside_gid(process.gids[1]))),
    "groups": ("", "GROUPS", _groups),
    "hgroup": ("", "HGROUP", lambda table, process: table.host.group(process.gids[1])),
    "hgroups": ("", "HGROUPS", lambda _, process: ",".join(str(gid) for gid in process.groups)),
    "hpid": ("", "HPID", lambda _, process: str(process.pid)),
    "huid": ("", "HUID", lambda _, process: str(process.uids[1])),
    "huser": ("", "HUSER", lambda table, process: table.host.user(process.uids[1])),
    "label": ("", "LABEL", lambda _, process: process.label()),
    "nice": ("%n", "NI", lambda _, process: process.nice),
    "pcpu": ("%C", "%CPU", _percent),
    "pgid": ("%r", "PGID", lambda _, process: process.inside("NSpgid")),
    "pid": ("%p", "PID", lambda _, process: process.inside("NSpid")),
    "ppid": ("%P", "PPID", lambda _, process: process.inside_parent),
    "rgroup": ("%g", "RGROUP", lambda table, process: table.names.group(process.inside_gid(process.gids[0]))),
    "rss": ("", "RSS", lambda _, process: process.status.get("VmRSS", "0").split()[0]),
    "ruser": ("%u", "RUSER", lambda table, process: table.names.user(process.inside_uid(process.uids[0]))),
    "seccomp": ("", "SECCOMP", lambda _, process: _SECCOMP.get(process.status.get("Seccomp", ""), "?")),
    "state": ("", "STATE", lambda _, process: process.state),
    "stime": ("", "STIME", _start),
    "time": ("%x", "TIME", lambda table, process: go_duration(table.cpu(process))),
    "tty": ("%y", "TTY", lambda _, process: process.terminal),
    "uid": ("", "UID", lambda _, process: str(process.inside_uid(process.uids[1]))),
    "user": ("%U", "USER", lambda table, process: table.names.user(process.inside_uid(process.uids[1]))),
    "vsz": ("%z", "VSZ", lambda _, process: str(process.virtual_bytes // 1024)),
}
_CODES = {code: name for name, (code, _, _) in _COLUMNS.items() if code}


def descriptors() -> list[str]:
    """Return the names of all descriptors."""
    return sorted(_COLUMNS)


def top(_settings: Settings, container: Container, descriptors: list[str]) -> list[list[str]]:
    """Return the processes of a running container as rows, the header first.

    Arguments that are not all descriptors are those of ps(1), and each of its lines is a row of one cell. Raise
    WrongState for a container that is not running.
    """
    from podling.linux import processes

    state = container.state
    if state.status != "running" or not processes.is_alive(state.pid, state.pid_started):
        raise WrongState("top can only be used on running containers")
    wanted = [_CODES.get(name, name) for words in descriptors for name in words.split(",") if name]
    if all(name in _COLUMNS for name in wanted):
        return _listing(state.pid, state.cgroup_path, wanted or list(DEFAULT))
    from podling.engine import top_ps

    words = top_ps.split_words(descriptors[0]) if len(descriptors) == 1 else descriptors
    terminals = {process.terminal for process in read_all(state.pid, state.cgroup_path)}
    return [[line] for line in top_ps.run(state.pid, words, terminals)]


def _listing(pid: int, cgroup_path: str, wanted: list[str]) -> list[list[str]]:
    table = Table(pid, time.time())
    columns = [_COLUMNS[name] for name in wanted]
    rows = [[header for _, header, _ in columns]]
    for process in read_all(pid, cgroup_path):
        rows.append([column(table, process) for _, _, column in columns])
    return rows


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it: 1h2m3.5s, 0s."""
    nanoseconds = round(seconds * 1_000_000_000) if isinstance(seconds, float) else seconds * 1_000_000_000
    if nanoseconds < 0:
        return f"-{go_duration(-nanoseconds / 1_000_000_000)}"
    if 0 < nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    prefix = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{prefix}{_decimal(rest, 1_000_000_000)}s"


def _decimal(value: int, size: int) -> str:
    whole, fraction = divmod(value, size)
    digits = str(fraction).zfill(len(str(size)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
