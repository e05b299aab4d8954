"""What the monitor says: messages to people, and answers to its caller.

    [conmon:e]: Failed to create container: exit status 1        stderr, and with --syslog the system log
    {"data": 4711}\\n                                             the sync pipe, one write per answer

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ERROR, WARNING, INFO, DEBUG, TRACE = range(5)
LEVELS = {
    "error": ERROR,
    "fatal": ERROR,
    "panic": ERROR,
    "warn": WARNING,
    "warning": WARNING,
    "info": INFO,
    "debug": DEBUG,
    "trace": TRACE,
}

LOG_ERR, LOG_INFO = 3, 6
LOG_USER = 1 << 3

_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "/": "\\/",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


class Report:
    """The monitor's voice. Its attributes are plain values, so that they can be handed over an exec."""

    level: int = WARNING
    identity: str = ""
    syslog: bool = False

    def __init__(self, **values: "Any") -> None:
        self.__dict__.update(values)

    def error(self, text: str) -> None:
        """Say why the monitor ends."""
        self._say(ERROR, "e", LOG_ERR, "error", text)

    def warn(self, text: str) -> None:
        """Say what went wrong without ending anything."""
        self._say(WARNING, "w", LOG_INFO, "nwarn", text)

    def info(self, text: str) -> None:
        """Say what happened."""
        self._say(INFO, "i", LOG_INFO, "ninfo", text)

    def debug(self, text: str) -> None:
        """Say what is about to happen."""
        self._say(DEBUG, "d", LOG_INFO, "ndebug", text)

    def _say(self, level: int, letter: str, priority: int, kind: str, text: str) -> None:
        if self.level < level:
            return
        try:
            posix.write(2, f"[conmon:{letter}]: {text}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            pass  # nobody listens
        if self.syslog:
            self._log(priority, f"conmon {self.identity[:20]} <{kind}>: {text}")

    def _log(self, priority: int, text: str) -> None:
        import _socket

        stamp = time.strftime("%b %e %H:%M:%S")
        line = f"<{LOG_USER | priority}>{stamp} conmon: {text}\n".encode("utf-8", "surrogateescape")
        try:
            log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
            log.sendto(line, "/dev/log")
        except OSError:
            pass  # no syslog here, or a full one
        else:
            log.close()


def answer(fd: int, key: str, value: int, message: str = "") -> bool:
    """Write one answer to the sync or attach pipe; tell whether somebody is still there to read it.

    A message that outgrows the pipe waits for its reader. Raise OSError on anything but a reader that has gone.
    """
    text = f', "message": "{escape(message)}"' if message else ""
    content = f'{{"{key}": {value}{text}}}\n'.encode("utf-8", "surrogateescape")
    try:
        while content:
            content = content[posix.write(fd, content) :]
    except (BrokenPipeError, ConnectionError):
        return False
    return True


def escape(text: str) -> str:
    """Escape a text as conmon does for JSON: also the slash and DEL; NUL ends it."""
    text = text.partition("\0")[0]
    return "".join(_ESCAPES.get(c) or (f"\\u00{ord(c):02x}" if c < " " or c == "\x7f" else c) for c in text)
