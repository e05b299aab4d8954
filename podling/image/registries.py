"""registries.conf, version 2: which registry a name means, where it really is, and how much it is trusted.

    registries.conf          CONTAINERS_REGISTRIES_CONF, else the user's, else the system's
    registries.conf.d/*.conf CONTAINERS_REGISTRIES_CONF_DIR, else the system's and the user's; later files override
    short-name-aliases.conf  what Podman's users chose when it asked them

    unqualified-search-registries = ["docker.io"]
    [[registry]]  prefix, location, insecure, blocked, mirror-by-digest-only, [[registry.mirror]]
    [aliases]     "fedora" = "registry.fedoraproject.org/fedora"

See containers-registries.conf(5).
"""

from __future__ import annotations

import os
import tomllib

from podling.errors import InvalidArgument, NotFound
from podling.image.request import SYSTEM_DIRECTORY, PullRequest
from podling.oci import reference
from podling.oci.reference import Reference
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MODES = ("permissive", "enforcing", "disabled")


class Endpoint(Record):
    """A place that serves images: `location` replaces the prefix that the name matched."""

    location: str
    insecure: bool = False
    pull_from: str = "all"  # all, digest-only, tag-only: for a mirror


class Registry(Record):
    """What the configuration says about the names under a prefix."""

    prefix: str
    endpoint: Endpoint
    blocked: bool = False
    mirrors: list[Endpoint] = []


class Source(Record):
    """Where a name is to be pulled from."""

    reference: Reference
    insecure: bool = False


class Resolution(Record):
    """What a name may stand for, in the order to try, and a sentence that says why."""

    description: str = ""
    candidates: list[Reference]


class Registries(Record):
    """The configuration, merged."""

    registries: dict[str, Registry] = {}
    unqualified: list[str] = []
    unqualified_origin: str = ""
    mode: str = "permissive"
    aliases: dict[str, tuple[str, str]] = {}  # short name → full name, the file that says so

    def resolve(self, name: str) -> Resolution:
        """Return what a name stands for. Raise NotFound where a short name stands for nothing."""
        parsed = reference.parse(name)
        if not parsed.is_short:
            return Resolution(candidates=[parsed.with_default_tag()])
        if parsed.path in self.aliases:
            value, origin = self.aliases[parsed.path]
            target = reference.parse(value)
            full = parsed.with_changes(registry=target.registry, path=target.path).with_default_tag()
            return Resolution(description=f'Resolved "{parsed.path}" as an alias ({origin})', candidates=[full])
        if not self.unqualified:
            raise NotFound(
                f'short-name "{name}" did not resolve to an alias and no unqualified-search registries are defined '
                f'in "{self.unqualified_origin}"'
            )
        if self.mode == "enforcing" and len(self.unqualified) > 1:
            raise InvalidArgument(
                f'short-name "{name}" may stand for images of {" or ".join(self.unqualified)}: short-name-mode is '
                "enforcing, so use a full name"
            )
        return Resolution(
            description=f'Resolving "{parsed.path}" using unqualified-search registries ({self.unqualified_origin})',
            candidates=[parsed.at(registry).with_default_tag() for registry in self.unqualified],
        )

    def repositories(self, path: str) -> list[str]:
        """Return the repositories that a short name stands for among local images, the first choice first."""
        alias = [self.aliases[path][0]] if path in self.aliases else []
        found = [f"localhost/{path}", *(f"{registry}/{path}" for registry in self.unqualified)]
        return [reference.parse(name).repository for name in alias + found]

    def find(self, wanted: Reference) -> Registry | None:
        """Return the entry with the longest prefix of a full name."""
        matching = [entry for entry in self.registries.values() if _prefix_length(wanted, entry.prefix)]
        return max(matching, key=lambda entry: len(entry.prefix), default=None)

    def sources(self, wanted: Reference) -> list[Source]:
        """Return where to pull a full name from: mirrors, then the registry itself. The entry is not blocked."""
        entry = self.find(wanted)
        if entry is None:
            return [Source(reference=wanted)]
        kind = "digest-only" if wanted.digest else "tag-only"
        mirrors = [mirror for mirror in entry.mirrors if mirror.pull_from in ("all", kind)]
        return [
            Source(reference=_rewrite(wanted, entry.prefix, endpoint.location), insecure=endpoint.insecure)
            for endpoint in (*mirrors, entry.endpoint)
        ]


