"""`events ID`: what a container uses, every few seconds or once, and a line whenever it is out of memory.

    {"type":"stats","id":"ID","data":{…}}      each --interval; with --stats once
    {"type":"oom","id":"ID"}

Lines end when the container does.
"""

from __future__ import annotations

import os
import select
import time

from podling.errors import InvalidArgument, WrongState
from podling.linux import syscalls
from podling.oci.jsontext import dumps
from podling.runtime import container
from podling.runtime.arguments import only_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = "<container-id>"
OPTIONS = ("interval=DURATION", "stats")

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Print events until the container ends, or its statistics once."""
    found = container.load(context.root, only_id(words))
    interval_seconds = duration(options["interval"] or "5s")
    if interval_seconds <= 0:
        raise InvalidArgument("duration interval must be greater than 0")
    if not found.is_alive():
        raise WrongState(f"container with id {found.id} is not running")
    if options["stats"]:
        _print_statistics(found)
        return 0
    _follow(found, interval_seconds)
    return 0


def duration(text: str) -> float:
    """Return the seconds of a Go duration: 1m30s, 100ms, 1.5h."""
    total, number, rest = 0.0, "", text
    while rest:
        length = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:length], rest[length:]
        length = len(rest) - len(rest.lstrip("nuµmsh"))
        unit, rest = rest[:length], rest[length:]
        if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
            raise InvalidArgument(f'invalid duration "{text}"')
        total += float(number) * _UNITS[unit]
    if not text:
        raise InvalidArgument('invalid duration ""')
    return total


def _print_statistics(found: container.Container) -> None:
    _print({"type": "stats", "id": found.id, "data": found.cgroup().statistics()})


def _print(event: dict[str, Any]) -> None:
    os.write(1, (dumps(event) + "\n").encode())


def _follow(found: container.Container, interval_seconds: float) -> None:
    """Print statistics at every interval and OOM events as they come, until the process ends."""
    try:
        pidfd = syscalls.pidfd_open(found.state.pid)
    except ProcessLookupError:
        return
    memory = OutOfMemory(found.cgroup().paths())
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    memory.register(poll)
    due = time.monotonic() + interval_seconds
    while True:
        ready = [fd for fd, _events in poll.poll(max(0.0, due - time.monotonic()) * 1000)]
        if memory.fd in ready and memory.happened():
            _print({"type": "oom", "id": found.id})
        if pidfd in ready:
            return
        if time.monotonic() >= due:
            _print_statistics(found)
            due += interval_seconds


class OutOfMemory:
    """A descriptor that becomes ready when a container is out of memory; -1 where the host cannot tell.

    Version 1 signals an eventfd that memory.oom_control was asked to, version 2 polls memory.events.
    """

    def __init__(self, paths: dict[str, str]) -> None:
        self.fd = -1
        self._counts = b""
        self._directory = ""
        self._version_2 = set(paths) == {""}
        try:
            if self._version_2:
                self.fd = os.open(f"{paths['']}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
                self._counts = self._read_counts()
            elif "memory" in paths:
                self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                self._watch(paths["memory"])
        except FileNotFoundError:
            self.fd = -1

    def _watch(self, directory: str) -> None:
        self._directory = directory
        source = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        control = os.open(f"{directory}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, f"{self.fd} {source}".encode())
        finally:
            os.close(control)
            os.close(source)

    def _read_counts(self) -> bytes:
        lines = os.pread(self.fd, 4096, 0).splitlines()
        return b" ".join(line for line in lines if line.startswith(b"oom"))

    def register(self, poll: select.poll) -> None:
        """Have a poll watch it."""
        if self.fd >= 0:
            poll.register(self.fd, select.POLLPRI if self._version_2 else select.POLLIN)

    def happened(self) -> bool:
        """Tell whether memory ran out since the last time; the removal of the cgroup wakes a poll as well."""
        try:
            if not self._version_2:
                os.eventfd_read(self.fd)
                return os.path.isdir(self._directory)
            before, self._counts = self._counts, self._read_counts()
        except OSError:
            return False
        return self._counts != before
