"""`podling unpause`: the processes go on."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, FILTER, LATEST
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.errors import PodlingError

VERB = Verb(
    "Unpause the processes in one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Unpauses one or more previously paused containers.  The container name or ID can be used.",
    examples=("ctrID", "--all"),
    flags=(Flag("all", "bool", "Unpause all paused containers", short="a"), CIDFILE, FILTER, LATEST),
    arguments=containers_rule,
)


def run(call: Invocation) -> int:
    """Unpause each container and print its name."""
    from podling.engine import pause

    outcome = selection.Outcome()
    for name, container in selection.containers(call, statuses=("paused",)):
        try:
            pause.unpause(call.settings, container)
            outcome.succeeded(name)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()
