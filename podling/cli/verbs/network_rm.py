"""`podling network rm`."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import TIME
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, at_least
from podling.cli.verbs.rm import status
from podling.cli.verbs.stop import grace_seconds
from podling.errors import NotFound, PodlingError

VERB = Verb(
    "Remove networks",
    usage="[options] NETWORK [NETWORK...]",
    examples=("podling1",),
    flags=(Flag("force", "bool", "remove any containers using network", short="f"), TIME),
    arguments=at_least(1),
)


def run(call: Invocation) -> int:
    """Remove each network and print its name; exit with 1 where one does not exist, 2 where one is in use."""
    from podling.engine import networks

    force = call.flags.boolean("force")
    if call.flags.changed("time") and not force:
        raise UsageError("--force option must be specified to use the --time option")
    outcome = selection.Outcome()
    for name in call.arguments:
        try:
            grace = grace_seconds(call)
            outcome.succeeded(networks.remove_network(call.settings, name, force=force, timeout_seconds=grace))
        except NotFound as error:
            if not force:
                outcome.failed(error)
        except PodlingError as error:
            outcome.failed(error)
    return status(outcome.errors)
