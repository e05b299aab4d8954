"""`podling system alias`: the command `podman`, for fingers and scripts that type it."""

from __future__ import annotations

import os
import sys

from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb

VERB = Verb(
    "Offer podling under the name podman",
    usage="--install | --remove",
    description="Makes a symbolic link /usr/local/bin/podman to podling, or removes it. A file that is not such a link "
    "is never touched.",
    examples=("--install", "--remove"),
    flags=(
        Flag("directory", "string", "`Directory` to put the link into", default="/usr/local/bin"),
        Flag("install", "bool", "Make the link"),
        Flag("remove", "bool", "Remove the link"),
    ),
)


def run(call: Invocation) -> int:
    """Make or remove the link and print its path."""
    from podling.engine import alias

    flags = call.flags
    if flags.boolean("install") == flags.boolean("remove"):
        raise UsageError("choose either --install or --remove")
    link = os.path.join(flags.text("directory"), "podman")
    if flags.boolean("install"):
        alias.install(link)
    else:
        alias.remove(link)
    sys.stdout.write(link + "\n")
    return 0
