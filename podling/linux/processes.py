"""Processes, held so that a recycled pid cannot be mistaken for the one that was meant.

On disk a process is `pid` and `started` (field 22 of /proc/PID/stat, clock ticks after boot); in memory it is a pidfd.
"""

from __future__ import annotations

import os


def read_small(path: str) -> str:
    """Return a small file's text; files of /proc and /sys come whole in one read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from field 3 (state) on. Raise ProcessLookupError where it has ended."""
    try:
        text = read_small(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(3, "no such process", str(pid)) from None
    return text[text.rindex(")") + 2 :].split()


def start_time(pid: int) -> int:
    """Return a process's start time in clock ticks after boot. Raise ProcessLookupError where it has ended."""
    return int(stat_fields(pid)[19])


def is_alive(pid: int, started: int) -> bool:
    """Tell whether the process that had this pid and start time still runs; a zombie does not."""
    if pid <= 0:
        return False
    try:
        fields = stat_fields(pid)
    except ProcessLookupError:
        return False
    return int(fields[19]) == started and fields[0] not in "ZX"


def boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """Return the boot ID; after a reboot it is another."""
    return read_small(path).strip()


def hold(pid: int, started: int) -> int | None:
    """Return a pidfd of the process that has this pid and start time; None where it has ended.

    The pidfd is opened before the start time is read, so that it cannot be another process's.
    """
    from podling.linux import syscalls

    if pid <= 0:
        return None
    try:
        pidfd = syscalls.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if is_alive(pid, started):
        return pidfd
    os.close(pidfd)
    return None


def await_end(pidfd: int, timeout_seconds: float | None = None) -> bool:
    """Wait for a held process to end; tell whether it did in time."""
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout_seconds is None else max(0, timeout_seconds) * 1000))
