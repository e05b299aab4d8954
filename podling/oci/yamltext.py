"""The part of YAML that programs write into configuration files: enough for CDI specifications, without a library.

Block mappings and sequences by indentation, flow lists and mappings, plain and quoted scalars, literal (|) and folded
(>) blocks, comments, one document. No anchors, tags, complex keys or multi-line plain scalars: those are refused.
"""

from __future__ import annotations

from podling.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/", "e": "\x1b", " ": " "}
_DEEPEST = 100


def loads(text: str) -> Any:
    """Parse one document. Raise Corrupt for what is not YAML, or not of the part described above."""
    parser = _Parser(text)
    value = parser.block(0, 0)
    parser.skip_blank()
    if parser.row < len(parser.lines):
        raise Corrupt(f"not YAML at line {parser.row + 1}")
    return value


class _Parser:
    """A cursor over lines."""

    def __init__(self, text: str) -> None:
        self.lines = text.replace("\r\n", "\n").split("\n")
        self.row = 0

    def skip_blank(self) -> None:
        while self.row < len(self.lines):
            text = self.lines[self.row].strip()
            if text and not text.startswith("#") and text not in ("---", "..."):
                return
            self.row += 1

    def _refuse(self, why: str) -> Corrupt:
        return Corrupt(f"not YAML at line {self.row + 1}: {why}")

    def block(self, least: int, depth: int) -> Any:
        """Parse the block that begins here, if it is indented by `least` or more; else None."""
        if depth > _DEEPEST:
            raise self._refuse("too deep")
        self.skip_blank()
        if self.row >= len(self.lines):
            return None
        line = self.lines[self.row]
        indent = len(line) - len(line.lstrip(" "))
        if indent < least:
            return None
        if line[indent] == "\t":
            raise self._refuse("a tab indents")
        text = line[indent:]
        if text == "-" or text.startswith("- "):
            return self._sequence(indent, depth)
        if _key_end(text) >= 0:
            return self._mapping(indent, depth)
        self.row += 1
        return self._scalar(text, indent)

    def _at(self, indent: int) -> str | None:
        """Return the text of the next line that has something on it, if it is indented just so."""
        self.skip_blank()
        if self.row >= len(self.lines):
            return None
        line = self.lines[self.row]
        found = len(line) - len(line.lstrip(" "))
        if found > indent:
            raise self._refuse("unexpected indentation")
        return line[indent:] if found == indent else None

    def _sequence(self, indent: int, depth: int) -> list[Any]:
        items: list[Any] = []
        while (text := self._at(indent)) is not None and (text == "-" or text.startswith("- ")):
            rest = text[1:].lstrip(" ")
            if not rest or rest.startswith("#"):
                self.row += 1
                items.append(self.block(indent + 1, depth + 1))
                continue
            inner = indent + len(text) - len(rest)
            self.lines[self.row] = " " * inner + rest  # what follows the dash is a block of its own
            items.append(self.block(inner, depth + 1))
        return items

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (text := self._at(indent)) is not None:
            end = _key_end(text)
            if end < 0:
                raise self._refuse("a key was expected")
            if not text[:end].strip():
                raise self._refuse("a key was expected")
            key = str(self._scalar(text[:end].strip(), indent, as_key=True))
            rest = text[end + 1 :].strip()
            self.row += 1
            if rest and not rest.startswith("#"):
                found[key] = self._scalar(rest, indent)
            else:
                found[key] = self._value_below(indent, depth)
        return found

    def _value_below(self, indent: int, depth: int) -> Any:
        self.skip_blank()
        if self.row < len(self.lines) and self.lines[self.row].startswith(" " * indent + "-"):
            return self.block(indent, depth + 1)  # a sequence may stand at its key's own indentation
        return self.block(indent + 1, depth + 1)

    def _scalar(self, text: str, indent: int, *, as_key: bool = False) -> Any:
        if text[0] in "|>" and not as_key:
            return self._literal(text, indent)
        if text[0] in "&*!%@`?":
            raise self._refuse(f'"{text[0]}" is not supported')
        if text[0] in "\"'[{":
            value, rest = _flow(text, 0)
            if rest.strip() and not rest.lstrip().startswith("#"):
                raise self._refuse("text after a value")
            return value
        plain = text.partition(" #")[0].strip()
        return plain if as_key else _plain(plain)

    def _literal(self, header: str, indent: int) -> str:
        rows: list[str] = []
        inner = 0
        while self.row < len(self.lines):
            line = self.lines[self.row]
            found = len(line) - len(line.lstrip(" "))
            if line.strip() and found <= indent:
                break
            inner = inner or (found if line.strip() else 0)
            rows.append(line[inner:] if line.strip() else "")
            self.row += 1
        text = ("\n" if header[0] == "|" else " ").join(rows).rstrip("\n ")
        return text if "-" in header else text + "\n"


