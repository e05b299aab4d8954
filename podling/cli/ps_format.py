"""`ps --format`: JSON and templates."""

from __future__ import annotations

import time

from podling.cli import human, ps_columns
from podling.engine import listing
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation
    from podling.engine.container import Container


def output(call: Invocation, containers: list[Container]) -> str:
    """Return the list in the form that --format asks for."""
    now = time.time_ns()
    rows = [row(call, container) for container in containers]
    for each, container in zip(rows, containers, strict=True):
        each["CreatedAt"] = human.ago(container.config.created, now)
        each["Status"] = ps_columns.status_text(container, now)
        each["Created"] = container.config.created // 1_000_000_000
    return jsontext.dumps_indented(rows, "  ") + "\n"


def row(call: Invocation, container: Container) -> dict[str, Any]:
    """Return Podman's ListContainer."""
    config, state = container.config, container.state
    flags = call.flags
    written, virtual = ps_columns.sizes(call, container) if flags.boolean("size") else (0, 0)
    return {
        "AutoRemove": config.remove,
        "Command": listing.command(container) or None,
        "CreatedAt": "",
        "CIDFile": config.cidfile,
        "Exited": state.status == "exited",
        "ExitedAt": human.unix(state.finished_at),
        "ExitCode": state.exit_code,
        "ExposedPorts": _exposed(container),
        "Id": config.id,
        "Image": config.image_name or config.rootfs,
        "ImageID": config.image_id,
        "IsInfra": False,
        "Labels": config.labels or None,
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
        "Created": config.created,
    }


def _exposed(container: Container) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for protocol, number in sorted(ps_columns.exposed_ports(container.config.exposed_ports)):
        found.setdefault(str(number), []).append(protocol)
    return found or None


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
