"""Names of images: `registry/path:tag@digest`, and what is left out of them.

    fedora                                   a short name: which registry is the user's configuration's to say
    docker.io/library/fedora:latest          normalized
    quay.io/centos/centos@sha256:0123…       pinned

The grammar is that of the distribution project's reference package; it is checked by hand because importing re would
double the time of `images`.
"""

from __future__ import annotations

from podling.errors import InvalidArgument
from podling.oci.digest import is_digest
from podling.records import Record

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255
TAG_LIMIT = 128

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_WORD = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_HOST = (_WORD - {"_"}) | {"-"}
_SEPARATORS = ("_", "__", ".")


class Reference(Record):
    """A parsed name; `registry` is empty for a short name, `tag` and `digest` where not given."""

    registry: str = ""
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Return the name without tag and digest."""
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def is_short(self) -> bool:
        """Tell whether the name leaves its registry open."""
        return not self.registry

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """Return the reference with the tag "latest" if it has neither tag nor digest."""
        return self if self.tag or self.digest else self.with_changes(tag=DEFAULT_TAG)

    def at(self, registry: str) -> Reference:
        """Return the reference in a registry, which may carry a path prefix of its own."""
        host, _, prefix = registry.partition("/")
        path = f"{prefix}/{self.path}" if prefix else self.path
        if host in (DEFAULT_REGISTRY, "index.docker.io"):
            host, path = DEFAULT_REGISTRY, path if "/" in path else f"library/{path}"
        return self.with_changes(registry=host, path=path)


def parse(text: str) -> Reference:
    """Parse a name as the user wrote it. Raise InvalidArgument, in the words of the distribution project."""
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidArgument(f'invalid reference format: "{text}"')
    rest, tag = _split_tag(rest)
    if tag is not None and not _is_tag(tag):
        raise InvalidArgument(f'invalid reference format: "{text}"')
    registry, path = _split_registry(rest)
    if path != path.lower() and _is_path(path.lower()):
        raise InvalidArgument(f'invalid reference format: repository name must be lowercase: "{text}"')
    if not _is_path(path) or (registry and not _is_registry(registry)):
        raise InvalidArgument(f'invalid reference format: "{text}"')
    if len(rest) > NAME_LIMIT:
        raise InvalidArgument(
            f"invalid reference format: repository name must not be more than {NAME_LIMIT} characters"
        )
    reference = Reference(path=path, tag=tag or "", digest=digest)
    return reference.at(registry) if registry else reference


def normalize(text: str, default_registry: str = DEFAULT_REGISTRY) -> str:
    """Return the full name: registry, path, and a tag unless there is a digest."""
    reference = parse(text)
    if reference.is_short:
        reference = reference.at(default_registry)
    return str(reference.with_default_tag())


def _split_tag(text: str) -> tuple[str, str | None]:
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _split_registry(text: str) -> tuple[str, str]:
    first, slash, path = text.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    return (first, path) if slash and is_host else ("", text)


def _is_registry(text: str) -> bool:
    host, colon, port = text.partition(":")
    if text.startswith("["):
        host, bracket, colon_port = text[1:].partition("]")
        port, colon = colon_port[1:], colon_port[:1]
        return bool(bracket) and _consists(host, frozenset("0123456789abcdefABCDEF:")) and (not colon or port.isdigit())
    if colon and not (port.isascii() and port.isdigit()):
        return False
    labels = host.split(".")
    return all(_consists(label, _HOST) and label[0] != "-" and label[-1] != "-" for label in labels)


def _is_path(text: str) -> bool:
    return all(_is_component(component) for component in text.split("/"))


def _is_component(text: str) -> bool:
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    run = ""
    for character in text:
        if character in _LOWER:
            if run and run not in _SEPARATORS and run.strip("-"):
                return False
            run = ""
        elif character in "._-":
            run += character
        else:
            return False
    return True


def _is_tag(text: str) -> bool:
    return len(text) <= TAG_LIMIT and bool(text) and text[0] in _WORD and _consists(text, _WORD | {".", "-"})


def _consists(text: str, characters: frozenset[str]) -> bool:
    return bool(text) and characters.issuperset(text)
