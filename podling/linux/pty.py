"""Pseudo-terminals and terminal settings: raw mode, window sizes, a pty's master handed over a socket."""

from __future__ import annotations

import fcntl
import sys
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

TIOCSWINSZ = termios.TIOCSWINSZ
TIOCGWINSZ = termios.TIOCGWINSZ

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


def window_size(fd: int) -> tuple[int, int]:
    """Return a terminal's rows and columns. Raise OSError where it is none."""
    answer = fcntl.ioctl(fd, TIOCGWINSZ, bytes(8))
    return int.from_bytes(answer[0:2], sys.byteorder), int.from_bytes(answer[2:4], sys.byteorder)


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """Set a terminal's rows and columns; its foreground processes are told by SIGWINCH."""
    fcntl.ioctl(fd, TIOCSWINSZ, b"".join([number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0)]))


def raw_settings(settings: list[Any]) -> list[Any]:
    """Return terminal settings as cfmakeraw(3) changes them: every byte as it comes, none with a meaning."""
    raw = [*settings[:_CC], list(settings[_CC])]
    raw[_IFLAG] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    raw[_OFLAG] &= ~termios.OPOST
    raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[_CFLAG] = raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[_CC][termios.VMIN] = 1
    raw[_CC][termios.VTIME] = 0
    return raw


class RawMode:
    """A terminal in raw mode for as long as a `with` block lasts. Raise termios.error where it is no terminal.

    `restore` is there too for who must end without leaving the block; restoring twice is harmless.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        before = termios.tcgetattr(self.fd)
        termios.tcsetattr(self.fd, termios.TCSANOW, raw_settings(before))
        self._before = before
        return self

    def __exit__(self, *_error: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal the settings back that it had; one that has hung up has none."""
        if self._before is None:
            return
        try:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)
        except termios.error:
            pass
        self._before = None


def translate_newlines(fd: int) -> None:
    """Make a terminal write a carriage return before each newline (ONLCR), as Kubernetes expects it to."""
    settings = termios.tcgetattr(fd)
    settings[_OFLAG] |= termios.ONLCR
    termios.tcsetattr(fd, termios.TCSANOW, settings)


def receive_descriptor(connection: int) -> int:
    """Receive one descriptor that a peer sends over a unix socket (SCM_RIGHTS). Raise OSError where none comes.

    The descriptor is close-on-exec. What else was sent, such as more descriptors, is closed.
    """
    import _socket

    socket = _socket.socket(fileno=connection)
    size = 4
    try:
        _name, ancillary, _flags, _address = socket.recvmsg(4096, _socket.CMSG_SPACE(size), _socket.MSG_CMSG_CLOEXEC)
    finally:
        socket.detach()
    for level, kind, content in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS and len(content) >= size:
            return int.from_bytes(content[:size], sys.byteorder)
    raise OSError(5, "no descriptor was sent")


def send_descriptor(connection: int, fd: int, name: str) -> None:
    """Send one descriptor over a unix socket, with a name, as an OCI runtime does on the console socket."""
    import _socket

    socket = _socket.socket(fileno=connection)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))
    try:
        socket.sendmsg([name.encode() + b"\0"], [rights])
    finally:
        socket.detach()
