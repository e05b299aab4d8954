"""Devices: what `--device` names, and all of /dev for a privileged container.

/dev/snd                     a directory: every node below it
/dev/sda:/dev/xvda:rwm       host path, container path, access
vendor.com/class=name        by the Container Device Interface: see devices_cdi.py
"""

from __future__ import annotations

import os
import stat

from podling.errors import InvalidArgument, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOT_OF_A_HOST = ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts")


def describe(path: str, place: str, access: str) -> dict[str, Any]:
    """Return a device of the runtime specification, with its "access" beside. Raise InvalidArgument, or OSError."""
    found = os.lstat(path)
    kinds = ((stat.S_ISBLK, "b"), (stat.S_ISCHR, "c"), (stat.S_ISFIFO, "p"))
    kind = next((letter for test, letter in kinds if test(found.st_mode)), None)
    if kind is None:
        raise InvalidArgument(f"{path} is not a valid device: not a device node")
    return {
        "path": place,
        "type": kind,
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": found.st_mode,
        "uid": found.st_uid,
        "gid": found.st_gid,
        "access": access,
        "source": path,
    }


def parse(text: str) -> tuple[str, str, str]:
    """Return host path, container path and access of `--device`. Raise InvalidArgument."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise InvalidArgument(f"invalid device specification: {text}")
    place, access = parts[0], "rwm"
    if len(parts) == 3:
        access = _access(parts[2])
    if len(parts) >= 2:
        if _is_access(parts[1]):
            access = parts[1]
        elif parts[1].startswith("/"):
            place = parts[1]
        else:
            raise InvalidArgument(f"invalid device mode: {parts[1]}")
    return parts[0], place, access


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _access(text: str) -> str:
    if not _is_access(text):
        raise InvalidArgument(f"invalid device mode: {text}")
    return text


def expand(text: str) -> list[dict[str, Any]]:
    """Return the devices that one `--device` names. Raise InvalidArgument."""
    source, place, access = parse(text)
    try:
        if os.path.islink(source):
            place = source if place == source else place
            source = os.path.realpath(source)
        if not stat.S_ISDIR(os.stat(source).st_mode):
            return [describe(source, place, access)]
    except OSError as error:
        raise InvalidArgument(f"stat {reason(error)}") from None
    found = [
        describe(path, os.path.normpath(f"{place}/{path[len(source) :]}"), access) for path in _nodes_below(source)
    ]
    if not found:
        raise InvalidArgument(f"no devices found in {text}: invalid argument")
    return found


def _nodes_below(directory: str) -> list[str]:
    paths = []
    for top, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            mode = os.lstat(f"{top}/{name}").st_mode
            if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                paths.append(f"{top}/{name}")
    return paths


def all_of_host(*, virtual_consoles: bool = True) -> list[dict[str, Any]]:
    """Return the host's devices: all below /dev but what a container has of its own."""
    found: list[dict[str, Any]] = []
    _collect("/dev", found)
    if not virtual_consoles:
        found = [device for device in found if not _is_virtual_console(device["path"])]
    return found


def _collect(directory: str, found: list[dict[str, Any]]) -> None:
    try:
        with os.scandir(directory) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return  # it went away
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _NOT_OF_A_HOST:
                _collect(entry.path, found)
        elif not entry.is_symlink() and entry.name != "console":
            try:
                found.append(describe(entry.path, entry.path, "rwm"))
            except (OSError, InvalidArgument):
                continue  # a socket, a file; or it went away


def _is_virtual_console(path: str) -> bool:
    return path.startswith("/dev/tty") and path[8:].isdigit()
