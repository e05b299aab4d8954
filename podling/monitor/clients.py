"""The container's streams as seen from outside: the attach socket's clients, and the container's standard input.

    container ──stdout──►  2 + up to 8192 bytes ──►  every client        a packet per read
    container ──stderr──►  3 + up to 8192 bytes ──►  every client
    container ◄──stdin───  up to 32768 bytes    ◄──  any client          a client's end is the end of stdin (with -i)

Nobody waits for a client in a write. What one cannot take yet is queued for it; when a queue has grown beyond
QUEUE_MAX the container's output is left in its pipe until the client has caught up, so that nothing is lost to a
slow reader. One that takes nothing for STALL_SECONDS while the container waits for it is let go: a stopped terminal
must not stop the container.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix
import select
import time

from podling.monitor.loop import EDGE, HANG_UP, READ, WRITE, Loop
from podling.monitor.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

INPUT_SIZE = 32768
QUEUE_MAX = 1 << 20
STALL_SECONDS = 60.0


class Client:
    """One connection to the attach socket."""

    __slots__ = ("armed", "fd", "pending", "queue", "queued", "readable", "writable")

    def __init__(
        self,
        fd: int,
        queue: "Sequence[bytes]" = (),
        pending: bytes = b"",
        readable: bool = True,
        writable: bool = True,
    ) -> None:
        self.fd = fd
        self.queue = list(queue)  # packets it could not take yet
        self.queued = sum([len(packet) for packet in queue])
        self.pending = pending  # its input that the container could not take yet
        self.readable = readable
        self.writable = writable
        self.armed = -1  # what the loop watches it for

    def send(self) -> bool:
        """Send what is queued until it would block; tell whether anything went."""
        sent = 0
        try:
            for packet in self.queue:
                posix.write(self.fd, packet)
                sent += 1
                self.queued -= len(packet)
        except BlockingIOError:
            pass
        except OSError:
            self.drop_output()
            return True
        del self.queue[:sent]
        return sent > 0

    def drop_output(self) -> None:
        """Forget what it has not taken: it will take no more."""
        self.writable = False
        self.queue = []
        self.queued = 0


class Clients:
    """All clients, and the standard input they share."""

    def __init__(self, loop: Loop, report: Report, **values: "Any") -> None:
        self._loop = loop
        self._report = report
        self.listener: int = values.get("listener", -1)
        self.stdin: int = values.get("stdin", -1)
        self.is_tty: bool = values.get("is_tty", False)
        self.end_stdin: bool = values.get("end_stdin", False)  # a client's end of file is the container's
        self.ending: bool = values.get("ending", False)  # stdin ends when all that is pending has been written
        self._clients = {row[0]: Client(*row) for row in values.get("clients", ())}

    def handover(self) -> "dict[str, Any]":
        """Return plain values for another instance."""
        rows = [(c.fd, c.queue, c.pending, c.readable, c.writable) for c in self._clients.values()]
        state: dict[str, Any] = {"listener": self.listener, "stdin": self.stdin, "is_tty": self.is_tty}
        return {**state, "end_stdin": self.end_stdin, "ending": self.ending, "clients": rows}

    def descriptors(self) -> list[int]:
        """Return every descriptor in use."""
        return [fd for fd in (self.listener, self.stdin, *self._clients) if fd >= 0]

    def watch(self) -> None:
        """Begin to serve, or go on where another instance left off."""
        if self.listener >= 0:
            self._loop.watch(self.listener, READ, self._accept)
            self._loop.first = self.listener  # who connected before the container wrote shall read it
            self.accept_waiting()
        for client in self._clients.values():
            self._arm(client)
        if any(client.pending for client in self._clients.values()):
            self._await_stdin()

    def accept_waiting(self) -> None:
        """Accept who has connected by now: who came before a short life is over has a right to its output."""
        if self.listener >= 0:
            self._accept(self.listener, READ)

    # --- output ---

    def distribute(self, stream: int, chunks: "Sequence[bytes]") -> None:
        """Send chunks of output to every client, as packets that begin with the stream's number."""
        if not self._clients:
            return
        mark = bytes((stream,))
        packets = [mark + chunk for chunk in chunks]
        size = sum([len(packet) for packet in packets])
        for client in list(self._clients.values()):
            if client.writable:
                self._enqueue(client, packets, size)

    def _enqueue(self, client: Client, packets: list[bytes], size: int) -> None:
        waiting = bool(client.queue)
        client.queue += packets
        client.queued += size
        if not waiting:
            client.send()
        self._settle(client)

    @property
    def clogged(self) -> bool:
        """Whether a client is so far behind that the container's output has to wait."""
        return any(client.queued > QUEUE_MAX for client in self._clients.values())

    def drop_stalled(self) -> None:
        """Let go of the clients that the container has waited for in vain."""
        for client in list(self._clients.values()):
            if client.queued > QUEUE_MAX:
                self._report.warn("Attach client takes no output, disconnecting it")
                self._close(client)

    # --- connections ---

    def _accept(self, fd: int, _events: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while poll.poll(0):
            self._accept_one(fd)

    def _accept_one(self, fd: int) -> None:
        import _socket  # 80 kB that a container nobody attaches to never needs

        listener = _socket.socket(fileno=fd)
        try:
            accepted, _address = listener._accept()  # type: ignore[attr-defined]
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._report.warn(f"Failed to accept client connection on attach socket: {error.strerror}")
            return
        finally:
            listener.detach()
        posix.set_inheritable(accepted, False)
        posix.set_blocking(accepted, False)
        client = self._clients[accepted] = Client(accepted)
        self._arm(client)

    def _arm(self, client: Client) -> None:
        wanted = (READ if client.readable and not client.pending else 0) | (WRITE if client.queue else 0)
        wanted = wanted or EDGE  # a hang-up is always told: once is enough
        if wanted != client.armed:
            client.armed = wanted
            self._loop.watch(client.fd, wanted, self._on_client)

    def _on_client(self, fd: int, events: int) -> None:
        client = self._clients[fd]
        if events & READ and client.readable and not client.pending:
            self._read(client)
        elif events & HANG_UP:
            self._hang_up(client)
        if events & HANG_UP and not client.readable:
            client.drop_output()
        if events & WRITE and client.queue and client.send():
            self._loop.deadlines.pop("stall", None)
        self._settle(client)

    def _settle(self, client: Client) -> None:
        if client.queued > QUEUE_MAX and "stall" not in self._loop.deadlines:
            self._loop.deadlines["stall"] = time.monotonic() + STALL_SECONDS
        if client.readable or client.pending or (client.writable and client.fd in self._clients):
            self._arm(client)
        else:
            self._close(client)

    def _hang_up(self, client: Client) -> None:
        client.drop_output()
        if client.readable and not client.pending:
            self._input_ended(client)

    def _close(self, client: Client) -> None:
        if self._clients.pop(client.fd, None) is None:
            return
        self._loop.forget(client.fd)
        posix.close(client.fd)

    # --- input ---

    def _read(self, client: Client) -> None:
        try:
            data = posix.read(client.fd, INPUT_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._input_ended(client)
        elif self.stdin >= 0 and not self.ending:
            client.pending = data
            self._write_stdin(client)
            if client.pending:
                self._await_stdin()

    def _input_ended(self, client: Client) -> None:
        client.readable = False
        if self.end_stdin and self.stdin >= 0:
            self.ending = True
            self._end_stdin_when_written()

    def _await_stdin(self) -> None:
        self._loop.watch(self.stdin, WRITE, self._on_stdin)

    def _on_stdin(self, fd: int, _events: int) -> None:
        for client in list(self._clients.values()):
            if client.pending:
                self._write_stdin(client)
                if not client.pending:
                    self._settle(client)
        if fd == self.stdin and not any(client.pending for client in self._clients.values()):
            self._loop.forget(fd)
            self._end_stdin_when_written()

    def _write_stdin(self, client: Client) -> None:
        try:
            while client.pending:
                client.pending = client.pending[posix.write(self.stdin, client.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            client.pending = b""  # the container closed its end
            if not self.is_tty:
                self._close_stdin()

    def _end_stdin_when_written(self) -> None:
        if self.ending and not any(client.pending for client in self._clients.values()):
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self.stdin < 0:
            return
        self._loop.forget(self.stdin)
        posix.close(self.stdin)
        self.stdin = -1
        for client in list(self._clients.values()):
            client.pending = b""
            self._settle(client)

    # --- the end ---

    def close_those_done(self) -> int:
        """Disconnect everybody who has been sent everything; return how many are left."""
        for client in list(self._clients.values()):
            if not client.queue:
                self._close(client)
        return len(self._clients)

    def close(self) -> None:
        """Disconnect everybody."""
        if self.listener >= 0:
            self._loop.forget(self.listener)
            posix.close(self.listener)
            self.listener = -1
        for client in list(self._clients.values()):
            self._close(client)
