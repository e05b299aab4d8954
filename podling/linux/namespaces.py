"""Namespaces by the runtime specification's names.

    config     /proc/PID/ns   clone flag        takes effect for
    user       user           CLONE_NEWUSER     the caller
    pid        pid            CLONE_NEWPID      the caller's children
    time       time           CLONE_NEWTIME     the caller's children
    network    net            CLONE_NEWNET      the caller
    …

namespaces(7), setns(2).
"""

from __future__ import annotations

import fcntl
import os

from podling.errors import InvalidArgument
from podling.linux import syscalls

FLAGS = {
    "user": syscalls.CLONE_NEWUSER,
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "mount": syscalls.CLONE_NEWNS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "time": syscalls.CLONE_NEWTIME,
}
FILES = {
    "user": "user",
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
    "time": "time",
}

NS_GET_NSTYPE = 0xB703


def open_namespace(kind: str, path: str) -> int:
    """Return a fd of a namespace file. Raise InvalidArgument where it is not a namespace of that kind."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        actual = fcntl.ioctl(fd, NS_GET_NSTYPE)
    except OSError:
        actual = -1
    if actual != FLAGS[kind]:
        os.close(fd)
        raise InvalidArgument(f'"{path}" is not a {kind} namespace')
    return fd


def identity(kind: str, process: int | str = "self") -> tuple[int, int]:
    """Return the device and inode that tell one namespace of a process from others."""
    found = os.stat(f"/proc/{process}/ns/{FILES[kind]}")
    return found.st_dev, found.st_ino


def differing(pid: int) -> int:
    """Return the flags of the namespaces in which another process is and the caller is not."""
    flags = 0
    for kind, flag in FLAGS.items():
        try:
            if identity(kind) != identity(kind, pid):
                flags |= flag
        except FileNotFoundError:
            continue  # a kind that this kernel does not have
    return flags


def write_mappings(pid: int, uid_mappings: list[dict[str, int]], gid_mappings: list[dict[str, int]]) -> None:
    """Write the ID mappings of the user namespace that a process has just made.

    The kernel takes each map in one write of at most a page; a longer one is refused there, never shortened here.
    """
    for name, mappings in (("uid_map", uid_mappings), ("gid_map", gid_mappings)):
        rows = [f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in mappings]
        text = "".join(rows).encode()
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(fd, text) != len(text):
                raise InvalidArgument(f"{name} of {len(rows)} rows is too long")
        finally:
            os.close(fd)
