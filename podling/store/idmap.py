"""Idmapped mounts: layers shown to a user namespace under its own IDs, without a change on disk.

    on disk 0 ──(mount_setattr MOUNT_ATTR_IDMAP)──► 100000 on the host ──(the container's uid_map)──► 0 in the container

Each layer of the image is cloned as a mount, mapped, and put where overlayfs can be told of it by name. Overlayfs keeps
clones of its own; ours go once it is mounted. The container's own layer is nobody else's: it holds the host's IDs as
they are, and its directories belong to the namespace's root. (Mapped, it could not be written by overlayfs, which acts
as the host's root, and that has no ID there.)
"""

from __future__ import annotations

import errno
import os

from podling.errors import Unsupported
from podling.linux import syscalls
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class IdMappings(Record):
    """A user namespace's mappings, in the runtime specification's form: {containerID, hostID, size}."""

    uids: list[dict[str, int]]
    gids: list[dict[str, int]]


def owner_of_root(rows: Sequence[dict[str, int]]) -> int:
    """Return the host's ID of a namespace's 0. Raise Unsupported where it has none."""
    for row in rows:
        if row["containerID"] == 0:
            return row["hostID"]
    raise Unsupported("the user namespace maps no root")


class Mapped:
    """Mapped clones of lower layers, under `ID/mapped/`, for the time of a `with`."""

    def __init__(self, container: str, lower: Sequence[str], mappings: IdMappings) -> None:
        self._sources = list(lower)
        self._mappings = mappings
        self._places: list[str] = []
        self._directory = f"{container}/mapped"

    @property
    def lower(self) -> list[str]:
        """Return the lower layers, mapped, in their order."""
        return list(self._places)

    def __enter__(self) -> Self:
        userns = user_namespace(self._mappings)
        try:
            trees = [_mapped_tree(path, userns) for path in self._sources]
        finally:
            os.close(userns)
        try:
            for number, tree in enumerate(trees):
                place = f"{self._directory}/{number}"
                os.makedirs(place, mode=0o700, exist_ok=True)
                syscalls.move_mount(tree, "", syscalls.AT_FDCWD, place, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
                self._places.append(place)
        except BaseException:
            self.__exit__()
            raise
        finally:
            for tree in trees:
                os.close(tree)
        return self

    def __exit__(self, *_error: object) -> None:
        for place in self._places:
            syscalls.umount2(place, syscalls.MNT_DETACH)
            os.rmdir(place)
        os.rmdir(self._directory)


def user_namespace(mappings: IdMappings) -> int:
    """Return a fd of a new user namespace with these mappings; a child that ends at once gave birth to it."""
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(ready[1], b"1")
            os.close(done[1])
            os.read(done[0], 1)
        finally:
            os._exit(0)
    try:
        os.close(ready[1])
        if os.read(ready[0], 1) != b"1":
            raise Unsupported("this host permits no user namespace")
        for name, rows in (("uid_map", mappings.uids), ("gid_map", mappings.gids)):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write("".join(f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in rows))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready[0], done[0], done[1]):
            os.close(fd)
        os.waitpid(pid, 0)


def _mapped_tree(path: str, userns: int) -> int:
    tree = syscalls.open_tree(syscalls.AT_FDCWD, path, syscalls.OPEN_TREE_CLONE)
    try:
        # Private: on a host whose / is shared the clones would else be peers, and unmounting one would unmount others.
        syscalls.mount_setattr(
            tree,
            "",
            syscalls.AT_EMPTY_PATH,
            attr_set=syscalls.MOUNT_ATTR_IDMAP,
            propagation=syscalls.MS_PRIVATE,
            userns=userns,
        )
    except OSError as error:
        os.close(tree)
        if error.errno == errno.EINVAL:
            raise Unsupported(f'the file system of "{path}" cannot map owners') from error
        raise
    return tree
