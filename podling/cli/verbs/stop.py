"""`podling stop`: the stop signal, a grace, SIGKILL."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import CIDFILE, FILTER, LATEST, TIME
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, containers_rule

VERB = Verb(
    "Stop one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Stops one or more running containers.  The container name or ID can be used.\n\n"
    "A timeout to forcibly stop the container can also be set but defaults to 10 seconds otherwise.",
    examples=("ctrID", "--latest", "--time 2 mywebserver 6e534f14da9d"),
    flags=(
        Flag("all", "bool", "Stop all running containers", short="a"),
        CIDFILE,
        FILTER,
        Flag("ignore", "bool", "Ignore errors when a specified container is missing", short="i"),
        LATEST,
        TIME,
    ),
    arguments=containers_rule,
)
_LIVE = ("initialized", "running", "paused", "stopping")


def run(call: Invocation) -> int:
    """Stop the containers together and print each one's name."""
    from podling.engine import stop

    chosen = selection.containers(call, ignore_missing=call.flags.boolean("ignore"), statuses=_LIVE)
    grace = grace_seconds(call)
    results = stop.stop(
        call.settings, [container for _, container in chosen], timeout_seconds=grace, warn=selection.warn
    )
    outcome = selection.Outcome()
    for (name, _), (_, error) in zip(chosen, results, strict=True):
        if error is None:
            outcome.succeeded(name)
        else:
            outcome.failed(error)
    return outcome.status()


def grace_seconds(call: Invocation) -> int | None:
    """Return --time, where it was given; a negative one is as good as for ever."""
    given = call.flags.optional("time")
    if given is None:
        return None
    return int(given) if given >= 0 else 1 << 31
