"""The grammars of mounts.

    --volume   [SOURCE:]DESTINATION[:OPTION,…]        SOURCE beginning with / or . is a path, any other a volume's name
    --mount    type=bind|volume|tmpfs|ramfs|devpts|glob,src=…,dst=…,OPTION[=VALUE],…        (comma-separated values)
    --tmpfs    DESTINATION[:OPTION,…]

Each returns {"kind": "mount" | "volume" | "overlay", "destination", "options", and "type" "source" or "name"}.
"""

from __future__ import annotations

import os

from podling.engine import mount_checks
from podling.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Mount = dict[str, Any]

_NO_ARGUMENT = "must provide an argument for option"
_BAD_OPTION = "invalid mount option"
_PROPAGATIONS = ("shared", "rshared", "private", "rprivate", "slave", "rslave", "unbindable", "runbindable")
_DESTINATIONS = ("target", "dst", "dest", "destination")
_SOURCES = ("src", "source")
_DEVPTS_OPTIONS = ("uid", "gid", "mode", "ptmxmode", "newinstance", "max")
_NOT_YET = {"image": "image mounts", "artifact": "artifact mounts"}


# --volume


def parse_volume(text: str) -> Mount:
    """Return what a `--volume` says. Raise InvalidArgument."""
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidArgument(f"{text}: incorrect volume format, should be [host-dir:]ctr-dir[:option]")
    options = mount_checks.check_volume_options(parts[2].split(",")) if len(parts) > 2 else []
    source, destination = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if len(parts) > 1 and not source:
        raise InvalidArgument("host directory cannot be empty")
    mount: Mount = {"destination": clean_destination(destination), "options": options}
    if not source.startswith(("/", ".")):
        return {"kind": "volume", "name": source, **mount}
    if source.startswith("./"):
        source = os.path.realpath(source)
        if not os.path.exists(source):
            raise InvalidArgument(f"lstat {source}: no such file or directory")
    if "O" not in options:
        return {"kind": "mount", "type": "bind", "source": source, **mount}
    _check_overlay(options)
    return {"kind": "overlay", "source": os.path.abspath(source), **mount}


def _check_overlay(options: list[str]) -> None:
    upper = any(option.startswith("upperdir") for option in options)
    work = any(option.startswith("workdir") for option in options)
    if upper != work:
        raise InvalidArgument("must set both `upperdir` and `workdir`")
    others = [
        option for option in options if option not in ("O", "U") and not option.startswith(("upperdir", "workdir"))
    ]
    if others:
        raise InvalidArgument("can't use 'O' with other options")
    for option in options:
        key, separator, value = option.partition("=")
        if separator and not value:
            raise InvalidArgument(f"cannot accept empty value for {key}")


def clean_destination(path: str) -> str:
    """Return a place in the container, cleaned. Raise InvalidArgument for an empty or relative one."""
    if not path:
        raise InvalidArgument("container directory cannot be empty")
    if not path.startswith("/"):
        raise InvalidArgument(f'invalid container path "{path}", must be an absolute path')
    return "/" + os.path.normpath(path).lstrip("/")


# --tmpfs


def parse_tmpfs(text: str) -> Mount:
    """Return what a `--tmpfs` says. Raise InvalidArgument."""
    place, separator, words = text.partition(":")
    options = words.partition(":")[0].split(",") if separator and words else []
    destination = clean_destination(place)
    return {"kind": "mount", "type": "tmpfs", "source": "tmpfs", "destination": destination, "options": options}


# --mount


def parse_mount(text: str) -> list[Mount]:
    """Return what a `--mount` says: one mount, or for `type=glob` one for each path. Raise InvalidArgument."""
    kind, tokens = find_type(text)
    if kind in _NOT_YET:
        raise Unsupported(f"--mount type={kind}: {_NOT_YET[kind]} are not supported yet")
    if kind == "devpts":
        return [_devpts(tokens)]
    if kind not in ("bind", "volume", "tmpfs", "ramfs", "glob"):
        raise InvalidArgument(f'invalid filesystem type "{kind}"')
    found = _Tokens(kind)
    for token in tokens:
        found.take(token)
    return found.mounts()


def find_type(text: str) -> tuple[str, list[str]]:
    """Return type and the other fields of a `--mount`; without a type it is a volume. Raise InvalidArgument."""
    fields = split_fields(text)
    if not any(fields):
        raise InvalidArgument(
            "incorrect mount format, should be --mount type=<bind|tmpfs|volume>,[src=<host-dir|volume-name>,]"
            "target=<ctr-dir>[,options]"
        )
    kind = "volume"
    tokens = []
    for field in fields:
        name, separator, value = field.partition("=")
        if name == "type" and separator:
            kind = value
        else:
            tokens.append(field)
    return kind, tokens


