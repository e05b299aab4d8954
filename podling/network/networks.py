"""Networks: netavark's files, which Podman and Podling read and write alike, and the default network.

    CONFIG_DIR/NAME.json     one network; the name is the file's, the format netavark's
    (in memory)              the default network, unless a file has its name
    RUN_DIR/                 what this engine's use of them leaves until a reboot
      default.json           interface and subnet of a private default network
      leases/NAME.json       who has which address (leases.py)
      cursors/NAME           where the next free address is looked for
      bridges/NAME           the interface that was made for it
      resolvers/NAME         who answers for its names (naming.py)
      locks/NAME.lock        flock files

The default network of the default run directory is the bridge `podling0`. Any other run directory gets an interface
name and a subnet of its own, so that two roots on one host never share a bridge by accident.
"""

from __future__ import annotations

import os
from binascii import crc32

from podling.errors import AlreadyExists, Corrupt, InvalidArgument, NotFound
from podling.linux import files
from podling.linux.locks import Lock
from podling.network import addresses
from podling.oci import jsontext
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHARED_RUN_DIR = "/run/podling"
DEFAULT_INTERFACE = "podling0"
DEFAULT_ID = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"  # Podman's, "do not change"
PRIVATE_POOL = "10.64.0.0/12"  # outside Podman's pools; private default networks take a /24 each
PRIVATE_LENGTH = 24

_OMITTED_WHEN_EMPTY = (
    "network_interface",
    "subnets",
    "routes",
    "network_dns_servers",
    "labels",
    "options",
    "ipam_options",
)


class Network(Record):
    """A network, with netavark's names in netavark's order."""

    name: str = ""
    id: str = ""
    driver: str = "bridge"
    network_interface: str = ""
    created: str = ""  # RFC 3339 with nanoseconds
    subnets: list[dict[str, Any]] = []  # subnet, gateway, lease_range {start_ip, end_ip}
    routes: list[dict[str, Any]] = []  # destination, gateway, metric
    ipv6_enabled: bool = False
    internal: bool = False
    dns_enabled: bool = False
    network_dns_servers: list[str] = []
    labels: dict[str, str] = {}
    options: dict[str, str] = {}  # mtu isolate metric no_default_route
    ipam_options: dict[str, str] = {}

    def to_json(self) -> dict[str, Any]:
        """Return netavark's JSON object, without what is empty."""
        value = super().to_json()
        return {key: item for key, item in value.items() if item or key not in _OMITTED_WHEN_EMPTY}

    @property
    def has_leases(self) -> bool:
        """Tell whether we choose the addresses."""
        return bool(self.subnets) and self.ipam_options.get("driver", "") in ("", "host-local")

    def parsed_subnets(self) -> list[addresses.Subnet]:
        """Return the subnets, in order."""
        return [addresses.parse_subnet(subnet["subnet"]) for subnet in self.subnets]

    def gateways(self) -> list[str]:
        """Return the gateway of each subnet that has one."""
        return [subnet["gateway"] for subnet in self.subnets if subnet.get("gateway")]


