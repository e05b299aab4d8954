"""`podling volume inspect`."""

from __future__ import annotations

from podling.cli.common_flags import INSPECT_FORMAT
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments

VERB = Verb(
    "Display detailed information on one or more volumes",
    usage="[options] VOLUME [VOLUME...]",
    description="Display detailed information on one or more volumes.\n\nUse a Go template to change the format from "
    "JSON.",
    examples=("myvol", "--all", '--format "{{.Driver}} {{.Scope}}" myvol'),
    flags=(Flag("all", "bool", "Inspect all volumes", short="a"), INSPECT_FORMAT),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Print the volumes as an array, or each by a template."""
    from podling.cli import inspecting

    if bool(call.arguments) == call.flags.boolean("all"):
        raise UsageError("provide one or more volume names or use --all")
    if call.flags.boolean("all"):
        from podling.engine import volume_management

        call.arguments = [volume.name for volume in volume_management.list_volumes(call.settings)]
        if not call.arguments:
            return inspecting.nothing(call)
    return inspecting.inspect(call, ("volume",))
