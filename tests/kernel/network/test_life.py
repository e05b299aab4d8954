"""From set-up to tear-down, and what a killed process leaves."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import inventory
from podling.errors import Unavailable
from podling.linux import rtnetlink
from podling.linux.netlink import Netlink
from podling.linux.nftables import Nftables
from podling.network import attachment, collector, firewall, leases, leftovers, namespaces, naming, ports
from tests.kernel.network.conftest import Container, Lab, ask


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_a_status_is_netavarks(lab: Lab) -> None:
    lab.network("web", subnets=[{"subnet": "10.123.7.0/24"}])
    one = lab.container("one")
    status = one.connect("web", static_ips=["10.123.7.9"], static_mac="02:00:00:00:00:07", interface_name="net7")
    assert status == {
        "web": {
            "interfaces": {
                "net7": {
                    "subnets": [{"ipnet": "10.123.7.9/24", "gateway": "10.123.7.1"}],
                    "mac_address": "02:00:00:00:00:07",
                }
            },
            "dns_server_ips": ["10.123.7.1"],
            "dns_search_domains": ["dns.podman"],
        }
    }
    assert one.run(lambda: Path("/proc/net/route").read_text()).count("net7") == 2


def test_a_container_on_two_networks_has_eth0_and_eth1(lab: Lab) -> None:
    lab.network("first")
    lab.network("second", options={"mtu": "1400"}, routes=[{"destination": "10.200.0.0/16", "gateway": "10.89.1.7"}])
    one = lab.container("one")
    one.connect("first", "second")
    assert [list(status["interfaces"]) for status in one.status.values()] == [["eth0"], ["eth1"]]
    routes = one.run(lambda: subprocess.run(["ip", "route"], capture_output=True, text=True).stdout)
    assert routes.splitlines()[0].startswith("default via 10.89.0.1 dev eth0 proto static metric 100")
    assert "10.200.0.0/16 via 10.89.1.7 dev eth1" in routes
    assert "mtu 1400" in one.run(lambda: subprocess.run(["ip", "link"], capture_output=True, text=True).stdout)


def test_addresses_are_given_once_and_go_round(lab: Lab) -> None:
    lab.network("tiny", subnets=[{"subnet": "10.123.8.0/29"}])  # the gateway has .1; .2 to .6 are free
    containers = [lab.container(f"c{number}") for number in range(6)]
    for container in containers[:5]:
        container.connect("tiny")
    assert [container.address[-1] for container in containers[:5]] == ["2", "3", "4", "5", "6"]
    with pytest.raises(Unavailable, match=r"failed to find free IP in range: 10.123.8.1 - 10.123.8.6"):
        containers[5].connect("tiny")
    with pytest.raises(Unavailable, match=f"10.123.8.3 is already allocated to container ID {containers[1].id}"):
        containers[5].connect("tiny", static_ips=["10.123.8.3"])
    attachment.tear_down(lab.networks, containers[3].id, background=False)
    assert containers[5].connect("tiny")["tiny"]["interfaces"]["eth0"]["subnets"][0]["ipnet"] == "10.123.8.5/29"


def test_tear_down_is_complete_and_idempotent(lab: Lab) -> None:
    before = inventory.take([lab.directory / "run"])
    lab.network("web")
    one = lab.container("one")
    one.connect("podman", "web", ports=[{"host_port": 8090, "container_port": 80, "protocol": "tcp,udp"}])
    during = inventory.take()
    assert {part for part, had in before.items() if during[part] != had} >= {"processes", "links", "firewall"}
    for _ in range(2):
        attachment.tear_down(lab.networks, one.id)
        namespaces.remove(one.path)
    lab.networks.remove("web")
    assert not [line for line in inventory.settled(before, [lab.directory / "run"]) if "/networks" not in line]
    assert not leases.network_names(lab.networks)


def test_tear_down_works_when_the_namespace_has_gone(lab: Lab) -> None:
    before = links()
    one = lab.container("one")
    one.connect()
    namespaces.remove(one.path)
    one.disconnect()
    collector.collect(lab.networks)
    assert links() == before


def test_an_interface_whose_namespace_lives_on_is_deleted(lab: Lab) -> None:
    before = links()
    one = lab.container("one")
    one.connect()
    held = os.open(one.path, os.O_RDONLY)
    try:
        one.disconnect()
        collector.collect(lab.networks)
        assert links() == before
    finally:
        os.close(held)


def test_a_container_starts_again_while_its_last_namespace_dies(lab: Lab) -> None:
    one = lab.container("one")
    one.connect()
    held = os.open(one.path, os.O_RDONLY)
    attachment.tear_down(lab.networks, one.id, background=False)
    namespaces.create(one.path)
    one.connect()
    os.close(held)
    one.serve(80)
    assert ask(one.address, 80).startswith("one ")


def test_a_failed_set_up_leaves_nothing(lab: Lab) -> None:
    before = links()
    one = lab.container("one")
    one.run(lambda: subprocess.run(["ip", "link", "add", "eth1", "type", "bridge"], check=True))
    lab.network("web")
    with pytest.raises(OSError, match="File exists"):
        one.connect("podman", "web")
    collector.collect(lab.networks)
    assert links() == before
    assert not leases.network_names(lab.networks)


def test_a_bridge_that_others_use_stays(lab: Lab) -> None:
    one = lab.container("one")
    one.connect()
    bridge = lab.networks.get("podman").network_interface
    subprocess.run(["ip", "link", "add", "foreign", "type", "veth", "peer", "name", "foreign2"], check=True)
    subprocess.run(["ip", "link", "set", "foreign", "master", bridge], check=True)
    one.disconnect()
    collector.collect(lab.networks)
    assert bridge in links()
    subprocess.run(["ip", "link", "del", "foreign"], check=True)
    assert collector.collect_strays(lab.networks) == [f'deleted bridge "{bridge}"']
    assert bridge not in links()


def test_a_deleted_run_directory_is_not_made_again(lab: Lab) -> None:
    one = lab.container("one")
    one.connect()
    bridge = lab.networks.get("podman").network_interface
    attachment.tear_down(lab.networks, one.id, background=False)
    shutil.rmtree(lab.directory / "run")
    collector.collect(lab.networks)
    assert bridge not in links()
    assert not (lab.directory / "run").exists()


def test_forwarding_is_switched_on_again(lab: Lab) -> None:
    one, two = lab.container("one"), lab.container("two")
    one.connect()
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    forwarding.write_text("0")
    two.connect()
    assert forwarding.read_text() == "1\n"


def test_leftovers_are_suspected_by_name_alone(lab: Lab) -> None:
    run_dir = lab.networks.run_dir
    lab.network("web")
    one = lab.container("one")
    assert not leftovers.suspected(run_dir)
    one.connect("web")
    assert not leftovers.suspected(run_dir)
    pid, _started = naming._process(lab.networks, "web") or (0, 0)
    os.kill(pid, signal.SIGKILL)
    inventory.await_end(pid, time.monotonic() + 5)
    assert leftovers.suspected(run_dir), "the resolver is dead"
    attachment.sweep(lab.networks, lambda: {one.id})
    assert not leftovers.suspected(run_dir)
    attachment.tear_down(lab.networks, one.id, background=False)
    assert leftovers.suspected(run_dir), "the bridge is idle"
    collector.collect(lab.networks)
    assert not leftovers.suspected(run_dir)


def test_removing_a_network_removes_its_idle_bridge_and_no_other(lab: Lab) -> None:
    lab.network("web", network_interface="web0")
    subprocess.run(["ip", "link", "add", "uplink0", "type", "bridge"], check=True)
    try:
        lab.network("other", network_interface="uplink0")
        one = lab.container("one")
        one.connect("web")
        attachment.tear_down(lab.networks, one.id, background=False)
        lab.networks.remove("web")
        lab.networks.remove("other")
        assert "web0" not in links() and "uplink0" in links()
    finally:
        subprocess.run(["ip", "link", "del", "uplink0"], check=True)


def test_a_half_made_bridge_is_finished(lab: Lab) -> None:
    network = lab.networks.get("podman")
    with Netlink() as netlink:
        address = bytes.fromhex("020000000001")
        create = rtnetlink.create_bridge(network.network_interface, address=address, group=lab.networks.tag)
        netlink.request([create])
    one = lab.container("one")
    one.connect()
    one.serve(80)
    assert ask(one.address, 80).startswith("one ")


def test_a_private_default_network_avoids_the_hosts_routes(lab: Lab) -> None:
    taken = lab.networks.get("podman").subnets[0]["subnet"]
    subprocess.run(["ip", "link", "add", "busy", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", taken.replace(".0/24", ".77/24"), "dev", "busy"], check=True)
        subprocess.run(["ip", "link", "set", "busy", "up"], check=True)
        one = lab.container("one")
        one.connect()
        assert lab.networks.get("podman").subnets[0]["subnet"] != taken
        assert one.address.rpartition(".")[0] in lab.networks.get("podman").subnets[0]["subnet"]
    finally:
        subprocess.run(["ip", "link", "del", "busy"], check=True)


def test_a_sweep_knows_the_living_from_the_dead(lab: Lab) -> None:
    one, two = lab.container("one"), lab.container("two")
    one.connect(ports=[{"host_port": 8091, "container_port": 80}])
    two.connect()
    assert attachment.sweep(lab.networks, lambda: {one.id, two.id}) == []
    done = attachment.sweep(lab.networks, lambda: {two.id})
    assert done[0] == f'released the lease of container "{one.id}" on network "podman"'
    assert list(leases.read(lab.networks, "podman")) == [two.id]
    with Nftables() as nftables:
        assert nftables.elements(firewall.TABLE, "published_ip4") == []


def test_elements_without_a_lease_are_swept_with_the_rest(lab: Lab) -> None:
    one = lab.container("one")
    one.connect(ports=[{"host_port": 8092, "container_port": 80}])
    os.unlink(lab.networks.runtime_file("leases", "podman"))  # the run directory was deleted
    done = attachment.sweep(lab.networks, set)
    assert f'deleted a firewall element of container "{one.id[:12]}"' in done
    with Nftables() as nftables:
        assert nftables.elements(firewall.TABLE, "published_ip4") == []


def test_the_collector_leaves_a_bridge_that_is_used_again(lab: Lab) -> None:
    one, two = lab.container("one"), lab.container("two")
    one.connect()
    bridge = lab.networks.get("podman").network_interface
    with Netlink() as netlink:
        link = rtnetlink.find_link(netlink, bridge)
        attachment.tear_down(lab.networks, one.id)
        two.connect()
        waiting = collector._waiting(lab.networks)
        waiting.acquire()  # the collector has begun to look
        waiting.release()
        collector.collect(lab.networks)
        again = rtnetlink.find_link(netlink, bridge)
    assert link and again and link.index == again.index


SET_UP = """
import sys
from podling.network import attachment
from podling.network.networks import NetworkStore
config, run, identifier, namespace, network, verb = sys.argv[1:]
store = NetworkStore(config, run, "podman", "10.86.0.0/16")
if verb == "set_up":
    ports = [{"host_port": 8093, "container_port": 80}]
    request = attachment.AttachmentRequest(container_id=identifier, container_name="c", namespace_path=namespace,
                                           networks={network: {}}, ports=ports)
    attachment.set_up(store, request)
