"""Published and exposed ports: their grammar, their merging, a free host port where none was named.

8080:80   127.0.0.1:8080:80/udp   [::1]:8000-8010:9000-9010   80   127.0.0.1::80
"""

from __future__ import annotations

import _socket

from podling.engine import addresses
from podling.engine.container import PortMapping
from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from podling.engine.request import Request

    Exposed = dict[tuple[int, str], None]

_PROTOCOLS = ("tcp", "udp", "sctp")
_ATTEMPTS = 15


def fill(request: Request) -> None:
    """Fill in published and exposed ports. Raise InvalidArgument."""
    options, config = request.options, request.config
    wanted = [mapping for text in options.publish for mapping in parse(text)]
    exposed = _exposed(request)
    config.exposed_ports = {f"{port}/{protocol}": {} for port, protocol in exposed}
    if config.network_mode != "bridge":
        if wanted:
            mode = {"none": "none", "host": "host"}.get(config.network_mode, config.network_mode.partition(":")[0])
            request.warn(
                f'Port mappings have been discarded because "{mode}" network namespace mode does not support them'
            )
        return
    if options.publish_all:
        published = {(port, mapping.protocol) for mapping in wanted for port in _container_ports(mapping)}
        wanted += [
            PortMapping(host_port=0, container_port=port, protocol=protocol)
            for port, protocol in exposed
            if (port, protocol) not in published
        ]
    config.ports = choose_host_ports(merge(wanted))


def _container_ports(mapping: PortMapping) -> Iterable[int]:
    return range(mapping.container_port, mapping.container_port + mapping.range)


def _exposed(request: Request) -> Exposed:
    found: Exposed = {}
    for text in request.image.get("ExposedPorts") or {}:
        try:
            found.update(parse_exposed(text))
        except InvalidArgument as error:
            raise InvalidArgument(f"unable to convert image EXPOSE: {error}") from None
    for text in request.options.expose:
        found.update(parse_exposed(text))
    return found


def parse_exposed(text: str) -> Exposed:
    """Return ports and protocols of an `--expose`. Raise InvalidArgument."""
    parts = text.split("/")
    if len(parts) > 2:
        raise InvalidArgument("invalid expose format - protocol can only be specified once")
    first, count = port_range(parts[0])
    protocols = _protocols(parts[1] if len(parts) == 2 else "tcp")
    return {(port, protocol): None for port in range(first, first + count) for protocol in protocols}


def parse(text: str) -> list[PortMapping]:
    """Return the mappings of a `--publish`, one for each protocol; host port 0 is a free one. Raise InvalidArgument."""
    parts = text.split("/")
    if len(parts) > 2:
        raise InvalidArgument("invalid port format - protocol can only be specified once")
    if len(parts) == 2 and not parts[1]:
        raise InvalidArgument("must provide a non-empty protocol to publish")
    host_ip, host, container = _split(parts[0])
    if not container:
        raise InvalidArgument("must provide a non-empty container port to publish")
    first, count = _range(container, "container")
    host_first = 0
    if host_ip is not None:
        if not host_ip:
            raise InvalidArgument("must provide a non-empty container host IP to publish")
        host_ip = addresses.check(host_ip, f'cannot parse "{host_ip}" as an IP address')
    if host:
        host_first, host_count = _range(host, "host")
        if host_count != count:
            raise InvalidArgument(f"host and container port ranges have different lengths: {host_count} vs {count}")
    return [
        PortMapping(host_ip=host_ip or "", host_port=host_first, container_port=first, range=count, protocol=protocol)
        for protocol in _protocols(parts[1] if len(parts) == 2 else "")
    ]


def _split(text: str) -> tuple[str | None, str, str]:
    host_ip: str | None = None
    brackets = text.split("]")
    if len(brackets) > 2:
        raise InvalidArgument("invalid port format - at most one IPv6 address can be specified in a --publish")
    if len(brackets) == 2:
        if not brackets[0].startswith("["):
            raise InvalidArgument("invalid port format - IPv6 addresses must be enclosed by []")
        if not brackets[1].startswith(":"):
            raise InvalidArgument("invalid port format - IPv6 address must be followed by a colon (':')")
        host_ip, text = brackets[0][1:], brackets[1][1:]
    words = text.split(":")
    if host_ip is not None and len(words) == 1:
        raise InvalidArgument("invalid port format - must provide host and destination port if specifying an IP")
    if host_ip is not None and len(words) == 3:
        raise InvalidArgument("invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort")
    if len(words) == 3:
        return words[0], words[1], words[2]
    if len(words) > 3:
        raise InvalidArgument("invalid port format - format is [[hostIP:]hostPort:]containerPort")
    return (host_ip, words[0], words[1]) if len(words) == 2 else (host_ip, "", words[0])


