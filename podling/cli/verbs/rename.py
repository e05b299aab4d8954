"""`podling rename`: a container under another name."""

from __future__ import annotations

from podling.cli.verb import Invocation, Verb, exactly

VERB = Verb(
    "Rename an existing container",
    usage="CONTAINER NAME",
    description="Gives an existing container another name.",
    examples=("containerA newName",),
    arguments=exactly(2),
)


def run(call: Invocation) -> int:
    """Rename the container."""
    from podling.engine import find, rename

    rename.rename(call.settings, find.find(call.settings, call.arguments[0]), call.arguments[1])
    return 0
