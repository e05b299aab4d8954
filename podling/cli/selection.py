"""The containers that a command line means: names, --all, --latest, --cidfile, --filter."""

from __future__ import annotations

import sys

from podling.cli import filters
from podling.engine import find
from podling.errors import InvalidArgument, NotFound, PodlingError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.verb import Invocation
    from podling.engine.container import Container

    Chosen = list[tuple[str, Container]]


def containers(call: Invocation, *, ignore_missing: bool = False, statuses: tuple[str, ...] = ()) -> Chosen:
    """Return the containers meant, each under the word it is to be reported by.

    `statuses` narrows --all. Nothing is done where one of several names is wrong: NotFound comes first.
    """
    flags, settings = call.flags, call.settings
    if flags.optional("filter"):
        from podling.engine import listing

        found = listing.list_containers(settings, filters.parse(flags.texts("filter")), all=True)
        return [(container.id, container) for container in found]
    if flags.boolean("all"):
        everything = find.all_containers(settings)
        return [(each.id, each) for each in everything if not statuses or each.state.status in statuses]
    if flags.boolean("latest"):
        container = find.latest(settings)
        return [(container.id, container)]
    chosen = []
    for name in (*call.arguments, *_identifiers(call, ignore_missing)):
        name = name.removeprefix("/")
        try:
            chosen.append((name, find.find(settings, name)))
        except NotFound:
            if not ignore_missing:
                raise
    return chosen


def one(call: Invocation) -> Container:
    """Return the one container meant by a name or --latest."""
    if call.flags.boolean("latest"):
        return find.latest(call.settings)
    return find.find(call.settings, call.arguments[0].removeprefix("/"))


def _identifiers(call: Invocation, ignore_missing: bool) -> list[str]:
    read = []
    for path in call.flags.optional("cidfile") or []:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                read.append(file.read().split("\n")[0])
        except FileNotFoundError as error:
            if not ignore_missing:
                raise InvalidArgument("reading CIDFile") from error
    return read


class Outcome:
    """What several operations came to: each success is a line on stdout, each failure one on stderr, at once."""

    def __init__(self) -> None:
        self.errors: list[PodlingError] = []

    def succeeded(self, line: str) -> None:
        """Report a success."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def failed(self, error: PodlingError) -> None:
        """Report a failure."""
        self.errors.append(error)
        sys.stdout.flush()
        sys.stderr.write(f"Error: {reason(error)}\n")
        sys.stderr.flush()

    def status(self) -> int:
        """Return the exit code: 0, or that of the last failure."""
        return self.errors[-1].exit_code if self.errors else 0


def warn(text: str) -> None:
    """Print a warning in the form of Podman's log lines."""
    sys.stderr.write(f'time="{_now()}" level=warning msg="{text}"\n')
    sys.stderr.flush()


def _now() -> str:
    import time

    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return f"{stamp[:-2]}:{stamp[-2:]}" if not stamp.endswith("+0000") else f"{stamp[:-5]}Z"
