"""`podling network exists`: an exit code."""

from __future__ import annotations

from podling.cli.verb import Invocation, Verb, exactly
from podling.errors import NotFound

VERB = Verb(
    "Check if a network exists",
    usage="NETWORK",
    description="If the named network exists, podling network exists exits with 0, otherwise the exit code will be 1.",
    examples=("net1",),
    arguments=exactly(1),
)


def run(call: Invocation) -> int:
    """Return 0 where there is such a network, else 1."""
    from podling.engine import networks

    try:
        networks.inspect_network(call.settings, call.arguments[0])
    except NotFound:
        return 1
    return 0
