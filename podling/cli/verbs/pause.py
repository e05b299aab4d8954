"""`podling pause`: the processes are frozen."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, FILTER, LATEST
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.errors import PodlingError

VERB = Verb(
    "Pause all the processes in one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Pauses one or more running containers.  The container name or ID can be used.",
    examples=("mywebserver", "860a4b23", "--all"),
    flags=(Flag("all", "bool", "Pause all running containers", short="a"), CIDFILE, FILTER, LATEST),
    arguments=containers_rule,
)


def run(call: Invocation) -> int:
    """Pause each container and print its name."""
    from podling.engine import pause

    outcome = selection.Outcome()
    for name, container in selection.containers(call, statuses=("running",)):
        try:
            pause.pause(call.settings, container)
            outcome.succeeded(name)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()