def split_fields(text: str) -> list[str]:
    """Return the fields of one line of comma-separated values, `"…"` quoting commas and `""` a quote."""
    fields = [""]
    quoted = False
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                fields[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif character == "," and not quoted:
            fields.append("")
        else:
            fields[-1] += character
        position += 1
    if quoted:
        raise InvalidArgument(f"parse error in --mount {text}: a quoted field is not closed")
    return fields


def _devpts(tokens: list[str]) -> Mount:
    mount: Mount = {"kind": "mount", "type": "devpts", "source": "devpts", "destination": "", "options": []}
    for token in tokens:
        name, separator, value = token.partition("=")
        if name in _DEVPTS_OPTIONS:
            mount["options"].append(token)
        elif name in _DESTINATIONS:
            if not separator:
                raise InvalidArgument(f"{name}: {_NO_ARGUMENT}")
            mount["destination"] = clean_destination(value)
        else:
            raise InvalidArgument(f"{name}: {_BAD_OPTION}")
    if not mount["destination"]:
        raise InvalidArgument("must set volume destination")
    return mount


class _Tokens:
    """The fields of one --mount, taken one by one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.source = ""
        self.destination = ""
        self.subpath = ""
        self.options: list[str] = []
        self._seen: set[str] = set()

    def take(self, token: str) -> None:
        """Take one field. Raise InvalidArgument."""
        name, separator, value = token.partition("=")
        if name in ("consistency",):
            return
        if name in _SOURCES:
            self._take_source(name, separator, value)
        elif name in _DESTINATIONS:
            self._take_destination(name, separator, value)
        elif name in ("readonly", "ro", "rw"):
            self._take_access(name, value)
        elif name in _PROPAGATIONS or name in ("Z", "z", "no-dereference"):
            self.options.append(name)
        else:
            self._take_other(name, separator, value, token)

    def _once(self, group: str, names: str) -> None:
        if group in self._seen:
            raise InvalidArgument(f"cannot pass {names} mnt.Options more than once: {_NO_ARGUMENT}")
        self._seen.add(group)

    def _only_for(self, kind: str, name: str) -> None:
        if self.kind != kind:
            raise InvalidArgument(f'"{name}" option not supported for "{self.kind}" mount types')

    def _take_source(self, name: str, separator: str, value: str) -> None:
        if self.kind == "tmpfs":
            raise InvalidArgument(f'"{name}" option not supported for "{self.kind}" mount types')
        if self.source:
            raise InvalidArgument(f'cannot pass "{name}" option more than once: {_NO_ARGUMENT}')
        if not separator:
            raise InvalidArgument(f"{name}: {_NO_ARGUMENT}")
        if not value:
            raise InvalidArgument(f"host directory cannot be empty: {_NO_ARGUMENT}")
        self.source = value

    def _take_destination(self, name: str, separator: str, value: str) -> None:
        if self.destination:
            raise InvalidArgument(f'cannot pass "{name}" option more than once: {_NO_ARGUMENT}')
        if not separator:
            raise InvalidArgument(f"{name}: {_NO_ARGUMENT}")
        self.destination = clean_destination(value)

    def _take_access(self, name: str, value: str) -> None:
        self._once("access", "'readonly', 'ro', or 'rw'")
        option = "ro" if name == "readonly" else name
        if value.lower() in ("", "true"):
            self.options.append(option)
        elif value.lower() == "false" and option == "rw":
            self.options.append("ro")

    def _take_other(self, name: str, separator: str, value: str, token: str) -> None:
        for group in (("nodev", "dev"), ("noexec", "exec"), ("nosuid", "suid")):
            if name in group:
                self._once(group[0], f"'{group[0]}' and '{group[1]}'")
                self.options.append(name)
                return
        handler = getattr(self, "_take_" + name.replace("-", "_"), None)
        if handler is None:
            raise InvalidArgument(f"{name}: {_BAD_OPTION}")
        handler(separator, value, token)

    def _need(self, name: str, separator: str) -> None:
        if not separator:
            raise InvalidArgument(f"{name}: {_NO_ARGUMENT}")

    def _take_bind_nonrecursive(self, separator: str, value: str, token: str) -> None:
        self._only_for("bind", "bind-nonrecursive")
        self.options.append("bind")

    def _take_bind_propagation(self, separator: str, value: str, token: str) -> None:
        self._only_for("bind", "bind-propagation")
        self._need("bind-propagation", separator)
        if value not in _PROPAGATIONS:
            raise InvalidArgument(f'invalid value "{token}"')
        self.options.append(value)

    def _take_idmap(self, separator: str, value: str, token: str) -> None:
        self.options.append(token)

    def _take_noswap(self, separator: str, value: str, token: str) -> None:
        self._once("noswap", "'noswap'")
        self.options.append("noswap")

    def _take_relabel(self, separator: str, value: str, token: str) -> None:
        if "relabel" in self._seen:
            raise InvalidArgument(f"cannot pass 'relabel' option more than once: {_NO_ARGUMENT}")
        self._seen.add("relabel")
        letters = {"private": "Z", "shared": "z"}
        if value not in letters:
            raise InvalidArgument(f"relabel mount option must be 'private' or 'shared': {_BAD_OPTION}")
        self.options.append(letters[value])

    def _take_subpath(self, separator: str, value: str, token: str) -> None:
        if self.kind != "volume":
            raise InvalidArgument(f'cannot set option "{token.partition("=")[0]}" on non-volume mounts')
        self._need("subpath", separator)
        self.subpath = os.path.normpath(f"/{value}").replace("//", "/").rstrip("/")

    _take_volume_subpath = _take_subpath

    def _take_tmpcopyup(self, separator: str, value: str, token: str) -> None:
        self._only_for("tmpfs", token)
        self._once("tmpcopyup", "'tmpcopyup' and 'notmpcopyup'")
        self.options.append(token)

    _take_notmpcopyup = _take_tmpcopyup

    def _take_tmpfs_mode(self, separator: str, value: str, token: str) -> None:
        self._only_for("tmpfs", "tmpfs-mode")
        self._need("tmpfs-mode", separator)
        self.options.append(f"mode={value}")

    def _take_tmpfs_size(self, separator: str, value: str, token: str) -> None:
        self._only_for("tmpfs", "tmpfs-size")
        self._need("tmpfs-size", separator)
        self.options.append(f"size={value}")

    def _take_U(self, separator: str, value: str, token: str) -> None:
        if "U" in self._seen:
            raise InvalidArgument(f"cannot pass 'U' or 'chown' option more than once: {_NO_ARGUMENT}")
        self._seen.add("U")
        if value.lower() not in ("", "true", "false"):
            raise InvalidArgument(
                f"'U' or 'chown' must be set to true or false, instead received \"{value}\": {_NO_ARGUMENT}"
            )
        if value.lower() != "false":
            self.options.append("U")

    _take_chown = _take_U

    def _take_volume_label(self, separator: str, value: str, token: str) -> None:
        self._only_for("volume", "volume-label")
        raise InvalidArgument("the --volume-label option is not presently implemented")

    def _take_volume_opt(self, separator: str, value: str, token: str) -> None:
        self._only_for("volume", "volume-opt")
        raise Unsupported(f"--mount volume-opt={value}: mounting a file system as a volume is not supported")

    def _take_nocreate(self, separator: str, value: str, token: str) -> None:
        self._only_for("volume", "nocreate")
        self.options.append("nocreate")

    def mounts(self) -> list[Mount]:
        """Return what the fields make. Raise InvalidArgument."""
        if self.kind == "glob":
            return self._globbed()
        if not self.destination:
            raise InvalidArgument("must set volume destination")
        mount: Mount = {"destination": self.destination, "options": self.options}
        if self.kind == "volume":
            volume = {"kind": "volume", "name": self.source, **mount}
            return [{**volume, "subpath": self.subpath} if self.subpath else volume]
        if self.kind == "bind":
            mount["options"] = mount_checks.check_volume_options(self.options)
            return [{"kind": "mount", "type": "bind", "source": self.source or self.destination, **mount}]
        return [{"kind": "mount", "type": self.kind, "source": self.kind, **mount}]

    def _globbed(self) -> list[Mount]:
        import glob

        paths = sorted(glob.glob(self.source))
        if not paths:
            raise InvalidArgument(f'no file paths matching glob "{self.source}"')
        options = mount_checks.check_volume_options(self.options)
        made = []
        for path in paths:
            place = f"{self.destination}/{os.path.basename(path)}" if self.destination else os.path.abspath(path)
            destination = clean_destination(place)
            made.append(
                {"kind": "mount", "type": "bind", "source": path, "destination": destination, "options": list(options)}
            )
        return made