def _key_end(text: str) -> int:
    """Return where a line's key ends, -1 where it has none."""
    if text[0] in "\"'":
        closing = text.find(text[0], 1)
        return closing + 1 if closing > 0 and text[closing + 1 : closing + 2] == ":" else -1
    if text[0] in "[{":
        return -1
    end = text.find(": ")
    if end < 0 and text.rstrip().endswith(":"):
        end = len(text.rstrip()) - 1
    comment = text.find(" #")
    return -1 if 0 <= comment < end else end


def _flow(text: str, depth: int) -> tuple[Any, str]:
    """Parse a flow value at the beginning of a text; return it and the rest."""
    if depth > _DEEPEST or not text:
        raise Corrupt("not YAML: a value was expected")
    if text[0] in "\"'":
        return _quoted(text)
    if text[0] == "[":
        return _flow_list(text[1:].lstrip(), depth)
    if text[0] == "{":
        return _flow_mapping(text[1:].lstrip(), depth)
    end = min((place for place in (text.find(mark) for mark in ",]}") if place >= 0), default=len(text))
    return _plain(text[:end].strip()), text[end:]


def _flow_list(rest: str, depth: int) -> tuple[list[Any], str]:
    items: list[Any] = []
    while not rest.startswith("]"):
        value, rest = _flow(rest, depth + 1)
        items.append(value)
        rest = _after_item(rest.lstrip(), "]")
    return items, rest[1:]


def _flow_mapping(rest: str, depth: int) -> tuple[dict[str, Any], str]:
    found: dict[str, Any] = {}
    while not rest.startswith("}"):
        if rest[:1] in ("'", '"'):
            key, rest = _quoted(rest)
        else:
            key, separator, rest = rest.partition(":")
            rest = separator + rest
        if not rest.startswith(":"):
            raise Corrupt("not YAML: a key was expected")
        value, rest = _flow(rest[1:].lstrip(), depth + 1)
        found[key.strip()] = value
        rest = _after_item(rest.lstrip(), "}")
    return found, rest[1:]


def _after_item(rest: str, closing: str) -> str:
    if rest.startswith(","):
        return rest[1:].lstrip()
    if not rest.startswith(closing):
        raise Corrupt(f'not YAML: "{closing}" was expected')
    return rest


def _quoted(text: str) -> tuple[str, str]:
    mark = text[0]
    result = ""
    position = 1
    while position < len(text):
        character = text[position]
        if mark == "'" and text[position : position + 2] == "''":
            result, position = result + "'", position + 2
        elif character == mark:
            return result, text[position + 1 :]
        elif mark == '"' and character == "\\":
            if text[position + 1 : position + 2] not in _ESCAPES:
                raise Corrupt("not YAML: unknown escape")
            result, position = result + _ESCAPES[text[position + 1]], position + 2
        else:
            result, position = result + character, position + 1
    raise Corrupt("not YAML: a quote is not closed")


def _plain(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    digits = text.lstrip("+-")
    if digits.isascii() and digits.isdigit() and len(text) - len(digits) < 2:
        return int(text, 8) if len(digits) > 1 and digits[0] == "0" else int(text)
    for prefix, base in (("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            try:
                return int(text, base)
            except ValueError:
                return text
    try:
        return float(text) if any(character.isdigit() for character in text) and text[0] in "+-.0123456789" else text
    except ValueError:
        return text
