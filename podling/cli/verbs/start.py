"""`podling start`: containers that are at rest, perhaps attached."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import DETACH_KEYS, FILTER, LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, containers_rule
from podling.errors import PodlingError

VERB = Verb(
    "Start one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Starts one or more containers.  The container name or ID can be used.",
    examples=("--latest", "860a4b231279 5421ab43b45", "--interactive --attach ctrID"),
    flags=(
        Flag("all", "bool", "Start all containers regardless of their state or configuration"),
        Flag("attach", "bool", "Attach container's STDOUT and STDERR", short="a"),
        DETACH_KEYS,
        FILTER,
        Flag("interactive", "bool", "Make STDIN available to the contained process", short="i"),
        LATEST,
        Flag("sig-proxy", "bool", "Proxy received signals to the process (default true if attaching, false otherwise)"),
    ),
    arguments=containers_rule,
)
_AT_REST = ("created", "exited", "initialized")


def run(call: Invocation) -> int:
    """Start each container and print its name; attached, return the one's exit code."""
    flags = call.flags
    if len(call.arguments) > 1 and flags.boolean("attach"):
        raise UsageError("you cannot start and attach multiple containers at once")
    if flags.boolean("sig-proxy") and not flags.boolean("attach"):
        raise UsageError("you cannot use sig-proxy without --attach: invalid argument")
    chosen = selection.containers(call, statuses=_AT_REST)
    if flags.boolean("attach") or flags.boolean("interactive"):
        return _start_attached(call, chosen)
    from podling.engine import start

    outcome = selection.Outcome()
    for name, container in chosen:
        try:
            start.start(call.settings, container.id)
            outcome.succeeded(name)
        except PodlingError as error:
            outcome.failed(error)
    return outcome.status()


def _start_attached(call: Invocation, chosen: selection.Chosen) -> int:
    from podling.engine import run as engine_run
    from podling.engine.options import AttachStreams

    flags = call.flags
    status = 0
    for _, container in chosen:
        streams = AttachStreams(
            stdin=flags.boolean("interactive"),
            stdout=flags.boolean("attach"),
            stderr=flags.boolean("attach"),
            detach_keys=flags.optional("detach-keys"),
            sig_proxy=flags.boolean("sig-proxy") if flags.changed("sig-proxy") else True,
        )
        status = engine_run.start_attached(call.settings, container.id, streams)
    return status
