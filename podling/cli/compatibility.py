"""The lab-compatibility rule: two spellings that Podman's own introductory lab prints and Podman refuses.

    podling ps -ef           the exact word -ef, on ps only     = --all --no-trunc
    podling stop -all        the exact word -all, on every verb that has --all
                                                                = --all

Both are matched as whole words of the command line, before short flags are taken apart, and never after `--` or after
the arguments of a verb that stops reading flags there. Everything near them keeps its meaning: `-al`, `-a -l`, `-lla`
and `-f key=value` are read as Podman reads them. A hint on stderr names the proper spelling.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.flags import FlagSet


def rewrite(path: str, flags: FlagSet, arguments: list[str], *, interspersed: bool) -> tuple[list[str], list[str]]:
    """Return the words with the lab's spellings replaced, and a hint for each."""
    if "-all" not in arguments and "-ef" not in arguments:
        return arguments, []
    spellings: dict[str, list[str]] = {}
    if "all" in flags.by_name:
        spellings["-all"] = ["--all"]
    if path in ("ps", "container ls"):
        spellings["-ef"] = ["--all", "--no-trunc"]
    words: list[str] = []
    hints: list[str] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--" or (not interspersed and not word.startswith("-")):
            break
        if word in spellings:
            meaning = " ".join(spellings[word])
            hints.append(f'reading "{word}" as {meaning}, as the lab means it')
            words += spellings[word]
        else:
            words.append(word)
            if _takes_next(flags, word) and position + 1 < len(arguments):
                position += 1
                words.append(arguments[position])
        position += 1
    return words + arguments[position:], hints


def _takes_next(flags: FlagSet, word: str) -> bool:
    """Tell whether a word is a flag whose value is the next word."""
    if word.startswith("--"):
        found = flags.find(word[2:]) if "=" not in word else None
        return found is not None and found[0].kind not in ("bool", "count")
    if not word.startswith("-"):
        return False
    for index, letter in enumerate(word[1:], 2):
        short = flags.find_short(letter)
        if short is None:
            return False
        if short[0].kind not in ("bool", "count"):
            return index == len(word)
    return False
