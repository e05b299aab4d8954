"""Locks between processes: flock on a file named after the object.

    with Lock("/run/podling/locks/container/0123…"):
        …

A lock file may be unlinked by its holder when the object goes; whoever waited for it then finds that its fd is no
longer the file of that name and starts again. A lock dies with the process, never with the machine's patience:
`timeout_seconds` bounds the wait, and the error names the holder's pid, read from /proc/locks.
"""

from __future__ import annotations

import fcntl
import os
import time

from podling.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Lock:
    """An exclusive lock, or a shared one, on the file `path`; its directory must exist."""

    def __init__(self, path: str, *, shared: bool = False, timeout_seconds: float = 600.0) -> None:
        self.path = path
        self.fd = -1
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._timeout_seconds = timeout_seconds

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for the lock. Raise Unavailable, naming the holder, when the time is up."""
        pause_seconds = 0.001
        give_up = time.monotonic() + self._timeout_seconds
        while not self.try_acquire():
            if time.monotonic() > give_up:
                raise Unavailable(f'lock "{self.path}" is held by process {self.holder() or "unknown"}')
            time.sleep(pause_seconds)  # flock(2) has no timeout, and a signal handler is not ours to set
            pause_seconds = min(pause_seconds * 1.5, 0.05)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; tell whether it was."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, self._kind | fcntl.LOCK_NB)
            mine, named = os.fstat(fd), os.stat(self.path)
        except BlockingIOError:
            os.close(fd)
            return False
        except FileNotFoundError:
            os.close(fd)
            return self.try_acquire()
        if (mine.st_dev, mine.st_ino) != (named.st_dev, named.st_ino):
            os.close(fd)
            return self.try_acquire()
        self.fd = fd
        return True

    def release(self, *, unlink: bool = False) -> None:
        """Let go of the lock, with its file if the object is gone. Harmless when not held."""
        if self.fd < 0:
            return
        if unlink:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass
        os.close(self.fd)
        self.fd = -1

    def holder(self) -> int | None:
        """Return the pid of a process that holds the lock, where the kernel tells."""
        try:
            wanted = f":{os.stat(self.path).st_ino} "
            with open("/proc/locks", encoding="ascii") as table:
                for row in table:
                    if "FLOCK" in row and wanted in row and "->" not in row:
                        return int(row.split()[4])
        except (OSError, ValueError, IndexError):
            return None
        return None
