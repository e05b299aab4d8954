"""The container's root as a directory fd: every path below it is resolved as a process in the container would.

    root/                 fd of the mount that becomes "/"
      └─ openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

A symlink to "/etc" leads to the container's /etc, never to the host's, however it is swapped while we look. What is
opened is used by its fd from then on; nothing is looked up twice.
"""

from __future__ import annotations

import os
import stat

from podling.errors import PodlingError
from podling.linux import syscalls

_MOST_SYMLINKS = 40


class Root:
    """The fd of the root, and where it is on the host for the sake of messages."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.path = os.readlink(f"/proc/self/fd/{fd}")

    def open(self, path: str, flags: int = os.O_PATH) -> int:
        """Open what is there."""
        return syscalls.open_in_root(self.fd, path, flags)

    def inside(self, fd: int) -> str:
        """Return the path that a fd below the root has for the container."""
        found = os.readlink(f"/proc/self/fd/{fd}")
        if self.path == "/":
            return found
        return found.removeprefix(self.path) or "/"

    def directory(self, path: str) -> int:
        """Open a directory, making it and those above it where they are missing."""
        return self._make(path, True, 0)

    def file(self, path: str) -> int:
        """Open whatever is not a directory, making an empty file where there is nothing."""
        return self._make(path, False, 0)

    def _make(self, path: str, is_directory: bool, symlinks: int) -> int:
        try:
            return self.open(path or "/")
        except FileNotFoundError:
            parent, name = os.path.split(path.rstrip("/"))
        above = self._make(parent, True, symlinks)
        try:
            if symlinks > _MOST_SYMLINKS:
                raise OSError(40, "too many levels of symbolic links", path)
            try:
                _create(above, name, is_directory)
            except FileExistsError:
                return self._follow(above, parent, name, is_directory, symlinks)
            flags = os.O_PATH | os.O_NOFOLLOW
            return syscalls.openat2(above, name, flags, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS)
        finally:
            os.close(above)

    def _follow(self, above: int, parent: str, name: str, is_directory: bool, symlinks: int) -> int:
        """Make what a dangling symlink points to, such as /etc/resolv.conf in an image that ran systemd."""
        try:
            target = os.readlink(name, dir_fd=above)
        except OSError:  # somebody made it between our two looks
            return self.open(f"{parent}/{name}")
        return self._make(os.path.join(parent or "/", target), is_directory, symlinks + 1)


def _create(above: int, name: str, is_directory: bool) -> None:
    if is_directory:
        os.mkdir(name, 0o755, dir_fd=above)
    else:
        os.mknod(name, stat.S_IFREG | 0o755, dir_fd=above)


def read_small_file(root: Root, path: str, limit: int = 1 << 20) -> bytes:
    """Return the beginning of a regular file; empty where there is none. A FIFO is not waited for."""
    try:
        fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.read(fd, limit)
    finally:
        os.close(fd)


def host_proc() -> int:
    """Open the host's /proc, for all that is read or written below it later. Raise where it is not a procfs."""
    fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if syscalls.filesystem_type(fd) != syscalls.PROC_SUPER_MAGIC:
        os.close(fd)
        raise PodlingError("/proc is not a proc file system")
    return fd


def write_proc(proc: int, path: str, value: str) -> None:
    """Write to a file of procfs, below an fd that is known to be one: no symlink, no other mount on the way."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_MAGICLINKS
    fd = syscalls.openat2(proc, path, os.O_WRONLY, resolve)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
