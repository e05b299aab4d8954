"""Overlay mounts of container roots.

    lower   layers/SHORT/diff …          of the image, the uppermost first
    upper   containers/ID/diff           the container's own layer
    work    containers/ID/work
    merged  containers/ID/merged         where it is mounted

What is chosen, and why:

    index=off               no file handles in the upper layer: it can be copied, and mounted on another machine
    metacopy=off            a new owner copies the whole file: `diff` and `commit` find plain files in the upper layer
    redirect_dir=nofollow   likewise; and a layer that smuggled in a redirect is not followed
    volatile                only where the caller says that nothing need survive a crash

Linux 6.7 and newer take each lower directory by a call of its own (`lowerdir+`, up to 500, in strings of up to
255 bytes); before, all options go to mount(2) as one string of one page, which is why layers have short names.
"""

from __future__ import annotations

import errno
import os

from podling.errors import Unsupported
from podling.linux import files, syscalls
from podling.records import Record
from podling.store import idmap, layers, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podling.store.idmap import IdMappings

_CHOSEN = ("index=off", "metacopy=off", "redirect_dir=nofollow")
_STRING_LIMIT = 255
_PAGE_LIMIT = 4095
_ATTRIBUTES = {
    "ro": syscalls.MOUNT_ATTR_RDONLY,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
}
_FLAGS = {
    "ro": syscalls.MS_RDONLY,
    "nodev": syscalls.MS_NODEV,
    "nosuid": syscalls.MS_NOSUID,
    "noexec": syscalls.MS_NOEXEC,
}


class Overlay(Record):
    """An overlay to be mounted: directories, the uppermost lower one first; overlayfs's options; the mount's flags."""

    root: str
    lower: list[str]
    container: str
    merged: str
    options: list[str]
    flags: list[str]

    @property
    def longest_path(self) -> int:
        """Return the length in bytes of the longest directory that overlayfs is told of."""
        return max(len(os.fsencode(path)) for path in [*self.lower, f"{self.container}/diff", f"{self.container}/work"])


def mount(
    root: str,
    container_id: str,
    chain_ids: Sequence[str],
    *,
    read_only: bool = False,
    userns: IdMappings | None = None,
    options: Iterable[str] = (),
) -> str:
    """Mount a container's root and return the merged directory; mounted already is fine.

    Raise Unsupported where the kernel has no overlayfs or the layers do not fit, OSError otherwise.
    """
    container = rootfs.directory(root, container_id)
    merged = f"{container}/merged"
    if is_mounted(container):
        return merged
    wanted = [*options, "ro"] if read_only else list(options)
    plan = Overlay(
        root=root,
        lower=[layers.diff_directory(root, chain_id) for chain_id in reversed(chain_ids)] or [_empty(container)],
        container=container,
        merged=merged,
        options=[*_CHOSEN, *(option for option in wanted if option not in _FLAGS)],
        flags=[option for option in _FLAGS if option in wanted],
    )
    if "volatile" in wanted:  # the mark of an earlier mount, which was unmounted in order or has nothing to lose
        files.remove_tree(f"{container}/work/work/incompat")
    if userns is None:
        _mount(plan)
    else:
        with idmap.Mapped(container, plan.lower, userns) as mapped:
            for name in ("diff", "work"):
                uid, gid = idmap.owner_of_root(userns.uids), idmap.owner_of_root(userns.gids)
                os.chown(f"{container}/{name}", uid, gid)
            _mount(plan.with_changes(lower=mapped.lower))
    return merged


def unmount(root: str, container_id: str) -> None:
    """Unmount a container's root; not mounted is fine. A busy one is detached, and goes with its last user."""
    merged = f"{rootfs.directory(root, container_id)}/merged"
    for flags in (0, syscalls.MNT_DETACH):
        try:
            syscalls.umount2(merged, flags | syscalls.UMOUNT_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.EINVAL:  # not a mount point
                return
            if error.errno != errno.EBUSY or flags:
                raise
        else:
            return


def is_mounted(container: str) -> bool:
    """Tell whether the merged directory of a container is a mount point. Raise OSError where it does not exist."""
    return os.stat(f"{container}/merged").st_dev != os.stat(container).st_dev


def _mount(plan: Overlay) -> None:
    if plan.longest_path > _STRING_LIMIT or not _mount_by_context(plan):
        _mount_by_string(plan)


def _mount_by_context(plan: Overlay) -> bool:
    """Mount through fsopen(2); tell whether this kernel can."""
    try:
        context = syscalls.fsopen("overlay")
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise Unsupported("this kernel has no overlayfs") from error
        raise
    try:
        try:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "lowerdir+", plan.lower[0])
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False
            raise
        _configure(context, plan)
        fd = syscalls.fsmount(context, sum(_ATTRIBUTES[flag] for flag in plan.flags))
        try:
            syscalls.move_mount(fd, "", syscalls.AT_FDCWD, plan.merged, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(fd)
    finally:
        os.close(context)
    return True


def _configure(context: int, plan: Overlay) -> None:
    for path in plan.lower[1:]:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "lowerdir+", path)
    directories = (f"upperdir={plan.container}/diff", f"workdir={plan.container}/work")
    for option in ("source=overlay", *directories, *plan.options):
        key, equals, value = option.partition("=")
        command = syscalls.FSCONFIG_SET_STRING if equals else syscalls.FSCONFIG_SET_FLAG
        syscalls.fsconfig(context, command, key, value if equals else None)
    syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)


def _mount_by_string(plan: Overlay) -> None:
    """Mount by mount(2), from inside the root so that names are short."""
    prefix = plan.root + "/"
    lower = ":".join(path.removeprefix(prefix) for path in plan.lower)
    container = plan.container.removeprefix(prefix)
    data = ",".join([f"lowerdir={lower}", f"upperdir={container}/diff", f"workdir={container}/work", *plan.options])
    if len(os.fsencode(data)) > _PAGE_LIMIT:
        raise Unsupported(f"{len(plan.lower)} layers do not fit into the one page of options that mount(2) takes")
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(plan.root)
        bits = sum(_FLAGS[flag] for flag in plan.flags)
        syscalls.mount("overlay", plan.merged.removeprefix(prefix), "overlay", bits, data)
    finally:
        os.fchdir(before)
        os.close(before)


def _empty(container: str) -> str:
    """Return an empty directory: overlayfs wants a lower one, and an image may have no layers."""
    path = f"{container}/empty"
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path
