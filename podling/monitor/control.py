"""The control FIFOs: `ctl` from whoever drives the container, `winsz` for a window size alone.

    ctl      1 HEIGHT WIDTH\\n      resize the tty
             2 ANY ANY\\n           begin a new log file
    winsz    HEIGHT WIDTH\\n

Numbers are read as sscanf's %d reads them. A line that is neither is passed over with a warning.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix

from podling.monitor.loop import READ, Loop
from podling.monitor.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LINE_MAX = 199
RESIZE, REOPEN_LOGS = 1, 2
DIMENSION_MAX = 1000


class Control:
    """The two FIFOs. Its attributes are plain values, so that they can be handed over an exec."""

    control: int = -1
    window: int = -1
    writers: "tuple[int, ...]" = ()  # held open, lest the last writer's end be told over and over
    control_rest: bytes = b""
    window_rest: bytes = b""
    tty: int = -1
    resize_request: int = 0  # TIOCSWINSZ, which differs between architectures

    def __init__(self, report: Report, reopen_logs: "Callable[[], None]", **values: "Any") -> None:
        self._report = report
        self._reopen_logs = reopen_logs
        self.__dict__.update(values)

    def handover(self) -> "dict[str, Any]":
        """Return the attributes for another instance."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def descriptors(self) -> "list[int]":
        """Return every descriptor in use, but for the tty, which is not ours."""
        return [fd for fd in (self.control, self.window, *self.writers) if fd >= 0]

    def watch(self, loop: Loop) -> None:
        """Begin to read: the tty must have arrived, if there is to be one."""
        if self.control >= 0:
            loop.watch(self.control, READ, self._on_control)
        if self.window >= 0 and self.tty >= 0:
            loop.watch(self.window, READ, self._on_window)

    def _on_control(self, fd: int, _events: int) -> None:
        self.control_rest = self._lines(fd, self.control_rest, self._control_line)

    def _on_window(self, fd: int, _events: int) -> None:
        self.window_rest = self._lines(fd, self.window_rest, self._window_line)

    def _lines(self, fd: int, rest: bytes, act: "Callable[[bytes], None]") -> bytes:
        try:
            text = rest + posix.read(fd, LINE_MAX)
        except OSError as error:
            self._report.warn(f"Failed to read from fd {fd}: {error.strerror}")
            return rest
        *lines, rest = text.split(b"\n")
        for line in lines:
            act(line)
        if len(rest) < LINE_MAX:
            return rest
        self._report.warn("Could not find newline in entire buffer")
        return b""

    def _control_line(self, line: bytes) -> None:
        numbers = integers(line, 3)
        if len(numbers) < 3:
            self._report.warn("Invalid control message format")
        elif numbers[0] not in (RESIZE, REOPEN_LOGS):
            self._report.warn(f"Invalid control message type: {numbers[0]}")
        elif self._is_size(numbers[1], numbers[2]):
            if numbers[0] == RESIZE:
                self._resize(numbers[1], numbers[2])
            else:
                self._reopen_logs()

    def _window_line(self, line: bytes) -> None:
        numbers = integers(line, 2)
        if len(numbers) < 2:
            self._report.warn("Failed to parse window size")
        elif self._is_size(numbers[0], numbers[1]):
            self._resize(numbers[0], numbers[1])

    def _is_size(self, height: int, width: int) -> bool:
        if 0 <= height <= DIMENSION_MAX and 0 <= width <= DIMENSION_MAX:
            return True
        self._report.warn(f"Invalid window size: {height}x{width} (must be between 0 and {DIMENSION_MAX})")
        return False

    def _resize(self, height: int, width: int) -> None:
        if self.tty < 0:
            return
        import fcntl
        import sys

        size = b"".join([number.to_bytes(2, sys.byteorder) for number in (height, width, 0, 0)])
        try:
            fcntl.ioctl(self.tty, self.resize_request, size)
        except OSError as error:
            self._report.warn(f"Failed to set process pty terminal size: {error.strerror}")


def integers(line: bytes, most: int) -> "list[int]":
    """Read leading decimal numbers as sscanf's %d does: `1 0x10` is 1 and 0, and then no more."""
    numbers: list[int] = []
    rest = line.lstrip()
    while rest and len(numbers) < most:
        digits = rest[1:] if rest[:1] in b"+-" else rest
        length = len(digits) - len(digits.lstrip(b"0123456789"))
        if not length:
            break
        sign = -1 if rest[:1] == b"-" else 1
        numbers.append(sign * int(digits[:length]))
        rest = digits[length:].lstrip()
    return numbers
