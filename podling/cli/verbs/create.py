"""`podling create`: a container that is not started."""

from __future__ import annotations

import sys

from podling.cli import create_options
from podling.cli.create_flags import CREATE
from podling.cli.verb import Invocation, Verb, at_least

VERB = Verb(
    "Create but do not start a container",
    usage="[options] IMAGE [COMMAND [ARG...]]",
    description="Creates a new container from the given image or storage and prepares it for running the specified "
    "command.\n\nThe container ID is then printed to stdout. You can then start it at any time with the start command.",
    examples=("alpine ls", "--annotation HELLO=WORLD alpine ls", "-t -i --name myctr alpine ls"),
    flags=CREATE,
    arguments=at_least(1),
    interspersed=False,
)


def run(call: Invocation) -> int:
    """Create the container and print its ID."""
    from podling.engine import create

    container = create.create(call.settings, create_options.options(call))
    create_options.print_warnings(container)
    sys.stdout.write(container.id + "\n")
    return 0
