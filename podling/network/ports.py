"""Published ports: reserved on the host by bound sockets, and written into the firewall as elements.

Packets never reach these sockets: the firewall redirects them before. A bound socket only keeps everybody else,
another container included, from taking the port. The engine hands them to the monitor, which holds them for the
container's life.
"""

from __future__ import annotations

from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_STREAM,
)
from _socket import socket as _socket
from _struct import pack

from podling.errors import InvalidArgument, Unavailable
from podling.linux.nftables import Element
from podling.network import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}

_EAFNOSUPPORT = 97
_EADDRNOTAVAIL = 99


class _Port:
    """One port of a mapping's range, for one protocol."""

    __slots__ = ("container_port", "host_ip", "host_port", "protocol")

    def __init__(self, host_ip: str, host_port: int, container_port: int, protocol: str) -> None:
        self.host_ip = host_ip
        self.host_port = host_port
        self.container_port = container_port
        self.protocol = protocol


def _each(mappings: Iterable[dict[str, Any]]) -> Iterable[_Port]:
    for mapping in mappings:
        for protocol in (mapping.get("protocol") or "tcp").split(","):
            if protocol not in PROTOCOLS:
                raise InvalidArgument(f'unknown protocol "{protocol}"')
            for offset in range(mapping.get("range") or 1):
                host_ip = mapping.get("host_ip") or ""
                yield _Port(host_ip, mapping["host_port"] + offset, mapping["container_port"] + offset, protocol)


def reserve(mappings: Iterable[dict[str, Any]]) -> list[int]:
    """Bind the host's side of the mappings and return the sockets' descriptors, close-on-exec.

    A mapping is {host_ip, host_port, container_port, range, protocol}. Raise Unavailable where a port is taken, with
    nothing left bound. SCTP ports are not reserved, as Podman does not.
    """
    sockets: list[_socket] = []
    try:
        for port in _each(mappings):
            if port.protocol != "sctp":
                sockets.append(_bind(port))
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return [bound.detach() for bound in sockets]


def _bind(port: _Port) -> _socket:
    families = [AF_INET6 if ":" in port.host_ip else AF_INET] if port.host_ip else [AF_INET6, AF_INET]
    kind = SOCK_STREAM if port.protocol == "tcp" else SOCK_DGRAM
    for family in families:
        try:
            bound = _socket(family, kind | SOCK_CLOEXEC, 0)
        except OSError as error:
            if error.errno == _EAFNOSUPPORT and family != families[-1]:
                continue  # a host without IPv6
            raise Unavailable(_refusal(port)) from error
        try:
            if family == AF_INET6:
                bound.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1 if port.host_ip else 0)
            bound.bind((port.host_ip, port.host_port))
            return bound
        except OSError as error:
            bound.close()
            if error.errno == _EADDRNOTAVAIL and family != families[-1]:
                continue  # IPv6 compiled in and disabled
            raise Unavailable(_refusal(port)) from error
    raise AssertionError("a family was tried")


def _refusal(port: _Port) -> str:
    version = "6" if ":" in port.host_ip else "4"
    host = f"[{port.host_ip}]" if version == "6" else port.host_ip
    name = port.protocol
    return f"cannot listen on the {name.upper()} port: listen {name}{version} {host}:{port.host_port}: bind"


def elements(mappings: Iterable[dict[str, Any]], container_addresses: Iterable[str], owner: str) -> list[Element]:
    """Return the firewall elements that lead the mappings to a container with these addresses.

    published_ip4        protocol . port                 → address . port
    published_at_ip4     host address . protocol . port  → address . port
    itself_ip4           address . address               a container that reaches itself through the host
    """
    targets = {len(address): address for address in reversed([addresses.parse_address(a) for a in container_addresses])}
    found: list[Element] = []
    for port in _each(mappings):
        for target in _targets(port, targets):
            key = pack("B3x", PROTOCOLS[port.protocol]) + pack(">H2x", port.host_port)
            at = ""
            if not _is_wildcard(port.host_ip):
                key = addresses.parse_address(port.host_ip) + key
                at = "_at"
            data = target + pack(">H2x", port.container_port)
            found.append(Element(f"published{at}_{_suffix(target)}", key, data, owner))
    if found:
        found += [Element(f"itself_{_suffix(target)}", target * 2, comment=owner) for target in targets.values()]
    return found


def _targets(port: _Port, targets: dict[int, bytes]) -> list[bytes]:
    sizes = [16 if ":" in port.host_ip else 4] if port.host_ip else [4, 16]
    return [targets[size] for size in sizes if size in targets]


def _is_wildcard(host_ip: str) -> bool:
    return host_ip in ("", "0.0.0.0", "::")


def _suffix(address: bytes) -> str:
    return "ip4" if len(address) == 4 else "ip6"
