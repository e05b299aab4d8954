"""Unpacking a layer's archive into a directory, as overlayfs wants it.

    .wh.NAME          → NAME, a character device 0:0        hides NAME of the layers below
    .wh..wh..opq      → trusted.overlay.opaque on its directory hides all of that directory's below

Nothing is ever reached by a path of the host's: a parent directory is opened with openat2(RESOLVE_IN_ROOT) below the
layer's root, as a process in that root would see it, and a name in it is made with O_EXCL, or by mknodat, symlinkat,
linkat. A directory that the archive does not mention is made, and remembered: it gets the attributes of the one below
it when the layers are put together (`Unpacked.implied`).
"""

from __future__ import annotations

import errno
import os
import stat

from podling.errors import Corrupt
from podling.linux import files, syscalls
from podling.store import tar
from podling.store.tar import Archive, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ENTRY_LIMIT = 5_000_000
PATH_LIMIT = 4095  # bytes: PATH_MAX without its zero
DEPTH_LIMIT = 256  # of directories in one another; what removes the tree holds a fd per level
OPAQUE = "trusted.overlay.opaque"

_WHITEOUT = ".wh."
_OPAQUE_MARKER = ".wh..wh..opq"
_OPEN_PARENTS = 32
_DEVICE_KINDS = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}
_FAULTS_OF_AN_ARCHIVE = (
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMLINK,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EPERM,
    errno.EXDEV,
)
_REFUSED_XATTRS = ("trusted.overlay.", "user.overlay.", "security.selinux")
_PLAINLY = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(chunks: Iterator[bytes], directory: str) -> list[str]:
    """Unpack an uncompressed archive into an empty directory; return the directories it implied but did not describe.

    Those are paths relative to the root, parents first, "" for the root itself. Raise Corrupt or Unsupported for an
    archive that is malformed or beyond the limits, OSError for what the file system refuses; what was unpacked by then
    is the caller's to remove.
    """
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    unpacker = _Unpacker(root)
    try:
        return unpacker.unpack(Archive(tar.Stream(chunks)))
    finally:
        unpacker.close()
        os.close(root)


