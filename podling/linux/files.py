"""Files that are whole or absent: stage, fsync, rename."""

from __future__ import annotations

import os

_DEPTH_LIMIT = 200


def write_atomically(path: str, content: str | bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace a file by a rename, so that a reader or a crash sees the old content or the new.

    `durable` also survives a power cut (two fsyncs); runtime state on tmpfs has no use for it. A killed writer leaves
    a name that begins with ".staged-" beside the file.
    """
    directory, name = os.path.split(path)
    staged = os.path.join(directory, f".staged-{os.getpid()}-{name}")
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, content.encode() if isinstance(content, str) else content)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(staged, path)
    except BaseException:
        unlink_if_there(staged)
        raise
    if durable:
        sync_directory(directory or ".")


def write_all(fd: int, content: bytes) -> None:
    """Write all of it, however many calls that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unlink_if_there(path: str) -> bool:
    """Unlink a file; tell whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def remove_tree(path: str) -> None:
    """Remove a directory and all below it, following no symlink and crossing no mount; absent is fine.

    A mount point inside is an error (EBUSY) rather than an invitation: whoever mounted it unmounts it first.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    try:
        device = os.fstat(fd).st_dev
        while _empty(fd, device, fd, 0):
            pass
    finally:
        os.close(fd)
    os.rmdir(path)


def _empty(directory: int, device: int, top: int, depth: int) -> bool:
    """Empty a directory, as deep as fds and the stack go; what is deeper moves up to `top`. Tell whether it did."""
    moved = False
    with os.scandir(directory) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in listed:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
            continue
        if depth == _DEPTH_LIMIT:  # a container can nest directories without end
            os.rename(name, f".deep-{os.urandom(8).hex()}", src_dir_fd=directory, dst_dir_fd=top)
            moved = True
            continue
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if os.fstat(fd).st_dev != device:
                raise OSError(16, "device or resource busy", name)
            moved |= _empty(fd, device, top, depth + 1)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=directory)
    return moved
