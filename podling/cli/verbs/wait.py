"""`podling wait`: until containers have ended."""

from __future__ import annotations

import sys

from podling.cli import selection
from podling.cli.common_flags import LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.errors import InvalidArgument, NotFound, PodlingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container

VERB = Verb(
    "Block on one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Block until one or more containers stop and then print their exit codes.",
    examples=("ctrID", "ctrID1 ctrID2", "--condition running ctrID"),
    flags=(
        Flag("condition", "slice", "Condition to wait on"),
        Flag("ignore", "bool", "Ignore if a container does not exist"),
        Flag(
            "interval",
            "string",
            "Time Interval to wait before polling for completion (the event itself is awaited)",
            short="i",
            default="250ms",
        ),
        LATEST,
    ),
    arguments=any_arguments,
)
STATES = ("configured", "created", "running", "stopped", "paused", "exited", "removing", "stopping", "initialized")


def run(call: Invocation) -> int:
    """Wait for each container in turn and print its exit code."""
    from podling.engine import wait

    flags = call.flags
    if not call.arguments and not flags.boolean("latest"):
        raise UsageError(f'"{call.command}" requires a name, id, or the "--latest" flag')
    if call.arguments and flags.boolean("latest"):
        raise UsageError("--latest and containers cannot be used together")
    _check_interval(flags.text("interval"))
    conditions = _conditions(flags.texts("condition"))
    outcome = selection.Outcome()
    for name in call.arguments or [""]:
        try:
            container = selection.one(call) if not name else _find(call, name)
            outcome.succeeded(str(wait.wait(call.settings, container, *([conditions] if conditions else []))))
        except NotFound as error:
            if not flags.boolean("ignore"):
                raise
            del error
            sys.stdout.write("-1\n")
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()


def _find(call: Invocation, name: str) -> Container:
    from podling.engine import find

    return find.find(call.settings, name.removeprefix("/"))


def _check_interval(text: str) -> None:
    from podling.engine import units

    try:
        units.duration(text)
    except InvalidArgument:
        units.duration(text + "ms")


def _conditions(names: list[str]) -> tuple[str, ...]:
    for name in names:
        if name not in STATES:
            raise InvalidArgument(f"unknown container state: {name}: invalid argument")
    same = {"stopped": "exited", "configured": "created"}
    return tuple(same.get(name, name) for name in names)
