"""inotify(7): a descriptor that becomes readable when something happens to watched files and directories."""

from __future__ import annotations

import ctypes
import os

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
_IN_CLOEXEC = os.O_CLOEXEC
_IN_NONBLOCK = os.O_NONBLOCK

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """A set of watches; poll its descriptor, then `drain` what has happened."""

    def __init__(self) -> None:
        self.fd: int = _libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def watch(self, path: str, mask: int) -> None:
        """Add a watch."""
        if _libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)

    def drain(self) -> None:
        """Take all events that have come; which they were is seen best on the files themselves."""
        try:
            while os.read(self.fd, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
