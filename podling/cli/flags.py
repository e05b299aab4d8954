"""Flags as data, and the grammar of Go's pflag that Podman's users have in their fingers.

    -a -b  =  -ab                     shorts bundle; the last of a bundle may take a value
    -n5  -n=5  -n 5                   three ways to give a short its value
    --flag=value  --flag value        two for a long one; a bool only with "="
    --                                ends the flags
    IMAGE -x                          after the first argument flags go on, unless the verb is not interspersed

One row per flag. A row drives the parser, the help and the completion; verbs list rows, and nothing else in the program
knows a flag's spelling, type or default.
"""

from __future__ import annotations

from podling.cli import scalars
from podling.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

LISTS = ("array", "slice")
_EMPTY: dict[str, Any] = {"bool": False, "string": "", "array": [], "slice": [], "int": 0, "uint": 0, "float": 0.0}


class UsageError(InvalidArgument):
    """The command line does not fit the verb's flags and arguments; the user is pointed to its help."""


class HelpRequested(Exception):
    """The user asked for help instead."""


class Flag:
    """A row of a flag table.

    `kind` is bool, string, array (repeatable), slice (repeatable, and split at commas), int, uint, float, duration (its
    value stays text once checked) or count. A backquoted word of `text` names the value in the help. `choices` are the
    only values taken. `refused` says why giving the flag is an error; the value `accepted` is none all the same.
    """

    __slots__ = ("accepted", "aliases", "choices", "default", "hidden", "kind", "name", "refused", "short", "text")

    def __init__(
        self,
        name: str,
        kind: str,
        text: str,
        *,
        short: str = "",
        default: Any = None,
        aliases: tuple[str, ...] = (),
        choices: tuple[str, ...] = (),
        hidden: bool = False,
        refused: str = "",
        accepted: Any = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.short = short
        self.default = _EMPTY.get(kind, "") if default is None else default
        self.aliases = aliases
        self.choices = choices
        self.hidden = hidden
        self.refused = refused
        self.accepted = accepted

    def spelling(self) -> str:
        """Return the flag as error messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class FlagSet:
    """The flags of a command, the values given to them, and the flags it inherits from the program."""

    def __init__(self, flags: Iterable[Flag], inherited: FlagSet | None = None) -> None:
        self.flags = tuple(flags)
        self.inherited = inherited
        self.given: dict[str, Any] = {}
        self.by_name = {flag.name: flag for flag in self.flags}
        self._by_short = {flag.short: flag for flag in self.flags if flag.short}

    # what was given

    def changed(self, name: str) -> bool:
        """Tell whether the user gave the flag."""
        return name in self.given

    def value(self, name: str) -> Any:
        """Return a flag's value, or its default."""
        return self.given[name] if name in self.given else self.by_name[name].default

    def optional(self, name: str) -> Any:
        """Return a flag's value, or None where it was not given."""
        return self.given.get(name)

    def boolean(self, name: str) -> bool:
        """Return a bool's value; False for a flag that this verb has not."""
        return bool(self.given.get(name, self.by_name[name].default if name in self.by_name else False))

    def text(self, name: str) -> str:
        """Return a string's value."""
        return str(self.value(name))

    def number(self, name: str) -> int:
        """Return an integer's value."""
        return int(self.value(name))

    def texts(self, name: str) -> list[str]:
        """Return the values of a repeatable flag."""
        return list(self.value(name))

    # the grammar

    def parse(self, arguments: list[str], *, interspersed: bool = True) -> list[str]:
        """Take the flags out of a command line, keep their values and return the arguments. Raise UsageError."""
        rest = list(arguments)
        kept: list[str] = []
        while rest:
            word = rest.pop(0)
            if len(word) < 2 or word[0] != "-":
                kept.append(word)
                if not interspersed:
                    break
            elif word == "--":
                break
            elif word.startswith("--"):
                self._parse_long(word, rest)
            else:
                self._parse_shorts(word[1:], rest)
        return kept + rest

    def find(self, name: str) -> tuple[Flag, FlagSet] | None:
        """Return the flag of a long name or one of its aliases, and the set that keeps its value."""
        flag = self.by_name.get(name)
        if flag is None:
            flag = next((each for each in self.flags if name in each.aliases), None)
        if flag is not None:
            return flag, self
        return self.inherited.find(name) if self.inherited else None

    def find_short(self, letter: str) -> tuple[Flag, FlagSet] | None:
        """Return the flag of a short name, and the set that keeps its value."""
        if letter in self._by_short:
            return self._by_short[letter], self
        return self.inherited.find_short(letter) if self.inherited else None

    def _parse_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if name[:1] in ("", "-"):
            raise UsageError(f"bad flag syntax: {word}")
        found = self.find(name)
        if found is None:
            if name == "help":
                raise HelpRequested
            raise UsageError(f"unknown flag: --{name}")
        flag, owner = found
        if not equals:
            if flag.kind == "bool":
                value = "true"
            elif flag.kind == "count":
                value = "+1"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        owner.assign(flag, value)

    def _parse_shorts(self, letters: str, rest: list[str]) -> None:
        whole = letters
        while letters:
            letter, letters = letters[0], letters[1:]
            found = self.find_short(letter)
            if found is None:
                if letter == "h":
                    raise HelpRequested
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{whole}")
            flag, owner = found
            if len(letters) > 1 and letters[0] == "=":
                value, letters = letters[1:], ""
            elif flag.kind in ("bool", "count"):
                value = "true" if flag.kind == "bool" else "+1"
            elif letters:
                value, letters = letters, ""
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{whole}")
            owner.assign(flag, value)

    def assign(self, flag: Flag, text: str) -> None:
        """Give a flag one value. Raise UsageError where it does not fit, Unsupported where the flag is refused."""
        try:
            value = _READERS[flag.kind](text)
            if flag.choices and text not in flag.choices:
                choices = scalars.quoted(", ".join(flag.choices))
                raise InvalidArgument(f"{scalars.quoted(text)} is not a valid value.  Choose from: {choices}")
        except InvalidArgument as error:
            spelling = scalars.quoted(flag.spelling())
            raise UsageError(f"invalid argument {scalars.quoted(text)} for {spelling} flag: {error}") from None
        if flag.refused and value != flag.accepted:
            raise Unsupported(f"--{flag.name}: {flag.refused}")
        if flag.kind in LISTS:
            self.given.setdefault(flag.name, []).extend(value)
        elif flag.kind == "count":
            self.given[flag.name] = self.given.get(flag.name, 0) + value
        else:
            self.given[flag.name] = value


def _duration(text: str) -> str:
    from podling.engine import units

    units.duration(text)
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": scalars.boolean,
    "string": str,
    "array": lambda text: [text],
    "slice": scalars.comma_separated,
    "int": scalars.integer,
    "uint": scalars.unsigned,
    "float": scalars.floating,
    "duration": _duration,
    "count": scalars.integer,
}
