"""`podling logs`: what containers have written, each stream on its own."""

from __future__ import annotations

import sys

from podling.cli import selection
from podling.cli.common_flags import LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.logs import Line

VERB = Verb(
    "Fetch the logs of one or more containers",
    usage="[options] CONTAINER [CONTAINER...]",
    description="Retrieves logs for one or more containers.\n\nThis does not guarantee execution order when combined "
    "with podling run (i.e., your run may not have generated any logs at the time you execute podling logs).",
    examples=(
        "ctrID",
        "--names ctrID1 ctrID2",
        "--tail 2 mywebserver",
        "--follow=true --since 10m ctrID",
        "mywebserver mydbserver",
    ),
    flags=(
        Flag("color", "bool", "Output the containers with different colors in the log."),
        Flag(
            "details",
            "bool",
            "Show extra details provided to the logs",
            hidden=True,
            refused="a k8s-file log has no details",
            accepted=False,
        ),
        Flag("follow", "bool", "Follow log output.  The default is false", short="f"),
        LATEST,
        Flag("names", "bool", "Output the container name in the log", short="n"),
        Flag("since", "string", "Show logs since TIMESTAMP"),
        Flag(
            "tail",
            "int",
            "Output the specified number of LINES at the end of the logs.  Defaults to -1, which prints all lines",
            default=-1,
        ),
        Flag("timestamps", "bool", "Output the timestamps in the log", short="t"),
        Flag("until", "string", "Show logs until TIMESTAMP"),
    ),
    arguments=any_arguments,
)
_COLORS = ("\033[37m", "\033[31m", "\033[33m", "\033[34m", "\033[35m", "\033[36m", "\033[32m")
_PLAIN = "\033[0m"


def run(call: Invocation) -> int:
    """Print the lines, stdout's on stdout and stderr's on stderr."""
    from podling.engine import logs

    flags = call.flags
    if not call.arguments and not flags.boolean("latest"):
        raise UsageError("specify at least one container name or ID to log")
    if call.arguments and flags.boolean("latest"):
        raise UsageError("--latest and containers cannot be used together")
    chosen = [container for _, container in selection.containers(call)]
    options = logs.LogOptions(
        follow=flags.boolean("follow"),
        tail=flags.number("tail"),
        since=flags.text("since"),
        until=flags.text("until"),
    )
    heads = _heads(call, [(container.id, container.name) for container in chosen])
    colors = {container.id: _COLORS[index % len(_COLORS)] for index, container in enumerate(chosen)}
    for line in logs.read(call.settings, chosen, options):
        _write(line, _prefix(call, line, heads), colors[line.container] if flags.boolean("color") else "")
    return 0


def _heads(call: Invocation, chosen: list[tuple[str, str]]) -> dict[str, str]:
    names = call.flags.boolean("names")
    if len(chosen) < 2 and not names:
        return {}
    return {identifier: (name if names else identifier[:12]) + " " for identifier, name in chosen}


def _prefix(call: Invocation, line: Line, heads: dict[str, str]) -> str:
    stamp = f"{line.time} " if call.flags.boolean("timestamps") else ""
    return heads.get(line.container, "") + stamp


def _write(line: Line, prefix: str, color: str) -> None:
    end = b"\n" if line.whole else b""
    text = prefix.encode() + line.text
    if color:
        text = color.encode() + text + _PLAIN.encode()
    stream = sys.stderr if line.stream == "stderr" else sys.stdout
    stream.buffer.write(text + end)
    stream.flush()
