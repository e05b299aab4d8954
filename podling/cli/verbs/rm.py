"""`podling rm`, also `podling delete`: layer, bundle and state go."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, FILTER_LONG, LATEST, TIME
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.cli.verbs.stop import grace_seconds
from podling.errors import InUse, NotFound, PodlingError, WrongState

VERB = Verb(
    "Remove one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Removes one or more containers from the host. The container name or ID can be used.\n\n"
    "Command does not remove images. Running or unusable containers will not be removed without the -f option.",
    examples=("ctrID", "mywebserver myflaskserver 860a4b23", "--force --all", "-f c684f0d469f2"),
    flags=(
        Flag("all", "bool", "Remove all containers", short="a"),
        CIDFILE,
        Flag("depend", "bool", "Remove container and all containers that depend on the selected container"),
        FILTER_LONG,
        Flag("force", "bool", "Force removal of a running or unusable container", short="f"),
        Flag("ignore", "bool", "Ignore errors when a specified container is missing", short="i"),
        LATEST,
        TIME,
        Flag("volumes", "bool", "Remove anonymous volumes associated with the container", short="v"),
    ),
    arguments=containers_rule,
)
NOT_FOUND_STATUS = 1
IN_USE_STATUS = 2


def run(call: Invocation) -> int:
    """Remove each container and print its name; exit with 1 where one does not exist, 2 where one is in use."""
    flags = call.flags
    if flags.changed("time") and not flags.boolean("force"):
        raise UsageError("--force option must be specified to use the --time option")
    outcome = selection.Outcome()
    try:
        chosen = selection.containers(call, ignore_missing=flags.boolean("force") or flags.boolean("ignore"))
    except NotFound as error:
        outcome.failed(error)
        return NOT_FOUND_STATUS
    gone: set[str] = set()
    for name, container in chosen:
        if container.id not in gone:
            gone.update(_remove(call, name, container.id, outcome))
    return status(outcome.errors)


def _remove(call: Invocation, name: str, container_id: str, outcome: selection.Outcome) -> list[str]:
    from podling.engine import find, remove

    flags = call.flags
    try:
        gone = remove.remove(
            call.settings,
            find.find(call.settings, container_id),
            force=flags.boolean("force"),
            volumes=flags.boolean("volumes"),
            depend=flags.boolean("depend") or flags.boolean("all"),
            timeout_seconds=grace_seconds(call),
            warn=selection.warn,
        )
    except NotFound:
        gone = [container_id]  # it went by itself
    except PodlingError as error:
        outcome.failed(error)
        return []
    for each in gone:
        outcome.succeeded(name if each == container_id else each)
    return gone


def status(errors: list[PodlingError]) -> int:
    """Return the exit code of a verb that removes things."""
    if any(isinstance(error, NotFound) for error in errors):
        return NOT_FOUND_STATUS
    if any(isinstance(error, (InUse, WrongState)) for error in errors):
        return IN_USE_STATUS
    return errors[-1].exit_code if errors else 0
