"""Work in progress on the store, which belongs to a living process or is garbage.

    ROOT/staging/NAME/      a directory of one process, locked by flock while that process lives
      blobs/  layers/       what a pull has brought so far
      trash/                what a removal takes away

The directory is made before the first change and removed after the last one. One without a holder therefore says:
somebody was killed at work, remove this and look for what no index entry names.
"""

from __future__ import annotations

import fcntl
import os

from podling.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Staging:
    """A staging directory of this process. A context manager: whatever is still in it at exit is removed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.path = f"{root}/staging/{os.getpid()}-{os.urandom(4).hex()}"
        self._fd = -1
        self._count = 0
        self._is_kept = False

    def __enter__(self) -> Self:
        os.makedirs(self._root, mode=0o700, exist_ok=True)  # set-user-ID programs of images are not the host's
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        try:
            while self._fd < 0:
                os.mkdir(self.path, 0o700)
                self._hold()
            for name in ("blobs", "layers", "trash"):
                os.mkdir(f"{self.path}/{name}", 0o700)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _hold(self) -> None:
        """Take the lock. A sweeper may have come between mkdir and flock: then the directory has to be made again."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink == 0:
            os.close(fd)
        else:
            self._fd = fd

    def __exit__(self, *_error: object) -> None:
        if not self._is_kept:
            try:
                files.remove_tree(self.path)
            except OSError:
                pass  # what matters is committed, or failed with an error of its own; the next sweep removes this
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def keep(self) -> None:
        """Leave the directory at exit, so that a sweep finds it and looks for garbage."""
        self._is_kept = True

    def blob(self, digest_hex: str) -> str:
        """Return the path of a blob in the making."""
        return f"{self.path}/blobs/{digest_hex}"

    def layer(self, name: str) -> str:
        """Return the path of a layer in the making; its `diff` is for the caller to fill."""
        return f"{self.path}/layers/{name}"

    def discard(self, path: str) -> None:
        """Take a file or directory out of the store by a rename; it is deleted when the work ends."""
        self._count += 1
        try:
            os.rename(path, f"{self.path}/trash/{self._count}")
        except FileNotFoundError:
            pass

    def sync(self) -> None:
        """Make everything in here durable: a rename that follows commits it."""
        from podling.linux import syscalls

        syscalls.syncfs(self._fd)


def abandoned(root: str) -> list[tuple[str, int]]:
    """Return the staging directories whose holder is dead, each with a fd that now holds its lock."""
    try:
        names = os.listdir(f"{root}/staging")
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        path = f"{root}/staging/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        if os.fstat(fd).st_nlink == 0:
            os.close(fd)
        else:
            found.append((path, fd))
    return found
