"""Connecting a container's namespace to networks, and taking the connection down.

    set_up       lease ─► bridge ─► pair ─► addresses, routes ─► published ports ─► names
    tear_down    published ports ─► lease ─► names           (needs nothing but the ID)
                 the pair dies with the namespace, the bridge by the collector (collector.py)

The lease comes first and says all that is made after it, so that `sweep` can finish what a killed process began.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError, reason
from podling.linux import rtnetlink
from podling.linux.netlink import Message, Netlink
from podling.linux.nftables import Nftables
from podling.network import addresses, bridges, collector, firewall, leases, namespaces, naming, ports
from podling.network.leases import Lease
from podling.network.nametable import DOMAIN
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.network.networks import Network, NetworkStore

DEFAULT_METRIC = 100
MAX_NETWORKS = 16
SHORT_ID = 12
_LOOSE = 2  # rp_filter: a container on two networks may be answered through either


class AttachmentRequest(Record):
    """What a container wants. Networks and ports are netavark's objects, as the engine's records give by `to_json`."""

    container_id: str
    container_name: str = ""
    hostname: str = ""
    namespace_path: str
    networks: dict[str, dict[str, Any]]  # name → aliases, static_ips, static_mac, interface_name
    ports: list[dict[str, Any]] = []  # host_ip, host_port, container_port, range, protocol
    dns_servers: list[str] = []


def set_up(networks: NetworkStore, request: AttachmentRequest) -> dict[str, dict[str, Any]]:
    """Connect a namespace to its networks. Return netavark's status object of each. On failure nothing remains."""
    check(networks, request)
    if any(request.container_id in leases.read(networks, name) for name in request.networks):
        tear_down(networks, request.container_id, background=False)  # what a killed run left
    namespace = os.open(request.namespace_path, os.O_RDONLY | os.O_CLOEXEC)
    status = {}
    try:
        with namespaces.netlink_inside(namespace) as inside, Netlink() as host:
            wanted_ports = request.ports
            for number, (name, interface) in enumerate(interface_names(request).items()):
                connection = _Connection(networks, request, name, interface, number, wanted_ports)
                status[name] = connection.make(host, inside, namespace)
                if connection.lease.ports:
                    wanted_ports = []  # one network publishes them
    except BaseException:
        tear_down(networks, request.container_id)
        collector.start(networks)  # the bridge may have been made, and no lease written
        raise
    finally:
        os.close(namespace)
    return status


def check(networks: NetworkStore, request: AttachmentRequest) -> None:
    """Raise NotFound or InvalidArgument before anything is made."""
    if len(request.networks) > MAX_NETWORKS:
        raise InvalidArgument(f"a container cannot be on more than {MAX_NETWORKS} networks")
    for name, wanted in request.networks.items():
        network = networks.get(name)
        if network.driver != "bridge":
            raise InvalidArgument(f'network "{name}" has driver "{network.driver}", which is not there yet')
        if wanted.get("static_mac"):
            addresses.parse_mac(wanted["static_mac"])


def interface_names(request: AttachmentRequest) -> dict[str, str]:
    """Return the interface for each network: the one asked for, or the first free of eth0, eth1, …"""
    asked = {name: wanted.get("interface_name") or "" for name, wanted in request.networks.items()}
    taken = {interface for interface in asked.values() if interface}
    free = (f"eth{number}" for number in range(2 * MAX_NETWORKS) if f"eth{number}" not in taken)
    return {name: interface or next(free) for name, interface in asked.items()}


