"""The part of the monitor that stays: it reads the container's output and waits for its end.

    podling ─fork─► conmon ─fork─► conmon ─fork─► runc ─► the container's first process
                    (exits)        │ resident: this module, after about a second in an interpreter of its own
                                   ├─ stdout, stderr or the tty ─► logs, attach clients
                                   ├─ attach (SEQPACKET) ─► stdin or the tty
                                   ├─ ctl, winsz (FIFOs) ─► window size, reopened logs
                                   ├─ notify/notify.sock ─► the host's sd_notify socket
                                   ├─ oom (eventfd of v1, memory.events of v2) ─► `oom` marker files
                                   └─ SIGCHLD ─► drain, exit files, sync pipe, exit command

Memory is a feature here (image.py has the figures): with this module stay those that it imports and nothing else.
Every attribute is a plain value or can hand itself over, because all of it goes through an exec: see shrink.py.
"""

import _signal
import posix
import time

from podling.monitor.clients import STALL_SECONDS, Clients
from podling.monitor.control import Control
from podling.monitor.ending import close_quietly, exit_code, kill_group, unlink_quietly, write_file
from podling.monitor.loop import EDGE, READ, Loop
from podling.monitor.oom import Oom
from podling.monitor.report import Report, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.monitor.journald import Journal
    from podling.monitor.logfile import LogFile
    from podling.monitor.notify import Relay

    Log = LogFile | Journal

STDOUT, STDERR = 2, 3
CHUNK = 8192  # one read of conmon's, hence the length of a packet and of a log line's part
BATCH = 65536
BATCHES_PER_TURN = 16
TIMED_OUT = "command timed out"


