"""`podling network inspect`."""

from __future__ import annotations

from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, at_least

VERB = Verb(
    "Inspect network",
    usage="[options] NETWORK [NETWORK...]",
    description="Displays the network configuration for one or more networks.",
    examples=("podman",),
    flags=(Flag("format", "string", "Pretty-print network to JSON or using a Go template", short="f"),),
    arguments=at_least(1),
)


def run(call: Invocation) -> int:
    """Print the networks as an array, or each by a template."""
    from podling.cli import inspecting

    return inspecting.inspect(call, ("network",))
