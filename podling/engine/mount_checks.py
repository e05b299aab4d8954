"""The rules for mount options: which go together, and which are added where the user names none."""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_DUPLICATE = "duplicate mount option passed"
_BAD = "invalid mount option"
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable")

# Of each of these rows, --volume may name one, once.
_ALTERNATIVES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("noexec", "exec"), "1 'noexec' or 'exec' option"),
    (("nodev", "dev"), "1 'nodev' or 'dev' option"),
    (("nosuid", "suid"), "1 'nosuid' or 'suid' option"),
    (("rw", "ro"), "1 'rw' or 'ro' option"),
    (("z", "Z", "O"), "1 'z', 'Z', or 'O' option"),
    (("U",), "1 'U' option"),
    (_PROPAGATIONS, "1 '[r]shared', '[r]private', '[r]slave' or '[r]unbindable' option"),
    (("bind", "rbind"), "1 '[r]bind' option"),
    (("copy", "nocopy"), "1 'copy' or 'nocopy' option"),
    (("no-dereference",), "1 'no-dereference' option"),
)
_DISCARDED = ("cached", "delegated")  # Docker's, for another operating system

# The same for options on their way into the specification: key, the group it is one of, what to say of a second one.
_GROUPS: dict[str, tuple[str, str]] = {}
for _names, _words in (
    (("copy", "nocopy"), "only one of 'nocopy' and 'copy' can be used"),
    (("exec", "noexec"), "only one of 'noexec' and 'exec' can be used"),
    (("suid", "nosuid"), "only one of 'nosuid' and 'suid' can be used"),
    (("nodev", "dev"), "only one of 'nodev' and 'dev' can be used"),
    (("rw", "ro"), "only one of 'rw' and 'ro' can be used"),
    (_PROPAGATIONS, "only one root propagation mode can be used"),
    (("size",), "only one tmpfs size can be specified"),
    (("mode",), "only one tmpfs mode can be specified"),
    (("tmpcopyup", "notmpcopyup"), "the 'tmpcopyup' or 'notmpcopyup' option can only be set once"),
    (("noswap",), "the 'tmpswap' option can only be set once"),
    (("no-dereference",), "the 'no-dereference' option can only be set once"),
    (("bind", "rbind"), "only one of 'rbind' and 'bind' can be used"),
    (("z", "Z"), "only one of 'z' and 'Z' can be used"),
    (("U",), "the 'U' option can only be set once"),
    (("idmap",), "the 'idmap' option can only be set once"),
    (("O",), "the 'O' option can only be set once"),
    (("noatime",), "the 'noatime' option can only be set once"),
    (("nocreate",), "the 'nocreate' option can only be set once"),
):
    for _name in _names:
        _GROUPS[_name] = (_names[0], _words)
_TMPFS_ONLY = ("size", "mode", "tmpcopyup", "notmpcopyup", "noswap", "noatime")
_NEVER_TMPFS = {"bind": "'bind' and 'rbind'", "rbind": "'bind' and 'rbind'", "z": "'z' and 'Z'", "Z": "'z' and 'Z'"}
_NOT_FOR_THE_RUNTIME = ("notmpcopyup", "nocreate", "consistency")


def check_volume_options(options: Sequence[str]) -> list[str]:
    """Return the options of a --volume without those that mean nothing here. Raise InvalidArgument."""
    kept = []
    counts: dict[str, int] = {}
    for option in options:
        if option in _DISCARDED:
            continue
        key = option.partition("=")[0]
        if key in ("upperdir", "workdir"):
            what = f"1 {key} per overlay"
        elif key in ("idmap", "nocreate"):
            what = ""
        else:
            what = next((words for names, words in _ALTERNATIVES if option in names), "-")
        if what == "-":
            raise InvalidArgument(f'invalid option type "{option}"')
        counts[what] = counts.get(what, 0) + 1
        if what and counts[what] > 1:
            raise InvalidArgument(f'invalid options "{", ".join(options)}", can only specify {what}')
        kept.append(option)
    return kept


def complete(options: Sequence[str], *, is_tmpfs: bool = False, source: str = "") -> list[str]:
    """Return options with what a mount needs beside: propagation, recursion, and what the source's own mount forbids.

    Raise InvalidArgument for options that contradict each other, and for a source that is not there.
    """
    kept: list[str] = []
    seen: set[str] = set()
    for option in options:
        key = option.partition("=")[0]
        if key in ("upperdir", "workdir", "volume-opt", "subpath"):
            kept.append(option)
        elif key != "consistency":
            seen.add(_check(option, key, seen, is_tmpfs))
            if key not in _NOT_FOR_THE_RUNTIME:
                kept.append(option)
    if "private" not in seen:
        kept.append("private" if "bind" in kept else "rprivate")
    kept += _inherited(seen, source)
    if is_tmpfs and "tmpcopyup" not in seen:
        kept.append("tmpcopyup")
    if not is_tmpfs and "bind" not in seen:
        kept.append("rbind")
    return kept


def _check(option: str, key: str, seen: set[str], is_tmpfs: bool) -> str:
    if key not in _GROUPS:
        raise InvalidArgument(f'unknown mount option "{option}": {_BAD}')
    group, words = _GROUPS[key]
    if key in _TMPFS_ONLY and not is_tmpfs:
        raise InvalidArgument(f"the '{key}' option is only allowed with tmpfs mounts: {_BAD}")
    if key in _NEVER_TMPFS and is_tmpfs:
        raise InvalidArgument(f"the {_NEVER_TMPFS[key]} options are not allowed with tmpfs mounts: {_BAD}")
    if group in seen:
        raise InvalidArgument(f"{words}: {_DUPLICATE}")
    return group


def _inherited(seen: set[str], source: str) -> list[str]:
    """Return noexec, nosuid and nodev: as the source's file system has them; a volume and a tmpfs are without set-uid
    programs and devices.
    """
    forbidden = {"noexec": False, "nosuid": True, "nodev": True}
    if source:
        try:
            flags = os.statvfs(source).f_flag
        except OSError as error:
            raise InvalidArgument(f"statfs {reason(error)}") from None
        forbidden = {"noexec": bool(flags & os.ST_NOEXEC), "nosuid": bool(flags & os.ST_NOSUID)}
        forbidden["nodev"] = bool(flags & os.ST_NODEV)
    groups = {"noexec": "exec", "nosuid": "suid", "nodev": "nodev"}
    return [option for option, wanted in forbidden.items() if wanted and groups[option] not in seen]
