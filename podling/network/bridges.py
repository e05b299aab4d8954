"""Bridges and the pairs that lead from them into containers: the host's side of a network.

    bridge      up, with the gateway's addresses; alias "podling NAME"; group = the run directory's tag
    host end    pdTTTTIIIIIIIIn: four digits of the tag, eight of the container's ID, the number of the interface

The group marks what an engine made, for its own later clean-up. A bridge is up only when it is complete: one found
down was left half-made by a killed process and is configured again.
"""

from __future__ import annotations

import os

from podling.errors import Unavailable
from podling.linux import files, rtnetlink
from podling.linux.netlink import Netlink
from podling.linux.nftables import Nftables
from podling.linux.processes import read_small
from podling.network import addresses, firewall, hostfirewall
from podling.network.networks import DEFAULT_ID, PRIVATE_LENGTH, PRIVATE_POOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.network.networks import Network, NetworkStore

ALIAS = "podling "
_SYS = "/sys/class/net"
_FORWARDING = {32: "/proc/sys/net/ipv4/ip_forward", 128: "/proc/sys/net/ipv6/conf/all/forwarding"}


def ensure(networks: NetworkStore, network: Network, netlink: Netlink) -> tuple[Network, int]:
    """Make the bridge of a network, whose lock is held, if it is not there. Return the network and the bridge's index.

    A private default network whose subnet the host has come to use returns with another.
    """
    link = rtnetlink.find_link(netlink, network.network_interface)
    if link and link.kind != "bridge":
        kind = link.kind or "physical"
        raise Unavailable(f"bridge interface {network.network_interface} already exists but is a {kind} interface")
    if link and link.is_up:
        _forward(network)  # somebody may have loaded the host's sysctl settings again
        return network, link.index
    if network.id == DEFAULT_ID and networks.is_private:
        network = _with_free_subnet(networks, network, netlink, link.index if link else 0)
    index: int = link.index if link else _create(networks, network, netlink)
    settings = rtnetlink.set_ipv4_settings(index, {rtnetlink.IPV4_DEVCONF_ROUTE_LOCALNET: 1})
    messages = [rtnetlink.set_alias(index, ALIAS + network.name), settings]
    for item, subnet in zip(network.subnets, network.parsed_subnets(), strict=True):
        if item.get("gateway"):
            gateway = addresses.parse_address(item["gateway"])
            messages.append(rtnetlink.add_address(index, gateway, subnet.length))
    netlink.request([*messages, rtnetlink.set_up(index)])
    _forward(network)
    with Nftables() as nftables:
        for warning in hostfirewall.admit(nftables, network.network_interface):
            os.write(2, f"WARN: {warning}\n".encode())
    return network, index


def _create(networks: NetworkStore, network: Network, netlink: Netlink) -> int:
    name = network.network_interface
    unicast = bytes([os.urandom(1)[0] & 0xFC | 0x02]) + os.urandom(5)
    mtu = int(network.options.get("mtu", 0))
    files.write_atomically(networks.runtime_file("bridges", network.name), name, durable=False)
    create = rtnetlink.create_bridge(name, address=unicast, mtu=mtu, group=networks.tag)
    try:
        answers = netlink.request([create, rtnetlink.get_link(name)])
    except OSError:
        files.unlink_if_there(networks.runtime_file("bridges", network.name))
        raise
    created = rtnetlink.Link(answers[1].payloads[0])
    return created.index


def _with_free_subnet(networks: NetworkStore, network: Network, netlink: Netlink, own_index: int) -> Network:
    from podling.network import creation

    used = [
        addresses.Subnet(int.from_bytes(address, "big"), len(address) * 8, length)
        for address, length, index in rtnetlink.destinations(netlink)
        if index != own_index
    ]
    if not network.parsed_subnets()[0].overlaps_any(used):
        return network
    return networks.move_default(creation.free_ipv4_subnet(used, [PRIVATE_POOL], PRIVATE_LENGTH))


def _forward(network: Network) -> None:
    for bits in {subnet.bits for subnet in network.parsed_subnets()} if not network.internal else ():
        if read_small(_FORWARDING[bits]).strip() == "0":
            fd = os.open(_FORWARDING[bits], os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, b"1")
            finally:
                os.close(fd)


def delete(interface: str, netlink: Netlink) -> None:
    """Delete a bridge that nothing is connected to, with what the firewall knows of it."""
    with Nftables() as nftables:
        nftables.remove_present(firewall.TABLE, firewall.interface_elements(interface))
        hostfirewall.dismiss(nftables, interface)
    delete_link(interface, netlink)


def delete_link(interface: str, netlink: Netlink) -> None:
    """Delete an interface; absent is fine."""
    try:
        netlink.request([rtnetlink.delete_link(interface)])
    except OSError as error:
        if error.errno != rtnetlink.ENODEV:
            raise


def host_interface(networks: NetworkStore, container_id: str, number: int) -> str:
    """Return the name of the host's end of a container's interface."""
    return f"pd{networks.tag & 0xFFFF:04x}{container_id[:8]}{number:x}"


def own_interfaces(networks: NetworkStore) -> tuple[list[str], dict[str, str]]:
    """Return the host ends made for this run directory, and its bridges with the names of their networks."""
    ends, bridges = [], {}
    prefix = f"pd{networks.tag & 0xFFFF:04x}"
    for name in os.listdir(_SYS):
        if _reads(name, "netdev_group") != str(networks.tag):
            continue
        if name.startswith(prefix) and len(name) == len(prefix) + 9:
            ends.append(name)
        else:
            bridges[name] = _reads(name, "ifalias").removeprefix(ALIAS) or _network_with(networks, name)
    return ends, bridges


def _network_with(networks: NetworkStore, interface: str) -> str:
    """Return the network of a bridge whose maker was killed before it could write the alias; "" if there is none."""
    return next((network.name for network in networks.list() if network.network_interface == interface), "")


def is_used_by_others(networks: NetworkStore, interface: str) -> bool:
    """Tell whether a bridge has ports that are others'. Its own may be dying and tell nothing of themselves."""
    try:
        ports = os.listdir(f"{_SYS}/{interface}/brif")
    except FileNotFoundError:
        return False
    prefix = f"pd{networks.tag & 0xFFFF:04x}"
    return any(
        not port.startswith(prefix) or _reads(port, "netdev_group") not in ("", str(networks.tag)) for port in ports
    )


def is_own(networks: NetworkStore, interface: str) -> bool:
    """Tell whether an interface is there and was made for this run directory."""
    return _reads(interface, "netdev_group") == str(networks.tag)


def _reads(interface: str, attribute: str) -> str:
    try:
        return read_small(f"{_SYS}/{interface}/{attribute}").strip()
    except OSError:
        return ""  # it has just gone
