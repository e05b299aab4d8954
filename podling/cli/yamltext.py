"""YAML as `info` prints it: keys sorted, empty values kept, strings quoted where they could be taken for others."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS = ("", "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "-", "=", "<<")


def render(value: Any, indent: str = "") -> str:
    """Return a JSON value as block YAML, ending in a newline."""
    if isinstance(value, dict) and value:
        return "".join(f"{indent}{_scalar(key)}:{_after_key(value[key], indent)}" for key in sorted(value))
    if isinstance(value, list) and value:
        return "".join(f"{indent}- {render(item, indent + '  ')[len(indent) + 2 :]}" for item in value)
    return f"{indent}{_scalar(value)}\n"


def _after_key(value: Any, indent: str) -> str:
    if isinstance(value, dict) and value:
        return "\n" + render(value, indent + "  ")
    if isinstance(value, list) and value:
        return "\n" + render(value, indent)
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        keep = "|" if value.endswith("\n") else "|-"
        lines = value.rstrip("\n").split("\n")
        return f" {keep}\n" + "".join(f"{indent}  {line}".rstrip() + "\n" for line in lines)
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _string(str(value))


def _string(text: str) -> str:
    if not text.isprintable():
        from podling.oci import jsontext

        return jsontext.dumps(text)
    if text.lower() in _WORDS or _is_number(text):
        return f'"{text}"'
    if text[0] in "!&*-?|>@`\"'%#,[]{}: " or ": " in text or " #" in text or text[-1] in ": ":
        return "'" + text.replace("'", "''") + "'"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return text.startswith("0x")
    return True
