"""Which image a user means: by name, by short name, by digest, by ID or the beginning of one."""

from __future__ import annotations

from podling.errors import InvalidArgument, NotFound
from podling.oci import reference
from podling.oci.digest import is_digest, is_hex
from podling.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podling.store.index import Entry

    Prefer = Callable[[str], list[str]]  # a short name's path → repositories, the first choice first

_PREFERRED = ("localhost/", "docker.io/library/")


def select(entries: Sequence[Entry], name_or_id: str, prefer: Prefer | None = None) -> Entry:
    """Return the entry a user means.

    A name goes before an ID. A short name stands for any registry's: `fedora` finds quay.io/x/fedora:latest. Where it
    fits several images, `prefer` is asked for full names to try first; then local ones go first. Raise NotFound, and
    InvalidArgument where an ID prefix is ambiguous or the text cannot be a name at all.
    """
    identifier = name_or_id.removeprefix("sha256:")
    if is_digest("sha256:" + identifier):
        for entry in entries:
            if identifier == entry.image_id or (identifier != name_or_id and entry.digest == name_or_id):
                return entry
    named = _by_name(entries, name_or_id, prefer) if identifier == name_or_id else []
    if named:
        return named[0]
    if is_hex(identifier) and len(identifier) <= 64:
        return _by_prefix(entries, identifier, name_or_id)
    raise NotFound(f"{name_or_id}: image not known")


def matches(entry: Entry, wanted: Reference) -> bool:
    """Tell whether an entry goes by a parsed name, which has a tag or a digest."""
    if wanted.digest:
        return wanted.digest in (entry.digest, entry.index_digest) and any(
            _repository_matches(name, wanted)
            for name in (repository_of(entry.name), repository_of(entry.pinned))
            if name
        )
    repository, _, tag = entry.name.rpartition(":")
    return tag == wanted.tag and _repository_matches(repository, wanted)


def repository_of(name: str) -> str:
    """Return a stored name without its tag or digest."""
    repository, at, _ = name.partition("@")
    return repository if at else name.rpartition(":")[0]


def _repository_matches(repository: str, wanted: Reference) -> bool:
    if wanted.registry:
        return repository == wanted.repository
    return repository.endswith("/" + wanted.path)


def _by_name(entries: Sequence[Entry], name: str, prefer: Prefer | None) -> list[Entry]:
    for entry in entries:
        if entry.name == name:
            return [entry]
    wanted = reference.parse(name).with_default_tag()
    found = [entry for entry in entries if matches(entry, wanted)]
    if wanted.is_short and len({entry.image_id for entry in found}) > 1:
        preferred = prefer(wanted.path) if prefer else []
        preferred += [prefix + wanted.path for prefix in _PREFERRED]
        ranks = {repository: rank for rank, repository in reversed(list(enumerate(preferred)))}
        found.sort(key=lambda entry: ranks.get(repository_of(entry.name), len(preferred)))
    return found


def _by_prefix(entries: Sequence[Entry], prefix: str, name_or_id: str) -> Entry:
    found = {entry.image_id: entry for entry in reversed(entries) if entry.image_id.startswith(prefix)}
    if len(found) > 1:
        raise InvalidArgument(f'image ID "{name_or_id}" is ambiguous: {len(found)} images begin so')
    for entry in found.values():
        return entry
    raise NotFound(f"{name_or_id}: image not known")
