"""`podling container cleanup`: what a foreign monitor runs when a container has ended."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.errors import NotFound, PodlingError

_ID_LENGTH = 64

VERB = Verb(
    "Clean up network and mountpoints of one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Cleans up mount points and network stacks on one or more containers from the host. The container "
    "name or ID can be used.\nThis command is used internally when running containers, but can also be used if "
    "container cleanup has failed when a container exits.",
    examples=("--latest", "ctrID1 ctrID2 ctrID3", "--all"),
    flags=(
        Flag("all", "bool", "Cleans up all containers", short="a"),
        Flag("exec", "string", "Clean up the given exec session instead of the container"),
        LATEST,
        Flag("rm", "bool", "After cleanup, remove the container entirely"),
        Flag("rmi", "bool", "After cleanup, remove the image entirely", refused="use rmi", accepted=False),
        Flag("stopped-only", "bool", "Only cleanup when the container is in the stopped state", hidden=True),
    ),
    arguments=containers_rule,
)


def run(call: Invocation) -> int:
    """Clean up after each container that has ended and print its name."""
    from podling.engine import cleanup

    flags = call.flags
    session = flags.text("exec")
    if session and (flags.boolean("rm") or flags.boolean("all")):
        raise UsageError("exec cannot be used with --rm or --all: invalid argument")
    outcome = selection.Outcome()
    try:
        chosen = _chosen(call)
    except NotFound:
        return 0  # it has been removed meanwhile: nothing is left to clean up
    for name, container_id in chosen:
        try:
            if session:
                cleanup.cleanup_exec(call.settings, container_id, session)
            else:
                cleanup.cleanup(call.settings, container_id, remove=flags.boolean("rm"))
            outcome.succeeded(name)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()


def _chosen(call: Invocation) -> list[tuple[str, str]]:
    """Return what to clean up, by name and ID. A monitor gives a whole ID, which needs no looking up."""
    if len(call.arguments) == 1 and len(call.arguments[0]) == _ID_LENGTH:
        return [(call.arguments[0], call.arguments[0])]
    return [(name, container.id) for name, container in selection.containers(call)]
