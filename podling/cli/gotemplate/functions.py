"""The functions a template may call: Go's own, and Podman's join json lower pad split title truncate upper."""

from __future__ import annotations

from podling.cli.gotemplate import formatting, values
from podling.cli.gotemplate.values import ABSENT, ANY, BOOL, INT, STRING, STRINGS, Type, Value
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Misuse(Exception):
    """A function was given what it cannot work with."""


class Function:
    """A function: its parameters' types (`rest` for any number more), and what it computes."""

    __slots__ = ("compute", "parameters", "rest")

    def __init__(
        self, compute: Callable[..., Value], parameters: tuple[Type, ...] = (), rest: Type | None = None
    ) -> None:
        self.compute = compute
        self.parameters = parameters
        self.rest = rest


def _text(data: str) -> Value:
    return Value(STRING, data)


def _truth(data: bool) -> Value:
    return Value(BOOL, data)


# comparison

_COMPARABLE = ("bool", "int", "uint", "float", "string")


def _equal(first: Value, second: Value, *others: Value) -> Value:
    return _truth(any(_same(first, other) for other in (second, *others)))


def _same(one: Value, other: Value) -> bool:
    one, other = values.settle(one), values.settle(other)
    if "invalid" in (one.kind, other.kind) or {one.kind, other.kind} & {"pointer"}:
        if one.kind in _COMPARABLE or other.kind in _COMPARABLE:
            return False
        return one.data is None and other.data is None
    for side in (one, other):
        if side.kind in ("slice", "map") or not _is_comparable(side):
            if side.data is None or (one.data is None or other.data is None):
                return one.data is None and other.data is None
            raise Misuse(f"non-comparable type {formatting.plain(side)}: {side.type_name}")
    if one.kind == "struct" and one.type is not other.type:
        raise Misuse("incompatible types for comparison")
    _check_kinds(one, other)
    return bool(one.data == other.data)


def _is_comparable(item: Value) -> bool:
    """Tell whether a struct has only fields that can be compared; anything else can."""
    fields = item.type.fields.values() if item.type is not None else ()
    return all(field.type.kind in _COMPARABLE for field in fields)


def _check_kinds(one: Value, other: Value) -> None:
    if one.kind != other.kind and {one.kind, other.kind} != {"int", "uint"}:
        raise Misuse("incompatible types for comparison")


def _less(one: Value, other: Value) -> bool:
    one, other = values.settle(one), values.settle(other)
    for side in (one, other):
        if side.kind not in _COMPARABLE or side.kind == "bool":
            raise Misuse("invalid type for comparison")
    _check_kinds(one, other)
    return bool(one.data < other.data)


# containers


def _index(item: Value, *keys: Value) -> Value:
    item = values.indirect(item)
    if item.kind == "invalid":
        raise Misuse("index of untyped nil")
    for key in keys:
        item = values.indirect(_index_once(item, values.indirect(key)))
    return item


def _index_once(item: Value, key: Value) -> Value:
    if item.kind == "map":
        assert item.type is not None and item.type.elem is not None and item.type.key is not None
        if key.kind != item.type.key.kind and {key.kind, item.type.key.kind} != {"int", "uint"}:
            raise Misuse(f"value has type {key.type_name}; should be {item.type.key.name}")
        name = key.data if item.type.key.kind == "string" else str(key.data)
        found = (item.data or {}).get(name)
        return item.type.elem.zero() if found is None else Value(item.type.elem, found)
    if item.kind in ("slice", "string"):
        if key.kind not in ("int", "uint"):
            shown = (
                "cannot index slice/array with nil"
                if key.kind == "invalid"
                else (f"cannot index slice/array with type {key.type_name}")
            )
            raise Misuse(shown)
        data = _bytes(item.data) if item.kind == "string" else item.data or []
        if not 0 <= key.data < len(data):
            raise Misuse(f"index out of range: {key.data}")
        elem = values.type_of("uint8") if item.kind == "string" else item.type.elem if item.type else None
        return Value(elem, data[key.data])
    raise Misuse(f"can't index item of type {item.type_name}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _slice(item: Value, *bounds: Value) -> Value:
    item = values.indirect(item)
    if item.kind not in ("slice", "string"):
        raise Misuse(f"can't slice item of type {item.type_name}")
    data = _bytes(item.data) if item.kind == "string" else item.data or []
    numbers = [values.indirect(bound).data for bound in bounds]
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool):
            raise Misuse(f"cannot index slice/array with type {values.of(number).type_name}")
        if not 0 <= number <= len(data):
            raise Misuse(f"index out of range: {number}")
    first, last = (*numbers, *[0, len(data)][len(numbers) :])[:2]
    if first > last:
        raise Misuse(f"invalid slice index: {first} > {last}")
    part = data[first:last]
    return Value(item.type, part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part)


def _length(item: Value) -> Value:
    item = values.indirect(item)
    if item.kind == "string":
        return Value(INT, len(_bytes(item.data)))
    if item.kind in ("slice", "map"):
        return Value(INT, len(item.data or ()))
    if item.kind == "invalid":
        raise Misuse("reflect: call of reflect.Value.Type on zero Value")
    raise Misuse("len of nil pointer" if item.kind == "pointer" else f"len of type {item.type_name}")


# text


def _print(*items: Value) -> Value:
    """Join as fmt.Sprint does: a space only between two neighbours that are both no strings."""
    text = ""
    for position, item in enumerate(items):
        neighbours = items[position - 1 : position + 1] if position else ()
        if neighbours and all(values.settle(each).kind != "string" for each in neighbours):
            text += " "
        text += formatting.plain(item)
    return _text(text)


