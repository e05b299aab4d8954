"""Links, addresses and routes: the messages of rtnetlink(7), each built by a function named after what it does.

Nothing here sends: a caller lists messages and hands them to `Netlink.request`, so that a whole interface is set up in
one or two system calls.
"""

from __future__ import annotations

from _socket import AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC
from _struct import pack, unpack_from

from podling.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    check,
    nested,
    number32,
    string,
)

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_SETLINK = 19
RTM_NEWADDR = 20
RTM_NEWROUTE = 24
RTM_GETROUTE = 26

IFF_UP = 1

IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_MASTER = 10
IFLA_PROTINFO = 12
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_AF_SPEC = 26
IFLA_GROUP = 27
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_BRPORT_MODE = 4
IFLA_INET_CONF = 1
VETH_INFO_PEER = 1

# The per-interface settings of /proc/sys/net/ipv4/conf, by number.
IPV4_DEVCONF_RP_FILTER = 8
IPV4_DEVCONF_ARP_NOTIFY = 22
IPV4_DEVCONF_ROUTE_LOCALNET = 26

IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_FLAGS = 8
IFA_F_NODAD = 0x02

RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RT_TABLE_MAIN = 254
RTPROT_STATIC = 4
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_LINK = 253
RTN_UNICAST = 1

ENODEV = 19
ERANGE = 34


class Link:
    """An interface as the kernel describes it."""

    __slots__ = ("address", "flags", "index", "kind")

    index: int
    flags: int

    def __init__(self, payload: bytes) -> None:
        _family, self.index, self.flags = unpack_from("=BxxxiI", payload)
        found = attributes(payload, 16)
        self.address = found.get(IFLA_ADDRESS, b"")
        information = attributes(found.get(IFLA_LINKINFO, b""))
        self.kind = information.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode()

    @property
    def is_up(self) -> bool:
        """Tell whether the interface is administratively up."""
        return bool(self.flags & IFF_UP)


def _link_header(index: int = 0, flags: int = 0, change: int = 0, family: int = AF_UNSPEC) -> bytes:
    return pack("=BxHiII", family, 0, index, flags, change)


def create_bridge(name: str, *, address: bytes, mtu: int = 0, group: int = 0) -> Message:
    """Create a bridge, not up yet."""
    body = _link_header() + string(IFLA_IFNAME, name) + attribute(IFLA_ADDRESS, address) + number32(IFLA_GROUP, group)
    if mtu:
        body += number32(IFLA_MTU, mtu)
    body += nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "bridge"))
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f'create bridge "{name}"')


def create_veth(
    name: str,
    *,
    master: int,
    group: int,
    peer_name: str,
    peer_namespace: int,
    peer_address: bytes = b"",
    mtu: int = 0,
) -> Message:
    """Create a pair: this end up and in the bridge `master`, the other in the namespace of a fd, not up yet.

    The peer cannot be created up: the kernel opens it before the pair is joined and answers ENOTCONN.
    """
    common = number32(IFLA_MTU, mtu) if mtu else b""
    peer = _link_header() + string(IFLA_IFNAME, peer_name) + number32(IFLA_NET_NS_FD, peer_namespace) + common
    if peer_address:
        peer += attribute(IFLA_ADDRESS, peer_address)
    data = nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, peer))
    body = _link_header(0, IFF_UP, IFF_UP) + string(IFLA_IFNAME, name) + common
    body += number32(IFLA_MASTER, master) + number32(IFLA_GROUP, group)
    body += nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "veth"), data)
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f'create interface "{peer_name}" and its host end')


def set_up(index: int) -> Message:
    """Bring an interface up."""
    return Message(RTM_NEWLINK, 0, _link_header(index, IFF_UP, IFF_UP), "bring the interface up")


def set_alias(index: int, alias: str) -> Message:
    """Set the text that `ip link` shows as alias."""
    return Message(RTM_NEWLINK, 0, _link_header(index) + attribute(IFLA_IFALIAS, alias.encode()), "set the alias")