def _range(text: str, whose: str) -> tuple[int, int]:
    try:
        return port_range(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"parsing {whose} port: {error}") from None


def port_range(text: str) -> tuple[int, int]:
    """Return the first port and the number of ports. Raise InvalidArgument."""
    parts = text.split("-")
    if len(parts) > 2:
        raise InvalidArgument("invalid port format - port ranges are formatted as startPort-stopPort")
    if not parts[0]:
        raise InvalidArgument("port numbers cannot be negative")
    first = _port(parts[0])
    if len(parts) == 1:
        return first, 1
    if not parts[1]:
        raise InvalidArgument("must provide ending number for port range")
    last = _port(parts[1])
    if last <= first:
        raise InvalidArgument(
            f"the end port of a range must be higher than the start port - {last} is not higher than {first}"
        )
    return first, last - first + 1


def _port(text: str) -> int:
    if not (text.isascii() and text.lstrip("+-").isdigit()):
        raise InvalidArgument(f'invalid port number: strconv.Atoi: parsing "{text}": invalid syntax')
    if not 1 <= int(text) <= 65535:
        raise InvalidArgument(f"port numbers must be between 1 and 65535 (inclusive), got {int(text)}")
    return int(text)


def _protocols(text: str) -> list[str]:
    found = dict.fromkeys(part.lower() or "tcp" for part in text.split(","))
    for protocol in found:
        if protocol not in _PROTOCOLS:
            raise InvalidArgument(f'unrecognized protocol "{protocol}" in port mapping')
    return list(found)


def merge(mappings: list[PortMapping]) -> list[PortMapping]:
    """Join neighbouring and repeated mappings into ranges. Raise InvalidArgument where two claim one host port."""
    merged: list[PortMapping] = []
    ordered = sorted(
        mappings,
        key=lambda one: (one.host_ip, one.protocol, one.host_port == 0, one.host_port, one.container_port),
    )
    for mapping in ordered:
        if max(mapping.container_port, mapping.host_port) + mapping.range - 1 > 65535:
            raise InvalidArgument("container port range exceeds maximum allowable port number")
        last = merged[-1] if merged else None
        if last is None or not _join(last, mapping):
            merged.append(mapping.with_changes())
    return merged


def _join(last: PortMapping, mapping: PortMapping) -> bool:
    """Extend `last` by a mapping that continues or repeats it; tell whether it did."""
    if (last.host_ip, last.protocol) != (mapping.host_ip, mapping.protocol):
        return False
    if (last.host_port == 0) != (mapping.host_port == 0):
        return False
    if mapping.host_port == 0:
        if last.container_port + last.range <= mapping.container_port:
            return False
        last.range = max(last.range, mapping.container_port - last.container_port + mapping.range)
        return True
    distance = mapping.host_port - last.host_port
    if last.range >= distance and distance == mapping.container_port - last.container_port:
        last.range = max(last.range, distance + mapping.range)
        return True
    if last.range > distance:
        raise InvalidArgument(
            f"conflicting port mappings for host port {mapping.host_port} (protocol {mapping.protocol})"
        )
    return False


def choose_host_ports(mappings: list[PortMapping]) -> list[PortMapping]:
    """Return mappings with a free host port for each that has none. Raise InvalidArgument."""
    taken = {
        (mapping.protocol, port)
        for mapping in mappings
        if mapping.host_port
        for port in range(mapping.host_port, mapping.host_port + mapping.range)
    }
    for mapping in mappings:
        if not mapping.host_port:
            mapping.host_port = _free_port(mapping, taken)
            ports = range(mapping.host_port, mapping.host_port + mapping.range)
            taken.update((mapping.protocol, port) for port in ports)
    return mappings


def _free_port(mapping: PortMapping, taken: set[tuple[str, int]]) -> int:
    kind = _socket.SOCK_DGRAM if mapping.protocol == "udp" else _socket.SOCK_STREAM
    for _ in range(_ATTEMPTS):
        probe = _socket.socket(_socket.AF_INET, kind)
        try:
            probe.bind(("0.0.0.0", 0))
            first: int = probe.getsockname()[1]
        finally:
            probe.close()
        ports = range(first, first + mapping.range)
        if ports[-1] <= 65535 and not any((mapping.protocol, port) in taken for port in ports):
            return first
    extent = f"with range {mapping.range} " if mapping.range > 1 else ""
    raise InvalidArgument(
        f"failed to find an open port to expose container port {mapping.container_port} {extent}on the host"
    )
