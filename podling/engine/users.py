"""Users and groups of a container's root filesystem, by name or number.

    user            ""  name  uid  name:group  uid:gid  :gid  …      a number is never looked up as a name
    /etc/passwd     name : password : uid : gid : comment : home : shell
    /etc/group      name : password : gid : member,member

The files are the container's: they are opened as a process inside it would open them, must be regular (a FIFO would
hang us, a symbolic link leads nowhere outside), are read up to a bound, and a line that is malformed is passed over.
"""

from __future__ import annotations

import os
import stat

from podling.errors import InvalidArgument
from podling.linux import syscalls
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HIGHEST_ID = (1 << 31) - 1
_LONGEST_FILE = 16 << 20
_NO_USER = "no matching entries in passwd file"
_NO_GROUP = "no matching entries in group file"


class Account(Record):
    """Who a process is."""

    uid: int = 0
    gid: int = 0
    home: str = "/"
    name: str = ""  # empty: no entry in passwd
    supplementary: list[int] = []  # from the group file; empty where the user named a group


class Accounts:
    """The passwd and group files of a root filesystem, read once, when first asked for."""

    def __init__(self, rootfs: str, *, passwd_path: str | None = None, group_path: str | None = None) -> None:
        self._rootfs = rootfs
        self._overrides = {"etc/passwd": passwd_path, "etc/group": group_path}
        self._rows: dict[str, list[list[str]]] = {}

    def find(self, user: str) -> Account:
        """Return who `user` is. Raise InvalidArgument for a name that is not there and for a number out of range."""
        name, separator, group = user.partition(":")
        account = self._find_user(name)
        if separator and group:
            account.gid = self.group_id(group)
        elif account.name:
            account.supplementary = [gid for _, gid, members in self._groups() if account.name in members]
        return account

    def _find_user(self, name: str) -> Account:
        wanted = _number(name) if name else 0
        for row_name, uid, gid, home in self._users():
            if row_name == name if wanted is None else uid == wanted:
                return Account(uid=uid, gid=gid, home=home or "/", name=row_name)
        if wanted is None:
            raise InvalidArgument(f"unable to find user {name}: {_NO_USER}")
        return Account(uid=_checked(wanted))

    def group_id(self, group: str) -> int:
        """Return the ID of a group, by name or number. Raise InvalidArgument."""
        wanted = _number(group)
        if wanted is not None:
            return _checked(wanted)
        for name, gid, _ in self._groups():
            if name == group:
                return gid
        raise InvalidArgument(f"unable to find group {group}: {_NO_GROUP}")

    def has_uid(self, uid: int) -> bool:
        """Tell whether the passwd file has an entry for a number."""
        return any(row[1] == uid for row in self._users())

    def has_name(self, name: str) -> bool:
        """Tell whether the passwd file has an entry for a name."""
        return any(row[0] == name for row in self._users())

    def has_gid(self, gid: int) -> bool:
        """Tell whether the group file has an entry for a number."""
        return any(row[1] == gid for row in self._groups())

    def _users(self) -> Iterator[tuple[str, int, int, str]]:
        for row in self._read("etc/passwd"):
            uid, gid = (_number(row[2]), _number(row[3])) if len(row) > 3 else (None, None)
            if row[0] and uid is not None and gid is not None and max(uid, gid) <= HIGHEST_ID:
                yield row[0], uid, gid, row[5] if len(row) > 5 else ""

    def _groups(self) -> Iterator[tuple[str, int, list[str]]]:
        for row in self._read("etc/group"):
            gid = _number(row[2]) if len(row) > 2 else None
            if row[0] and gid is not None and gid <= HIGHEST_ID:
                yield row[0], gid, row[3].split(",") if len(row) > 3 else []

    def _read(self, path: str) -> list[list[str]]:
        if path not in self._rows:
            content = read_regular(self._rootfs, path, self._overrides[path])
            text = content.decode("utf-8", "surrogateescape")
            self._rows[path] = [line.strip().split(":") for line in text.split("\n") if line and line[0] not in "#+-"]
        return self._rows[path]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _checked(number: int) -> int:
    if number > HIGHEST_ID:
        raise InvalidArgument(f"uids and gids must be in range 0-{HIGHEST_ID}")
    return number


def groups_to_add(accounts: Accounts, groups: Sequence[str]) -> list[int]:
    """Return the IDs of the groups a user named with --group-add. Raise InvalidArgument."""
    return [accounts.group_id(group) for group in groups]


def read_regular(rootfs: str, path: str, override: str | None = None) -> bytes:
    """Return the content of a regular file of a root filesystem; empty where there is none, or it is something else.

    `override` names a file of the host that is mounted over it.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        if override is not None:
            fd = os.open(override, flags)
        else:
            root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = syscalls.open_in_root(root, path, flags)
            finally:
                os.close(root)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return _read_bounded(fd)
    finally:
        os.close(fd)


def _read_bounded(fd: int) -> bytes:
    parts: list[bytes] = []
    left = _LONGEST_FILE
    while left and (part := os.read(fd, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
