"""`podling image exists`: an exit code."""

from __future__ import annotations

from podling.cli.verb import Invocation, Verb, exactly
from podling.errors import NotFound

VERB = Verb(
    "Check if an image exists in local storage",
    usage="IMAGE",
    description="If the named image exists in local storage, podling image exists exits with 0, otherwise the exit "
    "code will be 1.",
    examples=("ID", "IMAGE && podling run IMAGE"),
    arguments=exactly(1),
)


def run(call: Invocation) -> int:
    """Return 0 where there is such an image, else 1."""
    from podling.engine import image_listing

    try:
        image_listing.find_image(call.settings, call.arguments[0])
    except NotFound:
        return 1
    return 0