class _Unpacker:
    def __init__(self, root: int) -> None:
        self.root = root
        self._depth_limit = _depth(root) + DEPTH_LIMIT
        self._parents: dict[str, int] = {}
        self._directories: dict[str, int] = {}  # path → mtime, set at the end: making files in it changes it
        self._implied: dict[str, None] = {"": None}

    def close(self) -> None:
        for fd in self._parents.values():
            os.close(fd)
        self._parents.clear()

    def unpack(self, archive: Archive) -> list[str]:
        for number, member in enumerate(archive):
            if number >= ENTRY_LIMIT:
                raise Corrupt(f"archive has more than {ENTRY_LIMIT} files")
            try:
                self._make(archive, member)
            except OSError as error:
                if error.errno not in _FAULTS_OF_AN_ARCHIVE:
                    raise
                raise Corrupt(f'archive has "{printable(member.name)}", which cannot be made') from error
        self.close()
        self._set_directory_times()
        return list(self._implied)

    def _make(self, archive: Archive, member: Member) -> None:
        path = clean(member.name)
        parent_path, _, name = path.rpartition("/")
        if not name:
            if member.kind == tar.DIRECTORY:
                self._describe_directory("", self.root, member)
            return
        parent = self._parent(parent_path)
        if name.startswith(_WHITEOUT):
            self._white_out(parent, name)
        elif member.kind == tar.REGULAR:
            self._make_file(archive, member, parent, name)
        elif member.kind == tar.DIRECTORY:
            self._make_directory(member, parent, name, path)
        elif member.kind == tar.SYMLINK:
            self._create(parent, name, lambda: os.symlink(member.target, name, dir_fd=parent))
            _describe(member, parent, name)
        elif member.kind == tar.HARD_LINK:
            self._link(member, parent, name)
        elif member.kind in _DEVICE_KINDS:
            self._make_device(member, parent, name)
        else:
            raise tar.refuse_kind(member)

    # parents

    def _parent(self, path: str) -> int:
        """Return a fd of a directory below the root, making what is missing. It stays open for the next member."""
        if not path:
            return self.root
        fd = self._parents.get(path)
        if fd is not None:
            return fd
        try:
            fd = self._open_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            fd = self._make_implied(path)
        if "/" in path and _depth(fd) > self._depth_limit:  # symlinks lead deeper than the path says
            os.close(fd)
            raise Corrupt(f"archive has directories nested more than {DEPTH_LIMIT} deep")
        if len(self._parents) >= _OPEN_PARENTS:
            os.close(self._parents.pop(next(iter(self._parents))))
        self._parents[path] = fd
        return fd

    def _open_directory(self, path: str) -> int:
        return syscalls.open_in_root(self.root, path, os.O_RDONLY | os.O_DIRECTORY)

    def _make_implied(self, path: str) -> int:
        above, _, name = path.rpartition("/")
        parent = self._parent(above)
        was_whiteout = _is_whiteout(parent, name)
        if was_whiteout:
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o755, dir_fd=parent)
        fd = self._open_directory(path)
        if was_whiteout:
            os.setxattr(fd, OPAQUE, b"y")  # what is below was removed, and this begins anew
        else:
            self._implied[path] = None
        return fd

    # kinds of files

    def _make_file(self, archive: Archive, member: Member, parent: int, name: str) -> None:
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            if member.segments is not None:
                _write_segments(fd, archive, member)
            else:
                for piece in archive.data(member.size):
                    _write(fd, piece)
            _describe_open(member, fd)
        finally:
            os.close(fd)

    def _make_directory(self, member: Member, parent: int, name: str, path: str) -> None:
        was_whiteout = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                was_whiteout = _is_whiteout(parent, name)
                self._clear(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if was_whiteout:
                os.setxattr(fd, OPAQUE, b"y")
            self._describe_directory(path, fd, member)
        finally:
            os.close(fd)

    def _describe_directory(self, path: str, fd: int, member: Member) -> None:
        _describe_open(member, fd)
        self._implied.pop(path, None)
        self._directories[path] = member.mtime

    def _link(self, member: Member, parent: int, name: str) -> None:
        target_parent_path, _, target = clean(member.target).rpartition("/")
        if not target:
            raise Corrupt(f'archive has "{printable(member.name)}" as a hard link to a directory')
        source = self._open_directory(target_parent_path or ".")
        try:
            found = os.stat(target, dir_fd=source, follow_symlinks=False)
            if os.path.samestat(os.fstat(source), os.fstat(parent)) and target == name:
                return
            self._create(
                parent,
                name,
                lambda: os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False),
                replaces=not _is_same(parent, name, found),
            )
        except FileNotFoundError as error:
            raise Corrupt(
                f'archive has "{printable(member.name)}" as a hard link to "{printable(member.target)}", '
                "which is not in it"
            ) from error
        finally:
            os.close(source)

    def _make_device(self, member: Member, parent: int, name: str) -> None:
        mode = _DEVICE_KINDS[member.kind] | 0o600
        device = os.makedev(*member.device) if member.kind != tar.FIFO else 0
        self._create(parent, name, lambda: os.mknod(name, mode, device, dir_fd=parent))
        _describe(member, parent, name)

    def _white_out(self, parent: int, name: str) -> None:
        """Hide what the layers below have. What this layer itself has under the name stays, before or after."""
        if name == _OPAQUE_MARKER:
            os.setxattr(parent, OPAQUE, b"y")
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden.startswith(_WHITEOUT):
            return  # aufs's own files
        if hidden in ("", ".", ".."):
            raise Corrupt(f'archive has the malformed whiteout "{printable(name)}"')
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            fd = os.open(hidden, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    os.setxattr(f"/proc/self/fd/{fd}", OPAQUE, b"y")
            finally:
                os.close(fd)

    def _create(self, parent: int, name: str, create: Callable[[], None], *, replaces: bool = True) -> None:
        try:
            create()
        except FileExistsError:
            if replaces:
                self._clear(parent, name)
                create()

    def _clear(self, parent: int, name: str) -> None:
        """Remove what an earlier member made. A directory that is kept open may have been below it, or behind it."""
        files.remove_tree(f"/proc/self/fd/{parent}/{name}")
        for path in [path for path, fd in self._parents.items() if fd != parent]:
            os.close(self._parents.pop(path))

    def _set_directory_times(self) -> None:
        for path, mtime in self._directories.items():
            try:
                fd = self._open_directory(path or ".")
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later member took its place
            try:
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)


