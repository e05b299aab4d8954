"""Capabilities: names and numbers, and the five sets of a process about to become a container's.

    capset needs CAP_SETPCAP for the bounding set, setresuid from 0 clears effective and (without keepcaps) permitted:

    drop_bounding        while still privileged          prctl(PR_CAPBSET_DROP)
      └─ become_user     permitted kept over setuid      PR_SET_KEEPCAPS, setgroups, setresgid, setresuid
          └─ install     the sets as asked               capset, then the ambient set, which needs both
                                                         permitted and inheritable

`apply` does the three in order. Each step is public because a runtime changes directory and loads seccomp in between.
capabilities(7) has the rules.
"""

from __future__ import annotations

import ctypes
import os

from podling.errors import InvalidArgument
from podling.linux import syscalls
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
BY_NAME = {name: number for number, name in enumerate(NAMES)}

_VERSION_3 = 0x20080522


class Sets(Record):
    """The five capability sets of a process, each as a mask with bit N for capability N."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


def last(path: str = "/proc/sys/kernel/cap_last_cap") -> int:
    """Return the highest capability this kernel has."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 16))
    finally:
        os.close(fd)


def canonical(name: str) -> str:
    """Return a capability's full name, from any case, with or without CAP_. Raise InvalidArgument if there is none."""
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in BY_NAME:
        raise InvalidArgument(f'unknown capability "{name}"')
    return full


def number(name: str) -> int:
    """Return a capability's number. Raise InvalidArgument if there is none of that name."""
    return BY_NAME[canonical(name)]


def mask(names: Iterable[str]) -> int:
    """Return the mask of some capabilities. Raise InvalidArgument for an unknown name."""
    total = 0
    for name in names:
        total |= 1 << number(name)
    return total


def names(value: int) -> list[str]:
    """Return the names in a mask, lowest first; bits without a name are passed over."""
    return [name for number, name in enumerate(NAMES) if value >> number & 1]


def from_specification(
    capabilities: dict[str, list[str]] | None, grantable: int | None = None
) -> tuple[Sets, list[str]]:
    """Return the sets of `process.capabilities`, and the names in it that cannot be granted here.

    The runtime specification wants those left out with a warning, not refused. `grantable` is a mask: by default what
    the calling process itself has permitted, which the kernel never lets it exceed.
    """
    allowed = permitted() if grantable is None else grantable
    refused: set[str] = set()
    sets = Sets()
    for kind in Sets._fields:
        value = 0
        for name in (capabilities or {}).get(kind) or ():
            bit = 1 << BY_NAME[name] if name in BY_NAME else 0
            if not bit & allowed:
                refused.add(name)
            value |= bit & allowed
        setattr(sets, kind, value)
    return sets, sorted(refused)


def drop_bounding(keep: int, highest: int | None = None) -> None:
    """Drop all but a mask from the bounding set; it can never be regained."""
    for number in range((last() if highest is None else highest) + 1):
        if not keep >> number & 1 and syscalls.prctl(syscalls.PR_CAPBSET_READ, number):
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)


def become_user(uid: int, gid: int, groups: list[int] | None) -> None:
    """Change user and groups and keep the permitted set; `install` is to follow. `groups` None leaves them alone."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    if groups is not None:
        os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 0)


def install(sets: Sets) -> None:
    """Set permitted, effective, inheritable and ambient, in the order that the kernel's rules demand."""
    _capset(sets)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(len(NAMES)):
        if (sets.ambient & sets.permitted & sets.inheritable) >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)


def apply(sets: Sets, uid: int, gid: int, groups: list[int] | None) -> None:
    """Become a user with exactly these capabilities, now and for what is executed next."""
    drop_bounding(sets.bounding)
    become_user(uid, gid, groups)
    install(sets)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Half(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def current() -> Sets:
    """Return effective, permitted and inheritable of the calling process (capget(2)); the other two are left 0."""
    header, halves = _Header(_VERSION_3, 0), (_Half * 2)()
    syscalls.syscall(syscalls.SYS_capget, ctypes.byref(header), ctypes.byref(halves))
    low, high = halves
    return Sets(
        effective=low.effective | high.effective << 32,
        permitted=low.permitted | high.permitted << 32,
        inheritable=low.inheritable | high.inheritable << 32,
    )


def permitted() -> int:
    """Return the permitted set of the calling process."""
    return current().permitted


def _capset(sets: Sets) -> None:
    header, halves = _Header(_VERSION_3, 0), (_Half * 2)()
    for index, half in enumerate(halves):
        half.effective = sets.effective >> 32 * index & 0xFFFFFFFF
        half.permitted = sets.permitted >> 32 * index & 0xFFFFFFFF
        half.inheritable = sets.inheritable >> 32 * index & 0xFFFFFFFF
    syscalls.syscall(syscalls.SYS_capset, ctypes.byref(header), ctypes.byref(halves))
