"""The device nodes of the container and the symlinks beside them.

    /dev/null zero full random urandom tty   and whatever linux.devices names
    /dev/fd -> /proc/self/fd    stdin stdout stderr    ptmx -> pts/ptmx    core -> /proc/kcore

A user namespace may not make nodes, so there the host's are bound over empty files.
"""

from __future__ import annotations

import os
import stat

from podling.errors import AlreadyExists, InvalidArgument, PodlingError
from podling.linux import mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.root import Root

DEFAULT = tuple(
    {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
_SYMLINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
)
_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def is_wanted(config: dict[str, Any]) -> bool:
    """Tell whether /dev is the container's own; one that is bound from the host is left as it is."""
    for entry in config.get("mounts") or ():
        options = entry.get("options") or ()
        is_bind = entry.get("type") == "bind" or "bind" in options or "rbind" in options
        if is_bind and os.path.normpath(entry["destination"]) == "/dev":
            return False
    return True


def make_all(root: Root, config: dict[str, Any], *, bind: bool) -> None:
    """Make the default nodes, those configured, and the symlinks; `bind` takes the host's nodes instead."""
    before = os.umask(0)
    try:
        configured = config["linux"].get("devices") or []
        named = {os.path.normpath(device["path"]) for device in configured}
        for device in [*[row for row in DEFAULT if row["path"] not in named], *configured]:
            _make(root, device, bind)
        _link(root)
    finally:
        os.umask(before)


def _make(root: Root, device: dict[str, Any], bind: bool) -> None:
    path = device["path"]
    try:
        if bind:
            _bind(root, path)
        else:
            _create(root, path, device)
    except (OSError, PodlingError) as error:
        raise PodlingError(f'cannot make device "{path}"') from error


def _create(root: Root, path: str, device: dict[str, Any]) -> None:
    if device["type"] not in _TYPES:
        raise InvalidArgument(f'unknown device type "{device["type"]}"')
    parent, name = os.path.split(path)
    mode = _TYPES[device["type"]] | (0o666 if device.get("fileMode") is None else device["fileMode"] & 0o7777)
    number = 0 if device["type"] == "p" else os.makedev(device["major"], device["minor"])
    directory = root.directory(parent)
    try:
        os.mknod(name, mode, number, dir_fd=directory)
        if device.get("uid") or device.get("gid"):
            uid, gid = device.get("uid") or 0, device.get("gid") or 0
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_IFMT(facts.st_mode) != stat.S_IFMT(mode) or facts.st_rdev != number:
            raise AlreadyExists("something else is there") from None
    finally:
        os.close(directory)


def _bind(root: Root, path: str) -> None:
    target = root.file(path)
    try:
        tree = mounts.clone(syscalls.AT_FDCWD, path, recursive=False)
        mounts.attach(tree, target)
        os.close(tree)
    finally:
        os.close(target)


def _link(root: Root) -> None:
    directory = root.directory("/dev")
    try:
        for name, target in _SYMLINKS:
            if name != "core" or os.path.exists("/proc/kcore"):
                _symlink(directory, name, target)
        _replace_ptmx(directory)
    finally:
        os.close(directory)


def _symlink(directory: int, name: str, target: str) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        pass  # the image or a mount has its own


def _replace_ptmx(directory: int) -> None:
    """Let /dev/ptmx be that of the container's own devpts."""
    try:
        os.unlink("ptmx", dir_fd=directory)
    except FileNotFoundError:
        pass
    os.symlink("pts/ptmx", "ptmx", dir_fd=directory)
