"""What the engine itself looks up and makes inside a container's root filesystem.

Every name is resolved by openat2 with RESOLVE_IN_ROOT: an absolute link, or `..`, leads nowhere but into the root.
"""

from __future__ import annotations

import os
import stat

from podling.engine import paths, users
from podling.errors import InvalidArgument
from podling.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podling.engine.container import ContainerConfig
    from podling.engine.options import Settings

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LONGEST_ENTRY = 4096


def host_id(mappings: list[dict[str, int]], number: int) -> int:
    """Return the host's ID of one in the container; without mappings, or outside them, the same number."""
    for row in mappings:
        if 0 <= number - row["containerID"] < row["size"]:
            return row["hostID"] + number - row["containerID"]
    return number


def make_traversable(path: str) -> None:
    """Let everyone pass through a directory and those above it, as Podman does.

    A runtime resolves the path of the root, and of what is bound into it, as the root of a user namespace, who is
    nobody on the host.
    """
    while path != "/":
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o111 != 0o111:
            os.chmod(path, mode | 0o111)
        path = os.path.dirname(path)


def open_directory(rootfs: str, path: str) -> int:
    """Open a directory of a root filesystem. Raise OSError."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return syscalls.open_in_root(root, path.lstrip("/") or ".", _DIRECTORY)
    finally:
        os.close(root)


def resolve(rootfs: str, path: str) -> str:
    """Return a path with the links of a root filesystem followed as far as it exists; the rest stays as it is."""
    existing, rest = path.rstrip("/") or "/", ""
    while True:
        try:
            fd = open_directory(rootfs, existing)
        except OSError:
            existing, _, name = existing.rpartition("/")
            rest = f"/{name}{rest}"
            if not existing:
                return rest
            continue
        try:
            found = os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return (found.removeprefix(os.path.realpath(rootfs)) + rest) or "/"


def make_mtab(rootfs: str) -> None:
    """Make /etc/mtab a link to /proc/mounts where the image has none; mount(8) of old images wants it."""
    try:
        etc = open_directory(rootfs, "etc")
    except OSError:
        return
    try:
        os.stat("mtab", dir_fd=etc, follow_symlinks=False)
    except FileNotFoundError:
        os.symlink("/proc/mounts", "mtab", dir_fd=etc)
    finally:
        os.close(etc)


def check_working_directory(
    rootfs: str, path: str, container_id: str, mounted: Sequence[str], *, create: bool, owner: tuple[int, ...]
) -> None:
    """Make sure that a container's working directory exists, if it is not below a mount of the user's.

    Raise InvalidArgument where it is not there and not the image's own wish, or is no directory.
    """
    if path in ("", "/") or any(path == place or path.startswith(place.rstrip("/") + "/") for place in mounted):
        return
    try:
        os.close(open_directory(rootfs, path))
    except NotADirectoryError:
        raise InvalidArgument(f'workdir "{path}" exists on container {container_id}, but is not a directory') from None
    except FileNotFoundError:
        if not create:
            if resolve(rootfs, path) != path.rstrip("/"):
                return  # through a link, perhaps into a mount that is yet to be made: the runtime will tell
            raise InvalidArgument(f'workdir "{path}" does not exist on container {container_id}') from None
        try:
            _make_directories(rootfs, path, owner)
        except OSError as error:
            raise InvalidArgument(f"creating container {container_id} workdir") from error


def _make_directories(rootfs: str, path: str, owner: tuple[int, ...]) -> None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for depth, name in enumerate(parts, 1):
        parent = open_directory(rootfs, "/".join(parts[: depth - 1]))
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            if depth == len(parts):
                os.chown(name, owner[0], owner[1], dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            continue
        finally:
            os.close(parent)


# accounts


def add_accounts(settings: Settings, config: ContainerConfig, rootfs: str, accounts: users.Accounts) -> dict[str, str]:
    """Give a user without an entry in passwd or group one, so that programs can name it.

    In a writable root the entry is appended: a file mounted there could not be replaced by useradd. For a read-only
    root a copy is made in the bundle; return destination → source of such copies.
    """
    if not config.passwd or not (config.user or config.host_users or config.group_entry):
        return {}
    own = {mount["destination"] for mount in config.mounts}
    made: dict[str, str] = {}
    for name, entries in (("passwd", passwd_entries(config, accounts)), ("group", group_entries(config, accounts))):
        if not entries or f"/etc/{name}" in own or "/etc" in own:
            continue
        if config.read_only:
            copy = f"{paths.bundle(settings, config.id)}/{name}"
            _write_copy(copy, users.read_regular(rootfs, f"etc/{name}") + entries.encode("utf-8", "surrogateescape"))
            made[f"/etc/{name}"] = copy
        else:
            _append(rootfs, name, entries.encode("utf-8", "surrogateescape"))
    return made


def _write_copy(path: str, content: bytes) -> None:
    from podling.linux import files

    files.write_atomically(path, content, mode=0o644, durable=False)


def _append(rootfs: str, name: str, entries: bytes) -> None:
    try:
        etc = open_directory(rootfs, "etc")
    except OSError:
        return  # nowhere to put it, and nobody who would look
    try:
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        try:
            fd = syscalls.open_in_root(root, f"etc/{name}", flags, 0o644)
        finally:
            os.close(root)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.write(fd, entries)
        finally:
            os.close(fd)
    except OSError:
        return  # a FIFO without a reader, a link to nowhere: not a file of accounts
    finally:
        os.close(etc)


def passwd_entries(config: ContainerConfig, accounts: users.Accounts) -> str:
    """Return the lines to add to passwd: host users, and a numeric user that is not there."""
    lines = [_host_user_entry(config, accounts, name) for name in config.host_users]
    name, _, group = config.user.partition(":")
    if name.isdigit() and not accounts.has_uid(int(name)):
        gid = accounts.group_id(group) if group else 0
        if config.passwd_entry:
            values = (name, name, str(gid), "container user", config.working_directory)
            lines.append(_filled(config.passwd_entry, ("$USERNAME", "$UID", "$GID", "$NAME", "$HOME"), values))
        else:
            lines.append(f"{name}:*:{name}:{gid}:container user:{config.working_directory}:/bin/sh\n")
    return "".join(lines)


def _host_user_entry(config: ContainerConfig, accounts: users.Accounts, wanted: str) -> str:
    import pwd

    try:
        found = pwd.getpwuid(int(wanted)) if wanted.isdigit() else pwd.getpwnam(wanted)
    except KeyError:
        raise InvalidArgument(f"user: unknown user {wanted}") from None
    if accounts.has_name(found.pw_name) or accounts.has_uid(found.pw_uid):
        return ""
    home = found.pw_dir if any(_is_below(found.pw_dir, place) for place in config.user_volumes) else None
    home = home or config.working_directory
    comment = found.pw_gecos.partition(",")[0]
    if config.passwd_entry:
        values = (found.pw_name, str(found.pw_uid), str(found.pw_gid), comment, home)
        return _filled(config.passwd_entry, ("$USERNAME", "$UID", "$GID", "$NAME", "$HOME"), values)
    return f"{found.pw_name}:*:{found.pw_uid}:{found.pw_gid}:{comment}:{home}:/bin/sh\n"


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def group_entries(config: ContainerConfig, accounts: users.Accounts) -> str:
    """Return the line to add to group: a numeric group that is not there."""
    name, separator, group = config.user.partition(":")
    wanted = group if separator and group else "0"
    if not (config.user or config.group_entry) or not wanted.isdigit() or accounts.has_gid(int(wanted)):
        return ""
    if config.group_entry:
        return _filled(config.group_entry, ("$GROUPNAME", "$GID", "$USERLIST"), ("", wanted, ""))
    return f"{wanted}:x:{wanted}:{name}\n"


def _filled(template: str, names: Sequence[str], values: Sequence[str]) -> str:
    for name, value in zip(names, values, strict=True):
        template = template.replace(name, value)
    return template + "\n"
