"""`ps --format`: JSON and templates."""

from __future__ import annotations

import time

from podling.cli import human, ps_columns, report
from podling.cli.gotemplate import values
from podling.cli.gotemplate.values import Method
from podling.engine import listing
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation
    from podling.engine.container import Container

values.declare(
    "types.PortMapping",
    """
    HostIP string host_ip
    ContainerPort uint16 container_port
    HostPort uint16 host_port
    Range uint16 range
    Protocol string protocol
    """,
)
values.declare("define.ContainerSize", "RootFsSize int64 rootFsSize\nRwSize int64 rwSize")
values.declare(
    "types.ListContainerNamespaces",
    """
    MNT string Mnt
    Cgroup string
    IPC string Ipc
    NET string Net
    PIDNS string Pidns
    UTS string Uts
    User string
    """,
)
values.declare(
    "types.ListContainer",
    """
    AutoRemove bool
    Command []string
    Created string
    CreatedAt string
    CIDFile string
    Exited bool
    ExitedAt int64
    ExitCode int32
    ExposedPorts map[uint16][]string
    ID string Id
    Image string
    ImageID string
    IsInfra bool
    Labels map[string]string
    Mounts []string
    Names []string
    Namespaces types.ListContainerNamespaces
    Networks []string
    Pid int
    Pod string
    PodName string
    Ports []types.PortMapping
    Restarts uint
    Size *define.ContainerSize
    StartedAt int64
    State string
    Status string
    """,
)
REPORTER = values.declare("containers.psReporter", "types.ListContainer")
_TEXTS = (
    "ID",
    "ImageID",
    "Command",
    "CreatedHuman",
    "RunningFor",
    "CreatedAt",
    "Status",
    "Ports",
    "Names",
    "Networks",
    "Labels",
    "Restarts",
    "Size",
    "Pod",
)
HEADERS = {
    "Cgroup": "cgroupns",
    "CreatedHuman": "created",
    "ID": "container id",
    "IPC": "ipc",
    "MNT": "mnt",
    "NET": "net",
    "Networks": "networks",
    "PIDNS": "pidns",
    "Pod": "pod id",
    "PodName": "podname",
    "Restarts": "restarts",
    "RunningFor": "running for",
    "UTS": "uts",
    "User": "userns",
}


def _method(key: str) -> Method:
    return Method(lambda data: data.get(key, ""), values.STRING)


def _namespace(key: str) -> Method:
    return Method(lambda data: (data.get("Namespaces") or {}).get(key, ""), values.STRING)


REPORTER.methods |= {name: _method(f"_{name}") for name in _TEXTS}
REPORTER.methods |= {
    name: _namespace(key)
    for name, key in {
        "Cgroup": "Cgroup",
        "IPC": "Ipc",
        "MNT": "Mnt",
        "NET": "Net",
        "PIDNS": "Pidns",
        "User": "User",
        "UTS": "Uts",
    }.items()
}
REPORTER.methods["Label"] = Method(
    lambda data, name: (data.get("Labels") or {}).get(name, ""), values.STRING, (values.STRING,)
)


def output(call: Invocation, containers: list[Container]) -> str:
    """Return the list in the form that --format asks for."""
    template = call.flags.text("format")
    now = time.time_ns()
    rows = [row(call, container) for container in containers]
    for each, container in zip(rows, containers, strict=True):
        each |= {f"_{name}": text for name, text in _texts(call, container, each, now).items()}
    if report.is_json(template):
        return jsontext.dumps_indented([_for_json(each) for each in rows], "  ") + "\n"
    template = template.replace(".Namespaces.", ".")
    return report.render_rows("ps", template, REPORTER, rows, HEADERS, heading=not call.flags.boolean("noheading"))


def _for_json(each: dict[str, Any]) -> dict[str, Any]:
    created = {"CreatedAt": each["_CreatedHuman"], "Status": each["_Status"], "Created": each["_Unix"]}
    found = {key: value for key, value in (each | created).items() if key[0] != "_" and key != "Created"}
    return found | {"Created": created["Created"]}


def _texts(call: Invocation, container: Container, each: dict[str, Any], now: int) -> dict[str, Any]:
    """Return what the methods of Podman's reporter return."""
    whole = call.flags.boolean("no-trunc")
    created = human.ago(container.config.created, now)
    labels = container.config.labels
    size = each["Size"]
    return {
        "ID": container.id if whole else container.id[:12],
        "ImageID": container.config.image_id if whole else container.config.image_id[:12],
        "Command": ps_columns.command_text(container, whole),
        "CreatedHuman": created,
        "RunningFor": created,
        "CreatedAt": human.go_time(container.config.created),
        "Status": ps_columns.status_text(container, now),
        "Ports": ps_columns.ports_text(container.config.ports, container.config.exposed_ports),
        "Names": container.name,
        "Networks": ",".join(container.config.networks),
        "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        "Restarts": str(container.state.restarts),
        "Size": ps_columns.size_text(size["rwSize"], size["rootFsSize"]) if size else "",
        "Pod": "",
        "Unix": container.config.created // 1_000_000_000,
    }


def row(call: Invocation, container: Container) -> dict[str, Any]:
    """Return Podman's ListContainer."""
    config, state = container.config, container.state
    flags = call.flags
    written, virtual = listing.sizes(call.settings, container) if flags.boolean("size") else (0, 0)
    return {
        "AutoRemove": config.remove,
        "Command": listing.command(container) or None,
        "Created": human.rfc3339(config.created),
        "CreatedAt": "",
        "CIDFile": config.cidfile,
        "Exited": state.status == "exited",
        "ExitedAt": human.unix(state.finished_at),
        "ExitCode": state.exit_code,
        "ExposedPorts": _exposed(container),
        "Id": config.id,
        "Image": config.image_name,
        "ImageID": config.image_id,
        "IsInfra": False,
        "Labels": {key: config.labels[key] for key in sorted(config.labels)} or None,
        "Mounts": [mount["destination"] for mount in (*config.mounts, *config.volumes)],
        "Names": [config.name],
        "Namespaces": _namespaces(container) if flags.boolean("ns") else {},
        "Networks": list(config.networks),
        "Pid": state.pid,
        "Pod": "",
        "PodName": "",
        "Ports": [_port(port) for port in config.ports] or None,
        "Restarts": state.restarts,
        "Size": {"rootFsSize": virtual, "rwSize": written} if flags.boolean("size") else None,
        "StartedAt": human.unix(state.started_at),
        "State": str(state.status),
        "Status": "starting" if config.healthcheck and state.status == "running" else "",
    }


def _exposed(container: Container) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for protocol, number in sorted(ps_columns.exposed_ports(container.config.exposed_ports)):
        found.setdefault(str(number), []).append(protocol)
    return {number: found[number] for number in sorted(found)} or None


def _port(port: Any) -> dict[str, Any]:
    return {
        "host_ip": port.host_ip,
        "container_port": port.container_port,
        "host_port": port.host_port,
        "range": port.range,
        "protocol": port.protocol,
    }


def _namespaces(container: Container) -> dict[str, str]:
    names = {"mnt": "Mnt", "cgroup": "Cgroup", "ipc": "Ipc", "net": "Net", "pid": "Pidns", "uts": "Uts", "user": "User"}
    found = listing.namespaces_of(container.state.pid)
    return {key: found[name] for name, key in names.items() if name in found}
