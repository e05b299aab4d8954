"""Who is whose parent: processes as /proc tells them."""

from __future__ import annotations

import os
from pathlib import Path


def status(pid: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status; none for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def parent(pid: int) -> int:
    """Return a process's parent, 0 where there is none to see."""
    return int(status(pid).get("PPid", "0"))


def comm(pid: int) -> str:
    """Return the process's name, as pstree and ps show it."""
    return status(pid).get("Name", "?")


def arguments(pid: int) -> list[str]:
    """Return the process's argv."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]


def executable(pid: int) -> str:
    """Return the file that the process executes."""
    return os.readlink(f"/proc/{pid}/exe")


def children(pid: int) -> list[int]:
    """Return the living children of a process."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent(int(name)) == pid]


def ancestors(pid: int) -> list[int]:
    """Return a process's ancestors, nearest first."""
    line = []
    while pid := parent(pid):
        line.append(pid)
    return line


def lineage(pid: int) -> str:
    """Return a process and its ancestors as a line, eldest first."""
    return " ──► ".join(f"{comm(each)} {each}" for each in [*reversed(ancestors(pid)), pid])