def _println(*items: Value) -> Value:
    return _text(" ".join(map(formatting.plain, items)) + "\n")


def _html(*items: Value) -> Value:
    table = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "�"}
    return _text("".join(table.get(letter, letter) for letter in _shown(*items)))


def _shown(*items: Value) -> str:
    return "<no value>" if len(items) == 1 and items[0].kind == "invalid" else str(_print(*items).data)


def _js(*items: Value) -> Value:
    table = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    text = "".join(
        table.get(letter) or (letter if letter.isprintable() else f"\\u{ord(letter):04X}") for letter in _shown(*items)
    )
    return _text(text)


def _urlquery(*items: Value) -> Value:
    from urllib.parse import quote_plus

    return _text(quote_plus(_shown(*items), safe=""))


def _json(item: Value) -> Value:
    return _text(to_json(item))


def to_json(item: Value) -> str:
    """Return a value as Go's encoding/json writes it, without escaping HTML."""
    text = jsontext.dumps(_jsonable(item))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _jsonable(item: Value) -> Any:
    """Return plain data with the keys of maps sorted; a struct's are in order already."""
    item = values.settle(item)
    if item.type is None or item.data is None:
        return None
    if item.kind == "pointer":
        return _jsonable(Value(item.type.elem, item.data))
    if item.kind == "map":
        return {key: _jsonable(Value(item.type.elem, item.data[key])) for key in sorted(item.data)}
    if item.kind == "slice":
        return [_jsonable(Value(item.type.elem, each)) for each in item.data]
    if item.kind == "struct" and isinstance(item.data, dict):
        types = {field.key: field.type for field in item.type.fields.values() if field.key is not None}
        return {key: _jsonable(Value(types.get(key, ANY), data)) for key, data in item.data.items() if key[:1] != "_"}
    if item.kind == "float" and item.data == int(item.data) and abs(item.data) < 1e21:
        return int(item.data)
    return item.data


def _pad(source: Value, before: Value, after: Value) -> Value:
    return _text(" " * max(0, before.data) + source.data + " " * max(0, after.data) if source.data else "")


def _title(source: Value) -> Value:
    """Upper the first letter of each word, as strings.Title does: a word begins after what is no letter or digit."""
    text = ""
    for letter in source.data:
        begins = not text or not (text[-1].isalnum() or text[-1] in "_'")
        text += letter.title() if begins else letter
    return _text(text)


def _truncate(source: Value, length: Value) -> Value:
    data = _bytes(source.data)
    if length.data < 0:
        raise Misuse(f"runtime error: slice bounds out of range [:{length.data}]")
    return source if len(data) < length.data else _text(data[: length.data].decode("utf-8", "surrogateescape"))


def _split(source: Value, separator: Value) -> Value:
    return Value(STRINGS, source.data.split(separator.data) if separator.data else list(source.data))


def _call(function: Value, *_arguments: Value) -> Value:
    if function.kind == "invalid":
        raise Misuse("call of nil")
    raise Misuse(f"non-function of type {function.type_name}")


def _and(*items: Value) -> Value:
    return next((item for item in items if not values.is_true(item)), items[-1])


def _or(*items: Value) -> Value:
    return next((item for item in items if values.is_true(item)), items[-1])


FUNCTIONS: dict[str, Function] = {
    "and": Function(_and, (ANY,), ANY),
    "or": Function(_or, (ANY,), ANY),
    "not": Function(lambda item: _truth(not values.is_true(item)), (ANY,)),
    "eq": Function(_equal, (ANY, ANY), ANY),
    "ne": Function(lambda one, other: _truth(not _same(one, other)), (ANY, ANY)),
    "lt": Function(lambda one, other: _truth(_less(one, other)), (ANY, ANY)),
    "le": Function(lambda one, other: _truth(_less(one, other) or _same(one, other)), (ANY, ANY)),
    "gt": Function(lambda one, other: _truth(not _less(one, other) and not _same(one, other)), (ANY, ANY)),
    "ge": Function(lambda one, other: _truth(not _less(one, other)), (ANY, ANY)),
    "len": Function(_length, (ANY,)),
    "index": Function(_index, (ANY,), ANY),
    "slice": Function(_slice, (ANY,), ANY),
    "print": Function(_print, (), ANY),
    "printf": Function(lambda layout, *items: _text(formatting.printf(layout.data, list(items))), (STRING,), ANY),
    "println": Function(_println, (), ANY),
    "html": Function(_html, (), ANY),
    "js": Function(_js, (), ANY),
    "urlquery": Function(_urlquery, (), ANY),
    "call": Function(_call, (ANY,), ANY),
    "join": Function(lambda items, separator: _text(separator.data.join(items.data or [])), (STRINGS, STRING)),
    "json": Function(_json, (ANY,)),
    "lower": Function(lambda text: _text(text.data.lower()), (STRING,)),
    "pad": Function(_pad, (STRING, INT, INT)),
    "split": Function(_split, (STRING, STRING)),
    "title": Function(_title, (STRING,)),
    "truncate": Function(_truncate, (STRING, INT)),
    "upper": Function(lambda text: _text(text.data.upper()), (STRING,)),
}
SHORT_CIRCUITING = ("and", "or")

__all__ = ["ABSENT", "FUNCTIONS", "SHORT_CIRCUITING", "Misuse", "to_json"]
