"""`podling port`: where a container's ports are published."""

from __future__ import annotations

import sys

from podling.cli.common_flags import LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container

    Published = list[tuple[str, str]]

VERB = Verb(
    "List port mappings or a specific mapping for the container",
    usage="[options] CONTAINER [PORT]",
    description="List port mappings for the CONTAINER, or look up the public-facing port that is NAT-ed to the "
    "PRIVATE_PORT",
    examples=("--all", "ctrID 80/tcp", "--latest 80"),
    flags=(Flag("all", "bool", "Display port information for all containers", short="a"), LATEST),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Print the mappings, or the host's side of one."""
    from podling.engine import find

    flags, arguments = call.flags, call.arguments
    _check(call)
    if flags.boolean("all"):
        for container in find.all_containers(call.settings):
            for inside, outside in published(container):
                sys.stdout.write(f"{container.id[:12]}\t{inside} -> {outside}\n")
        return 0
    if flags.boolean("latest"):
        container, wanted = find.latest(call.settings), arguments[:1]
    else:
        container, wanted = find.find(call.settings, arguments[0]), arguments[1:2]
    if wanted:
        return _look_up(container, wanted[0])
    for inside, outside in published(container):
        sys.stdout.write(f"{inside} -> {outside}\n")
    return 0


def _check(call: Invocation) -> None:
    everything, latest = call.flags.boolean("all"), call.flags.boolean("latest")
    if everything and latest:
        raise UsageError("--all and --latest cannot be used together")
    if not (call.arguments or everything or latest):
        raise UsageError("you must supply a running container name or id")
    if len(call.arguments) > (2 if not latest else 1) or (everything and call.arguments):
        raise UsageError("`podling port` accepts at most a container and a port")


def _look_up(container: Container, wanted: str) -> int:
    number, slash, protocol = wanted.partition("/")
    if not (number.isascii() and number.isdigit()) or (slash and protocol not in ("tcp", "udp", "sctp")):
        raise InvalidArgument(f'invalid port "{wanted}"')
    inside = f"{number}/{protocol or 'tcp'}"
    found = [outside for port, outside in published(container) if port == inside]
    if not found:
        raise NotFound(f'failed to find published port "{wanted}"')
    sys.stdout.write("".join(outside + "\n" for outside in found))
    return 0


def published(container: Container) -> Published:
    """Return (port inside, address and port outside) of each published port."""
    rows = []
    for port in container.config.ports:
        for offset in range(port.range):
            outside = f"{port.host_ip or '0.0.0.0'}:{port.host_port + offset}"
            rows.append((f"{port.container_port + offset}/{port.protocol}", outside))
    return rows
