"""The out-of-memory marker: an empty file `oom` in the bundle and the persist directory.

    v1    an eventfd on memory.oom_control, which tells an oom, and also the end of the cgroup
    v2    memory.events: the kernel wakes a poll for POLLPRI when one of its counters moves

Part of the resident monitor: it imports nothing but built-in modules. What it watches is opened by oomwatch.py.
"""

import posix

from podling.monitor.loop import READ, URGENT, Loop
from podling.monitor.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COUNTERS = (b"oom", b"oom_kill")


class Oom:
    """The watch on a memory cgroup. Its attributes are plain values, so that they can be handed over an exec."""

    directories: "list[str]" = []
    event: int = -1  # v1: the eventfd
    control: int = -1  # v1: memory.oom_control, which the eventfd hangs on
    event_control: str = ""  # v1: a file that is there as long as the cgroup
    events: int = -1  # v2: memory.events
    counts: "list[int]" = [0, 0]

    def __init__(self, report: Report, **values: "Any") -> None:
        self._report = report
        self.__dict__.update(values)

    def handover(self) -> "dict[str, Any]":
        """Return the attributes for another instance."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def descriptors(self) -> "list[int]":
        """Return every descriptor in use."""
        return [fd for fd in (self.event, self.control, self.events) if fd >= 0]

    def watch(self, loop: Loop) -> None:
        """Begin to watch."""
        self._loop = loop
        if self.event >= 0:
            loop.watch(self.event, READ, self._on_event)
        if self.events >= 0:
            loop.watch(self.events, URGENT, self._on_events)

    def check(self) -> None:
        """Look a last time: the container may have ended before the loop heard why."""
        if self.event >= 0:
            self._on_event(self.event, 0)
        if self.events >= 0:
            self._on_events(self.events, 0)

    def _on_event(self, fd: int, _events: int) -> None:
        try:
            removed = not _exists(self.event_control)
            count = posix.eventfd_read(fd)
        except BlockingIOError:
            return
        if count > 1 or not removed:
            self._mark()

    def _on_events(self, fd: int, _events: int) -> None:
        try:
            text = posix.pread(fd, 4096, 0)
        except OSError:
            self._loop.forget(fd)  # the cgroup is gone
            posix.close(fd)
            self.events = -1
            return
        rows = dict([row.split(b" ", 1) for row in text.splitlines() if b" " in row])
        counts = [int(rows.get(name, 0)) for name in COUNTERS]
        if counts != self.counts and any(counts):
            self.counts = counts
            self._mark()

    def _mark(self) -> None:
        self._report.info("OOM received")
        for directory in self.directories:
            try:
                posix.close(posix.open(f"{directory}/oom", posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o666))
            except OSError:
                self._report.warn(f"Failed to write oom file to the {directory} path")


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
