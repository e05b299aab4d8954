"""`podling image inspect`."""

from __future__ import annotations

from podling.cli.common_flags import INSPECT_FORMAT
from podling.cli.flags import UsageError
from podling.cli.verb import Invocation, Verb, any_arguments

VERB = Verb(
    "Display the configuration of an image",
    usage="[options] IMAGE [IMAGE...]",
    description="Displays the low-level information of an image identified by name or ID.",
    examples=("alpine", '--format "imageId: {{.Id}} size: {{.Size}}" alpine'),
    flags=(INSPECT_FORMAT,),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Print the images as an array, or each by a template."""
    from podling.cli import inspecting

    if not call.arguments:
        raise UsageError("no names or ids specified")
    return inspecting.inspect(call, ("image",))
