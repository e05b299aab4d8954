"""`podling kill`: a signal to the first process."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, LATEST
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.errors import PodlingError, WrongState

VERB = Verb(
    "Kill one or more running containers with a specific signal",
    usage="[options] CONTAINER [CONTAINER...]",
    description="The main process inside each container specified will be sent SIGKILL, or any signal specified with "
    "option --signal.",
    examples=("mywebserver", "860a4b23", "--signal TERM ctrID"),
    flags=(
        Flag("all", "bool", "Signal all running containers", short="a"),
        CIDFILE,
        LATEST,
        Flag("signal", "string", "Signal to send to the container", short="s", default="KILL"),
    ),
    arguments=containers_rule,
)


def run(call: Invocation) -> int:
    """Send the signal to each container and print its name."""
    from podling.engine import kill

    signal = kill.parse_signal(call.flags.text("signal"))
    outcome = selection.Outcome()
    for name, container in selection.containers(call, statuses=("running", "paused", "stopping")):
        try:
            kill.kill(call.settings, container, signal)
            outcome.succeeded(name)
        except WrongState as error:
            if not call.flags.boolean("all"):
                outcome.failed(error)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()
