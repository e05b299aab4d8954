"""The event loop: epoll, with the monitor's signals as one more descriptor.

It sleeps without a timeout unless a deadline was set, so that an idle monitor never wakes up. Signals reach it through
a pipe that the interpreter writes their numbers to; a signal that comes between two turns is therefore never missed.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import _signal
import posix
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int, int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANG_UP = select.EPOLLHUP | select.EPOLLERR
URGENT = select.EPOLLPRI
EDGE = select.EPOLLET  # for what hangs up and comes back: a tty that nobody has open

SIGNALS = (_signal.SIGCHLD, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGINT)


class Loop:
    """Descriptors with their handlers, and the signals that arrived."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._signals, self._signals_in = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._epoll.register(self._signals, READ)
        self.deadlines: dict[str, float] = {}
        self.first = -1  # whose event is handled before others of the same turn

    def take_signals(self) -> None:
        """Receive the monitor's signals from here on, with those that were held back."""
        _signal.set_wakeup_fd(self._signals_in, warn_on_full_buffer=False)
        for number in SIGNALS:
            _signal.signal(number, _nothing)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)

    def hold_signals(self) -> bool:
        """Block the monitor's signals; tell whether none had arrived yet. Otherwise they are taken again."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
        if not select.select([self._signals], [], [], 0)[0]:
            return True
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)
        return False

    def watch(self, fd: int, events: int, handler: "Handler") -> None:
        """Call `handler(fd, events)` when any of the events comes; watching again changes the events."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more; harmless when it was not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def turn(self) -> bytes:
        """Wait for events or the nearest deadline, call the handlers, and return the numbers of arrived signals."""
        arrived = b""
        ready = self._epoll.poll(self._patience())
        if len(ready) > 1:
            ready.sort(key=self._is_later)
        for fd, events in ready:
            if fd == self._signals:
                arrived = posix.read(fd, 512)
                continue
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(fd, events)
        return arrived

    def _is_later(self, event: tuple[int, int]) -> bool:
        return event[0] != self.first

    def _patience(self) -> float | None:
        if not self.deadlines:
            return None
        return max(0.0, min(self.deadlines.values()) - time.monotonic())

    def is_due(self, name: str) -> bool:
        """Tell whether a deadline has passed; a deadline that has is forgotten."""
        when = self.deadlines.get(name)
        if when is None or when > time.monotonic():
            return False
        del self.deadlines[name]
        return True

    def close(self) -> None:
        """Let go of the epoll and the pipe; signals are held from here on."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
        _signal.set_wakeup_fd(-1)
        self._epoll.close()
        posix.close(self._signals)
        posix.close(self._signals_in)


def _nothing(_number: int, _frame: object) -> None:
    """A handler there must be: the pipe is only written for signals that have one."""
