"""Networks as files: Podman's are read as they are, ours are written the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podling.errors import AlreadyExists, InvalidArgument, NotFound, PodlingError, Unavailable, Unsupported
from podling.network import addresses, creation, leases
from podling.network.leases import Lease
from podling.network.networks import Network, NetworkStore, is_name

PODMANS = """{
     "name": "web",
     "id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
     "driver": "bridge",
     "network_interface": "podman1",
     "created": "2026-11-23T17:00:00.123456789+01:00",
     "subnets": [
          {
               "subnet": "10.89.0.0/24",
               "gateway": "10.89.0.1"
          }
     ],
     "ipv6_enabled": false,
     "internal": false,
     "dns_enabled": true,
     "labels": {
          "tier": "front"
     },
     "ipam_options": {
          "driver": "host-local"
     }
}
"""


@pytest.fixture
def store(tmp_path: Path) -> NetworkStore:
    return NetworkStore(str(tmp_path / "config"), str(tmp_path / "run"), "podman", "10.86.0.0/16")


def write(store: NetworkStore, name: str, text: str) -> None:
    Path(store.config_dir).mkdir(exist_ok=True)
    Path(store.config_dir, f"{name}.json").write_text(text)


def test_podmans_file_is_read_and_written_alike(store: NetworkStore) -> None:
    write(store, "web", PODMANS)
    network = store.get("web")
    assert network.labels == {"tier": "front"} and network.gateways() == ["10.89.0.1"]
    assert list(network.to_json()) == list(json.loads(PODMANS))
    made = store.create(Network(name="copy", subnets=[{"subnet": "10.213.0.0/24"}], labels={"tier": "front"}))
    text = Path(store.config_dir, "copy.json").read_text()
    assert json.loads(text) == made.to_json()
    assert text.startswith('{\n     "name": "copy",\n     "id": "') and text.endswith("}\n")


def test_a_network_goes_by_name_id_and_beginning_of_an_id(store: NetworkStore) -> None:
    write(store, "web", PODMANS)
    for name in ("web", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "0123"):
        assert store.get(name).name == "web"
    write(store, "web2", PODMANS.replace('"web"', '"web2"').replace("abcdef", "abcde0"))
    with pytest.raises(InvalidArgument, match="more than one result for network ID 0123"):
        store.get("0123")
    with pytest.raises(NotFound, match="unable to find network with name or ID nosuch: network not found"):
        store.get("nosuch")
    assert [network.name for network in store.list()] == ["podman", "web", "web2"]


def test_files_that_are_no_networks_are_passed_over(store: NetworkStore) -> None:
    write(store, "web", PODMANS)
    write(store, "other", PODMANS)
    write(store, "broken", "{")
    write(store, "short", '{"name": "short", "id": "12"}')
    Path(store.config_dir, "notes.txt").write_text("x")
    assert [network.name for network in store.list()] == ["podman", "web"]


def test_the_default_network_needs_no_file(tmp_path: Path) -> None:
    shared = NetworkStore(str(tmp_path), "/run/podling/networks", "podman", "10.86.0.0/16").get("podman")
    assert (shared.network_interface, shared.dns_enabled) == ("podling0", False)
    assert shared.subnets == [{"subnet": "10.86.0.0/16", "gateway": "10.86.0.1"}]
    assert shared.id.startswith("2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9")
    one, two = (NetworkStore(str(tmp_path), f"/run/{name}/networks", "podman", "10.86.0.0/16") for name in "ab")
    assert one.get("podman").network_interface != two.get("podman").network_interface
    assert len(one.get("podman").network_interface) == 15
    assert one.get("podman").subnets != two.get("podman").subnets
    pool = addresses.parse_subnet("10.64.0.0/12")
    assert pool.overlaps(one.get("podman").parsed_subnets()[0])


def test_a_file_overrides_the_default_network(store: NetworkStore) -> None:
    write(store, "podman", PODMANS.replace('"web"', '"podman"'))
    assert store.get("podman").network_interface == "podman1"
    assert len(store.list()) == 1


def test_create_refuses_what_exists(store: NetworkStore) -> None:
    made = store.create(Network(name="web"))
    with pytest.raises(AlreadyExists, match="network name web already used: network already exists"):
        store.create(Network(name="web"))
    assert store.create(Network(name="web", internal=True), ignore_existing=True) == made
    with pytest.raises(AlreadyExists):
        store.create(Network(name="podman"))
    with pytest.raises(InvalidArgument, match="default network podman cannot be removed"):
        store.remove("podman")
    store.remove("web")
    with pytest.raises(NotFound):
        store.get("web")


def test_subnets_come_from_podmans_pools(store: NetworkStore) -> None:
    free = creation.used_subnets([])
    one, two = store.create(Network(name="one")), store.create(Network(ipv6_enabled=True))
    subnets = [network.parsed_subnets()[0] for network in (one, two)]
    assert all(addresses.parse_subnet("10.89.0.0/16").overlaps(subnet) and subnet.length == 24 for subnet in subnets)
    assert not subnets[0].overlaps(subnets[1]) and not subnets[0].overlaps_any(free)
    assert two.name == two.network_interface != one.network_interface
    six = two.parsed_subnets()[1]
    assert str(six).startswith("fd") and six.length == 64
    assert two.subnets[1]["gateway"] == str(six).replace("/64", "1")


def test_a_full_pool_goes_on_with_the_next() -> None:
    used = [addresses.parse_subnet("10.89.0.0/16")]
    assert str(creation.free_ipv4_subnet(used)) == "10.90.0.0/24"
    with pytest.raises(Unavailable):
        creation.free_ipv4_subnet([addresses.parse_subnet("0.0.0.0/0")])


REFUSED = [
    ({"driver": "macvlan"}, Unsupported, "macvlan"),
    ({"name": "host"}, InvalidArgument, "conflicts with a valid network mode"),
    ({"name": "-x"}, InvalidArgument, "names must match"),
    ({"name": "a/b"}, InvalidArgument, "names must match"),
    ({"network_interface": "a" * 16}, InvalidArgument, "longer than 15"),
    ({"network_interface": "taken0"}, InvalidArgument, "bridge name taken0 already in use"),
    ({"subnets": [{"subnet": "10.213.0.0/24", "gateway": "10.214.0.1"}]}, InvalidArgument, "gateway 10.214.0.1 not in"),
    ({"subnets": [{"subnet": "10.213.0.0/24"}, {"subnet": "10.213.0.0/24"}]}, InvalidArgument, "duplicate subnets"),
    ({"subnets": [{"subnet": "10.213.0.0/24"}, {"subnet": "10.213.0.0/25"}]}, InvalidArgument, "overlapping subnets"),
    ({"subnets": [{"subnet": "10.222.1.0/24"}]}, InvalidArgument, "10.222.1.0/24 is already used on the host or by"),
    ({"subnets": [{"subnet": "10.213.0.0/33"}]}, InvalidArgument, "invalid CIDR address: 10.213.0.0/33"),
    ({"options": {"colour": "red"}}, InvalidArgument, "unsupported bridge network option colour"),
    ({"options": {"mtu": "big"}}, InvalidArgument, "mtu"),
    ({"options": {"isolate": "maybe"}}, InvalidArgument, "isolate"),
    ({"ipam_options": {"driver": "dhcp"}}, Unsupported, "dhcp"),
]


@pytest.mark.parametrize(("fields", "kind", "message"), REFUSED)
def test_create_says_no(store: NetworkStore, fields: dict[str, Any], kind: type[PodlingError], message: str) -> None:
    store.create(Network(name="first", network_interface="taken0", subnets=[{"subnet": "10.222.0.0/16"}]))
    before = sorted(Path(store.config_dir).iterdir())
    with pytest.raises(kind, match=message):
        store.create(Network(**{"name": "wanted", **fields}))
    assert sorted(Path(store.config_dir).iterdir()) == before


@pytest.mark.parametrize(("name", "good"), [("a", True), ("a.b_c-1", True), ("", False), (".a", False), ("ä", False)])
def test_what_a_name_is(name: str, good: bool) -> None:
    assert is_name(name) is good


def test_free_addresses_go_round_and_skip_the_gateway() -> None:
    subnet = addresses.parse_subnet("10.0.0.0/29")
    item = {"gateway": "10.0.0.3"}
    assert leases.next_free(item, subnet, set(), "") == "10.0.0.1"
    assert leases.next_free(item, subnet, set(), "10.0.0.2") == "10.0.0.4"
    assert leases.next_free(item, subnet, {"10.0.0.1"}, "10.0.0.6") == "10.0.0.2"
    ranged = {"lease_range": {"start_ip": "10.0.0.4", "end_ip": "10.0.0.5"}}
    assert leases.next_free(ranged, subnet, {"10.0.0.4"}, "10.0.0.5") == "10.0.0.5"
    with pytest.raises(Unavailable, match=r"range: 10.0.0.4 - 10.0.0.5"):
        leases.next_free(ranged, subnet, {"10.0.0.4", "10.0.0.5"}, "")
    six = addresses.parse_subnet("fd00::/64")
    assert leases.next_free({"gateway": "fd00::1"}, six, set(), "") == "fd00::2"


def test_leases_are_absent_when_nobody_has_one(store: NetworkStore) -> None:
    lease = Lease(name="one", names=["one"], addresses=["10.0.0.2"], host_interface="pd0")
    leases.write(store, "web", {"1" * 64: lease})
    assert leases.read(store, "web") == {"1" * 64: lease}
    assert leases.network_names(store) == ["web"]
    leases.write(store, "web", {})
    assert leases.network_names(store) == []
    assert leases.read(store, "web") == {}


def test_subnet_arithmetic() -> None:
    subnet = addresses.parse_subnet("10.1.2.3/23")
    assert str(subnet) == "10.1.2.0/23" and str(subnet.following()) == "10.1.4.0/23"
    assert addresses.parse_address("10.1.3.255") in subnet
    assert addresses.parse_address("10.1.4.0") not in subnet
    assert addresses.parse_address("::ffff:10.1.2.3") not in subnet
    assert subnet.overlaps(addresses.parse_subnet("10.0.0.0/8"))
    assert not subnet.overlaps(addresses.parse_subnet("::/0"))
    for text in ("10.0.0.0", "10.0.0.0/", "10.0.0.0/x", "10.0.0/8", "::1/129", "/8"):
        with pytest.raises(InvalidArgument, match="invalid CIDR address"):
            addresses.parse_subnet(text)
    assert addresses.mac_text(addresses.parse_mac("02-00-00-00-00-0a")) == "02:00:00:00:00:0a"
    for text in ("02:00", "zz:00:00:00:00:00", ""):
        with pytest.raises(InvalidArgument):
            addresses.parse_mac(text)
