"""What gets through: between containers, to the world, to published ports, and what must not."""

from __future__ import annotations

import socket
import subprocess

import pytest

from podling.network import firewall
from tests.kernel.network.conftest import Lab, ask, run_inside

UDP = socket.SOCK_DGRAM


def publish(host_port: int, container_port: int, **more: object) -> dict[str, object]:
    return {
        "host_ip": "",
        "host_port": host_port,
        "container_port": container_port,
        "range": 1,
        "protocol": "tcp",
        **more,
    }


def blocked(container: object, address: str, port: int) -> bool:
    try:
        container.run(lambda: ask(address, port, timeout=0.3))  # type: ignore[attr-defined]
    except OSError:
        return True
    return False


def test_two_containers_talk_over_the_default_network(lab: Lab) -> None:
    one, two = lab.container("one"), lab.container("two")
    one.connect()
    two.connect()
    two.serve(80)
    assert one.run(lambda: ask(two.address, 80)) == f"two {one.address}"


def test_a_container_reaches_the_host_and_itself(lab: Lab) -> None:
    one = lab.container("one")
    one.connect()
    one.serve(80)
    gateway = one.status["podman"]["interfaces"]["eth0"]["subnets"][0]["gateway"]
    lab.answer(socket.create_server((gateway, 9000)), "host")
    assert one.run(lambda: ask(gateway, 9000)) == f"host {one.address}"
    assert one.run(lambda: ask("127.0.0.1", 80)) == "one 127.0.0.1"
    assert ask(one.address, 80) == f"one {gateway}"


def test_the_world_sees_the_host_and_not_the_container(lab: Lab, world_outside: str) -> None:
    one = lab.container("one")
    one.connect()
    serve_outside(lab, world_outside, "198.51.100.2", 7000)
    assert one.run(lambda: ask("198.51.100.2", 7000)) == "world 198.51.100.1"


def test_the_same_over_ipv6(lab: Lab, world_outside: str) -> None:
    lab.network("six", ipv6_enabled=True)
    one, two = lab.container("one"), lab.container("two")
    one.connect("six", ports=[publish(8600, 80)])
    two.connect("six")
    _four, six = one.addresses("six")
    one.serve(80, address="::")
    assert two.run(lambda: ask(six, 80)) == f"one {two.addresses('six')[1]}"
    serve_outside(lab, world_outside, "2001:db8::2", 7006)
    assert one.run(lambda: ask("2001:db8::2", 7006)) == "world 2001:db8::1"
    assert run_inside(world_outside, lambda: ask("2001:db8::1", 8600)) == "one 2001:db8::2"
    assert two.run(lambda: ask("2001:db8::1", 8600)).startswith("one ")
    assert one.run(lambda: ask("2001:db8::1", 8600)).startswith("one ")


def serve_outside(lab: Lab, world_outside: str, address: str, port: int) -> None:
    import os

    from podling.network import namespaces

    descriptor = os.open(world_outside, os.O_RDONLY)
    with namespaces.Visit(descriptor):
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    os.close(descriptor)
    listener.bind((address, port))
    lab.answer(listener, "world")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, UDP])
def test_a_published_port_answers_everybody(lab: Lab, world_outside: str, kind: int) -> None:
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    one, two = lab.container("one"), lab.container("two")
    one.connect(ports=[publish(8080, 80, protocol=protocol)])
    two.connect()
    one.serve(80, kind=kind)
    assert run_inside(world_outside, lambda: ask("198.51.100.1", 8080, kind=kind)).startswith("one 198.51.100.2")
    assert ask("198.51.100.1", 8080, kind=kind).startswith("one ")
    assert ask("127.0.0.1", 8080, kind=kind).startswith("one ")
    assert two.run(lambda: ask("198.51.100.1", 8080, kind=kind)).startswith("one ")
    assert one.run(lambda: ask("198.51.100.1", 8080, kind=kind)).startswith("one "), "a container reaches itself"


def test_a_range_of_ports_and_a_host_address(lab: Lab, world_outside: str) -> None:
    one = lab.container("one")
    one.connect(ports=[publish(9100, 90, range=3), publish(9200, 90, host_ip="127.0.0.1")])
    for port in (90, 92):
        one.serve(port)
    assert ask("127.0.0.1", 9100).startswith("one ")
    assert ask("127.0.0.1", 9102).startswith("one ")
    assert ask("127.0.0.1", 9200).startswith("one ")
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", 9103)
    with pytest.raises(ConnectionRefusedError):
        run_inside(world_outside, lambda: ask("198.51.100.1", 9200))