class _Connection:
    """One container on one network, being made."""

    def __init__(
        self,
        networks: NetworkStore,
        request: AttachmentRequest,
        name: str,
        interface: str,
        number: int,
        wanted_ports: list[dict[str, Any]],
    ) -> None:
        self.networks = networks
        self.request = request
        self.wanted = request.networks[name]
        self.network = networks.get(name)
        self.number = number
        self.lease = Lease(
            name=request.container_name,
            names=self._names(),
            interface=interface,
            host_interface=bridges.host_interface(networks, request.container_id, number),
            ports=[] if self.network.internal else wanted_ports,
            dns_servers=request.dns_servers,
        )

    def make(self, host: Netlink, inside: Netlink, namespace: int) -> dict[str, Any]:
        with self.networks.lock(self.network.name):
            self.network, bridge = bridges.ensure(self.networks, self.network, host)
            self._take_lease()
            with Nftables() as nftables:
                admit(self.networks, self.network, nftables)
                self._join(host, bridge, namespace)
                link = self._configure(inside)
                firewall.publish(nftables, published(self.networks, self.request.container_id, self.lease))
            if self.lease.ports:
                self._reflect(host)
            if naming.is_wanted(self.network):
                naming.ensure(self.networks, self.network)
        return self._status(link)

    def _names(self) -> list[str]:
        request = self.request
        aliases = self.wanted.get("aliases") or []
        names = [request.container_name, *aliases, request.container_id[:SHORT_ID], request.hostname]
        return list(dict.fromkeys(name.lower() for name in names if name))

    def _take_lease(self) -> None:
        taken = leases.read(self.networks, self.network.name)
        static = self.wanted.get("static_ips") or []
        self.lease.addresses = leases.choose(self.networks, self.network, taken, static)
        taken[self.request.container_id] = self.lease
        leases.write(self.networks, self.network.name, taken)

    def _join(self, host: Netlink, bridge: int, namespace: int) -> None:
        static_mac = self.wanted.get("static_mac") or ""
        create = rtnetlink.create_veth(
            self.lease.host_interface,
            master=bridge,
            group=self.networks.tag,
            peer_name=self.lease.interface,
            peer_namespace=namespace,
            peer_address=addresses.parse_mac(static_mac) if static_mac else b"",
            mtu=int(self.network.options.get("mtu", 0)),
        )
        try:
            host.request([create])
        except FileExistsError:  # of an earlier run of the same container, whose namespace has not died yet
            bridges.delete_link(self.lease.host_interface, host)
            host.request([create])

    def _reflect(self, host: Netlink) -> None:
        """Let the container reach itself through the host, where bridged frames pass the firewall (br_netfilter)."""
        link = rtnetlink.find_link(host, self.lease.host_interface)
        if link:
            host.request([rtnetlink.set_hairpin(link.index)])

    def _configure(self, inside: Netlink) -> rtnetlink.Link:
        """Set the interface up. Addresses come before the link goes up: then it announces them."""
        link = rtnetlink.Link(inside.request([rtnetlink.get_link(self.lease.interface)])[0].payloads[0])
        settings = {rtnetlink.IPV4_DEVCONF_ARP_NOTIFY: 1, rtnetlink.IPV4_DEVCONF_RP_FILTER: _LOOSE}
        messages = [rtnetlink.set_ipv4_settings(link.index, settings)]
        for address, length, _gateway in self._interface_addresses():
            messages.append(rtnetlink.add_address(link.index, addresses.parse_address(address), length))
        inside.request([*messages, rtnetlink.set_up(link.index), *self._routes(link.index)])
        return link

    def _interface_addresses(self) -> list[tuple[str, int, str]]:
        found = []
        for address in self.lease.addresses:
            packed = addresses.parse_address(address)
            for item, subnet in zip(self.network.subnets, self.network.parsed_subnets(), strict=True):
                if packed in subnet:
                    found.append((address, subnet.length, item.get("gateway") or ""))
        return found

    def _routes(self, index: int) -> list[Message]:
        options = self.network.options
        metric = int(options.get("metric", DEFAULT_METRIC + self.number))
        routes = []
        if not self.network.internal and options.get("no_default_route") not in ("true", "1"):
            gateways = [addresses.parse_address(gateway) for _a, _l, gateway in self._interface_addresses() if gateway]
            firsts = {len(gateway): gateway for gateway in reversed(gateways)}
            routes += [rtnetlink.add_route(index, b"", 0, gateway, metric) for gateway in firsts.values()]
        for route in self.network.routes:
            subnet = addresses.parse_subnet(route["destination"])
            gateway = addresses.parse_address(route["gateway"])
            destination = subnet.pack(subnet.base)
            routes.append(
                rtnetlink.add_route(index, destination, subnet.length, gateway, route.get("metric") or metric)
            )
        return routes

    def _status(self, link: rtnetlink.Link) -> dict[str, Any]:
        subnets = []
        for address, length, gateway in self._interface_addresses():
            subnets.append({"ipnet": f"{address}/{length}", **({"gateway": gateway} if gateway else {})})
        interface = {"subnets": subnets, "mac_address": addresses.mac_text(link.address)}
        with_names = naming.is_wanted(self.network)
        return {
            "interfaces": {self.lease.interface: interface},
            "dns_server_ips": self.network.gateways() if with_names else [],
            "dns_search_domains": [DOMAIN] if with_names else [],
        }