def load(request: PullRequest) -> Registries:
    """Read the configuration. Raise InvalidArgument where a file is malformed or named and not there."""
    merged = Registries()
    main = _main_file(request)
    merged.unqualified_origin = main or f"{SYSTEM_DIRECTORY}/registries.conf"
    for path in ([main] if main else []) + _drop_ins(request):
        _merge(merged, _read(path), path)
    cache = _alias_cache(request)
    if os.path.isfile(cache):
        _merge_aliases(merged, _read(cache), cache)
    return merged


def _main_file(request: PullRequest) -> str | None:
    named = request.registries_conf or request.environment.get("CONTAINERS_REGISTRIES_CONF")
    return named or request.configuration_file("registries.conf")


def _drop_ins(request: PullRequest) -> list[str]:
    named = request.registries_conf_dir or request.environment.get("CONTAINERS_REGISTRIES_CONF_DIR")
    own = f"{request.home}/.config/containers/registries.conf.d"
    directories = [named] if named else [f"{SYSTEM_DIRECTORY}/registries.conf.d", own]
    found = []
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += [f"{directory}/{name}" for name in names if name.endswith(".conf")]
    return found


def _alias_cache(request: PullRequest) -> str:
    if os.geteuid() == 0:
        return "/var/cache/containers/short-name-aliases.conf"
    return f"{request.home}/.cache/containers/short-name-aliases.conf"


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InvalidArgument("loading registries configuration") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f'loading registries configuration "{path}"') from error


def _merge(merged: Registries, document: dict[str, Any], path: str) -> None:
    if isinstance(document.get("registries"), dict):
        raise InvalidArgument(f'registries configuration "{path}" is in the obsolete version 1 of the format')
    for table in document.get("registry") or []:
        entry = _registry(table, path)
        merged.registries[entry.prefix] = entry
    if "unqualified-search-registries" in document:
        merged.unqualified = list(document["unqualified-search-registries"])
        merged.unqualified_origin = path
    mode = document.get("short-name-mode") or merged.mode
    if mode not in _MODES:
        raise InvalidArgument(f'registries configuration "{path}" has the invalid short-name mode "{mode}"')
    merged.mode = mode
    _merge_aliases(merged, document, path)


def _merge_aliases(merged: Registries, document: dict[str, Any], path: str) -> None:
    for short, full in (document.get("aliases") or {}).items():
        if full:
            merged.aliases[short] = (full, path)
        else:
            merged.aliases.pop(short, None)  # an empty alias takes back that of an earlier file


def _registry(table: dict[str, Any], path: str) -> Registry:
    location = _location(table.get("location") or "", path)
    prefix = _location(table.get("prefix") or location, path)
    if not prefix:
        raise InvalidArgument(f'registries configuration "{path}" has a registry with neither prefix nor location')
    digest_only = "digest-only" if table.get("mirror-by-digest-only") else "all"
    return Registry(
        prefix=prefix,
        endpoint=Endpoint(location=location, insecure=bool(table.get("insecure"))),
        blocked=bool(table.get("blocked")),
        mirrors=[
            Endpoint(
                location=_location(mirror.get("location") or "", path),
                insecure=bool(mirror.get("insecure")),
                pull_from=mirror.get("pull-from-mirror") or digest_only,
            )
            for mirror in table.get("mirror") or []
        ],
    )


def _location(text: str, path: str) -> str:
    if text.startswith(("http://", "https://")):
        raise InvalidArgument(f"invalid location '{text}' in \"{path}\": URI schemes are not supported")
    return text.rstrip("/")


def _prefix_length(wanted: Reference, prefix: str) -> int:
    """Return how much of a name a prefix matches: whole components, or the host of `*.example.com`."""
    if prefix.startswith("*."):
        host = wanted.registry.partition(":")[0]
        return len(prefix) if host.endswith(prefix[1:]) else 0
    full = str(wanted)
    if full == prefix:
        return len(prefix)
    return len(prefix) if full.startswith(prefix) and full[len(prefix)] in "/:@" else 0


def _rewrite(wanted: Reference, prefix: str, location: str) -> Reference:
    """Return a name with its matched prefix replaced by a location."""
    if not location:
        return wanted
    matched = wanted.registry if prefix.startswith("*.") else prefix
    return reference.parse(location + str(wanted).removeprefix(matched))
