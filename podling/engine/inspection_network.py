"""`inspect`'s NetworkSettings: addresses from netavark's status objects, ports from the config."""

from __future__ import annotations

import os

from podling.engine import paths
from podling.engine.container import Container, PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.options import Settings


def settings_of(settings: Settings, container: Container) -> dict[str, Any]:
    """Return Podman's InspectNetworkSettings."""
    config, statuses = container.config, container.state.network_status
    networks = {name: statuses.get(name) or {} for name in sorted(config.networks)}
    first = next(iter(networks.values()), {}) if len(networks) == 1 else {}
    namespace = paths.network_namespace(settings, config.id)
    data = {
        **_basic(first),
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports(config.ports, config.exposed_ports),
        "SandboxKey": namespace if os.path.exists(namespace) else "",
    }
    if networks:
        data["Networks"] = {name: _additional(container, name, status) for name, status in networks.items()}
    return data


def _basic(status: dict[str, Any]) -> dict[str, Any]:
    """Return the addresses of a network's first interface."""
    data: dict[str, Any] = {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
    }
    interfaces = status.get("interfaces") or {}
    for interface in list(interfaces.values())[:1]:
        data["MacAddress"] = interface.get("mac_address", "")
        for subnet in interface.get("subnets") or []:
            address, _, length = subnet.get("ipnet", "").partition("/")
            six = ":" in address
            keys = ("IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen")
            keys = keys if six else ("Gateway", "IPAddress", "IPPrefixLen")
            if not data[keys[1]]:
                data |= dict(zip(keys, (subnet.get("gateway") or "", address, int(length or 0)), strict=True))
    return data


def _additional(container: Container, name: str, status: dict[str, Any]) -> dict[str, Any]:
    aliases = [*container.config.networks[name].aliases, container.id[:12]]
    return {
        **_basic(status),
        "NetworkID": name,
        "DriverOpts": None,
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(dict.fromkeys(aliases)),
    }


def ports(mappings: list[PortMapping], exposed: dict[str, Any]) -> dict[str, Any]:
    """Return host addresses by port inside; null for a port that is exposed alone."""
    found = bindings(mappings)
    for port in exposed:
        found.setdefault(port if "/" in port else f"{port}/tcp", None)
    return {port: found[port] for port in sorted(found)}


def bindings(mappings: list[PortMapping]) -> dict[str, Any]:
    """Return host addresses by port inside."""
    found: dict[str, Any] = {}
    for mapping in mappings:
        for offset in range(mapping.range):
            rows = found.setdefault(f"{mapping.container_port + offset}/{mapping.protocol}", [])
            rows.append({"HostIp": mapping.host_ip or "0.0.0.0", "HostPort": str(mapping.host_port + offset)})
    return {port: found[port] for port in sorted(found)}
