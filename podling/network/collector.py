"""The collector: a process that deletes interfaces nobody uses, because the kernel takes its time over it.

Deleting a link waits for every reader in the kernel, 10 to 60 ms, and a `run` should not. So a tear-down leaves a
bridge that has become idle to a process in the background. It waits a moment, in which a next `run` finds the bridge
still there, then looks:

    a host end that no lease knows         its namespace did not die of itself: deleted
    a bridge without lease and ports       deleted, with its firewall elements
    an element whose container has gone    deleted

At most one is waiting at a time, by a lock that it lets go before it looks: whoever tears down after that starts
another. If it is killed, the next sweep does its work.
"""

from __future__ import annotations

import os
import time

from podling.linux import files
from podling.linux.locks import Lock
from podling.linux.netlink import Netlink
from podling.linux.nftables import Element, Nftables
from podling.linux.processes import read_small
from podling.network import bridges, firewall, leases, naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.network.networks import NetworkStore

GRACE_SECONDS = 0.25
PROCESS_NAME = "podling-net"


def start(networks: NetworkStore) -> None:
    """Start a collector in the background, unless one is waiting."""
    from podling.network import background

    lock = _waiting(networks)
    if not lock.try_acquire():
        return
    try:
        if background.fork_detached(PROCESS_NAME, [lock.fd]):
            lock.fd = background.FIRST_DESCRIPTOR
            status = 1
            try:
                time.sleep(GRACE_SECONDS)  # not for an event: a bridge in use again is left alone
                lock.release()
                collect(networks)
                status = 0
            finally:
                os._exit(status)
    finally:
        lock.release()


def _waiting(networks: NetworkStore) -> Lock:
    return networks.lock(".collector")


def collect(networks: NetworkStore) -> list[str]:
    """Delete what nobody uses, slowly. Return what was deleted."""
    # Interfaces are listed before leases are read: a lease is written before its interface is made.
    ends, own_bridges = bridges.own_interfaces(networks)
    held = {name: leases.read(networks, name) for name in leases.network_names(networks)}
    leased = {lease.host_interface for taken in held.values() for lease in taken.values()}
    done = []
    with Netlink() as netlink:
        for stray in set(ends) - leased:
            bridges.delete_link(stray, netlink)
            done.append(f'deleted interface "{stray}"')
    for interface, network_name in {**_recorded_bridges(networks), **own_bridges}.items():
        if _delete_if_idle(networks, interface, network_name):
            done.append(f'deleted bridge "{interface}"')
    return done + _delete_orphaned_elements(networks)


def _recorded_bridges(networks: NetworkStore) -> dict[str, str]:
    """Return the bridges that were made, by interface, with the names of their networks; some may be gone."""
    try:
        names = os.listdir(f"{networks.run_dir}/bridges")
    except FileNotFoundError:
        return {}
    return {read_small(networks.runtime_file("bridges", name)): name for name in names if name[0] != "."}


def collect_strays(networks: NetworkStore) -> list[str]:
    """Collect if there is anything to, and no collector is waiting to do it. Cheap where there is nothing."""
    ends, own_bridges = bridges.own_interfaces(networks)
    if not ends and not own_bridges and not _recorded_bridges(networks):
        return []
    held = leases.network_names(networks)
    leased = {lease.host_interface for name in held for lease in leases.read(networks, name).values()}
    if set(ends) <= leased and {*own_bridges.values(), *_recorded_bridges(networks).values()} <= set(held):
        return []
    waiting = _waiting(networks)
    if not waiting.try_acquire():
        return []
    waiting.release()
    return collect(networks)


def _delete_if_idle(networks: NetworkStore, interface: str, network_name: str) -> bool:
    if not os.path.isdir(networks.run_dir):  # deleted, with its locks: it must not be made again by a straggler
        return delete_bridge(networks, network_name, interface)
    with networks.lock(network_name or ".unnamed"):
        return not leases.read(networks, network_name) and delete_bridge(networks, network_name, interface)


def delete_bridge(networks: NetworkStore, network_name: str, interface: str) -> bool:
    """Delete a network's bridge if it is ours alone; tell whether it was. No container is on it, the lock is held."""
    if bridges.is_used_by_others(networks, interface):
        return False
    naming.stop(networks, network_name)
    ours = bridges.is_own(networks, interface)
    if ours:
        with Netlink() as netlink:
            bridges.delete(interface, netlink)
    files.unlink_if_there(networks.runtime_file("bridges", network_name))
    return ours


def _delete_orphaned_elements(networks: NetworkStore) -> list[str]:
    """Delete elements that carry this engine's mark and the ID of a container without a lease."""
    mark = f" {networks.tag:08x}"
    with Nftables() as nftables:
        marked: list[Element] = []
        for set_name in firewall.PORT_SETS:
            found = nftables.elements(firewall.TABLE, set_name)
            marked += [element for element in found if element.comment.endswith(mark)]
        if not marked:
            return []
        alive = {
            container_id[:12] for name in leases.network_names(networks) for container_id in leases.read(networks, name)
        }
        orphans = [element for element in marked if element.comment.removesuffix(mark) not in alive]
        nftables.remove_present(firewall.TABLE, orphans)
    return [f'deleted a firewall element of container "{owner}"' for owner in {e.comment[:12] for e in orphans}]
