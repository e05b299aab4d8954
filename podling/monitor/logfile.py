"""The k8s-file log: one line of the container's output per line, with its time and stream.

    2026-11-23T16:04:02.123456789+01:00 stdout F a whole line
    2026-11-23T16:04:02.123456789+01:00 stderr P what one read of 8192 bytes had of a line, without its end

`size_max` bounds the file: the line that would exceed it begins a new one, which replaces the old one or, with
`rotate`, pushes it to PATH.1, PATH.2 … `global_size_max` bounds everything ever written. What cannot be written (a full
disk) is lost and the container goes on.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix
import time

from podling.monitor.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

STREAMS = {2: b"stdout", 3: b"stderr"}

CREATE = posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC


class LogFile:
    """One k8s-file log. Its attributes are plain values, so that they can be handed over an exec."""

    kind = "k8s-file"
    path: str
    fd: int = -1
    written: int = 0
    total: int = 0
    size_max: int = -1
    global_size_max: int = -1
    rotate: bool = False
    max_files: int = 1

    _second: int = -1
    _stamp: str = ""
    _zone: str = ""

    def __init__(self, report: Report, **values: "Any") -> None:
        self._report = report
        self.__dict__.update(values)

    def handover(self) -> "dict[str, Any]":
        """Return the attributes for another instance of the same file."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def open(self) -> None:
        """Open or create the file, to append. Raise OSError."""
        self.fd = posix.open(self.path, CREATE | posix.O_APPEND, 0o640)
        self.written = self.total = posix.fstat(self.fd).st_size

    def write(self, stream: int, chunks: "Sequence[bytes]") -> None:
        """Log what was read, a chunk per read of at most 8192 bytes."""
        head = self._head(STREAMS[stream])
        batch = [_formatted(head, chunk) for chunk in chunks]
        size = sum([len(text) for text in batch])
        if 0 < self.size_max < self.written + size or 0 < self.global_size_max <= self.total + size:
            for text in batch:
                self._write_by_line(text)
            return
        self._append(batch, size)

    def _head(self, stream: bytes) -> bytes:
        now = time.time_ns()
        second = now // 1_000_000_000
        if second != self._second:
            local = time.localtime(second)
            offset = abs(local.tm_gmtoff) // 60
            self._second = second
            self._stamp = (
                f"{local.tm_year}-{local.tm_mon:02d}-{local.tm_mday:02d}"
                f"T{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
            )
            self._zone = f"{'-' if local.tm_gmtoff < 0 else '+'}{offset // 60:02d}:{offset % 60:02d}"
        return b"%b.%09d%b %b " % (self._stamp.encode(), now % 1_000_000_000, self._zone.encode(), stream)

    def _write_by_line(self, text: bytes) -> None:
        lines = text.split(b"\n")[:-1]
        for line in lines:
            if 0 < self.global_size_max <= self.total:
                return
            size = len(line) + 1
            if 0 < self.size_max < self.written + size:
                self.reopen()
            self._append([line + b"\n"], size)

    def _append(self, batch: "list[bytes]", size: int) -> None:
        if self.fd < 0:
            return
        try:
            done = posix.writev(self.fd, batch)
            if done < size:
                content = b"".join(batch)
                while done < size:
                    done += posix.write(self.fd, content[done:])
        except OSError as error:
            self._report.warn(f"failed to flush buffer to log: {error.strerror}")
        self.written += size
        self.total += size

    def reopen(self) -> None:
        """Begin a new file under the same path; where that fails, go on with the old one."""
        try:
            if self.rotate:
                self._shift()
            else:
                self._replace()
        except OSError as error:
            self._report.warn(f"Failed to reopen log file {self.path}: {error.strerror}")
        else:
            self.written = 0

    def _replace(self) -> None:
        fresh = posix.open(f"{self.path}.tmp", CREATE | posix.O_TRUNC, 0o640)
        self._put_in_place(fresh, f"{self.path}.tmp")

    def _shift(self) -> None:
        staged = f"{self.path}.new"
        if ".." in self.path.split("/"):
            raise OSError(22, "path has a parent directory in it")
        mine, named = posix.fstat(self.fd), posix.lstat(self.path)
        if (mine.st_dev, mine.st_ino) != (named.st_dev, named.st_ino):
            raise OSError(22, "another file is there now")
        fresh = posix.open(staged, CREATE | posix.O_EXCL, 0o640)
        for number in range(max(self.max_files, 2) - 1, 0, -1):
            try:
                posix.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            except FileNotFoundError:
                continue
        posix.rename(self.path, f"{self.path}.1")
        self._put_in_place(fresh, staged)

    def _put_in_place(self, fresh: int, staged: str) -> None:
        try:
            posix.rename(staged, self.path)
        except OSError:
            posix.close(fresh)
            raise
        if self.fd >= 0:
            posix.close(self.fd)
        self.fd = fresh

    def flush(self) -> None:
        """Nothing is kept back here: a partial line is on disk already."""

    def sync(self) -> None:
        """Make what was written durable."""
        try:
            if self.fd >= 0:
                posix.fsync(self.fd)
        except OSError as error:
            self._report.warn(f"Failed to sync log file before exit: {error.strerror}")

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1


def _formatted(head: bytes, chunk: bytes) -> bytes:
    end = chunk.rfind(b"\n") + 1
    whole = head + b"F "
    text = whole + chunk[: end - 1].replace(b"\n", b"\n" + whole) + b"\n" if end else b""
    if end < len(chunk):
        text += head + b"P " + chunk[end:] + b"\n"
    return text
