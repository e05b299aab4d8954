"""Making a new network of what the user left open: its name, interface, subnets and gateways; and saying no."""

from __future__ import annotations

import os
import time

from podling.errors import InvalidArgument, Unavailable, Unsupported
from podling.linux import rtnetlink
from podling.linux.netlink import Netlink
from podling.network import addresses
from podling.network.addresses import Subnet
from podling.network.networks import Network, NetworkStore, is_name, with_gateways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

POOLS = (  # Podman's, each handed out as /24
    "10.89.0.0/16",
    "10.90.0.0/15",
    "10.92.0.0/14",
    "10.96.0.0/11",
    "10.128.0.0/9",
)
POOL_LENGTH = 24
BASE_NAME = "podman"  # a network without a name gets podman1, podman2, …, its bridge likewise: files are shared
RESERVED_NAMES = ("none", "host", "bridge", "private", "slirp4netns", "pasta", "container", "ns", "default")
OPTIONS = ("mtu", "isolate", "metric", "no_default_route")
MAX_INTERFACE_NAME = 15


def complete(networks: NetworkStore, wanted: Network) -> Network:
    """Return a network with everything decided. Raise InvalidArgument or Unsupported; nothing is written."""
    existing = networks.list()
    network = Network(**wanted.to_json())
    check_driver(network)
    network.id = os.urandom(32).hex()
    network.created = now()
    network.options = checked_options(network.options)
    names = {other.name for other in existing}
    bridges = {other.network_interface for other in existing if other.driver == "bridge"}
    free_name = first_free_name(names | bridges | set(os.listdir("/sys/class/net")))
    network.name = network.name or free_name
    network.network_interface = network.network_interface or free_name
    check_names(network, bridges)
    used = used_subnets(existing)
    check_subnets(network, used)
    add_subnets(network, used)
    network.ipam_options.setdefault("driver", "host-local" if network.subnets else "none")
    return with_gateways(network)


def check_driver(network: Network) -> None:
    """Raise unless the drivers are ones that we have."""
    if network.driver != "bridge":
        raise Unsupported(f'unsupported network driver "{network.driver}": only "bridge" is there yet')
    ipam = network.ipam_options.get("driver", "host-local")
    if ipam not in ("host-local", "none"):
        raise Unsupported(f'unsupported ipam driver "{ipam}"')
    if ipam == "none" and network.subnets:
        raise InvalidArgument("none ipam driver is set but subnets are given")


def checked_options(options: dict[str, str]) -> dict[str, str]:
    """Return the options, Docker's names translated. Raise InvalidArgument for one that is unknown or malformed."""
    translated = {key.replace("com.docker.network.driver.mtu", "mtu"): value for key, value in options.items()}
    for key, value in translated.items():
        if key not in OPTIONS:
            raise InvalidArgument(f"unsupported bridge network option {key}")
        if key in ("mtu", "metric") and not value.isdigit():
            raise InvalidArgument(f'unable to parse "{value}" as {key}: not a number')
        if key == "isolate" and value not in ("true", "false", "strict", "1", "0"):
            raise InvalidArgument(f'failed to parse isolate option: invalid value "{value}"')
    if translated.get("isolate") in ("0", "1"):
        translated["isolate"] = ("false", "true")[int(translated["isolate"])]
    return translated


def first_free_name(taken: set[str]) -> str:
    """Return the first of podman1, podman2, … that is taken by no network, bridge or interface."""
    number = 1
    while f"{BASE_NAME}{number}" in taken:
        number += 1
    return f"{BASE_NAME}{number}"


def check_names(network: Network, bridges: set[str]) -> None:
    """Raise InvalidArgument for a name that cannot be used."""
    if network.name in RESERVED_NAMES:
        message = f'cannot create network with name "{network.name}" because it conflicts with a valid network mode'
        raise InvalidArgument(message)
    rule = "names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
    if not is_name(network.name):
        raise InvalidArgument(f"network name {network.name} invalid: {rule}")
    interface = network.network_interface
    if not is_name(interface):
        raise InvalidArgument(f"bridge name {interface} invalid: {rule}")
    if len(interface) > MAX_INTERFACE_NAME:
        raise InvalidArgument(f"interface name {interface} is longer than {MAX_INTERFACE_NAME} characters")
    if interface in bridges:
        raise InvalidArgument(f"bridge name {interface} already in use")


def used_subnets(existing: Iterable[Network]) -> list[Subnet]:
    """Return the subnets of the networks and of the host's routes."""
    used = [subnet for network in existing for subnet in network.parsed_subnets()]
    with Netlink() as netlink:
        for address, length, _index in rtnetlink.destinations(netlink):
            used.append(Subnet(int.from_bytes(address, "big"), len(address) * 8, length))
    return used


def check_subnets(network: Network, used: list[Subnet]) -> None:
    """Raise InvalidArgument where what the user chose clashes, with itself or with others."""
    seen: list[Subnet] = []
    for item in network.subnets:
        subnet = addresses.parse_subnet(item["subnet"])
        if subnet in seen:
            raise InvalidArgument(f"duplicate subnets detected: {subnet}")
        for other in seen:
            if subnet.overlaps(other):
                raise InvalidArgument(f"overlapping subnets detected: {other} and {subnet}")
        if subnet.overlaps_any(used):
            raise InvalidArgument(f"subnet {subnet} is already used on the host or by another config")
        asked = item.get("lease_range") or {}
        inside = {"gateway": item.get("gateway"), **{f"lease range {key[:-3]} ip": asked[key] for key in asked}}
        for what, text in inside.items():
            if text and addresses.parse_address(text) not in subnet:
                raise InvalidArgument(f"{what} {text} not in subnet {subnet}")
        seen.append(subnet)


def add_subnets(network: Network, used: list[Subnet]) -> None:
    """Choose the subnets that the user left to us: IPv4 always, IPv6 where it was asked for."""
    if network.ipam_options.get("driver", "host-local") != "host-local":
        return
    bits = {subnet.bits for subnet in network.parsed_subnets()}
    if 32 not in bits and (not bits or network.ipv6_enabled):
        network.subnets.append({"subnet": str(free_ipv4_subnet(used))})
    if 128 not in bits and network.ipv6_enabled:
        network.subnets.append({"subnet": str(free_ipv6_subnet(used))})


def free_ipv4_subnet(used: list[Subnet], pools: Iterable[str] = POOLS, length: int = POOL_LENGTH) -> Subnet:
    """Return the first subnet of the pools that nobody uses. Raise Unavailable."""
    for pool in map(addresses.parse_subnet, pools):
        subnet = Subnet(pool.base, pool.bits, length)
        while subnet.base <= pool.last:
            if not subnet.overlaps_any(used):
                return subnet
            subnet = subnet.following()
    raise Unavailable("could not find free subnet from subnet pools")


def free_ipv6_subnet(used: list[Subnet]) -> Subnet:
    """Return a random unique local /64 (RFC 4193) that nobody uses."""
    while True:
        subnet = Subnet(int.from_bytes(b"\xfd" + os.urandom(7) + bytes(8), "big"), 128, 64)
        if not subnet.overlaps_any(used):
            return subnet


def now() -> str:
    """Return the time as Go's RFC3339Nano in the local zone."""
    nanoseconds = time.time_ns()
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + digits + zone
