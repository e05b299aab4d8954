"""Attaching a terminal or pipes to a container, through its monitor's socket.

    stdin ──► detach keys? ──► packets of at most 32768 bytes ──►  attach   (SOCK_SEQPACKET in the bundle)
    stdout ◄── 2 ┐
    stderr ◄── 3 ┴ first byte of each packet  ◄──────────────────
    SIGWINCH ──► "1 HEIGHT WIDTH" ──────────────────────────────►  ctl      (FIFO in the bundle)
    other signals ──► the container's first process (sig-proxy)

Attaching holds no lock and no claim: kill it at any moment and the container goes on.
"""

from __future__ import annotations

import _signal
import _socket
import os
import select

from podling.errors import InvalidArgument, Unavailable, WrongState
from podling.linux import pty
from podling.linux.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.engine.options import AttachStreams

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_PACKET_BYTES = 32768
_STDOUT, _STDERR = 2, 3
_NEVER_PROXIED = (_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGWINCH, _signal.SIGKILL, _signal.SIGSTOP)
_CONTROL_CODES = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class Detached(Exception):
    """The user typed the detach keys."""


def connect(home: str) -> Any:
    """Connect to the attach socket in a bundle or exec bundle. Raise Unavailable where no monitor listens."""
    attach = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        # the path may be longer than the 108 bytes of a socket address; a magic link to it is not
        handle = os.open(f"{home}/attach", os.O_PATH | os.O_CLOEXEC)
        try:
            attach.connect(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    except OSError as error:
        attach.close()
        raise Unavailable(f'attach to "{home}/attach"') from error
    return attach


def detach_sequence(keys: str) -> bytes:
    """Return the bytes of detach keys such as "ctrl-p,ctrl-q" or "a,ctrl-x"; empty keys detach never."""
    sequence = bytearray()
    for key in keys.split(",") if keys else []:
        if len(key) == 1 and key.isascii():
            sequence.append(ord(key))
            continue
        letter = key.removeprefix("ctrl-")
        if letter == key or len(letter) != 1 or not ("a" <= letter <= "z" or letter in _CONTROL_CODES):
            raise InvalidArgument(f'unable to parse detach keys "{keys}": unknown character "{key}"')
        sequence.append(_CONTROL_CODES[letter] if letter in _CONTROL_CODES else ord(letter) - 96)
    return bytes(sequence)


class DetachFilter:
    """Finds the detach sequence in what is typed, held back while it may still become one."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def feed(self, typed: bytes) -> bytes:
        """Return what may go to the container. Raise Detached at the sequence's last byte."""
        if not self._sequence:
            return typed
        out = bytearray()
        for byte in typed:
            if byte != self._sequence[self._matched]:
                out += self._sequence[: self._matched]
                self._matched = 0
            if byte == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    raise Detached
            else:
                out.append(byte)
        return bytes(out)


class Session:
    """One attached client; `run` moves bytes until the container closes its side or the user detaches."""

    def __init__(
        self,
        attach: Any,
        home: str,
        streams: AttachStreams,
        *,
        tty: bool,
        detach_keys: bytes,
        proxy: Callable[[int], None] | None = None,
    ) -> None:
        self._attach = attach
        self._home = home
        self._streams = streams
        self._raw = tty and streams.stdin and os.isatty(0)
        self._tty = tty
        self._filter = DetachFilter(detach_keys if self._raw else b"")
        self._proxy = proxy if streams.sig_proxy and not self._raw else None
        self._pending = b""
        self._stdin_open = streams.stdin
        self._signals, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def resize(self) -> None:
        """Tell the container the size of the user's terminal, where there is one."""
        for fd in (0, 1):
            if self._tty and os.isatty(fd):
                rows, columns = pty.window_size(fd)
                write_control(self._home, f"1 {rows} {columns}\n")
                return

    def run(self) -> bool:
        """Move bytes to the end; tell whether the container closed its side (False: detached)."""
        terminal = pty.RawMode(0)
        if self._raw:
            terminal.__enter__()
        watched = self._watch_signals()
        try:
            self._move()
            return True
        except Detached:
            return False
        finally:
            _signal.set_wakeup_fd(-1)
            for number, before in watched:
                _signal.signal(number, before)
            terminal.restore()
            for fd in (self._signals, self._wake):
                os.close(fd)
            self._attach.close()

    def _watch_signals(self) -> list[tuple[int, Any]]:
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        numbers = [_signal.SIGWINCH]
        if self._proxy is not None:
            numbers += [number for number in range(1, 32) if number not in _NEVER_PROXIED]
        watched = []
        for number in numbers:
            before = _signal.getsignal(number)
            if before != _signal.SIG_IGN:
                watched.append((number, before))
                _signal.signal(number, _note)
        return watched

    def _move(self) -> None:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        self._attach.setblocking(False)
        while True:
            wanted = select.POLLIN | (select.POLLOUT if self._pending else 0)
            poll.register(self._attach.fileno(), wanted)
            if self._stdin_open and not self._pending:
                poll.register(0, select.POLLIN)
            elif self._streams.stdin:
                _unregister(poll, 0)
            ready = dict(poll.poll())
            if self._signals in ready:
                self._handle_signals()
            if ready.get(self._attach.fileno(), 0) & select.POLLOUT:
                self._send()
            if ready.get(self._attach.fileno(), 0) & ~select.POLLOUT and not self._receive():
                return
            if 0 in ready:
                self._read_stdin()

    def _receive(self) -> bool:
        try:
            packet = self._attach.recv(_PACKET_BYTES + 1)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if not packet:
            return False
        if packet[0] == _STDERR and self._streams.stderr:
            write_all(2, packet[1:])
        elif packet[0] == _STDOUT and self._streams.stdout:
            write_all(1, packet[1:])
        return True

    def _read_stdin(self) -> None:
        try:
            typed = os.read(0, _PACKET_BYTES)
        except OSError:
            typed = b""  # EIO: the terminal hung up
        if typed:
            self._pending = self._filter.feed(typed)
            self._send()
            return
        self._stdin_open = False
        self._shut_down()

    def _send(self) -> None:
        try:
            if self._pending:
                self._attach.send(self._pending)
            self._pending = b""
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._pending = b""

    def _shut_down(self) -> None:
        try:
            self._attach.shutdown(_socket.SHUT_WR)
        except OSError:
            return  # the other side is gone: the next read says so

    def _handle_signals(self) -> None:
        for number in os.read(self._signals, 4096):
            if number == _signal.SIGWINCH:
                self.resize()
            elif self._proxy is not None:
                self._proxy(number)


def write_control(home: str, line: str) -> None:
    """Write one line to a monitor's ctl FIFO; a monitor that is gone needs no telling."""
    try:
        fd = os.open(f"{home}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, line.encode())
    except OSError:
        return
    finally:
        os.close(fd)


def check_attachable(status: str, name: str) -> None:
    """Raise WrongState unless a container in this state has somebody to attach to."""
    if status not in ("running", "initialized"):
        raise WrongState(f'you can only attach to running containers: "{name}" is {status}')


def _note(_number: int, _frame: object) -> None:
    """Exist: the wake-up descriptor carries the number."""


def _unregister(poll: Any, fd: int) -> None:
    try:
        poll.unregister(fd)
    except KeyError:
        return
