"""The container's file system, from a directory on the host to the only thing its processes can see.

    enter          everything we mount from here on stays in our mount namespace
    adopt          a clone of root.path, mounted over it        ◄── `Root`: all paths below resolve inside it
    mount_all      the configured mounts, in order              tmpfs proc sysfs devpts mqueue cgroup bind …
    devices        /dev/null and its kind, /dev/fd, /dev/ptmx
    confine        read-only and masked paths, the root itself
    pivot          the root becomes "/", the host's tree goes

All of `confine` happens before the pivot, through fds, so that no name is looked up in a file system that is the
container's already.
"""

from __future__ import annotations

import os
import stat

from podling.errors import InvalidArgument, PodlingError
from podling.linux import mounts, syscalls
from podling.runtime.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Files of /proc that may have something mounted over them: what lxcfs and its like provide.
_REPLACEABLE = (
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
    "/proc/net/dev",
)
_ON_ORDINARY_DIRECTORIES = ("proc", "sysfs")
_RO = syscalls.MOUNT_ATTR_RDONLY


class Preparation:
    """What was opened on the host before the namespaces: bind sources where a user namespace hides them."""

    def __init__(self) -> None:
        self.sources: dict[int, int] = {}  # index in config.mounts → fd of a detached clone
        self.user_namespaces: dict[int, int] = {}  # index → fd, for idmapped mounts


def enter(propagation: str) -> None:
    """Keep our mounts from the host; by default the host's still reach us, which the container may pass on."""
    flag, recursive = mounts.propagation_of(propagation or "rslave")
    if flag == syscalls.MS_SHARED:  # what "/" becomes after the pivot; the host's tree must never be a peer
        flag, recursive = syscalls.MS_SLAVE, True
    syscalls.mount(None, "/", None, flag | (syscalls.MS_REC if recursive else 0))


def adopt(path: str) -> Root:
    """Mount a recursive clone of a directory over itself and return it as the root."""
    try:
        tree = mounts.clone(syscalls.AT_FDCWD, path, recursive=True)
        target = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.attach(tree, target)
    except OSError as error:
        raise PodlingError(f'cannot mount root file system "{path}"') from error
    os.close(target)
    return Root(tree)


