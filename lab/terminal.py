"""A pseudo-terminal with a process in it, for a program that types.

    with Terminal(["bash"], environment) as terminal:
        terminal.expect(r"\\$ $")
        terminal.type("echo hello\\r")
        terminal.expect("hello")

Nothing sleeps: every wait is a poll on the terminal or on a pidfd, with a deadline.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

TIMEOUT_SECONDS = 30.0


class TimedOut(AssertionError):
    """What was waited for did not come; the message holds what came instead."""


def await_pid_exit(pid: int, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Return once a process is no longer alive. It need not be a child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        if not poller.poll(timeout_seconds * 1000):
            raise TimedOut(f"process {pid} is still alive after {timeout_seconds} s")
    finally:
        os.close(descriptor)


def await_exit(process: subprocess.Popen[bytes], timeout_seconds: float = TIMEOUT_SECONDS) -> int:
    """Return a child's exit status once it has ended; kill it at the deadline."""
    try:
        await_pid_exit(process.pid, timeout_seconds)
    except TimedOut:
        process.kill()
        process.wait()
        raise
    return process.wait()


class Terminal:
    """A process on a pseudo-terminal of its own. A context manager: hung up and killed on exit."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        rows: int = 24,
        columns: int = 80,
        echo: Callable[[bytes], object] | None = None,
        directory: str | None = None,
    ) -> None:
        self.master, slave = os.openpty()
        os.set_blocking(self.master, False)
        self.name = os.ttyname(slave)
        self.echo = echo
        self.seen = bytearray()  # all that was ever read
        self.position = 0  # up to here it has been expected
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            list(command), stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=directory,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up: the process gets SIGHUP, then SIGKILL if it stays."""
        if self.master < 0:
            return
        os.close(self.master)
        self.master = -1
        try:
            await_pid_exit(self.process.pid, 5)
        except TimedOut:
            self.process.kill()
        self.process.wait()

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the foreground process group gets SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str | bytes) -> None:
        """Write what a person would type; return ends a line."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            select.select([], [self.master], [], TIMEOUT_SECONDS)
            data = data[os.write(self.master, data) :]

    def press(self, *keys: str) -> None:
        """Write keys one at a time, each once the process has read the one before, as it reads a person's."""
        slave = os.open(self.name, os.O_RDONLY | os.O_NOCTTY)
        try:
            for key in keys:
                self.type(key)
                deadline = time.monotonic() + TIMEOUT_SECONDS
                while struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))[0]:
                    os.sched_yield()  # nothing can be polled for: a terminal does not tell that its input was read
                    if time.monotonic() > deadline:
                        raise TimedOut(f"key {key!r} was not read within {TIMEOUT_SECONDS} s")
        finally:
            os.close(slave)

    def expect(self, pattern: str, timeout_seconds: float = TIMEOUT_SECONDS) -> re.Match[bytes]:
        """Read until a regular expression matches what came since the last match; return the match."""
        compiled = re.compile(pattern.encode(), re.DOTALL | re.MULTILINE)
        deadline = time.monotonic() + timeout_seconds
        while True:
            match = compiled.search(self.seen, self.position)
            if match:
                self.position = match.end()
                return match
            if not self._read(deadline - time.monotonic()):
                raise TimedOut(f"no {pattern!r} within {timeout_seconds} s, but {bytes(self.seen[self.position :])!r}")

    def drain(self, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
        """Read until the process's side is closed; return what came since the last match."""
        deadline = time.monotonic() + timeout_seconds
        while self._read(deadline - time.monotonic()):
            pass
        rest = bytes(self.seen[self.position :])
        self.position = len(self.seen)
        return rest

    def wait(self, timeout_seconds: float = TIMEOUT_SECONDS) -> int:
        """Read to the end and return the process's exit status."""
        self.drain(timeout_seconds)
        return await_exit(self.process, timeout_seconds)

    def hang_up_client(self) -> None:
        """Kill the process as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _read(self, timeout_seconds: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(timeout_seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.seen += data
        if self.echo is not None:
            self.echo(data)
        return bool(data)
