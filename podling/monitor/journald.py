"""The journald log: one journal entry per line, by journald's native protocol.

    MESSAGE=the line\\n            PRIORITY=6 (stdout), 3 (stderr), or N of a line that begins with <N>
    CONTAINER_ID_FULL=UUID        CONTAINER_ID=its first 12 characters
    CONTAINER_NAME=NAME           CONTAINER_TAG=TAG         SYSLOG_IDENTIFIER=the tag, else the name, else the short ID
    CONTAINER_PARTIAL_MESSAGE=true        only on a line that was cut at 8192 bytes or at the end

A line that is not ended yet is kept back, so that it arrives as one entry. The message ends with its newline, as
conmon's does, hence the protocol's form for values with newlines: name, length, value.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix

from podling.monitor.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SOCKET = "/run/systemd/journal/socket"

PARTIAL_MAX = 8192


class Journal:
    """The journal as seen by one container. Its attributes are plain values, to be handed over an exec."""

    kind = "journald"
    fields: bytes
    say_partial: bool = True
    fd: int = -1
    out: bytes = b""
    err: bytes = b""

    def __init__(self, report: Report, **values: "Any") -> None:
        self._report = report
        self.__dict__.update(values)

    def handover(self) -> "dict[str, Any]":
        """Return the attributes for another instance."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def open(self) -> None:
        """Connect when there is something to say: the journal may come later, or never."""

    def write(self, stream: int, chunks: "Sequence[bytes]") -> None:
        """Send the whole lines of what was read, and keep the rest."""
        kept = self.err if stream == 3 else self.out
        for chunk in chunks:
            kept = self._write_chunk(stream, kept, chunk)
        self._keep(stream, kept)

    def _write_chunk(self, stream: int, kept: bytes, chunk: bytes) -> bytes:
        begin = 0
        while begin < len(chunk):
            end = chunk.find(b"\n", begin) + 1
            if not end and len(chunk) - begin + len(kept) < PARTIAL_MAX:
                return kept + chunk[begin:]
            line = chunk[begin : end or len(chunk)]
            self._send(stream, kept, line, partial=not end)
            kept = b""
            begin += len(line)
        return kept

    def flush(self) -> None:
        """Send what was kept back: the container has ended."""
        for stream, kept in ((2, self.out), (3, self.err)):
            if kept:
                self._send(stream, kept, b"", partial=True)
            self._keep(stream, b"")

    def _keep(self, stream: int, kept: bytes) -> None:
        if stream == 3:
            self.err = kept
        else:
            self.out = kept

    def _send(self, stream: int, kept: bytes, line: bytes, *, partial: bool) -> None:
        priority = b"3" if stream == 3 else b"6"
        if not kept and len(line) >= 3 and line[:1] == b"<" and line[2:3] == b">" and line[1:2] in b"01234567":
            priority, line = line[1:2], line[3:]
        message = kept + line
        head = b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\nPRIORITY=" + priority + b"\n"
        tail = b"CONTAINER_PARTIAL_MESSAGE=true\n" if partial and self.say_partial else b""
        self._transmit(head + self.fields + tail)

    def _transmit(self, entry: bytes) -> None:
        for _attempt in (1, 2):
            try:
                if self.fd < 0:
                    self.fd = _connect()
                posix.write(self.fd, entry)
                return
            except OSError as error:
                reason = error.strerror
                self.close()  # journald was started anew, perhaps: its socket is another one then
        self._report.warn(f"sd_journal_sendv: {reason}")

    def reopen(self) -> None:
        """Nothing to reopen: the journal rotates itself."""

    def sync(self) -> None:
        """Nothing to sync: the journal has it."""

    def close(self) -> None:
        """Let go of the socket."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1


def _connect() -> int:
    import _socket

    journal = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    journal.connect(SOCKET)
    return journal.detach()


def fields(uuid: str, name: str | None, tag: str | None, labels: "Sequence[str]") -> bytes:
    """Return the fields that are the same in every entry."""
    short = uuid[:12]
    rows = [f"CONTAINER_ID_FULL={uuid}", f"CONTAINER_ID={short}"]
    rows += [f"CONTAINER_TAG={tag}"] if tag is not None else []
    rows += [f"CONTAINER_NAME={name}"] if name is not None else []
    rows += [f"SYSLOG_IDENTIFIER={tag if tag is not None else name if name is not None else short}", *labels]
    return b"".join([_field(row.encode("utf-8", "surrogateescape")) for row in rows])


def _field(row: bytes) -> bytes:
    if b"\n" not in row:
        return row + b"\n"
    name, _, value = row.partition(b"=")
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
