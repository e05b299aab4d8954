"""`podling volume exists`: an exit code."""

from __future__ import annotations

from podling.cli.verb import Invocation, Verb, exactly
from podling.errors import NotFound

VERB = Verb(
    "Check if a volume exists",
    usage="VOLUME",
    description="If the given volume exists, podling volume exists exits with 0, otherwise the exit code will be 1.",
    examples=("myvol",),
    arguments=exactly(1),
)


def run(call: Invocation) -> int:
    """Return 0 where there is such a volume, else 1."""
    from podling.engine import volume_management

    try:
        volume_management.find_volume(call.settings, call.arguments[0])
    except NotFound:
        return 1
    return 0