class Assembly:
    """The mounts of one container, in the making."""

    def __init__(self, root: Root, config: dict[str, Any], preparation: Preparation) -> None:
        self.root = root
        self.config = config
        self.preparation = preparation
        self.label = config["linux"].get("mountLabel") or ""
        self.devpts = -1  # the mount at /dev/pts, for the console
        self._read_only_later: list[int] = []

    def mount_all(self) -> None:
        """Make the configured mounts, in order."""
        for index, entry in enumerate(self.config.get("mounts") or ()):
            kind, destination = entry.get("type") or "bind", entry["destination"]
            try:
                self._mount(index, entry)
            except (OSError, PodlingError) as error:
                raise PodlingError(f'cannot mount {kind} "{entry.get("source") or kind}" at "{destination}"') from error

    def _mount(self, index: int, entry: dict[str, Any]) -> None:
        options = mounts.parse_options(entry.get("options") or [])
        kind = "bind" if options.bind else entry.get("type") or "bind"
        if kind == "cgroup":
            from podling.runtime import cgroup_mount

            cgroup_mount.mount(self, entry["destination"], options)
            return
        if options.remount:
            self._remount(entry["destination"], options)
            return
        tree = self._tree(kind, index, entry, options)
        target = self._target(kind, entry, tree)
        if tree < 0:
            tree = self._new(kind, entry, options, target)
        self.place(tree, target, options)
        if kind == "devpts":
            self.devpts = os.dup(tree)
        os.close(tree)

    def _tree(self, kind: str, index: int, entry: dict[str, Any], options: mounts.Options) -> int:
        """Return a clone of a bind mount's source; -1 for what is a file system of its own."""
        if kind != "bind":
            return -1
        tree = self.preparation.sources.get(index, -1)
        if tree < 0:
            tree = clone_source(entry, options, self.config)
        mounts.set_attributes(tree, to_set=options.attr_set, to_clear=options.attr_clr)
        mapping = self.preparation.user_namespaces.get(index, -1)
        if mapping >= 0:
            syscalls.mount_setattr(
                tree,
                "",
                syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if "ridmap" in (entry.get("options") or ()) else 0),
                attr_set=syscalls.MOUNT_ATTR_IDMAP,
                userns=mapping,
            )
        return tree

    def _target(self, kind: str, entry: dict[str, Any], tree: int) -> int:
        """Open the mount point, making it where it is missing; refuse what would put a lie into /proc."""
        destination = absolute(entry["destination"])
        if kind in _ON_ORDINARY_DIRECTORIES:
            self._refuse_symlink(destination, kind)
        is_file = tree >= 0 and not stat.S_ISDIR(os.fstat(tree).st_mode)
        target = self.root.file(destination) if is_file else self.root.directory(destination)
        inside = self.root.inside(target)
        if inside == "/proc" and kind != "proc":
            if tree < 0 or syscalls.filesystem_type(tree) != syscalls.PROC_SUPER_MAGIC:
                raise InvalidArgument('only a proc file system can be mounted at "/proc"')
        elif inside.startswith("/proc/") and inside not in _REPLACEABLE:
            raise InvalidArgument(f'"{inside}" cannot be mounted over: it is inside "/proc"')
        return target

    def _refuse_symlink(self, destination: str, kind: str) -> None:
        try:
            flags = os.O_PATH | os.O_NOFOLLOW
            fd = syscalls.openat2(
                self.root.fd, destination, flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
            )
        except FileNotFoundError:
            return
        except OSError as error:
            raise InvalidArgument(f"{kind} must be mounted on an ordinary directory, not on a symlink") from error
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        os.close(fd)
        if not is_directory:
            raise InvalidArgument(f"{kind} must be mounted on an ordinary directory")

    def _new(self, kind: str, entry: dict[str, Any], options: mounts.Options, target: int) -> int:
        """Return a new file system, detached."""
        parameters = list(options.parameters)
        attributes = options.attr_set
        if kind == "tmpfs":
            if not any(key == "mode" for key, _value in parameters):
                parameters.append(("mode", f"{stat.S_IMODE(os.fstat(target).st_mode):o}"))
            attributes &= ~_RO  # until everything below it is mounted
        if self.label and kind in ("tmpfs", "devpts", "mqueue", "overlay"):
            parameters.append(("context", f'"{self.label}"'))
        if not mounts.fits_fsconfig(parameters):
            return self._new_the_old_way(kind, entry, options, target)
        tree = mounts.filesystem(kind, entry.get("source") or kind, parameters, attributes)
        if options.copy_up and kind == "tmpfs":
            from podling.runtime import copy_up

            copy_up.copy_up(target, tree)
        return tree

    def _new_the_old_way(self, kind: str, entry: dict[str, Any], options: mounts.Options, target: int) -> int:
        """Use mount(2), whose parameters may be a page long (fsconfig's end at 255 bytes), and take the mount back."""
        data = ",".join(key if value is None else f"{key}={value}" for key, value in options.parameters)
        path = f"/proc/self/fd/{target}"
        syscalls.mount(entry.get("source") or kind, path, kind, 0, data)
        mounted = self.root.open(absolute(entry["destination"]))
        try:
            tree = mounts.clone(mounted, "", recursive=False)
            os.fchdir(mounted)
            syscalls.umount2(".", syscalls.MNT_DETACH)
        finally:
            os.chdir("/")
            os.close(mounted)
        mounts.set_attributes(tree, to_set=options.attr_set, to_clear=options.attr_clr)
        return tree

    def _remount(self, destination: str, options: mounts.Options) -> None:
        fd = self.root.open(absolute(destination))
        mounts.set_attributes(fd, to_set=options.attr_set, to_clear=options.attr_clr)
        os.close(fd)

    def place(self, tree: int, target: int, options: mounts.Options) -> None:
        """Attach a mount and close its mount point; set what concerns the mounts below it and their propagation."""
        mounts.attach(tree, target)
        os.close(target)
        mounts.set_attributes(tree, to_set=options.below_set, to_clear=options.below_clr, recursive=True)
        for flag, recursive in options.propagation:
            mounts.set_propagation(tree, flag, recursive=recursive)
        if options.attr_set & _RO and not options.bind:
            self._read_only_later.append(os.dup(tree))

    def finish(self) -> None:
        """Make read-only what had to be written to until now."""
        for tree in self._read_only_later:
            mounts.set_attributes(tree, to_set=_RO)
            os.close(tree)
        self._read_only_later.clear()
        if self.devpts >= 0:
            os.close(self.devpts)
            self.devpts = -1


