"""containers.conf and storage.conf: where they are, how they merge, and a cache that spares a hot verb the parsing.

    storage.conf        /usr/share/containers/storage.conf, overridden key by key by /etc/containers/storage.conf
                        ($CONTAINERS_STORAGE_CONF is read instead of both)
    containers.conf     /usr/share/containers/containers.conf
                        /etc/containers/containers.conf
                        /etc/containers/containers.conf.d/*.conf          in the order of their names
                        ~/.config/containers/containers.conf, .conf.d     (not for root)
                        $CONTAINERS_CONF                                  instead of all of the above
                        --module NAME                                     each in turn
                        $CONTAINERS_CONF_OVERRIDE                         last

A later file replaces a key; an array that ends in `{append=true}` adds to what is there. What a distributor ships
below /usr/share speaks of Podman's own programs, so the keys that choose programs (`runtime`, `conmon_path`) count from
an administrator's files alone.

    RUNROOT/configuration.json     the merged result, and the identity of every file and directory considered

tomllib costs 5 ms and re with it; the cache costs a dozen stats.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError, reason
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Table = dict[str, Any]
    Identity = list[int] | None

VENDOR = "/usr/share/containers"
SYSTEM = "/etc/containers"
_VENDOR_MAY_NOT_CHOOSE = ("runtime", "conmon_path", "runtime_path")
_SETTLED_NANOSECONDS = 50_000_000  # a file younger than this may change again within its time stamp's grain


class Places:
    """The files to read, as the environment and the flags select them, and all that must be unchanged for a cache."""

    def __init__(
        self,
        environment: Mapping[str, str],
        modules: Sequence[str] = (),
        *,
        vendor: str = VENDOR,
        system: str = SYSTEM,
        effective_uid: int | None = None,
    ) -> None:
        self.vendor = vendor
        self.system = system
        self.modules = list(modules)
        self.only = environment.get("CONTAINERS_CONF", "")
        self.override = environment.get("CONTAINERS_CONF_OVERRIDE", "")
        self.only_storage = environment.get("CONTAINERS_STORAGE_CONF", "")
        uid = os.geteuid() if effective_uid is None else effective_uid
        self.personal = "" if uid == 0 else _personal_directory(environment)

    def key(self) -> str:
        """Return what a cached result is valid for, files apart."""
        parts = [self.vendor, self.system, self.only, self.override, self.only_storage, self.personal, *self.modules]
        return "\n".join(parts)


def _personal_directory(environment: Mapping[str, str]) -> str:
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    return os.path.join(base, "containers")


def load(places: Places, cache: str) -> Table:
    """Return {"containers": …, "engine": …, "network": …, …, "storage": …} as the files say; only what they say.

    Raise InvalidArgument where a file that was named is absent, or one is not TOML. A cache that cannot be written is
    done without.
    """
    found = _from_cache(places, cache)
    if found is not None:
        return found
    reader = _Reader()
    merged = reader.containers(places)
    merged["storage"] = reader.storage(places)
    if reader.settled():
        _write_cache(cache, {"key": places.key(), "watched": reader.watched, "merged": merged})
    return merged


def identity(path: str) -> Identity:
    """Return what changes whenever a file or directory does; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]


def _from_cache(places: Places, cache: str) -> Table | None:
    try:
        with open(cache, "rb", buffering=0) as file:
            kept = jsontext.loads(file.read())
        if kept["key"] != places.key():
            return None
        if any(identity(path) != known for path, known in kept["watched"].items()):
            return None
        merged: Table = kept["merged"]
    except (OSError, PodlingError, KeyError, TypeError, AttributeError):
        return None  # absent, or of another version
    return merged


def _write_cache(cache: str, content: Table) -> None:
    from podling.linux import files

    try:
        os.makedirs(os.path.dirname(cache), mode=0o711, exist_ok=True)
        files.write_atomically(cache, jsontext.dumps(content), mode=0o600, durable=False)
    except OSError:
        return  # a reader without rights, or a full disk: the next verb parses again


