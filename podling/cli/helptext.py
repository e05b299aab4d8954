"""Help, rendered from the tables: the layout is cobra's, as Podman prints it."""

from __future__ import annotations

from podling.cli import commands
from podling.cli.flags import LISTS, Flag
from podling.cli.global_flags import BEFORE_THE_VERB, PERSISTENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.verb import Verb

_PROGRAM = "podling"
_KINDS = {"array": "stringArray", "slice": "strings", "duration": "string"}


def render(path: str) -> str:
    """Return the help of a verb or a group."""
    if path in commands.GROUPS:
        return _group_help(path)
    return _verb_help(path, commands.verb(path))


def _group_help(path: str) -> str:
    command = f"{_PROGRAM} {path}".rstrip()
    names = commands.members(path)
    width = max(11, *map(len, names))
    lines = [commands.GROUPS[path], ""]
    if path:
        lines += ["Description:", f"  {commands.GROUPS[path]}", ""]
    lines += ["Usage:", f"  {command} {'[options] ' if not path else ''}[command]", "", "Available Commands:"]
    for name in names:
        full = f"{path} {name}".strip()
        summary = commands.GROUPS[full] if full in commands.GROUPS else commands.verb(full).summary
        lines.append(f"  {name.ljust(width)} {summary}")
    if not path:
        lines += ["", "Options:", *flag_lines((*PERSISTENT, *BEFORE_THE_VERB))]
    return "\n".join(lines) + "\n"


def _verb_help(path: str, verb: Verb) -> str:
    command = f"{_PROGRAM} {path}"
    name = path.rpartition(" ")[2]
    lines = [verb.summary, "", "Description:", *_indented(verb.description), "", "Usage:"]
    lines.append(f"  {command} {verb.usage}".rstrip())
    aliases = commands.aliases_of(path)
    if aliases:
        lines += ["", "Aliases:", f"  {', '.join([name, *aliases])}"]
    if verb.examples:
        lines += ["", "Examples:", *[f"  {command} {example}".rstrip() for example in verb.examples]]
    for heading, flags in verb.groups.items():
        if flags:
            title = f"{heading} options:" if heading else "Options:"
            lines += ["", title, *flag_lines(flags)]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]


def flag_lines(flags: tuple[Flag, ...]) -> list[str]:
    """Return the lines that describe flags, in the order of their names, their texts aligned."""
    shown = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    heads = [_head(flag) for flag in shown]
    width = max(map(len, heads), default=0)
    lines = []
    for flag, head in zip(shown, heads, strict=True):
        first, *rest = _text(flag).splitlines() or [""]
        lines.append(f"{head.ljust(width)}   {first}".rstrip())
        lines += [" " * (width + 3) + line for line in rest]
    return lines


def _head(flag: Flag) -> str:
    short = f"  -{flag.short}, " if flag.short else "      "
    return f"{short}--{flag.name} {_placeholder(flag)}".rstrip()


def _placeholder(flag: Flag) -> str:
    if flag.text.count("`") >= 2:
        return flag.text.split("`")[1]
    if flag.choices:
        return "choice"
    return "" if flag.kind in ("bool", "count") else _KINDS.get(flag.kind, flag.kind)


def _text(flag: Flag) -> str:
    text = flag.text.replace("`", "")
    if flag.refused:
        text += f" (refused: {flag.refused})"
    if flag.default and flag.kind not in LISTS:
        shown = f'"{flag.default}"' if isinstance(flag.default, str) else str(flag.default)
        text += f" (default {shown.lower() if flag.kind == 'bool' else shown})"
    return text
