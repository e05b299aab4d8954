"""The mount option tmpcopyup: a tmpfs that begins with what the directory below it holds.

Everything is done relative to directory fds, and no symlink is followed.
"""

from __future__ import annotations

import os
import stat


def copy_up(source: int, destination: int) -> None:
    """Copy a directory's contents, owner and times into another directory; both are fds."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source)
    try:
        facts = os.fstat(fd)
        os.chown(".", facts.st_uid, facts.st_gid, dir_fd=destination)
        for name in os.listdir(fd):
            _copy(fd, destination, name)
    finally:
        os.close(fd)


def _copy(source: int, destination: int, name: str) -> None:
    facts = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        _copy_directory(source, destination, name)
    elif stat.S_ISREG(facts.st_mode):
        _copy_file(source, destination, name)
    elif stat.S_ISLNK(facts.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
    else:
        os.mknod(name, facts.st_mode, facts.st_rdev, dir_fd=destination)
    os.chown(name, facts.st_uid, facts.st_gid, dir_fd=destination, follow_symlinks=False)
    if not stat.S_ISLNK(facts.st_mode):
        os.chmod(name, stat.S_IMODE(facts.st_mode), dir_fd=destination)
    os.utime(name, ns=(facts.st_atime_ns, facts.st_mtime_ns), dir_fd=destination, follow_symlinks=False)


def _copy_directory(source: int, destination: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(name, 0o700, dir_fd=destination)
    inner = os.open(name, flags, dir_fd=source)
    outer = os.open(name, flags, dir_fd=destination)
    try:
        for entry in os.listdir(inner):
            _copy(inner, outer, entry)
    finally:
        os.close(inner)
        os.close(outer)


def _copy_file(source: int, destination: int, name: str) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=destination)
    try:
        while os.sendfile(writing, reading, None, 1 << 20):
            pass
    finally:
        os.close(reading)
        os.close(writing)
