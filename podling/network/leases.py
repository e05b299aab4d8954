"""Leases: which container has which address on a network, and what else was made for it there.

    RUN_DIR/leases/NAME.json     {CONTAINER_ID: {"name", "names", "addresses", "interface", "host_interface",
                                                 "ports", "dns_servers"}}
    RUN_DIR/cursors/NAME         the address given last, per subnet

A lease is written before anything is made and removed after everything is gone, under the network's lock, so that
whoever finds the lease of a dead container can remove the rest. The file of a network without containers is absent.
The network's resolver reads these files too. Addresses go round: one just freed is given again last, when its
neighbours have forgotten whose it was.
"""

from __future__ import annotations

import os

from podling.errors import Corrupt, InvalidArgument, Unavailable
from podling.linux import files
from podling.network import addresses
from podling.oci import jsontext
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.network.networks import Network, NetworkStore


class Lease(Record):
    """What one container has on one network."""

    name: str = ""
    names: list[str] = []  # what peers may call it, the container's name first
    addresses: list[str] = []
    interface: str = ""
    host_interface: str = ""
    ports: list[dict[str, Any]] = []  # those published through this network
    dns_servers: list[str] = []


def read(networks: NetworkStore, network_name: str) -> dict[str, Lease]:
    """Return the leases of a network by container ID. One read, no lock: the file is replaced by rename."""
    try:
        with open(networks.runtime_file("leases", network_name), "rb") as file:
            value = jsontext.loads(file.read())
    except FileNotFoundError:
        return {}
    except Corrupt as error:
        raise Corrupt(f'leases of network "{network_name}"') from error
    return {container_id: Lease.from_json(lease) for container_id, lease in value.items()}


def write(networks: NetworkStore, network_name: str, leases: dict[str, Lease]) -> None:
    """Replace the leases of a network, whose lock is held."""
    path = networks.runtime_file("leases", network_name)
    if not leases:
        files.unlink_if_there(path)
        return
    text = jsontext.dumps({container_id: lease.to_json() for container_id, lease in leases.items()})
    _write(path, text)


def _write(path: str, text: str) -> None:
    try:
        files.write_atomically(path, text, durable=False)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        files.write_atomically(path, text, durable=False)


def remove_staged(networks: NetworkStore) -> list[str]:
    """Remove the files that killed processes were writing, here and beside; return what was done, a line for each."""
    done = []
    for directory in ("leases", "cursors", "bridges", "resolvers"):
        for name in _listed(f"{networks.run_dir}/{directory}"):
            prefix, _, writer = name.partition("-")
            if prefix == ".staged" and not os.path.exists(f"/proc/{writer.partition('-')[0]}"):
                files.unlink_if_there(f"{networks.run_dir}/{directory}/{name}")
                done.append(f'removed "{name}"')
    return done


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def network_names(networks: NetworkStore) -> list[str]:
    """Return the names of the networks that have leases."""
    entries = _listed(f"{networks.run_dir}/leases")
    return sorted(name.removesuffix(".json") for name in entries if name.endswith(".json") and name[0] != ".")


def choose(networks: NetworkStore, network: Network, taken: dict[str, Lease], wanted: list[str]) -> list[str]:
    """Return an address in each subnet: a wanted one where there is one, else the next free. The lock is held."""
    if not network.has_leases:
        return list(wanted)
    owners = {address: container_id for container_id, lease in taken.items() for address in lease.addresses}
    cursors = _read_cursors(networks, network.name)
    chosen = _check_wanted(network, wanted, owners)
    for item, subnet in zip(network.subnets, network.parsed_subnets(), strict=True):
        if any(addresses.parse_address(address) in subnet for address in chosen):
            continue
        address = next_free(item, subnet, set(owners), cursors.get(str(subnet), ""))
        cursors[str(subnet)] = address
        chosen.append(address)
    _write(networks.runtime_file("cursors", network.name), jsontext.dumps(cursors))
    return chosen


def _check_wanted(network: Network, wanted: list[str], owners: dict[str, str]) -> list[str]:
    subnets = network.parsed_subnets()
    checked = []
    for text in wanted:
        packed = addresses.parse_address(text)
        text = addresses.address_text(packed)
        if not any(packed in subnet for subnet in subnets):
            raise InvalidArgument(f"requested static ip {text} not in any subnet on network {network.name}")
        if text in owners:
            message = f"IPAM error: requested ip address {text} is already allocated to container ID {owners[text]}"
            raise Unavailable(message)
        checked.append(text)
    return checked


def next_free(item: dict[str, Any], subnet: addresses.Subnet, taken: set[str], cursor: str) -> str:
    """Return the first free address behind the cursor, going round once. Raise Unavailable."""
    first, last = lease_range(item, subnet)
    gateway = item.get("gateway", "")
    after = int.from_bytes(addresses.parse_address(cursor), "big") + 1 if cursor else first
    start = after if first <= after <= last else first
    for span in (range(start, last + 1), range(first, start)):
        for value in span:
            address = addresses.address_text(subnet.pack(value))
            if address != gateway and address not in taken:
                return address
    ends = [addresses.address_text(subnet.pack(value)) for value in (first, last)]
    raise Unavailable(f"IPAM error: failed to find free IP in range: {ends[0]} - {ends[1]}")


def lease_range(item: dict[str, Any], subnet: addresses.Subnet) -> tuple[int, int]:
    """Return the first and last address that may be given: neither the subnet's own nor the IPv4 broadcast address."""
    asked = item.get("lease_range") or {}
    first, last = subnet.base, subnet.last
    if asked.get("start_ip"):
        first = int.from_bytes(addresses.parse_address(asked["start_ip"]), "big")
    if asked.get("end_ip"):
        last = int.from_bytes(addresses.parse_address(asked["end_ip"]), "big")
    first = max(first, subnet.base + 1)
    if subnet.bits == 32:
        last = min(last, subnet.last - 1)
    return first, last


def _read_cursors(networks: NetworkStore, network_name: str) -> dict[str, str]:
    try:
        with open(networks.runtime_file("cursors", network_name), "rb") as file:
            value: dict[str, str] = jsontext.loads(file.read())
            return value
    except (FileNotFoundError, Corrupt):
        return {}
