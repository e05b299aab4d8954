"""Names: what a container is told by its network's resolver, over the wire."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podling.network import naming
from tests.kernel.network.conftest import Container, Lab

A, PTR, AAAA = 1, 12, 28
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


def question(name: str, kind: int, identifier: int = 7) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)


def exchange(server: str, message: bytes, kind: int) -> bytes:
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind) as client:
        client.settimeout(10)
        client.connect((server, 53))
        if kind == UDP:
            client.send(message)
            return client.recv(65535)
        client.sendall(struct.pack(">H", len(message)) + message)
        stream = client.makefile("rb")
        return stream.read(struct.unpack(">H", stream.read(2))[0])


def records(answer: bytes) -> tuple[int, list[bytes]]:
    """Return the response code and the data of the answers, whose names are pointers."""
    _identifier, flags, _questions, count, _authority, _additional = struct.unpack_from(">HHHHHH", answer)
    offset = 12
    while answer[offset]:
        offset += 1 + answer[offset]
    offset += 5
    found = []
    for _ in range(count):
        length = struct.unpack_from(">H", answer, offset + 10)[0]
        found.append(answer[offset + 12 : offset + 12 + length])
        offset += 12 + length
    return flags & 15, found


def resolve(
    container: Container, name: str, kind: int = A, transport: int = UDP, server: int = 0
) -> tuple[int, list[str]]:
    """Return the response code and the addresses that a container is told."""
    servers = [server for status in container.status.values() for server in status["dns_server_ips"]]
    code, found = container.run(lambda: records(exchange(servers[server], question(name, kind), transport)))
    family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
    return code, [socket.inet_ntop(family, data) for data in found]


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_names_ids_aliases_and_hostnames(lab: Lab, transport: int) -> None:
    lab.network("web")
    one, two = lab.container("one"), lab.container("Two")
    one.connect("web")
    two.connect("web", aliases=["db", "cache"], hostname="box")
    for name in ("Two", "two", "db", "cache", "box", two.id[:12], "two.dns.podman", "DB.dns.podman"):
        assert resolve(one, name, transport=transport) == (0, [two.address]), name
    assert resolve(one, "two", AAAA, transport) == (0, [])
    assert resolve(one, "nobody.dns.podman", transport=transport) == (3, [])


def test_a_name_goes_with_its_container(lab: Lab) -> None:
    lab.network("web", internal=True)
    one, two, three = lab.container("one"), lab.container("two"), lab.container("three")
    one.connect("web")
    two.connect("web", aliases=["service"])
    three.connect("web", aliases=["service"])
    assert resolve(one, "service") == (0, [two.address, three.address])
    two.disconnect()
    assert resolve(one, "service") == (0, [three.address])
    three.disconnect()
    assert resolve(one, "service") == (3, [])


def test_both_families_and_the_way_back(lab: Lab) -> None:
    lab.network("web", ipv6_enabled=True)
    one, two = lab.container("one"), lab.container("two")
    one.connect("web")
    two.connect("web")
    four, six = two.addresses("web")
    for server in (0, 1):
        assert resolve(one, "two", A, server=server) == (0, [four])
        assert resolve(one, "two", AAAA, server=server) == (0, [six])
    reverse = ".".join(reversed(four.split("."))) + ".in-addr.arpa"
    gateway = one.status["web"]["dns_server_ips"][0]
    code, names = one.run(lambda: records(exchange(gateway, question(reverse, PTR), UDP)))
    assert (code, names[0]) == (0, b"\x03two\x00")
    nibbles = ".".join(reversed(socket.inet_pton(socket.AF_INET6, six).hex())) + ".ip6.arpa"
    assert one.run(lambda: records(exchange(gateway, question(nibbles, PTR), UDP)))[1][0] == b"\x03two\x00"


def test_a_container_on_two_networks_hears_of_both(lab: Lab) -> None:
    lab.network("left")
    lab.network("right", internal=True)
    middle, left, right = lab.container("middle"), lab.container("left-one"), lab.container("right-one")
    left.connect("left")
    right.connect("right")
    middle.connect("left", "right")
    assert resolve(middle, "left-one")[1] == [left.address]
    assert resolve(middle, "right-one")[1] == [right.address]
    assert resolve(right, "left-one") == (3, [])


class Upstream:
    """A name server of the world: every name is 203.0.113.9, and is remembered."""

    def __init__(self, address: str) -> None:
        self.asked: list[str] = []
        self.udp = socket.socket(socket.AF_INET, UDP)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53))

    def answer(self, message: bytes) -> bytes:
        self.asked.append(message[13 : 13 + message[12]].decode())
        record = struct.pack(">HHHIH", 0xC00C, A, 1, 60, 4) + socket.inet_aton("203.0.113.9")
        return message[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + message[12:] + record

    def serve(self, exchanges: int) -> None:
        for _ in range(exchanges):
            message, client = self.udp.recvfrom(4096)
            self.udp.sendto(self.answer(message), client)

    def serve_tcp(self) -> None:
        connection, _client = self.tcp.accept()
        with connection, connection.makefile("rwb") as stream:
            message = stream.read(struct.unpack(">H", stream.read(2))[0])
            answer = self.answer(message)
            stream.write(struct.pack(">H", len(answer)) + answer)

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


def during(act: Callable[[], Any], serve: Callable[[], None]) -> Any:
    """Run an act in a forked child's company: `serve` runs in a thread until the act is done."""
    import threading

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return act()
    finally:
        thread.join()


