"""`podling container exists`: an exit code."""

from __future__ import annotations

from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, exactly
from podling.errors import NotFound

VERB = Verb(
    "Check if a container exists in local storage",
    usage="[options] CONTAINER",
    description="If the named container exists in local storage, podling container exists exits with 0, otherwise the "
    "exit code will be 1.",
    examples=("myctr", "myctr || podling run --name myctr [etc...]"),
    flags=(Flag("external", "bool", "Check external storage containers as well (podling's store holds only its own)"),),
    arguments=exactly(1),
)


def run(call: Invocation) -> int:
    """Return 0 where there is such a container, else 1."""
    from podling.engine import find

    try:
        find.find(call.settings, call.arguments[0])
    except NotFound:
        return 1
    return 0
