"""`podling rmi`: names go, then images."""

from __future__ import annotations

import sys

from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.errors import reason

VERB = Verb(
    "Remove one or more images from local storage",
    usage="[options] IMAGE [IMAGE...]",
    description="Removes one or more previously pulled or locally created images.",
    examples=("imageID", "--force alpine", "c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7"),
    flags=(
        Flag("all", "bool", "Remove all images", short="a"),
        Flag("force", "bool", "Force Removal of the image", short="f"),
        Flag("ignore", "bool", "Ignore errors if a specified image does not exist", short="i"),
        Flag("no-prune", "bool", "Do not remove dangling images (none are made, and none removed)"),
    ),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Remove the images and print what went; exit with 1 where one does not exist, 2 where one is in use."""
    from podling.engine import images

    flags = call.flags
    if not call.arguments and not flags.boolean("all"):
        raise UsageError("image name or ID must be specified")
    if call.arguments and flags.boolean("all"):
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    removal = images.remove_images(
        call.settings,
        call.arguments,
        all=flags.boolean("all"),
        force=flags.boolean("force"),
        ignore=flags.boolean("ignore"),
    )
    lines = [f"Untagged: {name}\n" for name in removal.untagged] + [f"Deleted: {each}\n" for each in removal.deleted]
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    for failure in removal.failures:
        sys.stderr.write(f"Error: {reason(failure)}\n")
    return removal.exit_code
