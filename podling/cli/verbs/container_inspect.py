"""`podling container inspect`."""

from __future__ import annotations

from podling.cli.common_flags import INSPECT_FORMAT, LATEST, SIZE
from podling.cli.flags import UsageError
from podling.cli.verb import Invocation, Verb, any_arguments

VERB = Verb(
    "Display the configuration of a container",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Displays the low-level information on a container identified by name or ID.",
    examples=("myCtr", "-l --format '{{.Id}} {{.Config.Labels}}'"),
    flags=(INSPECT_FORMAT, LATEST, SIZE),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Print the containers as an array, or each by a template."""
    from podling.cli import inspecting

    if not call.arguments and not call.flags.boolean("latest"):
        raise UsageError("no names or ids specified")
    if call.arguments and call.flags.boolean("latest"):
        raise UsageError("--latest and arguments cannot be used together")
    return inspecting.inspect(call, ("container",))
