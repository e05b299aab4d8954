"""Reading containers' logs: the k8s-file that a monitor writes, following it for as long as the container lives.

    2026-11-23T16:50:00.123456789+00:00 stdout F a whole line
    2026-11-23T16:50:00.123456789+00:00 stdout P the beginning of a longer one, which goes on in the next row

A row that is cut short (the monitor is writing it, or was killed) waits for its rest. A file that reached its size is
replaced by an empty one or renamed (conmon's rotation): the follower reads the old one to its end, then the new.
"""

from __future__ import annotations

import os
import select

from podling.engine import database, filtering, listing
from podling.errors import NotFound, Unsupported
from podling.linux import processes
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from podling.engine.container import Container
    from podling.engine.options import Settings

_BLOCK_BYTES = 65536
_FILE_DRIVERS = ("k8s-file", "json-file", "")


class LogOptions(Record):
    """`logs`: which lines."""

    follow: bool = False
    tail: int = -1  # the last lines; all of them where negative
    since: str = ""
    until: str = ""


class Line(Record):
    """A line as the container wrote it: which stream, when, and whether it ended in a newline."""

    container: str  # ID
    stream: str
    time: str  # RFC 3339, nine digits of a second
    text: bytes
    whole: bool = True


def read(settings: Settings, containers: list[Container], options: LogOptions) -> Iterator[Line]:
    """Yield the lines of containers: of several, what is there in the order of time, then what comes as it comes.

    Ends when the files do; following, when the containers have. Raise Unsupported for a log driver that cannot be read.
    """
    since = filtering.moment(options.since) if options.since else None
    until = filtering.moment(options.until) if options.until else None
    logs = [_Log(container, options.tail) for container in containers]
    try:
        for line in _merged(logs):
            if _is_between(line, since, until):
                yield line
        if options.follow:
            for line in _follow(settings, logs, until):
                if _is_between(line, since, until):
                    yield line
    finally:
        for log in logs:
            log.close()


def _is_between(line: Line, since: int | None, until: int | None) -> bool:
    if since is None and until is None:
        return True
    moment = filtering.moment(line.time)
    return (since is None or moment > since) and (until is None or moment < until)


def _merged(logs: list[_Log]) -> Iterator[Line]:
    if len(logs) == 1:
        yield from logs[0].lines()
        return
    from heapq import merge

    yield from merge(*(log.lines() for log in logs), key=lambda line: line.time)


