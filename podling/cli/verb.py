"""What a verb is to the front door: a module in `verbs/` with a `VERB` and a `run(call) -> exit code`.

main ──► commands.TABLE ──► verbs/ps.py: VERB (flags, help, argument rule)  ──►  run(Invocation)
"""

from __future__ import annotations

from podling.cli.flags import Flag, FlagSet, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.options import Settings

    ArgumentRule = Callable[["Invocation"], None]


class Verb:
    """A verb's help and grammar. `usage` and `examples` are what follows the program's name and the verb's.

    `flags` may be grouped under headings for the help.
    """

    __slots__ = ("arguments", "description", "examples", "groups", "interspersed", "summary", "usage")

    def __init__(
        self,
        summary: str,
        *,
        usage: str,
        description: str = "",
        examples: tuple[str, ...] = (),
        flags: tuple[Flag, ...] | dict[str, tuple[Flag, ...]] = (),
        arguments: ArgumentRule | None = None,
        interspersed: bool = True,
    ) -> None:
        self.summary = summary
        self.usage = usage
        self.description = description or summary
        self.examples = examples
        self.groups = flags if isinstance(flags, dict) else {"": flags}
        self.arguments = arguments or no_arguments
        self.interspersed = interspersed

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Return all flags."""
        return tuple(flag for rows in self.groups.values() for flag in rows)


class Invocation:
    """One call of a verb: what the user typed, taken apart."""

    def __init__(
        self, command: str, flags: FlagSet, arguments: list[str], argv: list[str], environment: dict[str, str]
    ) -> None:
        self.command = command  # as help and messages name it: "podling container ls"
        self.flags = flags
        self.arguments = arguments
        self.argv = argv
        self.environment = environment
        self._settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """Return the settings: global flags over configuration files, read at the first use."""
        if self._settings is None:
            from podling.engine import settings

            assert self.flags.inherited is not None
            given = self.flags.inherited.given
            self._settings = settings.load({name.replace("-", "_"): given[name] for name in given}, self.environment)
        return self._settings


# argument rules, with cobra's and Podman's words


def no_arguments(call: Invocation) -> None:
    """Refuse arguments."""
    if call.arguments:
        raise UsageError(f"`{call.command}` takes no arguments")


def at_least(number: int) -> ArgumentRule:
    """Return the rule that demands a number of arguments or more."""

    def check(call: Invocation) -> None:
        if len(call.arguments) < number:
            raise UsageError(f"requires at least {number} arg(s), only received {len(call.arguments)}")

    return check


def at_most(number: int) -> ArgumentRule:
    """Return the rule that takes up to a number of arguments."""

    def check(call: Invocation) -> None:
        if len(call.arguments) > number:
            raise UsageError(f"accepts at most {number} arg(s), received {len(call.arguments)}")

    return check


def exactly(number: int) -> ArgumentRule:
    """Return the rule that demands a number of arguments."""

    def check(call: Invocation) -> None:
        if len(call.arguments) != number:
            raise UsageError(f"accepts {number} arg(s), received {len(call.arguments)}")

    return check


def any_arguments(_call: Invocation) -> None:
    """Leave the check to the verb."""


def one_or_latest(call: Invocation) -> None:
    """Demand one name or --latest."""
    if len(call.arguments) > 1:
        raise UsageError(f"`{call.command}` accepts at most one argument")
    latest = call.flags.boolean("latest")
    if not call.arguments and not latest:
        raise UsageError(f'"{call.command}" requires a name, id, or the "--latest" flag')
    if call.arguments and latest:
        raise UsageError("--latest and containers cannot be used together")


def containers_rule(call: Invocation) -> None:
    """Demand names, --all, --latest, --cidfile or --filter: one of them, as far as the verb has them."""
    flags, names = call.flags, call.arguments
    everything, latest = flags.boolean("all"), flags.boolean("latest")
    files = bool(flags.optional("cidfile"))
    if flags.changed("filter"):
        if names:
            raise UsageError("--filter takes no arguments")
        return
    if files and (everything or latest):
        raise UsageError("--all, --latest, and --cidfile cannot be used together")
    if everything and latest:
        raise UsageError("--all and --latest cannot be used together")
    if names and everything:
        raise UsageError("no arguments are needed with --all")
    if names and latest:
        raise UsageError("--latest and containers cannot be used together")
    if names and files:
        raise UsageError("no arguments are needed with --latest or --cidfile")
    if not (names or everything or latest or files):
        raise UsageError("you must provide at least one name or id")
