"""Copying a directory of a container's root into a volume, file by file, through descriptors only.

Both sides are opened below a descriptor that names the tree's top, and nothing follows a symbolic link. What is copied
is what the overlay shows: files, directories, links, FIFOs and device nodes (no sockets), with owner, mode, times,
extended attributes, and hard links within a directory.
"""

from __future__ import annotations

import os
import stat

from podling.linux import syscalls

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(rootfs: str, place: str, target: str, *, content: bool = True, owner: tuple[int, int] = (0, 0)) -> None:
    """Make the directory `target` look like `place` of a root filesystem: owner, mode and, if wanted, content.

    Where the root has nothing there, or no directory, `target` is given to `owner`, the container's root.
    """
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = syscalls.open_in_root(root, place.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        os.chown(target, *owner)
        return
    finally:
        os.close(root)
    destination = os.open(target, _OPEN_DIRECTORY)
    try:
        if content:
            _copy_entries(source, destination, {})
        _copy_metadata(source, destination)
    finally:
        os.close(source)
        os.close(destination)


def _copy_entries(source: int, destination: int, links: dict[tuple[int, int], str]) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            _copy_directory(source, destination, name)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(source, destination, name, found, links)
        elif not stat.S_ISSOCK(found.st_mode):
            _copy_special(source, destination, name, found)


def _copy_directory(source: int, destination: int, name: str) -> None:
    os.mkdir(name, 0o700, dir_fd=destination)
    inner_source = os.open(name, _OPEN_DIRECTORY, dir_fd=source)
    try:
        inner_destination = os.open(name, _OPEN_DIRECTORY, dir_fd=destination)
        try:
            _copy_entries(inner_source, inner_destination, {})
            _copy_metadata(inner_source, inner_destination)
        finally:
            os.close(inner_destination)
    finally:
        os.close(inner_source)


def _copy_file(
    source: int, destination: int, name: str, found: os.stat_result, links: dict[tuple[int, int], str]
) -> None:
    identity = (found.st_dev, found.st_ino)
    if found.st_nlink > 1 and identity in links:
        os.link(links[identity], name, src_dir_fd=destination, dst_dir_fd=destination, follow_symlinks=False)
        return
    links[identity] = name
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writing = os.open(name, flags, 0o600, dir_fd=destination)
        try:
            while os.sendfile(writing, reading, None, 1 << 24):
                pass
            _copy_metadata(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_special(source: int, destination: int, name: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
    else:
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=destination)
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=destination)
    os.chown(name, found.st_uid, found.st_gid, dir_fd=destination, follow_symlinks=False)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=destination, follow_symlinks=False)


def _copy_metadata(source: int, destination: int) -> None:
    found = os.fstat(source)
    os.fchown(destination, found.st_uid, found.st_gid)
    os.fchmod(destination, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            try:
                os.setxattr(destination, name, os.getxattr(source, name))
            except OSError:
                continue  # an attribute that this file system, or this kernel, does not keep
    os.utime(destination, ns=(found.st_atime_ns, found.st_mtime_ns))


def change_owner(path: str, uid: int, gid: int) -> None:
    """Give a tree of the host to a user, for the `U` mount option; links are not followed, mounts are not crossed."""
    os.chown(path, uid, gid, follow_symlinks=False)
    if not os.path.isdir(path) or os.path.islink(path):
        return
    fd = os.open(path, _OPEN_DIRECTORY)
    try:
        _change_owner_below(fd, uid, gid, os.fstat(fd).st_dev)
    finally:
        os.close(fd)


def _change_owner_below(directory: int, uid: int, gid: int, device: int) -> None:
    for name in os.listdir(directory):
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
            inner = os.open(name, _OPEN_DIRECTORY, dir_fd=directory)
            try:
                _change_owner_below(inner, uid, gid, device)
            finally:
                os.close(inner)