def test_other_names_are_asked_of_the_containers_servers_in_turn(lab: Lab) -> None:
    lab.network("web")
    upstream = Upstream("127.0.0.9")
    try:
        one = lab.container("one")
        one.connect("web", dns_servers=["127.0.0.10", "127.0.0.9"])  # nobody listens at the first
        ask = lambda: resolve(one, "example.com")  # noqa: E731
        assert during(ask, lambda: upstream.serve(1)) == (0, ["203.0.113.9"])
        over_tcp = lambda: resolve(one, "example.org", transport=TCP)  # noqa: E731
        assert during(over_tcp, upstream.serve_tcp) == (0, ["203.0.113.9"])
        assert upstream.asked == ["example", "example"]
    finally:
        upstream.close()


def test_a_networks_servers_are_asked_before_the_hosts(lab: Lab) -> None:
    lab.network("web", network_dns_servers=["127.0.0.9"])
    upstream = Upstream("127.0.0.9")
    try:
        one = lab.container("one")
        one.connect("web")
        assert during(lambda: resolve(one, "example.com"), lambda: upstream.serve(1)) == (0, ["203.0.113.9"])
    finally:
        upstream.close()


def test_nothing_of_an_internal_network_is_forwarded(lab: Lab) -> None:
    lab.network("web", internal=True, network_dns_servers=["127.0.0.9"])
    one = lab.container("one")
    one.connect("web")
    assert resolve(one, "example.com") == (3, [])
    assert resolve(one, "example.com", transport=TCP) == (3, [])


def test_unreachable_servers_are_a_failure_and_no_silence(lab: Lab) -> None:
    lab.network("web", network_dns_servers=["127.0.0.11"])
    one = lab.container("one")
    one.connect("web")
    assert resolve(one, "example.com") == (2, [])


def test_rubbish_does_not_end_the_resolver(lab: Lab) -> None:
    lab.network("web")
    one = lab.container("one")
    one.connect("web")
    gateway = one.status["web"]["dns_server_ips"][0]
    for rubbish in (b"", b"x", bytes(12), os.urandom(300), question("a", A)[:-3], b"\0" * 5 + question("a", A)):
        with socket.socket(socket.AF_INET, UDP) as client:
            client.sendto(rubbish, (gateway, 53))
        with socket.create_connection((gateway, 53)) as client:
            client.sendall(rubbish)
    assert resolve(one, "one") == (0, [one.address])


def test_the_resolver_is_small_and_nobodys_child(lab: Lab) -> None:
    lab.network("web")
    one = lab.container("one")
    one.connect("web")
    resolve(one, "one")
    pid, _started = naming._process(lab.networks, "web") or (0, 0)
    assert Path(f"/proc/{pid}/comm").read_text() == "podling-dns\n"
    assert os.getsid(pid) == pid
    private = sum(
        int(row.split()[1])
        for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if row.startswith(("Private_Dirty", "Private_Clean"))
    )
    assert private < 5000, "kilobytes"
    open_files = {os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")}
    assert open_files == {"/dev/null", "socket", lab.networks.run_dir + "/resolvers/web"}
