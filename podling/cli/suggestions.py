"""What the user may have meant by a command that does not exist."""

from __future__ import annotations

from podling.cli import commands
from podling.cli.flags import UsageError

_FARTHEST = 2  # edits; in a group of verbs, whose names are short, only beginnings count


def unrecognized(command: str, group: str, word: str) -> UsageError:
    """Return the error for a word that names nothing in a group."""
    near = [name for name in commands.members(group) if _near(word.lower(), name, 0 if group else _FARTHEST)]
    meant = "\n\nDid you mean this?\n\t" + "\n\t".join(near) + "\n" if near else ""
    return UsageError(f"unrecognized command `{command} {word}`{meant}\nTry '{command} --help' for more information")


def _near(word: str, name: str, farthest: int) -> bool:
    return name.startswith(word) or distance(word, name) <= farthest


def distance(one: str, other: str) -> int:
    """Return the Levenshtein distance: how many insertions, deletions and replacements lie between two words."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        previous, row = row, [index]
        for column, counterpart in enumerate(other, 1):
            replaced = previous[column - 1] + (letter != counterpart)
            row.append(min(previous[column] + 1, row[column - 1] + 1, replaced))
    return row[-1]
