"""Command-line flags as rows of text, read as Go's flag package reads them.

    "bundle,b=DIR"        takes a value: --bundle DIR, --bundle=DIR, -b DIR, -bundle DIR
    "env,e=VALUE..."      takes a value, repeatedly: a list
    "preserve-fds#N"      takes a whole number, 0 by default
    "detach,d"            a switch: --detach, --detach=true, --detach=false

One or two dashes are the same. "--" ends the flags. Short switches are not bundled, since `-no-subreaper` is a long
one.
"""

from __future__ import annotations

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_SWITCH, _TEXT, _LIST, _NUMBER = "", "=", "...", "#"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def _row(row: str) -> tuple[list[str], str, str]:
    """Return a row's names, kind and metavariable."""
    for mark in (_TEXT, _NUMBER):
        names, found, meta = row.partition(mark)
        if found:
            kind = _LIST if meta.endswith("...") else mark
            return names.split(","), kind, meta.removesuffix("...")
    return row.split(","), _SWITCH, ""


def parse(options: Iterable[str], words: list[str], *, interspersed: bool = True) -> tuple[dict[str, Any], list[str]]:
    """Return the flags by their first names, all of them present, and the other words.

    Without `interspersed` the flags end at the first other word. Raise InvalidArgument for anything unknown.
    """
    values: dict[str, Any] = {}
    known: dict[str, tuple[str, str]] = {}
    for row in options:
        names, kind, _meta = _row(row)
        values[names[0]] = {_SWITCH: False, _TEXT: None, _LIST: [], _NUMBER: 0}[kind]
        known.update(dict.fromkeys(names, (names[0], kind)))
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            rest.extend(remaining)
        elif word.startswith("-") and word != "-":
            _take(word, remaining, known, values)
        else:
            rest.append(word)
            if not interspersed:
                rest.extend(remaining)
    return values, rest


def _take(word: str, remaining: Iterable[str], known: dict[str, tuple[str, str]], values: dict[str, Any]) -> None:
    name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
    if name not in known:
        raise InvalidArgument(f"flag provided but not defined: -{name}")
    first, kind = known[name]
    if kind == _SWITCH:
        values[first] = _switch(name, value) if equals else True
        return
    if not equals:
        following = next(iter(remaining), None)
        if following is None:
            raise InvalidArgument(f"flag needs an argument: -{name}")
        value = following
    if kind == _LIST:
        values[first].append(value)
    else:
        values[first] = _number(name, value) if kind == _NUMBER else value


def _switch(name: str, value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise InvalidArgument(f'invalid boolean value "{value}" for -{name}')
    return value in _TRUE


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.removeprefix("-").isdigit():
        raise InvalidArgument(f'invalid value "{value}" for flag -{name}: not a whole number')
    return int(value)


def only_id(words: list[str]) -> str:
    """Return the one word that a verb takes, a container ID."""
    if not words:
        raise InvalidArgument("container id cannot be empty")
    if len(words) > 1:
        raise InvalidArgument(f'unexpected argument "{words[1]}"')
    return words[0]


def usage(name: str, synopsis: str, purpose: str, options: Iterable[str]) -> str:
    """Return a verb's help text."""
    return (
        f"NAME:\n   {name} - {purpose}\n\nUSAGE:\n   {name} [command options] {synopsis}\n\nOPTIONS:\n{rows(options)}"
    )


def rows(options: Iterable[str]) -> str:
    """Return the help lines of some flags."""
    lines = []
    for row in options:
        names, kind, meta = _row(row)
        flags = ", ".join(f"--{name}" if len(name) > 1 else f"-{name}" for name in names)
        lines.append(f"   {flags}{' ' if kind else ''}{meta}\n")
    return "".join(lines)
