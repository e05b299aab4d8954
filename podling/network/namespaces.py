"""Network namespaces, held by a bind mount on a file.

    this process ──unshare──► new namespace ── bind mount /proc/thread-self/ns/net on PATH ──setns──► back

Both happen in the calling thread and take about a millisecond, nearly all of it the kernel's; a forked child would
cost as much again. Only this thread leaves its namespace, and sockets made before stay where they are. (Without
privilege over the host's namespace there is no way back: a rootless engine will make namespaces in a child.)
"""

from __future__ import annotations

import os

from podling.linux import files, rtnetlink, syscalls
from podling.linux.netlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_OWN = "/proc/thread-self/ns/net"
_LOOPBACK_INDEX = 1
_EINVAL = 22


class Visit:
    """A visit of this thread to another network namespace, or to a new one; it ends where it began."""

    def __init__(self, namespace: int | None) -> None:
        self._namespace = namespace
        self._home = -1

    def __enter__(self) -> Self:
        self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._namespace is None:
                syscalls.unshare(syscalls.CLONE_NEWNET)
            else:
                syscalls.setns(self._namespace, syscalls.CLONE_NEWNET)
        except BaseException:
            os.close(self._home)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            syscalls.setns(self._home, syscalls.CLONE_NEWNET)
        finally:
            os.close(self._home)


def create(path: str) -> None:
    """Make a network namespace with its loopback up, mounted at `path`, whose directory exists.

    A namespace that was there before is let go. On failure nothing remains.
    """
    remove(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    try:
        with Visit(None), Netlink() as netlink:
            netlink.request([rtnetlink.set_up(_LOOPBACK_INDEX)])
            syscalls.mount(_OWN, path, None, syscalls.MS_BIND)
    except BaseException:
        files.unlink_if_there(path)
        raise


def pin(pid: int, path: str) -> None:
    """Mount the network namespace of a process at `path`, so that it has a name and outlives the process."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        syscalls.mount(f"/proc/{pid}/ns/net", path, None, syscalls.MS_BIND)
    except BaseException:
        os.unlink(path)
        raise


def remove(path: str) -> None:
    """Let go of the namespace at `path` and remove the file; absent is fine.

    The kernel takes the namespace and its interfaces down a little later, once nobody else uses it.
    """
    try:
        while True:
            syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != _EINVAL:  # not a mount point, or no longer
            raise
    files.unlink_if_there(path)


def netlink_inside(namespace: int) -> Netlink:
    """Return a netlink socket that speaks to another namespace; the caller stays where it is."""
    with Visit(namespace):
        return Netlink()
