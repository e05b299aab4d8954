"""What the runtime and the container's first process say to each other while it is being made.

    runtime                                         init
       │ fork into the cgroup ─────────────────────► │
       │ ◄────────────── MAPPINGS_WANTED             │ a new user namespace: its maps are written from outside
       │ MAPPED ───────────────────────────────────► │
       │ ◄────────────── PID "1234"                  │ it forked once more to be born in that namespace
       │ ◄────────────── HOOKS_DUE                   │ only where there are hooks: mounts are done, the pivot is not
       │ HOOKED ───────────────────────────────────► │
       │ ◄────────────── LISTENER "5"                │ a seccomp listener to be fetched by pidfd_getfd
       │ LISTENED ─────────────────────────────────► │
       │ ◄────────────── WARNING "…"                 │ any number of times
       │ ◄────────────── READY                       │ nothing is left but the exec
       │ state and pid file are written              │
       │ RELEASED ─────────────────────────────────► │ waits for `start` at the fifo (an exec goes ahead at once)
       ▼ exits                                       ▼

The failure twins: init may say FAILED with its reason in place of any message, and a runtime that gives up closes its
end. Whoever reads the end of the channel in place of what it waits for ends too, so that a kill of either leaves
nothing. A message is one letter and a text, in one packet.
"""

from __future__ import annotations

import _socket
import os

MAPPINGS_WANTED = b"m"
PID = b"p"
HOOKS_DUE = b"h"
LISTENER = b"l"
WARNING = b"w"
READY = b"r"
FAILED = b"f"

MAPPED = b"M"
HOOKED = b"H"
LISTENED = b"L"
RELEASED = b"R"

ENDED = b""

_LONGEST = 65536


class Channel:
    """One end of the conversation."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, kind: bytes, text: str = "") -> None:
        """Say something. Raise BrokenPipeError where nobody listens any more."""
        payload = kind + text.encode("utf-8", "replace")[: _LONGEST - 1]
        try:
            os.write(self.fd, payload)
        except ConnectionError:
            raise BrokenPipeError(32, "the other side has ended") from None

    def receive(self) -> tuple[bytes, str]:
        """Wait for the next message; ENDED where there will be none."""
        try:
            payload = os.read(self.fd, _LONGEST)
        except ConnectionError:
            payload = b""
        return payload[:1], payload[1:].decode("utf-8", "replace")

    def close(self) -> None:
        """Hang up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def pair() -> tuple[Channel, Channel]:
    """Return both ends of a new channel, close-on-exec."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return Channel(ours.detach()), Channel(theirs.detach())
