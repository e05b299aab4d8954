"""`podling volume create`."""

from __future__ import annotations

import sys

from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, at_most

VERB = Verb(
    "Create a new volume",
    usage="[options] [NAME]",
    description='The volume is created on the host in the volumes directory under container storage ("local" driver).',
    examples=("myvol", "", "--label foo=bar myvol"),
    flags=(
        Flag("driver", "string", "Specify volume driver name", short="d", default="local"),
        Flag("gid", "int", "Set the GID of the volume owner"),
        Flag("ignore", "bool", "Don't fail if volume already exists"),
        Flag("label", "array", "Set metadata for a volume", short="l"),
        Flag("opt", "array", "Set driver specific options", short="o"),
        Flag("uid", "int", "Set the UID of the volume owner"),
    ),
    arguments=at_most(1),
)


def run(call: Invocation) -> int:
    """Create the volume and print its name."""
    from podling.engine import volume_management

    options = volume_management.VolumeCreateOptions(**call.flags.given, name="".join(call.arguments))
    sys.stdout.write(volume_management.create_volume(call.settings, options).name + "\n")
    return 0
