"""Go's fmt: how values print themselves, and Printf's verbs."""

from __future__ import annotations

from podling.cli.gotemplate import values
from podling.cli.gotemplate.values import Value
from podling.cli.scalars import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def plain(value: Value, *, names: bool = False, depth: int = 0) -> str:
    """Return a value as %v prints it, or with `names` as %+v."""
    return _render(value, _scalar, names=names, depth=depth)


def _render(value: Value, scalar: Callable[[Value], str], *, names: bool = False, depth: int = 0) -> str:
    value = values.settle(value)
    kind = value.kind
    if kind == "invalid":
        return "<nil>"
    assert value.type is not None
    if "String" in value.type.methods:
        return str(value.type.methods["String"].compute(value.data))
    if kind == "pointer":
        if value.data is None:
            return "<nil>"
        target = values.indirect(value)
        if depth or target.kind not in ("struct", "map", "slice"):
            return "0xc000000000"
        return "&" + _render(target, scalar, names=names, depth=depth)
    if kind == "slice":
        assert value.type.elem is not None
        items = [
            _render(Value(value.type.elem, item), scalar, names=names, depth=depth + 1) for item in value.data or []
        ]
        return f"[{' '.join(items)}]"
    if kind == "map":
        pairs = [f"{key}:{_map_item(value, key, scalar, names, depth)}" for key in map_keys(value)]
        return f"map[{' '.join(pairs)}]"
    if kind == "struct":
        return _struct(value, scalar, names, depth)
    return scalar(value)


def map_keys(value: Value) -> list[str]:
    """Return a map's keys in the order in which Go prints and ranges over them."""
    assert value.type is not None and value.type.key is not None
    keys = list(value.data or {})
    return sorted(keys, key=int) if value.type.key.kind in ("int", "uint") else sorted(keys)


def _map_item(value: Value, key: str, scalar: Callable[[Value], str], names: bool, depth: int) -> str:
    assert value.type is not None
    return _render(Value(value.type.elem, value.data[key]), scalar, names=names, depth=depth + 1)


def _struct(value: Value, scalar: Callable[[Value], str], names: bool, depth: int) -> str:
    assert value.type is not None
    parts = []
    embedded = {name for field in value.type.fields.values() if field.key is None for name in field.type.fields}
    for name in value.type.fields:
        if name in embedded:
            continue
        text = _render(field_value(value, name), scalar, names=names, depth=depth + 1)
        parts.append(f"{name}:{text}" if names else text)
    return "{" + " ".join(parts) + "}"


def field_value(value: Value, name: str) -> Value:
    """Return a struct's field; its zero value where the data lacks it (an omitted empty one)."""
    assert value.type is not None
    field = value.type.fields[name]
    if field.key is None:
        return Value(field.type, value.data)
    data = (value.data or {}).get(field.key)
    return field.type.zero() if data is None else Value(field.type, data)


def _scalar(value: Value) -> str:
    if value.kind == "bool":
        return "true" if value.data else "false"
    if value.kind == "float":
        return float_text(value.data)
    return str(value.data)


def float_text(number: float) -> str:
    """Return a float as %v prints it: the shortest digits, with an exponent below 1e-4 and from 1e+06 on."""
    if number != number or number in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(number), "NaN")
    if number == 0:
        return "0"
    digits, exponent = _shortest(abs(number))
    sign = "-" if number < 0 else ""
    if not -4 <= exponent < 6:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _shortest(number: float) -> tuple[str, int]:
    """Return the fewest digits that tell a positive float from its neighbours, and the exponent of the first."""
    mantissa, _, power = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    first = len(digits) - len(digits.lstrip("0"))
    exponent = len(whole) - 1 - first + int(power or 0)
    return digits.strip("0"), exponent


def printf(layout: str, arguments: list[Value]) -> str:
    """Return text as fmt.Sprintf makes it."""
    parts: list[str] = []
    rest = list(arguments)
    position = 0
    while position < len(layout):
        start = layout.find("%", position)
        if start < 0:
            parts.append(layout[position:])
            break
        parts.append(layout[position:start])
        verb = _Verb(layout, start + 1, rest)
        position = verb.end
        parts.append(verb.text)
    if rest:
        extra = ", ".join(f"{item.type_name}={plain(item)}" for item in rest)
        parts.append(f"%!(EXTRA {extra})")
    return "".join(parts)


