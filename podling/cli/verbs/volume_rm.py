"""`podling volume rm`."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import TIME
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.cli.verbs.rm import status
from podling.cli.verbs.stop import grace_seconds
from podling.errors import NotFound, PodlingError

VERB = Verb(
    "Remove one or more volumes",
    usage="[options] VOLUME [VOLUME...]",
    description="Remove one or more existing volumes.\n\nBy default only volumes that are not being used by any "
    "containers will be removed. To remove the volumes anyways, use the --force flag.",
    examples=("myvol1 myvol2", "--all", "--force myvol"),
    flags=(
        Flag("all", "bool", "Remove all volumes", short="a"),
        Flag("force", "bool", "Remove a volume by force, even if it is being used by a container", short="f"),
        TIME,
    ),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Remove each volume and print its name; exit with 1 where one does not exist, 2 where one is in use."""
    from podling.engine import volume_management

    force, everything = call.flags.boolean("force"), call.flags.boolean("all")
    if bool(call.arguments) == everything:
        raise UsageError("choose either one or more volumes or all")
    if call.flags.changed("time") and not force:
        raise UsageError("--force option must be specified to use the --time option")
    names = call.arguments or [volume.name for volume in volume_management.list_volumes(call.settings)]
    outcome = selection.Outcome()
    for name in names:
        try:
            grace = grace_seconds(call)
            outcome.succeeded(volume_management.remove_volume(call.settings, name, force=force, timeout_seconds=grace))
        except NotFound as error:
            if not force:
                outcome.failed(error)
        except PodlingError as error:
            outcome.failed(error)
    return status(outcome.errors)