def clean(name: str) -> str:
    """Return a member's name as a path below the root, "" for the root. Raise Corrupt where it leads out of it."""
    path = name[2:] if name.startswith("./") else name
    path = path.rstrip("/")
    if path[:1] in ("", ".", "/") or "//" in path or "./" in path or path.endswith("."):
        path = _resolve(name)
    if len(path) > PATH_LIMIT or path.count("/") > DEPTH_LIMIT:
        raise Corrupt(f'archive has the name "{printable(name)}" of {len(path)} characters')
    return path


def _resolve(name: str) -> str:
    """Return a path without ".", ".." and empty parts, by its letters alone."""
    kept: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not kept:
                raise Corrupt(f'archive has "{printable(name)}", which leads out of it')
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    return "/".join(kept)


def printable(name: str) -> str:
    """Return a name of an archive so that it can stand in a message."""
    shown = name if len(name) <= 100 else name[:100] + "…"
    return "".join(character if character.isprintable() else "?" for character in shown)


def _write(fd: int, piece: memoryview) -> None:
    written = os.write(fd, piece)
    while written < len(piece):
        written += os.write(fd, piece[written:])


def _write_segments(fd: int, archive: Archive, member: Member) -> None:
    for offset, length in member.segments or ():
        os.lseek(fd, offset, os.SEEK_SET)
        for piece in archive.data(length):
            _write(fd, piece)
    os.ftruncate(fd, member.size)


def _describe_open(member: Member, fd: int) -> None:
    """Set owner, mode, attributes and time of an open file. chown comes first: it clears set-user-ID bits."""
    os.fchown(fd, member.uid, member.gid)
    os.fchmod(fd, member.mode)
    if member.xattrs:
        _set_xattrs(member, fd)
    os.utime(fd, ns=(member.mtime, member.mtime))


def _describe(member: Member, parent: int, name: str) -> None:
    """Do the same for a symlink or a device, which must not be opened."""
    os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
    if member.kind != tar.SYMLINK:
        os.chmod(name, member.mode, dir_fd=parent)
    if member.xattrs:
        _set_xattrs(member, f"/proc/self/fd/{parent}/{name}")
    os.utime(name, ns=(member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)


def _set_xattrs(member: Member, place: int | str) -> None:
    """Set extended attributes; overlayfs's own are refused, and what the file system has no place for is left out."""
    for key, value in member.xattrs.items():
        if key.startswith(_REFUSED_XATTRS):
            continue
        try:
            if isinstance(place, int):
                os.setxattr(place, key, value)
            else:
                os.setxattr(place, key, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def _depth(fd: int) -> int:
    return os.readlink(f"/proc/self/fd/{fd}").count("/")


def _is_whiteout(parent: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_same(parent: int, name: str, other: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=parent, follow_symlinks=False), other)
    except FileNotFoundError:
        return False


def inherit(directory: str, implied: Iterable[str], below: Sequence[str]) -> None:
    """Give the directories that a layer implied the attributes they have in the layers below, uppermost first."""
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in implied:
            source = _find_below(path, below)
            if source >= 0:
                try:
                    _copy_attributes(source, root, path)
                finally:
                    os.close(source)
    finally:
        os.close(root)


def _find_below(path: str, below: Sequence[str]) -> int:
    """Return a fd of the uppermost directory of that path, or -1 where there is none or something hides it."""
    for layer in below:
        root = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return syscalls.openat2(root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _PLAINLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return -1
            raise
        finally:
            os.close(root)
    return -1


def _copy_attributes(source: int, root: int, path: str) -> None:
    try:
        target = syscalls.openat2(root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _PLAINLY)
    except (FileNotFoundError, NotADirectoryError):
        return  # a later member took its place
    try:
        found = os.fstat(source)
        os.fchown(target, found.st_uid, found.st_gid)
        os.fchmod(target, stat.S_IMODE(found.st_mode))
        for key in os.listxattr(source):
            if not key.startswith(_REFUSED_XATTRS):
                os.setxattr(target, key, os.getxattr(source, key))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(target)
