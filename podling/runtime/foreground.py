"""A process in the foreground: `run` and `exec` without --detach.

    without a terminal   the process has our standard streams; we pass signals on and wait
    with one             we are our own console socket's other end: the master is copied to and from our streams, our
                         terminal is raw meanwhile, and its size follows ours

With --console-socket the terminal is somebody else's and only the waiting is left.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import os
import select
import struct

from podling.errors import PodlingError
from podling.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
_NOT_PASSED_ON = (
    *(_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG),
    *(_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGILL, _signal.SIGFPE, _signal.SIGTRAP),
)


class Session:
    """Our side of a process in the foreground."""

    def __init__(self, options: dict[str, Any], *, terminal: bool) -> None:
        self.options = options
        self.master = -1
        self._listener: Any = None
        self._directory = ""
        self._saved: list[Any] | None = None
        self._signals, self._signals_end = -1, -1
        if terminal and not options.get("console-socket"):
            self._listen()

    def __enter__(self) -> Self:
        """Become a subreaper, since init may be a grandchild, and let signals wake us."""
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._signals, self._signals_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        return self

    def __exit__(self, *_error: object) -> None:
        _signal.set_wakeup_fd(-1)
        self._restore_terminal()
        for fd in (self._signals, self._signals_end, self.master):
            if fd >= 0:
                os.close(fd)
        self._forget_listener()

    def _listen(self) -> None:
        """Offer a console socket of our own, in a directory that only we can enter."""
        self._directory = f"/run/podling-console-{os.getpid()}"
        os.mkdir(self._directory, 0o700)
        path = f"{self._directory}/socket"
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self.options = {**self.options, "console-socket": path}

    def _forget_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            os.unlink(f"{self._directory}/socket")
            os.rmdir(self._directory)
            self._listener = None

    def attach(self) -> None:
        """Take the terminal, if there is one, and pass signals on from here."""
        if self._listener is not None:
            self._take_master()
            self._make_raw()
            self._copy_size()
        _signal.set_wakeup_fd(self._signals_end, warn_on_full_buffer=False)
        for number in range(1, _signal.NSIG):
            if number not in _NOT_PASSED_ON:
                try:
                    _signal.signal(number, lambda _number, _frame: None)
                except (OSError, ValueError):
                    continue  # 32 and 33 belong to the C library
        _signal.signal(_signal.SIGCHLD, lambda _number, _frame: None)

    def _take_master(self) -> None:
        fd, _address = self._listener._accept()
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        _data, rights, _flags, _from = connection.recvmsg(64, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        connection.close()
        self._forget_listener()
        if not rights:
            raise PodlingError("the container sent no terminal")
        (self.master,) = struct.unpack("i", rights[0][2])

    def _make_raw(self) -> None:
        import termios

        if not os.isatty(0):
            return
        self._saved = termios.tcgetattr(0)
        mode = termios.tcgetattr(0)
        mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
        mode[0] &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(0, termios.TCSANOW, mode)

    def _restore_terminal(self) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSANOW, self._saved)
            self._saved = None

    def _copy_size(self) -> None:
        try:
            fcntl.ioctl(self.master, TIOCSWINSZ, fcntl.ioctl(0, TIOCGWINSZ, bytes(8)))
        except OSError:
            pass  # our stdin is no terminal: there is no size to copy

    def wait(self, pid: int) -> int:
        """Copy and pass on until the process ends. Return its exit code, 128 + N where a signal ended it."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if self.master >= 0:
            poll.register(self.master, select.POLLIN)
            poll.register(0, select.POLLIN)
        while True:
            status = self._reap(pid)
            if status is not None:
                self._drain()
                return status
            for fd, _event in poll.poll():
                if fd == self._signals:
                    self._pass_on(pid)
                elif not _copy(fd, 1 if fd == self.master else self.master):
                    poll.unregister(fd)

    def _reap(self, pid: int) -> int | None:
        """Collect whatever has ended; return the code of the process, once it is among them."""
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 255  # somebody else has waited for it
            if ended == 0:
                return None
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _pass_on(self, pid: int) -> None:
        for number in os.read(self._signals, 512):
            if number == _signal.SIGWINCH and self.master >= 0:
                self._copy_size()
            elif number != _signal.SIGCHLD:
                try:
                    os.kill(pid, number)  # our child, not yet waited for: the pid cannot be another's
                except ProcessLookupError:
                    continue

    def _drain(self) -> None:
        """Copy what the terminal still holds."""
        if self.master < 0:
            return
        os.set_blocking(self.master, False)
        while _copy(self.master, 1):
            continue


def _copy(source: int, destination: int) -> bool:
    """Copy once; False at the end of what there is."""
    try:
        data = os.read(source, 65536)
        view = memoryview(data)
        while view:
            view = view[os.write(destination, view) :]
    except OSError:  # EIO: the last slave is closed; EPIPE: our reader has gone
        return False
    return bool(data)