def absolute(destination: str) -> str:
    """Return a mount's destination as a path from the root: relative ones were valid before version 1.0."""
    return destination if destination.startswith("/") else f"/{destination}"


def clone_source(entry: dict[str, Any], options: mounts.Options, config: dict[str, Any]) -> int:
    """Return a detached clone of a bind mount's source; a relative one begins at the bundle."""
    source = os.path.join(config["bundle"], entry.get("source") or "")
    tree = mounts.clone(syscalls.AT_FDCWD, source, recursive=options.recursive, follow=not options.source_nofollow)
    return tree


def make_read_only(root: Root, paths: list[str]) -> None:
    """Mount each path over itself, read-only with everything below it; what is absent needs nothing."""
    for path in paths:
        try:
            target = root.open(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            tree = mounts.clone(target, "", recursive=True)
            mounts.set_attributes(tree, to_set=_RO, recursive=True)
            mounts.attach(tree, target)
        except OSError as error:
            raise PodlingError(f'cannot make "{path}" read-only') from error
        os.close(tree)
        os.close(target)


def mask(root: Root, paths: list[str], null: int) -> None:
    """Cover files with /dev/null and directories with one empty, read-only tmpfs.

    `null` is the host's, checked by its device number: the container's own /dev is not to be trusted for it.
    """
    empty = -1
    for path in paths:
        try:
            target = root.open(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            if not stat.S_ISDIR(os.fstat(target).st_mode):
                tree = mounts.clone(null, "", recursive=False)
            elif empty < 0:
                tree = empty = mounts.filesystem("tmpfs", "tmpfs", [("nr_blocks", "1"), ("nr_inodes", "1")], _RO)
            else:
                tree = mounts.clone(empty, "", recursive=False)
            mounts.attach(tree, target)
        except OSError as error:
            raise PodlingError(f'cannot mask "{path}"') from error
        os.close(target)
        if tree != empty:
            os.close(tree)
    if empty >= 0:
        os.close(empty)


def open_null() -> int:
    """Open the host's /dev/null. Raise where it is anything else than the null device."""
    fd = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    facts = os.fstat(fd)
    if not stat.S_ISCHR(facts.st_mode) or facts.st_rdev != os.makedev(1, 3):
        os.close(fd)
        raise PodlingError("/dev/null is not the null device")
    return fd


def pivot(root: Root, propagation: str) -> None:
    """Make the root "/" and let go of the host's tree; the working directory is "/" afterwards."""
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root.fd)
    syscalls.pivot_root(".", ".")
    os.fchdir(old)  # it lies over the new root now, where no path reaches it
    os.close(old)
    syscalls.umount2(".", syscalls.MNT_DETACH)
    os.chdir("/")
    _propagate_root(propagation)


def move_to_root(root: Root, propagation: str) -> None:
    """Do without pivot_root, which a host that runs from its initramfs cannot: --no-pivot.

    The host's tree stays below and unreachable by path only; its proc and sys are taken away first, since a process
    that got out of the chroot could use them.
    """
    for path in ("/proc", "/sys"):
        try:
            syscalls.umount2(path, syscalls.MNT_DETACH)
        except OSError:
            continue  # not a mount point
    os.fchdir(root.fd)
    syscalls.mount(".", "/", None, syscalls.MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    _propagate_root(propagation)


def _propagate_root(propagation: str) -> None:
    if propagation:
        flag, recursive = mounts.propagation_of(propagation)
        syscalls.mount(None, "/", None, flag | (syscalls.MS_REC if recursive else 0))
