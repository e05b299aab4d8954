"""`podling restart`: stop, then start."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, FILTER, LATEST, TIME
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.cli.verbs.stop import grace_seconds
from podling.errors import PodlingError

VERB = Verb(
    "Restart one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Restarts one or more running containers. The container ID or name can be used.\n\n"
    "A timeout before forcibly stopping can be set, but defaults to 10 seconds.",
    examples=("ctrID", "--latest", "ctrID1 ctrID2"),
    flags=(
        Flag("all", "bool", "Restart all containers", short="a"),
        CIDFILE,
        FILTER,
        LATEST,
        Flag("running", "bool", "Restart only running containers"),
        TIME,
    ),
    arguments=lambda call: None if call.flags.boolean("running") else containers_rule(call),
)


def run(call: Invocation) -> int:
    """Restart each container and print its name."""
    from podling.engine import start, stop

    if call.flags.boolean("running"):
        call.flags.given["all"] = True
    statuses = ("running",) if call.flags.boolean("running") else ()
    outcome = selection.Outcome()
    for name, container in selection.containers(call, statuses=statuses):
        try:
            grace = grace_seconds(call)
            for _, error in stop.stop(call.settings, [container], timeout_seconds=grace, warn=selection.warn):
                if error is not None:
                    raise error
            start.start(call.settings, container.id)
            outcome.succeeded(name)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()