class _Verb:
    """One verb of a layout with its flags, width and precision; takes its arguments off a list."""

    def __init__(self, layout: str, position: int, arguments: list[Value]) -> None:
        self.flags = ""
        while position < len(layout) and layout[position] in "+-# 0":
            self.flags += layout[position]
            position += 1
        self.width, position = self._count(layout, position, arguments)
        self.precision: int | None = None
        if layout[position : position + 1] == ".":
            self.precision, position = self._count(layout, position + 1, arguments)
            self.precision = self.precision or 0
        self.end = position + 1
        letter = layout[position : position + 1]
        if not letter:
            self.text = "%!(NOVERB)"
        elif letter == "%":
            self.text = "%"
        elif not arguments:
            self.text = f"%!{letter}(MISSING)"
        else:
            self.text = self._padded(self._format(letter, arguments.pop(0)), letter)

    def _count(self, layout: str, position: int, arguments: list[Value]) -> tuple[int | None, int]:
        if layout[position : position + 1] == "*" and arguments:
            count = arguments.pop(0).data
            if isinstance(count, int) and count < 0:
                self.flags, count = self.flags + "-", -count
            return (min(count, 1_000_000) if isinstance(count, int) else None), position + 1
        end = position
        while end < len(layout) and "0" <= layout[end] <= "9":
            end += 1
        return (min(int(layout[position:end]), 1_000_000) if end > position else None), end

    def _padded(self, text: str, letter: str) -> str:
        room = (self.width or 0) - len(text)
        if room <= 0:
            return text
        if "-" in self.flags:
            return text + " " * room
        if "0" in self.flags and letter not in "sqvT":
            sign = text[:1] if text[:1] in "+-" else ""
            return sign + "0" * room + text[len(sign) :]
        return " " * room + text

    def _format(self, letter: str, value: Value) -> str:
        value = values.settle(value)
        if letter == "T":
            return value.type_name
        if letter == "v":
            if "#" in self.flags:
                return go_syntax(value)
            return plain(value, names="+" in self.flags)
        if value.kind == "invalid":
            return f"%!{letter}(<nil>)"
        return _render(value, lambda each: self._scalar(letter, each))

    def _scalar(self, letter: str, value: Value) -> str:
        text = self._attempt(letter, value)
        return f"%!{letter}({value.type_name}={plain(value)})" if text is None else text

    def _attempt(self, letter: str, value: Value) -> str | None:
        """Return the text, or None where the verb does not fit the kind."""
        data = value.data
        if value.kind == "string":
            return self._string(letter, data)
        if value.kind in ("int", "uint"):
            return self._integer(letter, data)
        if value.kind == "float" and letter in "eEfFgG":
            return self._sign(data) + self._float(letter, abs(data))
        if value.kind == "bool" and letter == "t":
            return "true" if data else "false"
        return None

    def _string(self, letter: str, data: str) -> str | None:
        shown = data if self.precision is None else data[: self.precision]
        if letter == "s":
            return shown
        if letter == "q":
            return f"`{shown}`" if "#" in self.flags and "`" not in shown else quoted(shown)
        if letter in "xX":
            digits = shown.encode("utf-8", "surrogateescape").hex(" " if " " in self.flags else "\0").replace("\0", "")
            return digits.upper() if letter == "X" else digits
        return None

    def _integer(self, letter: str, data: int) -> str | None:
        if letter == "c":
            return chr(data)
        if letter == "q":
            return "'" + quoted(chr(data))[1:-1].replace('\\"', '"') + "'"
        if letter == "U":
            return f"U+{data:04X}"
        layouts = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
        if letter not in layouts:
            return None
        digits = format(abs(data), layouts[letter])
        if self.precision is not None:
            digits = digits.zfill(self.precision)
        prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(letter, "") if "#" in self.flags else ""
        return self._sign(data) + ("0o" if letter == "O" else prefix) + digits

    def _sign(self, data: float) -> str:
        if data < 0:
            return "-"
        return "+" if "+" in self.flags else " " if " " in self.flags else ""

    def _float(self, letter: str, data: float) -> str:
        if letter in "gG" and self.precision is None:
            return float_text(data) if letter == "g" else float_text(data).upper()
        return format(data, f".{6 if self.precision is None else self.precision}{letter}")


def go_syntax(value: Value) -> str:
    """Return a value as %#v prints it."""
    value = values.settle(value)
    if value.kind == "invalid":
        return "<nil>"
    assert value.type is not None
    if value.kind == "string":
        return quoted(value.data)
    if value.data is None:
        return f"({value.type.name})(nil)" if value.kind == "pointer" else f"{value.type.name}(nil)"
    if value.kind == "slice":
        return value.type.name + "{" + ", ".join(go_syntax(Value(value.type.elem, item)) for item in value.data) + "}"
    if value.kind == "map":
        pairs = [f"{quoted(key)}:{go_syntax(Value(value.type.elem, value.data[key]))}" for key in map_keys(value)]
        return value.type.name + "{" + ", ".join(pairs) + "}"
    if value.kind == "struct":
        fields = [f"{name}:{go_syntax(field_value(value, name))}" for name in value.type.fields]
        return value.type.name + "{" + ", ".join(fields) + "}"
    if value.kind == "pointer":
        return "&" + go_syntax(values.indirect(value))
    return plain(value)
