"""Values of flags as Go's strconv and encoding/csv read them, with their error texts.

Scripts match these texts, and the differences to Python are real: Go takes `0x10` and `1_000` for integers by prefix,
`t` for a bool, and refuses ` 1` and digits that are not ASCII.
"""

from __future__ import annotations

from podling.errors import InvalidArgument

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def quoted(text: str) -> str:
    """Return a string as Go's %q prints it."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    if plain.isprintable():
        return f'"{plain}"'
    return '"' + "".join(_escaped(character) for character in plain) + '"'


def _escaped(character: str) -> str:
    named = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    code = ord(character)
    if character in named:
        return named[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _bad(function: str, text: str, why: str = "invalid syntax") -> InvalidArgument:
    return InvalidArgument(f"strconv.{function}: parsing {quoted(text)}: {why}")


def boolean(text: str) -> bool:
    """Read a bool. Raise InvalidArgument."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _bad("ParseBool", text)


def integer(text: str, *, bits: int = 64) -> int:
    """Read a signed integer with an optional base prefix. Raise InvalidArgument."""
    number = _integer(text, "ParseInt")
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise _bad("ParseInt", text, "value out of range")
    return number


def unsigned(text: str, *, bits: int = 64) -> int:
    """Read an unsigned integer with an optional base prefix. Raise InvalidArgument."""
    if text[:1] in ("+", "-"):
        raise _bad("ParseUint", text)
    number = _integer(text, "ParseUint")
    if number >= 1 << bits:
        raise _bad("ParseUint", text, "value out of range")
    return number


def _integer(text: str, function: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    octal = len(digits) > 1 and digits[0] == "0" and (digits[1].isdigit() or digits[1] == "_")
    if not text.isascii() or text != text.strip() or digits[:1] in ("+", "-"):
        raise _bad(function, text)
    try:
        number = int("0o" + digits[1:], 8) if octal else int(digits, 0)
    except ValueError:
        raise _bad(function, text) from None
    return -number if text[0] == "-" else number


def floating(text: str) -> float:
    """Read a float. Raise InvalidArgument."""
    try:
        if not text.isascii() or text != text.strip() or "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise _bad("ParseFloat", text) from None


def comma_separated(text: str) -> list[str]:
    """Read one record of comma-separated values, where a field may be quoted. Raise InvalidArgument."""
    if '"' not in text:
        return text.split(",") if text else []
    fields: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            field, rest = _quoted_field(rest)
        else:
            field, comma, after = rest.partition(",")
            rest = comma + after
            if '"' in field:
                column = len(text) - len(rest) - len(field) + field.index('"') + 1
                raise InvalidArgument(f'parse error on line 1, column {column}: bare " in non-quoted-field')
        fields.append(field)
        if not rest:
            return fields
        rest = rest[1:]


def _quoted_field(text: str) -> tuple[str, str]:
    field = ""
    position = 1
    while True:
        end = text.find('"', position)
        if end < 0:
            raise InvalidArgument(
                f'parse error on line 1, column {len(text) + 1}: extraneous or missing " in quoted-field'
            )
        field += text[position:end]
        if text[end + 1 : end + 2] != '"':
            break
        field += '"'
        position = end + 2
    rest = text[end + 1 :]
    if rest and rest[0] != ",":
        raise InvalidArgument(f'parse error on line 1, column {end + 1}: extraneous or missing " in quoted-field')
    return field, rest