def test_a_published_port_is_gone_with_its_container(lab: Lab) -> None:
    one = lab.container("one")
    one.connect(ports=[publish(8081, 80)])
    one.serve(80)
    assert ask("127.0.0.1", 8081).startswith("one ")
    one.disconnect()
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", 8081)


def test_networks_talk_unless_they_are_isolated(lab: Lab) -> None:
    lab.network("open1")
    lab.network("shut1", options={"isolate": "true"})
    lab.network("shut2", options={"isolate": "true"})
    lab.network("strict", options={"isolate": "strict"})
    containers = {}
    for name in ("open1", "shut1", "shut2", "strict"):
        containers[name] = lab.container(f"on-{name}")
        containers[name].connect(name)
        containers[name].serve(80)
    assert containers["open1"].run(lambda: ask(containers["shut1"].address, 80)).startswith("on-shut1")
    assert blocked(containers["shut1"], containers["shut2"].address, 80)
    assert blocked(containers["open1"], containers["strict"].address, 80)
    assert blocked(containers["strict"], containers["open1"].address, 80)


def test_an_internal_network_is_closed(lab: Lab, world_outside: str) -> None:
    lab.network("inner", internal=True)
    one, two, other = lab.container("one"), lab.container("two"), lab.container("other")
    one.connect("inner", ports=[publish(8082, 80)])
    two.connect("inner")
    other.connect()
    two.serve(80)
    assert one.run(lambda: ask(two.address, 80)) == f"two {one.address}"
    serve_outside(lab, world_outside, "198.51.100.2", 7001)
    assert blocked(one, "198.51.100.2", 7001)
    assert blocked(other, two.address, 80)
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", 8082)


def test_a_container_cannot_reach_the_loopback_of_the_host(lab: Lab) -> None:
    one = lab.container("one")
    one.connect(ports=[publish(8083, 80)])
    lab.answer(socket.create_server(("127.0.0.1", 9001)), "host")
    gateway = one.status["podman"]["interfaces"]["eth0"]["subnets"][0]["gateway"]

    def route_to_loopback() -> None:
        subprocess.run(["ip", "route", "del", "local", "127.0.0.0/8", "table", "local"], check=False)
        subprocess.run(["ip", "route", "del", "local", "127.0.0.1", "table", "local"], check=True)
        subprocess.run(["ip", "route", "add", "127.0.0.1", "via", gateway, "src", one.address], check=True)
        with open("/proc/sys/net/ipv4/conf/eth0/route_localnet", "w") as setting:
            setting.write("1")

    one.run(route_to_loopback)
    with pytest.raises(TimeoutError):
        one.run(lambda: ask("127.0.0.1", 9001, timeout=0.5))


def test_a_flushed_firewall_is_restored_by_the_next_container(lab: Lab) -> None:
    one, two = lab.container("one"), lab.container("two")
    one.connect(ports=[publish(8084, 80)])
    one.serve(80)
    subprocess.run(["nft", "delete", "table", "inet", firewall.TABLE], check=True)
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", 8084)
    two.connect()
    assert ask("127.0.0.1", 8084).startswith("one ")


@pytest.mark.parametrize("kind", ["iptables", "nft"])
def test_a_host_that_drops_forwarded_packets_lets_ours_through(lab: Lab, world_outside: str, kind: str) -> None:
    if kind == "iptables":
        begin, end = "iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT; nft delete table ip filter"
    else:
        begin = "nft 'table inet site { chain f { type filter hook forward priority 0; policy drop; }; }'"
        end = "nft delete table inet site"
    subprocess.run(begin, shell=True, check=True)
    try:
        one = lab.container("one")
        one.connect(ports=[publish(8085, 80)])
        one.serve(80)
        serve_outside(lab, world_outside, "198.51.100.2", 7002)
        assert one.run(lambda: ask("198.51.100.2", 7002)) == "world 198.51.100.1"
        assert run_inside(world_outside, lambda: ask("198.51.100.1", 8085)).startswith("one ")
        lab.close()
        rules = subprocess.run("nft list ruleset", shell=True, check=True, capture_output=True, text=True).stdout
        assert "podling0" not in rules.replace("table inet podling", "")
        assert lab.networks.get("podman").network_interface not in rules
    finally:
        subprocess.run(end, shell=True, check=True)
