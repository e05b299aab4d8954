"""The names of a network's containers, as its resolver knows them: read from the lease files, again when they change.

A container that asks is answered for every network that it is on, whichever resolver it asks. Names are the
container's name, its short ID, its aliases and its hostname, bare or under `.dns.podman`.
"""

from __future__ import annotations

import os

from podling.errors import Corrupt
from podling.network import addresses
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Leases = dict[str, dict[str, Any]]

DOMAIN = "dns.podman"


class NameTable:
    """What the lease files in RUN_DIR/leases say, kept as long as they do not change."""

    def __init__(self, run_dir: str, network_name: str) -> None:
        self._directory = f"{run_dir}/leases"
        self._network_name = network_name
        self._cache: dict[str, tuple[tuple[int, int, int], Leases]] = {}

    def own(self) -> Leases:
        """Return the leases of the resolver's own network."""
        return self._read(f"{self._network_name}.json")

    def _read(self, file_name: str) -> Leases:
        path = f"{self._directory}/{file_name}"
        try:
            status = os.stat(path)
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            cached = self._cache.get(file_name)
            if cached and cached[0] == stamp:
                return cached[1]
            with open(path, "rb") as file:
                leases: Leases = jsontext.loads(file.read())
        except (OSError, Corrupt):
            self._cache.pop(file_name, None)
            return {}
        self._cache[file_name] = (stamp, leases)
        return leases

    def requester(self, address: str) -> tuple[str, dict[str, Any]]:
        """Return the ID and lease of the container with an address on this network; ("", {}) for anybody else."""
        for container_id, lease in self.own().items():
            if address in lease["addresses"]:
                return container_id, lease
        return "", {}

    def visible(self, container_id: str) -> list[Leases]:
        """Return the leases of each network that a container is on; for anybody else those of this network."""
        if not container_id:
            return [self.own()]
        try:
            names = [name for name in os.listdir(self._directory) if name.endswith(".json") and name[0] != "."]
        except FileNotFoundError:
            names = []
        tables = [self._read(name) for name in names]
        return [table for table in tables if container_id in table]

    def find(self, name: str, container_id: str) -> list[bytes]:
        """Return the addresses that a name has for a container; none if it is nobody's."""
        wanted = name.removesuffix(f".{DOMAIN}")
        found = []
        for table in self.visible(container_id):
            for lease in table.values():
                if wanted in lease["names"]:
                    found += [addresses.parse_address(address) for address in lease["addresses"]]
        return found

    def names_of(self, address: bytes, container_id: str) -> list[str]:
        """Return the names of whoever has an address."""
        text = addresses.address_text(address)
        for table in self.visible(container_id):
            for lease in table.values():
                if text in lease["addresses"]:
                    return list(lease["names"])
        return []