class NetworkStore:
    """The networks that an engine with these directories has. Reading takes no lock and creates nothing."""

    def __init__(self, config_dir: str, run_dir: str, default_name: str, default_subnet: str) -> None:
        self.config_dir = config_dir
        self.run_dir = run_dir
        self.default_name = default_name
        self.default_subnet = default_subnet
        self.tag = crc32(os.path.realpath(run_dir).encode()) & 0x7FFFFFFF  # marks the interfaces made for this one

    @property
    def is_private(self) -> bool:
        """Tell whether the default network has to stay out of the way of the host's own."""
        return os.path.dirname(os.path.normpath(self.run_dir)) != SHARED_RUN_DIR

    def list(self) -> list[Network]:
        """Return all networks by name; a file that cannot be used is passed over, as Podman does."""
        found = {self.default_name: self._read(self.default_name) or self._default()}
        try:
            names = os.listdir(self.config_dir)
        except FileNotFoundError:
            names = []
        for name in names:
            if name.endswith(".json"):
                try:
                    network = self._read(name.removesuffix(".json"))
                except Corrupt:
                    continue
                if network:
                    found[network.name] = network
        return [found[name] for name in sorted(found)]

    def get(self, name_or_id: str) -> Network:
        """Return a network by name, ID or unambiguous beginning of an ID."""
        network = self._read(name_or_id) if is_name(name_or_id) else None
        if network is None and name_or_id == self.default_name:
            network = self._default()
        if network:
            return network
        matches = [network for network in self.list() if name_or_id and network.id.startswith(name_or_id)]
        if len(matches) > 1:
            raise InvalidArgument(f"more than one result for network ID {name_or_id}")
        if not matches:
            raise NotFound(f"unable to find network with name or ID {name_or_id}: network not found")
        return matches[0]

    def create(self, wanted: Network, *, ignore_existing: bool = False) -> Network:
        """Write a network, choosing what `wanted` leaves open: name, interface, subnets, gateways."""
        from podling.network import creation

        with self.lock(".create"):
            if (wanted.name and os.path.exists(self._file(wanted.name))) or wanted.name == self.default_name:
                if ignore_existing:
                    return self.get(wanted.name)
                raise AlreadyExists(f"network name {wanted.name} already used: network already exists")
            network = creation.complete(self, wanted)
            os.makedirs(self.config_dir, mode=0o755, exist_ok=True)
            text = jsontext.dumps_indented(network.to_json(), "     ") + "\n"
            files.write_atomically(self._file(network.name), text)
        return network

    def remove(self, name_or_id: str) -> Network:
        """Remove a network that has no containers; that it has none is for the caller to see to."""
        from podling.network import collector

        network = self.get(name_or_id)
        if network.name == self.default_name:
            raise InvalidArgument(f"default network {self.default_name} cannot be removed")
        with self.lock(network.name) as lock:
            collector.delete_bridge(self, network.name, network.network_interface)
            for place in ("leases", "cursors"):
                files.unlink_if_there(self.runtime_file(place, network.name))
            files.unlink_if_there(self._file(network.name))
            lock.release(unlink=True)
        return network

    def lock(self, name: str) -> Lock:
        """Return the lock of a network; one whose name begins with a dot is no network's."""
        directory = f"{self.run_dir}/locks"
        if not os.path.isdir(directory):
            for place in ("leases", "cursors", "bridges", "resolvers", "locks"):
                os.makedirs(f"{self.run_dir}/{place}", mode=0o755, exist_ok=True)
        return Lock(f"{directory}/{name}.lock")

    def runtime_file(self, place: str, name: str) -> str:
        """Return a file of the run directory: `place` is leases or cursors."""
        suffix = ".json" if place == "leases" else ""
        return f"{self.run_dir}/{place}/{name}{suffix}"

    def move_default(self, subnet: addresses.Subnet) -> Network:
        """Give the private default network another subnet, because the host uses the one it had."""
        value = {"interface": self._private()["interface"], "subnet": str(subnet)}
        os.makedirs(self.run_dir, mode=0o755, exist_ok=True)
        files.write_atomically(f"{self.run_dir}/default.json", jsontext.dumps(value), durable=False)
        return self._default()

    def _file(self, name: str) -> str:
        return f"{self.config_dir}/{name}.json"

    def _read(self, name: str) -> Network | None:
        try:
            with open(self._file(name), "rb") as file:
                value = jsontext.loads(file.read())
        except FileNotFoundError:
            return None
        if not isinstance(value, dict) or value.get("name") != name or len(value.get("id") or "") != 64:
            raise Corrupt(f'network config "{self._file(name)}" does not describe network "{name}"')
        network = Network.from_json({key: item for key, item in value.items() if item is not None})
        return with_gateways(network)

    def _default(self) -> Network:
        place = {"interface": DEFAULT_INTERFACE, "subnet": self.default_subnet}
        if self.is_private:
            place = self._private()
        network = Network(
            name=self.default_name,
            id=DEFAULT_ID,
            network_interface=place["interface"],
            subnets=[{"subnet": place["subnet"]}],
            ipam_options={"driver": "host-local"},
        )
        return with_gateways(network)

    def _private(self) -> dict[str, str]:
        try:
            with open(f"{self.run_dir}/default.json", "rb") as file:
                value: dict[str, str] = jsontext.loads(file.read())
                return value
        except FileNotFoundError:
            pool = addresses.parse_subnet(PRIVATE_POOL)
            slot = self.tag % (1 << (PRIVATE_LENGTH - pool.length))
            base = pool.base + (slot << (pool.bits - PRIVATE_LENGTH))
            subnet = addresses.Subnet(base, pool.bits, PRIVATE_LENGTH)
            return {"interface": f"podling{self.tag:08x}", "subnet": str(subnet)}


def with_gateways(network: Network) -> Network:
    """Give each subnet that wants one the first address as gateway, and notice IPv6, as Podman does on reading."""
    for item in network.subnets:
        subnet = addresses.parse_subnet(item["subnet"])
        item["subnet"] = str(subnet)
        if subnet.bits == 128:
            network.ipv6_enabled = True
        if not item.get("gateway") and (not network.internal or network.dns_enabled):
            item["gateway"] = addresses.address_text(subnet.pack(subnet.base + 1))
    return network


def is_name(text: str) -> bool:
    """Tell whether a text matches [a-zA-Z0-9][a-zA-Z0-9_.-]*."""
    rest = text.replace("_", "").replace(".", "").replace("-", "")
    return bool(text) and text[0].isalnum() and text.isascii() and rest.isalnum()
