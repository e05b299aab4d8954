"""What goes over a wire: DNS messages, netlink attributes, firewall elements, and the firewall's text."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.errors import InvalidArgument
from podling.linux import netlink
from podling.linux.nftables import Chain
from podling.network import dnsmessage, firewall, hostfirewall, ports
from podling.network.dnsmessage import Query
from podling.network.networks import Network

QUERY = struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0) + b"\x03Web\x03dns\x06podman\x00" + struct.pack(">HH", 1, 1)
OPTIONS = b"\0" + struct.pack(">HHIH", dnsmessage.TYPE_OPT, 4096, 0, 0)


def test_a_query_is_read_and_answered() -> None:
    query = Query(QUERY)
    assert (query.name, query.kind, query.identifier) == ("web.dns.podman", dnsmessage.TYPE_A, 77)
    answer = query.answer(dnsmessage.NOERROR, [(dnsmessage.TYPE_A, bytes([10, 0, 0, 2]))])
    assert struct.unpack_from(">HHHHHH", answer) == (77, 0x8580, 1, 1, 0, 0)
    assert answer[12 : len(QUERY)] == QUERY[12:], "the question is repeated as it was written"
    assert answer[len(QUERY) :] == struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + bytes([10, 0, 0, 2])
    assert dnsmessage.is_response_to(answer, 77) and not dnsmessage.is_response_to(QUERY, 77)


def test_a_long_answer_is_cut_and_says_so() -> None:
    records = [(dnsmessage.TYPE_AAAA, bytes(16))] * 100
    short = Query(QUERY).answer(0, records)
    assert len(short) <= 512 and short[2] & 0x02
    with_options = struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 1) + QUERY[12:] + OPTIONS
    longer = Query(with_options).answer(0, records)
    assert 512 < len(longer) <= 4096 and struct.unpack_from(">H", longer, 10)[0] == 1
    whole = Query(QUERY).answer(0, records, over_tcp=True)
    assert struct.unpack_from(">H", whole, 6)[0] == 100 and not whole[2] & 0x02


@given(st.binary(max_size=80))
def test_any_message_is_a_query_or_a_value_error(message: bytes) -> None:
    try:
        query = Query(message)
    except ValueError:
        return
    assert message[12 : 12 + len(query.question)] == query.question


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("4.3.2.1.in-addr.arpa", bytes([1, 2, 3, 4])),
        ("1." + "0." * 30 + "f.ip6.arpa", b"\xf0" + bytes(14) + b"\x01"),
        ("3.2.1.in-addr.arpa", None),
        ("300.3.2.1.in-addr.arpa", None),
        ("x.in-addr.arpa", None),
        ("example.com", None),
    ],
)
def test_reverse_names(name: str, address: bytes | None) -> None:
    assert dnsmessage.reversed_address(name) == address


@given(st.lists(st.tuples(st.integers(1, 100), st.binary(max_size=20))))
def test_attributes_come_back(values: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in values)
    assert len(data) % 4 == 0
    assert netlink.attribute_list(data) == values


def test_ports_become_elements() -> None:
    mapping = {"host_ip": "", "host_port": 8080, "container_port": 80, "range": 2, "protocol": "tcp,udp"}
    found = ports.elements([mapping], ["10.0.0.2", "fd00::2"], "owner")
    assert [element.set_name for element in found].count("published_ip4") == 4
    assert [element.set_name for element in found].count("published_ip6") == 4
    assert {element.set_name for element in found} == {"published_ip4", "published_ip6", "itself_ip4", "itself_ip6"}
    first = found[0]
    assert first.key == b"\x06\0\0\0" + b"\x1f\x90\0\0"
    assert first.data == bytes([10, 0, 0, 2]) + b"\x00\x50\0\0"


@pytest.mark.parametrize(
    ("host_ip", "sets"),
    [
        ("0.0.0.0", {"published_ip4", "itself_ip4", "itself_ip6"}),
        ("::", {"published_ip6", "itself_ip4", "itself_ip6"}),
        ("127.0.0.1", {"published_at_ip4", "itself_ip4", "itself_ip6"}),
        ("2001:db8::1", {"published_at_ip6", "itself_ip4", "itself_ip6"}),
    ],
)
def test_a_host_address_narrows_a_port(host_ip: str, sets: set[str]) -> None:
    mapping = {"host_ip": host_ip, "host_port": 1, "container_port": 2}
    found = ports.elements([mapping], ["10.0.0.2", "fd00::2"], "owner")
    assert {element.set_name for element in found} == sets
    assert ports.elements([{**mapping, "host_ip": "::"}], ["10.0.0.2"], "owner") == []


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InvalidArgument, match='unknown protocol "icmp"'):
        ports.elements([{"host_port": 1, "container_port": 1, "protocol": "icmp"}], ["10.0.0.2"], "owner")


def test_a_network_is_a_few_elements() -> None:
    def sets(**fields: Any) -> list[str]:
        network = Network(network_interface="podman1", **fields)
        return [element.set_name for element in firewall.network_elements(network)]

    assert sets() == ["inside", "bridges"]
    assert sets(internal=True) == ["inside", "internal"]
    assert sets(options={"isolate": "true"}) == ["inside", "bridges", "isolated"]
    assert sets(options={"isolate": "strict"}) == ["inside", "bridges", "isolated", "strict"]
    assert sets(options={"isolate": "false"}) == ["inside", "bridges"]


def test_the_ruleset_can_be_written_twice() -> None:
    text = firewall.ruleset()
    for name in firewall.CHAIN_NAMES:
        assert text.index(f"flush chain inet podling {name}\n") < text.index(f"delete chain inet podling {name}\n")
        assert text.count(f"chain {name} {{") == 2
    assert f"{firewall.VERSION:#x}" in text


def chain(family: int, table: str, name: str, hook: int, policy: int) -> Chain:
    hook_attribute = netlink.nested(4, netlink.attribute(1, struct.pack(">I", hook)))
    policy_attribute = netlink.attribute(5, struct.pack(">I", policy))
    named = netlink.string(1, table) + netlink.string(3, name)
    return Chain(struct.pack(">BBH", family, 0, 0) + named + hook_attribute + policy_attribute)


def test_only_foreign_chains_that_drop_forwarded_packets_matter() -> None:
    docker = chain(2, "filter", "FORWARD", 2, 0)
    chains = [
        docker,
        chain(2, "filter", "INPUT", 1, 0),
        chain(2, "filter", "FORWARD", 2, 1),
        chain(1, "podling", "forward", 2, 0),
        chain(1, "firewalld", "filter_FORWARD", 2, 0),
        chain(7, "filter", "FORWARD", 2, 0),
    ]
    assert hostfirewall.dropping(chains) == [docker]
    assert hostfirewall.iptables_rules("podling0")[0][:2] == ["-i", "podling0"]
    assert hostfirewall.nft_rules("podling0")[2].startswith('oifname "podling0" ct status dnat accept')


FORBIDDEN = "asyncio dataclasses typing argparse click logging pathlib subprocess tarfile http ssl shutil tempfile json"
FORBIDDEN += " sqlite3 inspect contextlib collections ipaddress socket re enum functools signal"


@pytest.mark.parametrize("module", ["attachment", "namespaces", "ports", "resolver"])
def test_imports_are_few(module: str) -> None:
    code = f"import podling.network.{module}, sys; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {sys.path[0]!r}); {code}"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.split()
    assert not set(FORBIDDEN.split()) & set(loaded)
    if module == "resolver":
        assert "ctypes" not in loaded, "it is memory that stays"
