"""Content digests: `sha256:` and 64 hex digits. Every digest is checked here before it is used in a path or a URL."""

from __future__ import annotations

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "sha256:"
_HEX = frozenset("0123456789abcdef")


def is_hex(text: str) -> bool:
    """Tell whether a text consists of lower-case hex digits only, and at least one."""
    return bool(text) and _HEX.issuperset(text)


def is_digest(text: object) -> bool:
    """Tell whether a value is a sha256 digest, the one algorithm that registries use."""
    return isinstance(text, str) and len(text) == 71 and text.startswith(PREFIX) and is_hex(text[7:])


def hex_of(digest: str) -> str:
    """Return the 64 hex digits of a digest. Raise InvalidArgument where it is not one."""
    if not is_digest(digest):
        raise InvalidArgument(f'invalid digest "{digest}": want sha256 and 64 hex digits')
    return digest[7:]


def of(content: bytes) -> str:
    """Return the digest of a small content; streams use hashlib, which is faster and slower to import."""
    return PREFIX + _sha256(content)


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Return the chain ID of each layer, bottom first (image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        hex_of(diff_id)
        chain.append(of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def _sha256(content: bytes) -> str:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # Python 3.12 and newer
    except ImportError:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    return str(sha256(content).hexdigest())
