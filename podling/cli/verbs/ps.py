"""`podling ps`: the containers, as they are now."""

from __future__ import annotations

import sys
import time

from podling.cli import human, ps_columns, tables
from podling.cli.common_flags import FILTER, LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb
from podling.engine import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container

SORTS = ("command", "created", "id", "image", "names", "runningfor", "size", "status")
VERB = Verb(
    "List containers",
    usage="[options]",
    description="Prints out information about the containers",
    examples=("-a", '-a --format "{{.ID}}  {{.Image}}  {{.Labels}}  {{.Mounts}}"', "--size --sort names"),
    flags=(
        Flag("all", "bool", "Show all the containers, default is only running containers", short="a"),
        Flag(
            "external",
            "bool",
            "Show containers in storage not controlled by Podman",
            aliases=("storage",),
            refused="podling's store holds only its own containers",
            accepted=False,
        ),
        FILTER,
        Flag("format", "string", "Pretty-print containers to JSON or using a Go template"),
        Flag("last", "int", "Print the n last created containers (all states)", short="n", default=-1),
        LATEST,
        Flag("no-trunc", "bool", "Display the extended information", aliases=("notruncate",)),
        Flag("noheading", "bool", "Do not print headers"),
        Flag("ns", "bool", "Display namespace information", aliases=("namespace",)),
        Flag("pod", "bool", "Print the ID and name of the pod the containers are associated with", short="p"),
        Flag("quiet", "bool", "Print the numeric IDs of the containers only", short="q"),
        Flag("size", "bool", "Display the total file sizes", short="s"),
        Flag("sort", "string", f"Sort output by: {', '.join(SORTS)}", choices=SORTS),
        Flag("sync", "bool", "Sync container state with OCI runtime (it always is)"),
        Flag("watch", "uint", "Watch the ps output on an interval in seconds", short="w"),
    ),
)
NAMESPACE_COLUMNS = ("CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS")
NAMESPACE_NAMES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def run(call: Invocation) -> int:
    """Print the list, once or every few seconds."""
    _check_flags(call)
    seconds = call.flags.number("watch")
    while True:
        text = _output(call)
        if not seconds:
            sys.stdout.write(text)
            return 0
        sys.stdout.write("\033[2J\033[1;1H" + text)
        sys.stdout.flush()
        time.sleep(seconds)  # the interval the user asked for


def _check_flags(call: Invocation) -> None:
    flags = call.flags
    if flags.number("last") >= 0 and flags.boolean("latest"):
        raise UsageError("last and latest are mutually exclusive")
    if flags.boolean("quiet") and (flags.boolean("size") or flags.boolean("ns")):
        raise UsageError("quiet conflicts with size and namespace")
    if flags.boolean("size") and flags.boolean("ns"):
        raise UsageError("size and namespace options conflict")
    if flags.number("watch") and flags.boolean("latest"):
        raise UsageError("the watch and latest flags cannot be used together")


def _output(call: Invocation) -> str:
    flags = call.flags
    template = flags.text("format")
    containers = _containers(call)
    if template:
        from podling.cli import ps_format

        return ps_format.output(call, containers)
    if flags.boolean("quiet"):
        length = 64 if flags.boolean("no-trunc") else 12
        return "".join(container.id[:length] + "\n" for container in containers)
    rows = [_row(call, container, time.time_ns()) for container in containers]
    return tables.render(rows if flags.boolean("noheading") else [_header(call), *rows])


def _containers(call: Invocation) -> list[Container]:
    flags = call.flags
    wanted = None
    if flags.changed("filter"):
        from podling.cli import filters

        wanted = filters.parse(flags.texts("filter"))
    found = listing.list_containers(
        call.settings,
        wanted,
        all=flags.boolean("all"),
        last=max(0, flags.number("last")),
        latest=flags.boolean("latest"),
    )
    key = flags.text("sort")
    if key == "size":
        found.sort(key=lambda container: sum(listing.sizes(call.settings, container)))
    elif key:
        found.sort(key=listing.SORT_KEYS[key])  # type: ignore[arg-type]
    return found


def _header(call: Invocation) -> list[str]:
    if call.flags.boolean("ns"):
        return ["CONTAINER ID", "NAMES", "PID", *NAMESPACE_COLUMNS]
    header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    if call.flags.boolean("pod"):
        header += ["POD ID", "PODNAME"]
    return [*header, "SIZE"] if call.flags.boolean("size") else header


def _row(call: Invocation, container: Container, now: int) -> list[str]:
    flags = call.flags
    whole = flags.boolean("no-trunc")
    identifier = container.id if whole else container.id[:12]
    if flags.boolean("ns"):
        namespaces = listing.namespaces_of(container.state.pid)
        numbers = [namespaces.get(name, "") for name in NAMESPACE_NAMES]
        return [identifier, container.name, str(container.state.pid), *numbers]
    row = [
        identifier,
        container.config.image_name,
        ps_columns.command_text(container, whole),
        human.ago(container.config.created, now),
        ps_columns.status_text(container, now),
        ps_columns.ports_text(container.config.ports, container.config.exposed_ports),
        container.name,
    ]
    if flags.boolean("pod"):
        row += ["", ""]
    return [*row, ps_columns.size_text(*listing.sizes(call.settings, container))] if flags.boolean("size") else row
