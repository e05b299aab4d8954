"""`podling attach`: this terminal on a container that runs."""

from __future__ import annotations

from podling.cli import selection
from podling.cli.common_flags import DETACH_KEYS, LATEST, SIG_PROXY
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, one_or_latest

VERB = Verb(
    "Attach to a running container",
    usage="[options] CONTAINER",
    description="This command attaches to a running container using the container's ID or name, either to view its "
    "ongoing output or to control it interactively.",
    examples=("ctrID", "1234", "--no-stdin foobar"),
    flags=(DETACH_KEYS, LATEST, Flag("no-stdin", "bool", "Do not attach STDIN. The default is false"), SIG_PROXY),
    arguments=one_or_latest,
)


def run(call: Invocation) -> int:
    """Attach; return the exit code of the container, or 0 once detached."""
    from podling.engine import run as engine_run
    from podling.engine.options import AttachStreams

    flags = call.flags
    streams = AttachStreams(
        stdin=not flags.boolean("no-stdin"),
        detach_keys=flags.optional("detach-keys"),
        sig_proxy=flags.boolean("sig-proxy"),
    )
    return engine_run.attach_to(call.settings, selection.one(call), streams)
