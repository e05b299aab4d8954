"""The grammar of --publish and --expose, and the merging of what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine import ports
from podling.engine.container import PortMapping
from podling.errors import InvalidArgument


def rows(*texts: str) -> list[tuple[str, int, int, int, str]]:
    merged = ports.merge([mapping for text in texts for mapping in ports.parse(text)])
    return [(one.host_ip, one.host_port, one.container_port, one.range, one.protocol) for one in merged]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("8080:80", ("", 8080, 80, 1, "tcp")),
        ("80", ("", 0, 80, 1, "tcp")),
        ("127.0.0.1:8080:80/udp", ("127.0.0.1", 8080, 80, 1, "udp")),
        ("127.0.0.1::80", ("127.0.0.1", 0, 80, 1, "tcp")),
        ("[::1]:8000-8002:9000-9002", ("::1", 8000, 9000, 3, "tcp")),
        ("8000-8001:80-81/SCTP", ("", 8000, 80, 2, "sctp")),
    ],
)
def test_parse(text: str, row: tuple[str, int, int, int, str]) -> None:
    assert rows(text) == [row]


def test_two_protocols() -> None:
    assert [row[4] for row in rows("53:53/tcp,udp")] == ["tcp", "udp"]


def test_neighbours_join() -> None:
    assert rows("80:80", "81:81", "82:82") == [("", 80, 80, 3, "tcp")]
    assert rows("80-85:80-85", "82:82") == [("", 80, 80, 6, "tcp")]
    assert rows("80:80", "80:80") == [("", 80, 80, 1, "tcp")]
    assert len(rows("80:80", "81:90")) == 2


def test_conflict() -> None:
    with pytest.raises(InvalidArgument, match=r"^conflicting port mappings for host port 80 \(protocol tcp\)$"):
        rows("80:81", "80:82")


def test_same_port_on_two_addresses() -> None:
    assert len(rows("127.0.0.1:80:80", "127.0.0.2:80:81")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("80:80:80:80", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
        ("80/tcp/udp", "invalid port format - protocol can only be specified once"),
        ("80/", "must provide a non-empty protocol to publish"),
        ("80:", "must provide a non-empty container port to publish"),
        (":80:80", "must provide a non-empty container host IP to publish"),
        ("1.2.3:80:80", 'cannot parse "1.2.3" as an IP address'),
        ("80-90:80-81", "host and container port ranges have different lengths: 11 vs 2"),
        ("0", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("[::1]80", "invalid port format - IPv6 address must be followed by a colon (':')"),
        ("80/foo", 'unrecognized protocol "foo" in port mapping'),
        ("x", 'parsing container port: invalid port number: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ports.parse(text)
    assert str(caught.value) == message


@given(st.text(alphabet="0123456789:-/[].,tcpudp", max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        found = ports.parse(text)
    except InvalidArgument:
        return
    assert all(1 <= one.container_port <= 65535 and 0 <= one.host_port <= 65535 for one in found)


def test_exposed() -> None:
    assert list(ports.parse_exposed("80-81/udp")) == [(80, "udp"), (81, "udp")]
    with pytest.raises(InvalidArgument):
        ports.parse_exposed("80/tcp/udp")


def test_free_ports_are_chosen_apart() -> None:
    wanted = [PortMapping(host_port=0, container_port=port) for port in (80, 443, 8080)]
    chosen = ports.choose_host_ports(wanted)
    assert len({one.host_port for one in chosen}) == 3
    assert all(one.host_port > 1023 for one in chosen)