class _Log:
    """One container's log file, and how far it has been read."""

    def __init__(self, container: Container, tail: int) -> None:
        config = container.config
        if config.log_driver not in _FILE_DRIVERS:
            raise Unsupported(
                f"this container is using the '{config.log_driver}' log driver, cannot read logs: this container is "
                "not logging output"
            )
        self.container = container
        self.path = config.log_path
        self._fd = -1
        self._tail = tail
        self._cut = b""  # a row whose end is not there yet
        self._parts: dict[str, list[bytes]] = {}  # lines whose end is not there yet, by stream
        self._times: dict[str, str] = {}

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are there and have not been read, across a rotation."""
        while True:
            if self._fd < 0 and not self._open():
                return
            while block := os.read(self._fd, _BLOCK_BYTES):
                yield from self._take(block)
            if not self._was_rotated():
                return
            self.close()
            self._tail = -1

    def remains(self) -> Iterator[Line]:
        """Yield the beginnings of lines that never ended."""
        for stream, parts in self._parts.items():
            if parts:
                yield self._line(stream, self._times[stream], b"".join(parts), whole=False)
        self._parts.clear()

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False  # it was never started
        if self._tail >= 0:
            os.lseek(self._fd, start_of_tail(self._fd, self._tail), os.SEEK_SET)
        return True

    def _was_rotated(self) -> bool:
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._fd)
        return (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino)

    def _take(self, block: bytes) -> Iterator[Line]:
        *rows, self._cut = (self._cut + block).split(b"\n")
        for row in rows:
            fields = row.split(b" ", 3)
            if len(fields) < 4:
                continue  # empty, or torn by a full disk
            moment, stream, tag = (field.decode("ascii", "replace") for field in fields[:3])
            parts = self._parts.setdefault(stream, [])
            if not parts:
                self._times[stream] = moment
            parts.append(fields[3])
            if tag != "P":
                yield self._line(stream, self._times[stream], b"".join(parts))
                parts.clear()

    def _line(self, stream: str, moment: str, text: bytes, *, whole: bool = True) -> Line:
        return Line(container=self.container.id, stream=stream, time=moment, text=text, whole=whole)


def start_of_tail(fd: int, count: int) -> int:
    """Return where in a log file its last `count` lines begin, reading from the end.

    A line begins after the last row of the one before, so that its partial rows come with it.
    """
    end = os.fstat(fd).st_size
    if count == 0:
        return end
    position, rest, seen = end, b"", 0
    while position > 0:
        size = min(_BLOCK_BYTES, position)
        position -= size
        rows = (os.pread(fd, size, position) + rest).split(b"\n")
        after = position + sum(len(row) + 1 for row in rows) - 1
        for row in reversed(rows[1:]):
            begins = after - len(row)
            if row and _ends_line(row, last=seen == 0):
                seen += 1
                if seen > count:
                    return after + 1
            after = begins - 1
        rest = rows[0]
    if rest and _ends_line(rest, last=seen == 0) and seen >= count:
        return len(rest) + 1
    return 0


def _ends_line(row: bytes, *, last: bool) -> bool:
    """Tell whether a row ends a line: a full one does, and the last of a file in any case."""
    fields = row.split(b" ", 3)
    return last or len(fields) < 4 or fields[2] != b"P"


def _follow(settings: Settings, logs: list[_Log], until: int | None) -> Iterator[Line]:
    """Yield lines as they come, until the last of the containers has ended and its file was read to the end."""
    from podling.linux import inotify

    watches = inotify.Inotify()
    try:
        mask = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO
        for directory in {os.path.dirname(log.path) for log in logs}:
            watches.watch(directory, mask)
        alive = [(log, _Life(settings, log.container)) for log in logs]
        while alive:
            ended = [pair for pair in alive if pair[1].is_over()]  # asked before reading: all it wrote is there
            for log, _ in alive:
                yield from log.lines()
            for log, life in ended:
                yield from log.remains()
                life.close()
                alive.remove((log, life))
            if alive:
                _await([watches.fd, *(life.pidfd for _, life in alive)], until)
                watches.drain()
            if until is not None and filtering.moment("0s") >= until:
                return
    finally:
        watches.close()


def _await(fds: list[int], until: int | None) -> None:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    left = None if until is None else max(0, (until - filtering.moment("0s")) // 1_000_000 + 1)
    poll.poll(left)


class _Life:
    """Whether a container may still write: its monitor lives, or another one after a restart."""

    def __init__(self, settings: Settings, container: Container) -> None:
        self._settings = settings
        self._id = container.id
        self.pidfd = -1
        self._hold()

    def is_over(self) -> bool:
        """Tell whether the container has ended and will not come back by itself."""
        if self.pidfd < 0:
            return True
        if not processes.await_end(self.pidfd, 0):
            return False
        self.close()
        self._hold()
        return self.pidfd < 0

    def close(self) -> None:
        """Let the monitor go."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def _hold(self) -> None:
        try:
            with database.read(self._settings) as db:
                container = listing.observe(self._settings, db.container(self._id))
        except NotFound:
            return
        if container.state.status in ("initialized", "running", "paused", "stopping"):
            state = container.state
            pidfd = processes.hold(state.monitor_pid, state.monitor_started)
            if pidfd is None:
                pidfd = processes.hold(state.pid, state.pid_started)
            self.pidfd = -1 if pidfd is None else pidfd
