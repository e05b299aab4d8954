"""JSON without the import price of the json package.

The standard package imports re, enum and functools, 5 ms, for the sake of its pure-Python fallback and its error
messages. The C scanner and encoder below it are all we need on the hot verbs; errors come out the same.
"""

from __future__ import annotations

import _json

from podling.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}


class _Context:
    """What the C scanner reads from a JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__
    memo: dict[str, str] = {}


encode_basestring: Any = _json.encode_basestring
_scan: Any = _json.make_scanner(_Context())  # type: ignore[arg-type]


def loads(text: str | bytes) -> Any:
    """Parse one JSON value. Raise Corrupt where the text is not JSON."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        stripped = text.strip(" \t\r\n")
        value, end = _scan(stripped, 0)
    except StopIteration as stop:
        raise Corrupt(f"not JSON at character {stop.value}") from None
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"not JSON: {error}") from None
    if end != len(stripped):
        raise Corrupt(f"not JSON: extra text at character {end}")
    return value


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """Return a JSON value as compact text, not escaping beyond what JSON demands."""
    encode: Any = _json.make_encoder(None, _refuse, encode_basestring, None, ":", ",", sort_keys, False, False)
    return "".join(encode(value, 0))


def dumps_indented(value: Any, indent: str = "    ", prefix: str = "") -> str:
    """Return a JSON value as indented text in the layout of Go's MarshalIndent."""
    if isinstance(value, dict):
        if not value:
            return "{}"
        inner = prefix + indent
        rows = [
            f"{inner}{encode_basestring(str(key))}: {dumps_indented(item, indent, inner)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{prefix}}}"
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        inner = prefix + indent
        return "[\n" + ",\n".join(inner + dumps_indented(item, indent, inner) for item in value) + f"\n{prefix}]"
    return dumps(value)


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not a JSON type")