def set_ipv4_settings(index: int, settings: dict[int, int]) -> Message:
    """Set values of /proc/sys/net/ipv4/conf/IF without opening a file or entering a namespace."""
    values = [number32(kind, value) for kind, value in settings.items()]
    body = _link_header(index) + nested(IFLA_AF_SPEC, nested(AF_INET, nested(IFLA_INET_CONF, *values)))
    return Message(RTM_NEWLINK, 0, body, "set the interface's IPv4 settings")


def set_hairpin(index: int) -> Message:
    """Let a port of a bridge send frames back where they came from."""
    body = _link_header(index, family=AF_BRIDGE) + nested(IFLA_PROTINFO, attribute(IFLA_BRPORT_MODE, b"\1"))
    return Message(RTM_SETLINK, 0, body, "set hairpin mode on the host end")


def delete_link(name: str) -> Message:
    """Delete an interface; of a pair, both ends. The kernel takes 10 to 60 ms: it waits for all its readers."""
    return Message(RTM_DELLINK, 0, _link_header() + string(IFLA_IFNAME, name), f'delete interface "{name}"')


def add_address(index: int, address: bytes, prefix_length: int) -> Message:
    """Give an interface an address; the same one again is no error. IPv6 addresses are usable at once (no DAD)."""
    family = AF_INET if len(address) == 4 else AF_INET6
    body = pack("=BBBBi", family, prefix_length, 0, 0, index) + attribute(IFA_LOCAL, address)
    body += attribute(IFA_ADDRESS, address)
    if family == AF_INET6:
        body += number32(IFA_FLAGS, IFA_F_NODAD)
    elif prefix_length < 31:
        last = int.from_bytes(address, "big") | ((1 << (32 - prefix_length)) - 1)
        body += attribute(IFA_BROADCAST, last.to_bytes(4, "big"))
    return Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, "add an address to the interface")


def add_route(index: int, destination: bytes, prefix_length: int, gateway: bytes, metric: int) -> Message:
    """Add a route through a gateway; prefix length 0 is the default route."""
    family = AF_INET if len(gateway) == 4 else AF_INET6
    body = pack(
        "=BBBBBBBBI", family, prefix_length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0
    )
    if prefix_length:
        body += attribute(RTA_DST, destination)
    body += attribute(RTA_GATEWAY, gateway) + number32(RTA_OIF, index)
    if metric:
        body += number32(RTA_PRIORITY, metric)
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body, "add a route through the network's gateway")


def get_link(name: str) -> Message:
    """Ask for an interface by name."""
    return Message(RTM_GETLINK, 0, _link_header() + string(IFLA_IFNAME, name), f'find interface "{name}"')


def find_link(netlink: Netlink, name: str) -> Link | None:
    """Return an interface by name, or None."""
    message = get_link(name)
    answer = netlink.exchange([message])[0]
    if answer.error in (ENODEV, ERANGE):
        return None
    check(message, answer)
    return Link(answer.payloads[0])


def destinations(netlink: Netlink) -> list[tuple[bytes, int, int]]:
    """Return (address, prefix length, interface index) of each route of the main table, default routes left out."""
    found = []
    for family in (AF_INET, AF_INET6):
        request = Message(RTM_GETROUTE, NLM_F_DUMP, pack("=BBBBBBBBI", family, *[0] * 8), "list routes")
        for payload in netlink.request([request])[0].payloads:
            route_family, prefix_length, _source, _tos, table = unpack_from("=BBBBB", payload)
            values = attributes(payload, 12)
            if route_family == family and table == RT_TABLE_MAIN and RTA_DST in values:
                index = unpack_from("=i", values[RTA_OIF])[0] if RTA_OIF in values else 0
                found.append((values[RTA_DST], prefix_length, index))
    return found