class _Reader:
    """One reading of all files; remembers what it looked at."""

    def __init__(self) -> None:
        self.watched: dict[str, Identity] = {}
        self.appending: set[tuple[str, ...]] = set()

    def settled(self) -> bool:
        """Tell whether all time stamps are old enough to tell a later change."""
        import time

        latest = max((known[1] for known in self.watched.values() if known), default=0)
        return time.time_ns() - latest > _SETTLED_NANOSECONDS

    def containers(self, places: Places) -> Table:
        merged: Table = {}
        if places.only:
            self._add_named(merged, places.only, "CONTAINERS_CONF")
        else:
            vendor = self._read(os.path.join(places.vendor, "containers.conf")) or {}
            for key in _VENDOR_MAY_NOT_CHOOSE:
                vendor.get("engine", {}).pop(key, None)
            self._merge(merged, vendor, ())
            for directory in (places.system, places.personal):
                if directory:
                    self._add(merged, os.path.join(directory, "containers.conf"))
                    self._add_directory(merged, os.path.join(directory, "containers.conf.d"))
        for module in places.modules:
            self._add(merged, self._find_module(places, module))
        if places.override:
            self._add_named(merged, places.override, "CONTAINERS_CONF_OVERRIDE")
        return merged

    def storage(self, places: Places) -> Table:
        merged: Table = {}
        if places.only_storage:
            self._add_named(merged, places.only_storage, "CONTAINERS_STORAGE_CONF")
        else:
            for directory in (places.vendor, places.system, places.personal):
                if directory:
                    self._add(merged, os.path.join(directory, "storage.conf"))
        table = merged.get("storage", {})
        return table if isinstance(table, dict) else {}

    def _find_module(self, places: Places, name: str) -> str:
        if os.path.isabs(name):
            candidates = [name]
        else:
            bases = [base for base in (places.personal, places.system, places.vendor) if base]
            candidates = [os.path.join(base, "containers.conf.modules", name) for base in bases]
        for path in candidates:
            self.watched[path] = identity(path)
            if self.watched[path] is not None:
                return path
        raise InvalidArgument(f'could not resolve module "{name}": stat {candidates[-1]}: no such file or directory')

    def _add_named(self, merged: Table, path: str, variable: str) -> None:
        found = self._read(path)
        if found is None:
            raise InvalidArgument(f"{variable} file: stat {path}: no such file or directory")
        self._merge(merged, found, ())

    def _add_directory(self, merged: Table, directory: str) -> None:
        self.watched[directory] = identity(directory)
        if self.watched[directory] is None:
            return
        for name in sorted(os.listdir(directory)):
            if name.endswith(".conf"):
                self._add(merged, os.path.join(directory, name))

    def _add(self, merged: Table, path: str) -> None:
        found = self._read(path)
        if found is not None:
            self._merge(merged, found, ())

    def _read(self, path: str) -> Table | None:
        self.watched[path] = identity(path)
        if self.watched[path] is None:
            return None
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f'reading "{path}"') from error
        return parse(text, path)

    def _merge(self, into: Table, table: Table, where: tuple[str, ...]) -> None:
        for key, value in table.items():
            place = (*where, key)
            if isinstance(value, dict):
                below = into.setdefault(key, {})
                if isinstance(below, dict):
                    self._merge(below, value, place)
            elif isinstance(value, list):
                into[key] = self._merged_array(into.get(key), value, place)
            else:
                into[key] = value

    def _merged_array(self, before: Any, array: list[Any], place: tuple[str, ...]) -> list[Any]:
        items = [item for item in array if not (isinstance(item, dict) and "append" in item)]
        for item in array:
            if isinstance(item, dict) and "append" in item:
                (self.appending.add if item["append"] else self.appending.discard)(place)
        if place in self.appending and isinstance(before, list):
            return [*before, *items]
        return items


def parse(text: str, path: str) -> Table:
    """Parse TOML, without importing the parser for a file of comments. Raise InvalidArgument."""
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f'decode configuration "{path}": {reason(error).lower()}') from None
