"""The relay of sd_notify: what a container may say to the host's service manager, line by line.

Only harmless lines pass, as some existing or future ones could be security sensitive.

Part of the resident monitor where there is a notify socket: it imports nothing but built-in modules.
"""

import _socket

from podling.monitor.loop import READ, Loop
from podling.monitor.report import Report

MESSAGE_MAX = 32768
LINES = (b"READY=1", b"RELOADING=1", b"STOPPING=1", b"WATCHDOG=1", b"WATCHDOG=trigger")
PREFIXES = (b"STATUS=", b"ERRNO=", b"BUSERROR=", b"MONOTONIC_USEC=")


class Relay:
    """A datagram socket in the bundle, and the path of the host's."""

    def __init__(self, report: Report, socket: int, target: str) -> None:
        self._report = report
        self.socket = socket
        self.target = target

    def watch(self, loop: Loop) -> None:
        """Begin to relay."""
        loop.watch(self.socket, READ, self._on_message)

    def _on_message(self, fd: int, _events: int) -> None:
        receiver = _socket.socket(fileno=fd)
        try:
            safe = passed_on(receiver.recv(MESSAGE_MAX))
            if safe:
                target = b"\0" + self.target[1:].encode() if self.target.startswith("@") else self.target
                receiver.sendto(safe, _socket.MSG_DONTWAIT, target)
        except OSError as error:
            self._report.warn(f"Failed to write to socket host notify socket {error.strerror}")
        finally:
            receiver.detach()


def passed_on(message: bytes) -> bytes:
    """Return the lines of a message that may pass."""
    lines = message.replace(b"\r", b"\n").split(b"\n")
    return b"\n".join([line for line in lines if line in LINES or line.startswith(PREFIXES)])
