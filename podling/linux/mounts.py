"""Mounts as objects: a mount is made or cloned detached, given its attributes, and only then attached to a directory.

    filesystem  fsopen ─ fsconfig… ─ fsmount ──┐
    clone       open_tree(OPEN_TREE_CLONE) ────┴─ set_attributes (mount_setattr) ─ attach (move_mount)

All of it works on fds, so that no path is resolved twice and nothing is seen half-done. The options are mount(8)'s, by
the names of the runtime specification.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument
from podling.linux import syscalls
from podling.linux.syscalls import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
)
from podling.records import Record

#   option: (bits to set, bits to clear) of mount_setattr(2); with an "r" before it, for the mounts below as well
_ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "atime": (0, MOUNT_ATTR__ATIME),
    "relatime": (0, MOUNT_ATTR__ATIME),
    "norelatime": (0, MOUNT_ATTR__ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "nostrictatime": (0, MOUNT_ATTR__ATIME),
}
PROPAGATIONS = {
    "private": syscalls.MS_PRIVATE,
    "slave": syscalls.MS_SLAVE,
    "shared": syscalls.MS_SHARED,
    "unbindable": syscalls.MS_UNBINDABLE,
}
_SUPERBLOCK_FLAGS = ("sync", "dirsync", "mand", "lazytime", "iversion")
_KNOWN_DEFAULTS = ("defaults", "async", "nomand", "noiversion", "nolazytime", "silent", "loud")
_MEANINGLESS = (
    *_KNOWN_DEFAULTS,
    *("auto", "noauto", "user", "nouser", "_netdev", "nofail", "z", "Z", "U", "idmap", "ridmap"),
)
_LONGEST_STRING = 255  # of fsconfig(2)


class Options(Record):
    """What a list of mount options asks for."""

    bind: bool = False
    recursive: bool = False
    remount: bool = False
    attr_set: int = 0
    attr_clr: int = 0
    below_set: int = 0
    below_clr: int = 0
    propagation: list[tuple[int, bool]] = []  # in order; with the mounts below, or not
    parameters: list[tuple[str, str | None]] = []  # what the file system itself takes
    copy_up: bool = False
    source_nofollow: bool = False


def parse_options(options: list[str]) -> Options:
    """Return what some mount options ask for. Whatever is unknown is a parameter of the file system's own."""
    parsed = Options()
    for option in options:
        _take(parsed, option)
    return parsed


def _take(parsed: Options, option: str) -> None:
    if option in ("bind", "rbind"):
        parsed.bind, parsed.recursive = True, parsed.recursive or option == "rbind"
    elif option in _ATTRIBUTES:
        parsed.attr_set, parsed.attr_clr = _merge(parsed.attr_set, parsed.attr_clr, _ATTRIBUTES[option])
    elif option in PROPAGATIONS:
        parsed.propagation.append((PROPAGATIONS[option], False))
    elif option[:1] == "r" and option[1:] in PROPAGATIONS:
        parsed.propagation.append((PROPAGATIONS[option[1:]], True))
    elif option[:1] == "r" and option[1:] in _ATTRIBUTES:
        parsed.below_set, parsed.below_clr = _merge(parsed.below_set, parsed.below_clr, _ATTRIBUTES[option[1:]])
    elif option == "remount":
        parsed.remount = True
    elif option == "tmpcopyup":
        parsed.copy_up = True
    elif option == "src-nofollow":
        parsed.source_nofollow = True
    elif option in _SUPERBLOCK_FLAGS:
        parsed.parameters.append((option, None))
    elif option and option not in _MEANINGLESS:
        key, equals, value = option.partition("=")
        parsed.parameters.append((key, value if equals else None))


def _merge(old_set: int, old_clear: int, change: tuple[int, int]) -> tuple[int, int]:
    """Let a later option win over an earlier one on the same bits."""
    bits, cleared = change
    return old_set & ~cleared | bits, old_clear & ~(bits & ~MOUNT_ATTR__ATIME) | cleared


def filesystem(kind: str, source: str | None, parameters: list[tuple[str, str | None]], attributes: int = 0) -> int:
    """Return a fd of a new, detached mount. Raise OSError, with the kernel's own explanation where it gives one."""
    fd = syscalls.fsopen(kind)
    try:
        if source:
            syscalls.fsconfig(fd, syscalls.FSCONFIG_SET_STRING, "source", source)
        for key, value in parameters:
            command = syscalls.FSCONFIG_SET_FLAG if value is None else syscalls.FSCONFIG_SET_STRING
            syscalls.fsconfig(fd, command, key, value)
        syscalls.fsconfig(fd, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(fd, attributes)
    except OSError as error:
        raise OSError(error.errno, _explanation(fd) or error.strerror) from None
    finally:
        os.close(fd)


def fits_fsconfig(parameters: list[tuple[str, str | None]]) -> bool:
    """Tell whether fsconfig(2) can take the parameters: a value ends at 255 bytes."""
    return all(value is None or len(os.fsencode(value)) <= _LONGEST_STRING for _key, value in parameters)


def _explanation(fd: int) -> str:
    """Return what the kernel logged in a file system context: lines that begin with "e ", "w " or "i "."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(fd, 4096)
        except OSError:  # ENODATA: no more
            return "; ".join(lines)
        if line.startswith(b"e "):
            lines.append(line[2:].decode("utf-8", "replace").strip())


def clone(directory: int, path: str, *, recursive: bool, follow: bool = True) -> int:
    """Return a fd of a detached copy of a mount, or of part of one; an empty path is the fd itself."""
    flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if recursive else 0)
    flags |= 0 if path else syscalls.AT_EMPTY_PATH
    flags |= 0 if follow else syscalls.AT_SYMLINK_NOFOLLOW
    return syscalls.open_tree(directory, path, flags)


def set_attributes(mount: int, *, to_set: int = 0, to_clear: int = 0, recursive: bool = False) -> None:
    """Change attributes of a mount by its fd; setting one access-time mode clears the others."""
    if to_set & MOUNT_ATTR__ATIME:
        to_clear |= MOUNT_ATTR__ATIME
    if to_set or to_clear:
        flags = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
        syscalls.mount_setattr(mount, "", flags, attr_set=to_set, attr_clr=to_clear)


def set_propagation(mount: int, propagation: int, *, recursive: bool) -> None:
    """Change how mounts below this one spread to its peers."""
    flags = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
    syscalls.mount_setattr(mount, "", flags, propagation=propagation)


def attach(mount: int, target: int) -> None:
    """Attach a detached mount on what a fd names."""
    flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH
    syscalls.move_mount(mount, "", target, "", flags)


def propagation_of(name: str) -> tuple[int, bool]:
    """Return the flag of a propagation by name, and whether it is recursive. Raise InvalidArgument for no such."""
    bare = name[1:] if name[:1] == "r" and name[1:] in PROPAGATIONS else name
    if bare not in PROPAGATIONS:
        raise InvalidArgument(f'unknown mount propagation "{name}"')
    return PROPAGATIONS[bare], bare != name


def known_options() -> list[str]:
    """Return the mount options that have a meaning of their own, file systems' parameters aside."""
    recursive = [f"r{name}" for name in (*_ATTRIBUTES, *PROPAGATIONS)]
    plain = (*_ATTRIBUTES, *PROPAGATIONS, *_SUPERBLOCK_FLAGS, *_KNOWN_DEFAULTS)
    return sorted({*plain, *recursive, "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"})