class Monitor:
    """One container's monitor, from before its runtime is started to after its end."""

    container_id: str = ""
    is_exec: bool = False
    answer_key: str = "pid"
    terminal: bool = False
    sync_logs: bool = True
    persist_directory: str | None = None
    exit_directory: str | None = None
    exit_command: str | None = None
    exit_arguments: "list[str]" = []
    exit_delay_seconds: int = 0
    remove_at_end: "list[str]" = []  # the attach socket, and the link to its directory
    inherited: "list[int]" = []  # what the caller left open, such as reserved ports
    oom_score: str = "0"

    sync_fd: int = -1
    stdout: int = -1
    stderr: int = -1

    awaited: int = -1  # the pid whose end ends the loop: the runtime's, then the container's
    container_pid: int = -1
    time_limit: float = 0.0  # monotonic; 0 is none

    def __init__(self, report: Report, **values: "Any") -> None:
        self.__dict__.update(values)
        self.report = report
        self.loop = Loop()
        self.logs: list[Log] = []
        self.clients = Clients(self.loop, report)
        self.control = Control(report, self.reopen_logs)
        self.oom = Oom(report)
        self.relay: Relay | None = None
        self._ended: dict[int, int] = {}
        self._paused = False
        self._pidfd = -1

    def plain_values(self) -> "dict[str, Any]":
        """Return the attributes that are plain values."""
        parts = ("report", "loop", "logs", "clients", "control", "oom", "relay")
        return {name: value for name, value in self.__dict__.items() if name[0] != "_" and name not in parts}

    def descriptors(self) -> "list[int]":
        """Return every descriptor that has to survive an exec."""
        found = [self.sync_fd, self.stdout, self.stderr, *[log.fd for log in self.logs], *self.inherited]
        found += [*self.clients.descriptors(), *self.control.descriptors(), *self.oom.descriptors()]
        found += [self.relay.socket] if self.relay else []
        return [fd for fd in found if fd >= 0]

    def reopen_logs(self) -> None:
        """Begin new log files."""
        for log in self.logs:
            log.reopen()

    # --- the loop ---

    def begin(self) -> None:
        """Take the signals, and serve what is there before the container."""
        self.loop.take_signals()
        if self.relay:
            self.relay.watch(self.loop)

    def serve(self) -> None:
        """Serve the container's streams and files, once it exists."""
        self._watch_output()
        self.clients.watch()
        self.control.watch(self.loop)
        self.oom.watch(self.loop)
        if self.time_limit:
            self.loop.deadlines["timeout"] = self.time_limit

    def wait(self, pid: int, until: float = 0.0) -> int | None:
        """Run the loop until a process has ended, and return its wait status.

        None where `until` (monotonic, 0 is never) came before that, or the container's time limit did.
        """
        self.awaited = pid
        self._reap()
        if until:
            self.loop.deadlines["until"] = until
        while pid not in self._ended:
            self._take(self.loop.turn())
            if pid not in self._ended and (self.loop.is_due("until") or self.timed_out):
                return None
            if self.loop.is_due("stall"):
                self.clients.drop_stalled()
            self._pace()
        self.loop.deadlines.pop("until", None)
        return self._ended[pid]

    @property
    def timed_out(self) -> bool:
        """Whether the container's time is up."""
        return 0.0 < self.time_limit <= time.monotonic()

    def _take(self, signals: bytes) -> None:
        for number in signals:
            if number != _signal.SIGCHLD:
                self._forward(number)
        if signals:
            self._reap()

    def _forward(self, number: int) -> None:
        pid = self.container_pid if self.container_pid > 0 else self.awaited
        if pid > 0:
            try:
                posix.kill(pid, number)
            except ProcessLookupError:
                pass  # it has ended, and SIGCHLD says so

    def _reap(self) -> None:
        try:
            while True:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
                if pid == 0:
                    break
                if pid == self.awaited or self.container_pid < 0:
                    self._ended[pid] = status
        except ChildProcessError:
            pass
        if 0 < self.awaited == self.container_pid and self._pidfd < 0 and self.awaited not in self._ended:
            self._hold_by_pidfd_unless_child(self.awaited)

    def _hold_by_pidfd_unless_child(self, pid: int) -> None:
        """Under some systemd set-ups the container is no child of ours: then only a pidfd tells its end."""
        try:
            posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOWAIT | posix.WNOHANG)
            return
        except ChildProcessError:
            pass
        try:
            self._pidfd = posix.pidfd_open(pid)
        except ProcessLookupError:
            self._ended[pid] = 0
        else:
            self.loop.watch(self._pidfd, READ, self._on_pidfd)

    def _on_pidfd(self, fd: int, _events: int) -> None:
        self.loop.forget(fd)
        posix.close(fd)
        self._ended[self.container_pid] = 0  # its status is told to its parent alone

    # --- the container's output ---

    def _watch_output(self) -> None:
        if self.stdout >= 0:
            self.loop.watch(self.stdout, READ | EDGE if self.terminal else READ, self._on_output)
        if self.stderr >= 0:
            self.loop.watch(self.stderr, READ, self._on_output)

    def _pace(self) -> None:
        """Leave the output in its pipe while a client is too far behind."""
        clogged = self.clients.clogged
        if clogged == self._paused:
            return
        self._paused = clogged
        if clogged:
            self.loop.forget(self.stdout)
            self.loop.forget(self.stderr)
        else:
            self._watch_output()

    def _on_output(self, fd: int, _events: int) -> None:
        """Read a batch; of a tty, whose events are told once only, all there is, or else ask to be told again."""
        if not self.terminal or fd != self.stdout:
            self.read(fd)
            return
        for _batch in range(BATCHES_PER_TURN):
            if self.clients.clogged or not self.read(fd):
                return
        self._watch_output()

    def read(self, fd: int) -> bool:
        """Pass on what one read brings, up to a batch of chunks; tell whether there may be more."""
        try:
            data = posix.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if self.terminal and fd == self.stdout:
                return False  # EIO: nobody has the tty open now
            self.report.warn(f"stdio_input read failed: {error.strerror}")
            data = b""
        if not data:
            self._end_output(fd)
            return False
        chunks = [data] if len(data) < CHUNK else [data, *_rest_of_batch(fd)]
        stream = STDERR if fd == self.stderr else STDOUT
        for log in self.logs:
            log.write(stream, chunks)
        self.clients.distribute(stream, chunks)
        return True

    def _end_output(self, fd: int) -> None:
        self.loop.forget(fd)
        posix.close(fd)
        if fd == self.stdout:
            self.stdout = -1
        else:
            self.stderr = -1

    # --- the end ---

    def finish(self, status: int | None) -> int:
        """Write down how the container ended, tell everyone, and return the exit code.

        The exit files come first, so that whoever sees the attach socket's end can read them at once. No status means
        that its time was up: what it wrote since the last turn is not read then.
        """
        self.oom.check()
        if status is not None:
            self._drain()
        for log in self.logs:
            log.flush()
            if self.sync_logs:
                log.sync()
            log.close()
        code = exit_code(status) if status is not None else -1
        if status is None:
            kill_group(self.container_pid)
        for fd in self.inherited:
            close_quietly(fd)
        written = self._tell(code, TIMED_OUT if status is None else "")
        for path in self.remove_at_end:
            unlink_quietly(path)
        self._let_clients_read()
        self.loop.close()
        return code if written else 1

    def _drain(self) -> None:
        self.clients.accept_waiting()
        for fd in (self.stdout, self.stderr):
            while fd >= 0 and self.read(fd):
                pass

    def _tell(self, code: int, message: str) -> bool:
        paths = [f"{self.persist_directory}/exit"] if self.persist_directory else []
        paths += [f"{self.exit_directory}/{self.container_id}"] if self.exit_directory else []
        written = True
        for path in paths:
            try:
                write_file(path, str(code))
            except OSError as error:
                self.report.error(f"Failed to write {code} to exit file {path}: {error.strerror}")
                written = False
        if self.is_exec and self.sync_fd >= 0:
            answer(self.sync_fd, self.answer_key, code, message)
        return written

    def _let_clients_read(self) -> None:
        self.loop.deadlines.clear()
        while self.clients.close_those_done():
            self.loop.deadlines.setdefault("stall", time.monotonic() + STALL_SECONDS)
            self.loop.turn()
            if self.loop.is_due("stall"):
                break
        self.clients.close()


def _rest_of_batch(fd: int) -> "list[bytes]":
    """Read on after a full chunk, and cut what comes into chunks, as so many reads would have."""
    try:
        data = posix.read(fd, BATCH - CHUNK)
    except OSError:
        return []  # the next turn tells
    return [data[begin : begin + CHUNK] for begin in range(0, len(data), CHUNK)]
