"""One cgroup directory and what is below it: files, processes, removal. Both versions of the interface share this.

    HIERARCHY/libpod_parent/libpod-ID        cgroup.procs   pids.max  …
                              └─ whatever the container made below

cgroups(7) has the rules. Nothing here knows a controller.
"""

from __future__ import annotations

import errno
import os
import time

from podling.errors import InUse
from podling.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def make(directory: str) -> bool:
    """Make a cgroup, and those above it that are missing; tell whether it is new."""
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        return False
    except FileNotFoundError:
        make(os.path.dirname(directory))
        return make(directory)
    return True


def write(path: str, value: str) -> None:
    """Write one value to a cgroup's file; the error carries the path."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def read(path: str) -> str:
    """Return a cgroup's file without the final newline; such a file comes whole, however many reads it takes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
    return b"".join(parts).decode().rstrip("\n")


def read_number(path: str, missing: int = 0) -> int:
    """Return a file's number; `missing` where there is no such file, or it says "max"."""
    try:
        text = read(path)
    except FileNotFoundError:
        return missing
    return missing if text == "max" else int(text)


def read_pairs(path: str) -> dict[str, int]:
    """Return the "name number" lines of a file; empty where there is no such file."""
    try:
        text = read(path)
    except FileNotFoundError:
        return {}
    rows = [line.split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def below(directory: str) -> list[str]:
    """Return a cgroup and all those below it, parents first; empty where it is gone."""
    found = [directory]
    try:
        with os.scandir(directory) as entries:
            children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    for child in children:
        found += below(child)
    return found


def processes(directory: str) -> list[int]:
    """Return the pids in a cgroup and below it; those that this pid namespace cannot see are left out."""
    found: set[int] = set()
    for cgroup in below(directory):
        try:
            text = read(f"{cgroup}/cgroup.procs")
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.EOPNOTSUPP):  # removed meanwhile; a threaded cgroup has no list
                raise
            continue
        found.update(int(line) for line in text.split())
    found.discard(0)
    return sorted(found)


def remove(directories: Iterable[str], timeout_seconds: float = 10.0) -> None:
    """Remove cgroups with all below them; absent is fine.

    A cgroup whose processes are about to end is waited for. Raise InUse, naming a process, when they have not.
    """
    give_up = time.monotonic() + timeout_seconds
    for directory in directories:
        try:
            os.rmdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _remove_busy(directory, give_up)


def _remove_busy(directory: str, give_up: float) -> None:
    pause_seconds = 0.0005
    while True:
        busy = [cgroup for cgroup in reversed(below(directory)) if not _try_rmdir(cgroup)]
        if not busy:
            return
        pids = processes(directory)
        if time.monotonic() > give_up:
            who = f"process {pids[0]}" if pids else "processes that cannot be seen from here"
            raise InUse(f'cgroup "{directory}" still has {who}')
        if pids:
            _wait_for_any_end(pids, give_up)
        else:
            time.sleep(pause_seconds)  # a task on its last lines of exit: the kernel has no event for it on version 1
            pause_seconds = min(pause_seconds * 2, 0.02)


def _try_rmdir(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _wait_for_any_end(pids: list[int], give_up: float) -> None:
    """Return when the first of the processes has ended, or the time is up."""
    import select

    poll, held = select.poll(), []
    try:
        for pid in pids[:64]:
            try:
                held.append(syscalls.pidfd_open(pid))
            except ProcessLookupError:
                return
            poll.register(held[-1], select.POLLIN)
        poll.poll(max(0.0, give_up - time.monotonic()) * 1000)
    finally:
        for fd in held:
            os.close(fd)