else:
    attachment.tear_down(store, identifier, background=False)
"""
CALLS = "sendto write rename unlink mkdir setns bind clone flock pidfd_send_signal"


def left(before: inventory.Inventory) -> list[str]:
    """Return what was added; of locks, which are listed for all machines, none are made here that no process holds."""
    return [line for line in inventory.settled(before) if not line.startswith("locks:")]


class Walk:
    """Runs a verb again and again, each time with another of its system calls made to fail."""

    def __init__(self, lab: Lab, network: str, verb: str, injection: str) -> None:
        self.lab = lab
        self.network = network
        self.verb = verb
        self.injection = injection
        self.log = lab.directory / "strace"

    def __iter__(self) -> Iterator[tuple[str, Container, subprocess.CompletedProcess[str]]]:
        """Yield what failed, the container and how the verb ended."""
        for call in CALLS.split():
            when = 1
            while (step := self._step(call, when))[2]:
                yield f"{call} {when}", step[0], step[1]
                when += 1

    def _step(self, call: str, when: int) -> tuple[Container, subprocess.CompletedProcess[str], bool]:
        one = self.lab.container(f"{call}{when}")
        if self.verb == "tear_down":
            one.connect(self.network, ports=[{"host_port": 8093, "container_port": 80}])
        store = [self.lab.networks.config_dir, self.lab.networks.run_dir, one.id, one.path, self.network, self.verb]
        trace = ["strace", "-o", str(self.log), f"--trace={call}", f"--inject={call}:{self.injection}:when={when}"]
        ended = subprocess.run([*trace, sys.executable, "-I", "-c", SET_UP, *store], capture_output=True, text=True)
        happened = "INJECTED" in self.log.read_text() or ended.returncode == -signal.SIGKILL
        if not happened:
            assert ended.returncode == 0, ended.stderr
            one.disconnect()
        return one, ended, happened


@pytest.mark.parametrize("verb", ["set_up", "tear_down"])
@pytest.mark.parametrize("network", ["podman", "web"])
def test_killed_at_any_call_a_sweep_leaves_nothing(lab: Lab, verb: str, network: str) -> None:
    lab.network("web")
    before = inventory.take()
    steps = 0
    for step, one, _ended in Walk(lab, network, verb, "signal=KILL"):
        steps += 1
        attachment.sweep(lab.networks, set)
        namespaces.remove(one.path)
        collector.collect(lab.networks)
        rest = left(before)
        assert not rest, f"killed at {step}: {rest}"
        assert not leases.network_names(lab.networks), f"killed at {step}"
    assert steps > {"set_up": 20, "tear_down": 4}[verb]


def test_an_error_at_any_call_of_a_set_up_is_told_and_undone(lab: Lab) -> None:
    lab.network("web")
    before = inventory.take()
    steps = 0
    for step, one, ended in Walk(lab, "web", "set_up", "error=ENOSPC"):
        steps += 1
        if ended.returncode:
            assert not leases.read(lab.networks, "web"), f"{step}: {ended.stderr}"
            assert "No space left" in ended.stderr, f"{step}: {ended.stderr}"
        attachment.tear_down(lab.networks, one.id, background=False)
        namespaces.remove(one.path)
        collector.collect(lab.networks)
        rest = left(before)
        assert not rest, f"{step}: {rest} {ended.stderr}"
    assert steps > 20


def test_twenty_at_once_have_twenty_addresses(lab: Lab) -> None:
    containers = [lab.container(f"c{number}") for number in range(20)]
    store = [lab.networks.config_dir, lab.networks.run_dir]
    running = [
        subprocess.Popen([sys.executable, "-I", "-c", SET_UP, *store, one.id, one.path, "podman", "set_up"])
        for one in containers
    ]
    assert [process.wait() for process in running] == [0] * 20
    taken = leases.read(lab.networks, "podman")
    assert len({lease.addresses[0] for lease in taken.values()}) == len(taken) == 20


def test_reserved_ports_are_taken_for_everybody(lab: Lab) -> None:
    mappings = [{"host_port": 8094, "container_port": 80, "range": 2, "protocol": "tcp,udp"}]
    held = ports.reserve(mappings)
    try:
        assert len(held) == 4
        assert not any(os.get_inheritable(fd) for fd in held)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", 8095))
        for protocol in ("tcp", "udp"):
            with pytest.raises(Unavailable) as caught:
                ports.reserve([{"host_port": 8095, "container_port": 80, "protocol": protocol}])
            message = f"cannot listen on the {protocol.upper()} port: listen {protocol}4 :8095: bind"
            assert str(caught.value) == message
    finally:
        for fd in held:
            os.close(fd)
    taken = socket.create_server(("127.0.0.1", 8096))
    with taken, pytest.raises(Unavailable, match=r"listen tcp4 127.0.0.1:8096: bind"):
        ports.reserve([{"host_ip": "127.0.0.1", "host_port": 8096, "container_port": 80}])
    ports_again = ports.reserve([{"host_port": 8094, "container_port": 80}])
    os.close(ports_again[0])


def test_a_namespace_is_made_without_moving_the_caller(tmp_path: Path, nothing_left: None) -> None:
    path = str(tmp_path / "ns")
    here = os.readlink("/proc/self/ns/net")
    namespaces.create(path)
    try:
        assert os.readlink("/proc/self/ns/net") == here
        first = os.stat(path).st_ino
        namespaces.create(path)
        assert os.stat(path).st_ino != first, "an old one is let go"
    finally:
        namespaces.remove(path)
    assert not os.path.exists(path)
    namespaces.remove(path)


def test_setting_up_starts_no_process_and_takes_milliseconds(lab: Lab) -> None:
    lab.container("first").connect()
    took = []
    for number in range(10):
        one = lab.container(f"c{number}")
        children = Path("/proc/self/task").parent.joinpath("stat").read_text().split()[10]  # minor faults of children
        begun = time.perf_counter()
        one.connect()
        took.append(time.perf_counter() - begun)
        assert Path("/proc/self/stat").read_text().split()[10] == children
    assert min(took) < 0.008


def test_a_bridge_is_deleted_in_the_background_by_a_process_that_ends(lab: Lab) -> None:
    one = lab.container("one")
    one.connect()
    bridge = lab.networks.get("podman").network_interface
    monitor = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
    monitor.bind((0, 1))  # RTMGRP_LINK
    attachment.tear_down(lab.networks, one.id)
    namespaces.remove(one.path)
    assert bridge in links(), "a next container would find it"
    end = select.poll()
    end.register(monitor, select.POLLIN)
    while bridge in links():
        assert end.poll(5000)
        monitor.recv(65536)
    monitor.close()


def test_a_resolver_comes_and_goes_with_the_containers(lab: Lab) -> None:
    lab.network("web")
    one, two = lab.container("one"), lab.container("two")
    assert not naming.is_running(lab.networks, "web")
    one.connect("web")
    two.connect("web")
    assert naming.is_running(lab.networks, "web")
    one.disconnect()
    assert naming.is_running(lab.networks, "web")
    two.disconnect()
    assert not naming.is_running(lab.networks, "web")


def test_a_killed_resolver_is_restarted_by_a_sweep(lab: Lab) -> None:
    lab.network("web")
    one = lab.container("one")
    one.connect("web")
    pid, _started = naming._process(lab.networks, "web") or (0, 0)
    os.kill(pid, signal.SIGKILL)
    inventory.await_end(pid, time.monotonic() + 5)
    assert attachment.sweep(lab.networks, lambda: {one.id}) == ['restarted the resolver of network "web"']
    assert naming.is_running(lab.networks, "web")
