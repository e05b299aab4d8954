"""Where to look for a container's memory running out: its memory cgroup, v1 or v2."""

from __future__ import annotations

import os

from podling.linux.processes import read_small

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CGROUP_ROOT = "/sys/fs/cgroup"


def open_watch(pid: int, root: str = CGROUP_ROOT) -> dict[str, Any]:
    """Open what tells of a process's cgroup running out of memory; return the attributes of an Oom.

    Raise OSError where the process has ended, or its cgroup cannot be watched.
    """
    memberships = read_small(f"/proc/{pid}/cgroup")
    if os.path.exists(f"{root}/cgroup.controllers"):
        events = f"{root}{unified_path(memberships)}/memory.events"
        return {"events": os.open(events, os.O_RDONLY | os.O_CLOEXEC)}
    return _watch_v1(f"{root}/{memory_path(memberships)}")


def unified_path(memberships: str) -> str:
    """Return the cgroup of v2 from the text of /proc/PID/cgroup."""
    for line in memberships.splitlines():
        if line.startswith("0::"):
            return line[3:]
    raise OSError(2, "no cgroup of version 2")


def memory_path(memberships: str) -> str:
    """Return v1's memory cgroup, with its hierarchy, from the text of /proc/PID/cgroup."""
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return f"{controllers}{path}"
    raise OSError(2, "no memory cgroup")


def _watch_v1(cgroup: str) -> dict[str, Any]:
    event_control = f"{cgroup}/cgroup.event_control"
    request = os.open(event_control, os.O_WRONLY | os.O_CLOEXEC)
    try:
        control = os.open(f"{cgroup}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            os.write(request, f"{event} {control}".encode())
        except OSError:  # PREEMPT_RT kernels have no such events
            os.close(event)
            os.close(control)
            raise
    finally:
        os.close(request)
    return {"event": event, "control": control, "event_control": event_control}
