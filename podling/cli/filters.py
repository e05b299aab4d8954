"""--filter's values, by key."""

from __future__ import annotations

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def parse(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return --filter's values by key. Raise InvalidArgument for one that is not KEY=VALUE."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(f'invalid filter "{text}"')
        if key.endswith("!"):  # label!=x: the key is label!
            key = key[:-1].strip() + "!"
        found.setdefault(key, []).append(value)
    return found