def owner(networks: NetworkStore, container_id: str) -> str:
    """Return the comment of a container's firewall elements."""
    return f"{container_id[:SHORT_ID]} {networks.tag:08x}"


def published(networks: NetworkStore, container_id: str, lease: Lease) -> list[Any]:
    """Return the firewall elements of what a lease publishes."""
    return ports.elements(lease.ports, lease.addresses, owner(networks, container_id))


def admit(networks: NetworkStore, network: Network, nftables: Nftables) -> None:
    """See that the firewall knows a network; after somebody flushed it, restore all that this engine had there."""
    table_stands, known = firewall.stands(nftables, network)
    if not table_stands:
        firewall.write_table()
    if not known:
        nftables.change(firewall.TABLE, add=firewall.network_elements(network))
        for name in leases.network_names(networks):
            for container_id, lease in leases.read(networks, name).items():
                if lease.ports and lease.addresses:
                    firewall.publish(nftables, published(networks, container_id, lease))


def tear_down(networks: NetworkStore, container_id: str, *, background: bool = True) -> None:
    """Give back all that a container has of any network. Idempotent; takes about a millisecond.

    The container's interfaces go with its namespace, which the caller lets go next (`namespaces.remove`). What then
    stays, bridges without containers and interfaces of namespaces that refuse to die, is collected by a process in the
    background a moment later; with `background=False` the caller runs `collector.collect` itself.
    """
    released = [name for name in leases.network_names(networks) if _release(networks, name, container_id)]
    if released and background:
        collector.start(networks)


def _release(networks: NetworkStore, network_name: str, container_id: str) -> bool:
    if container_id not in leases.read(networks, network_name):
        return False
    with networks.lock(network_name):
        taken = leases.read(networks, network_name)
        lease = taken.pop(container_id, None)
        if lease is None:
            return False
        if lease.ports:
            with Nftables() as nftables:
                nftables.remove_present(firewall.TABLE, published(networks, container_id, lease))
        if not taken:
            naming.stop(networks, network_name)
        leases.write(networks, network_name, taken)
    return True


def sweep(networks: NetworkStore, live_container_ids: Callable[[], set[str]]) -> list[str]:
    """Finish what killed processes left: leases of the dead, interfaces without a lease, resolvers that are gone.

    The IDs are asked for after the leases have been read, and only if there are any: a container's row is there before
    its lease, so nobody who is just starting is taken for dead. Return what was done, a line for each.
    """
    done = leases.remove_staged(networks)
    held = {name: leases.read(networks, name) for name in leases.network_names(networks)}
    live = live_container_ids() if held else set()
    for network_name, taken in held.items():
        for container_id in taken.keys() - live:
            if _release(networks, network_name, container_id):
                done.append(f'released the lease of container "{container_id}" on network "{network_name}"')
        if taken.keys() & live:
            done += _revive_resolver(networks, network_name)
    return done + collector.collect_strays(networks)


def _revive_resolver(networks: NetworkStore, network_name: str) -> list[str]:
    try:
        network = networks.get(network_name)
        if not naming.is_wanted(network) or naming.is_running(networks, network_name):
            return []
        with networks.lock(network_name):
            if leases.read(networks, network_name) and naming.ensure(networks, network):
                return [f'restarted the resolver of network "{network_name}"']
    except PodlingError as error:
        return [f'cannot restart the resolver of network "{network_name}": {reason(error)}']
    return []
