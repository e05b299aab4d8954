"""`network create` in the user's words, and the list's filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podling.engine import networks
from podling.engine.networks import NetworkCreateOptions
from podling.engine.options import Settings
from podling.errors import InvalidArgument


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root, runroot = str(tmp_path / "root"), str(tmp_path / "run")
    return Settings(root=root, runroot=runroot, network_config_dir=str(tmp_path / "networks"))


def test_what_a_user_says_becomes_netavarks_words(settings: Settings) -> None:
    options = NetworkCreateOptions(
        name="web",
        subnet=["10.213.5.0/24", "fd12::/64"],
        gateway=["10.213.5.254"],
        ip_range=["10.213.5.128/26"],
        label=["tier=front", "bare"],
        opt=["mtu=1400", "isolate=1"],
        route=["10.20.0.0/16,10.213.5.7,200"],
        dns=["10.0.0.53"],
        interface_name="web0",
        internal=True,
    )
    made = networks.create_network(settings, options)
    assert made["subnets"] == [
        {
            "subnet": "10.213.5.0/24",
            "gateway": "10.213.5.254",
            "lease_range": {"start_ip": "10.213.5.129", "end_ip": "10.213.5.191"},
        },
        {"subnet": "fd12::/64", "gateway": "fd12::1"},
    ]
    assert made["labels"] == {"tier": "front", "bare": ""}
    assert made["options"] == {"mtu": "1400", "isolate": "true"}
    assert made["routes"] == [{"destination": "10.20.0.0/16", "gateway": "10.213.5.7", "metric": 200}]
    assert made["network_dns_servers"] == ["10.0.0.53"]
    assert (made["network_interface"], made["internal"], made["ipv6_enabled"]) == ("web0", True, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gateway": ["10.0.0.1"]}, "cannot set gateway or range without subnet"),
        ({"subnet": ["10.213.0.0/24"], "gateway": ["10.213.0.1"] * 2}, "cannot set more gateways than subnets"),
        ({"subnet": ["10.213.0.0/24"], "ip_range": ["10.213.0.0/25"] * 2}, "cannot set more ranges than subnets"),
        ({"subnet": ["nonsense"]}, "invalid CIDR address: nonsense"),
        ({"subnet": ["10.213.0.0/24"], "ip_range": ["a-10.213.0.9"]}, 'range start ip "a" is not a ip address'),
        ({"route": ["10.0.0.0/8"]}, "invalid route: 10.0.0.0/8"),
        ({"route": ["x,10.0.0.1"]}, "invalid route destination x"),
        ({"route": ["10.0.0.0/8,x"]}, "invalid route gateway x"),
        ({"route": ["10.0.0.0/8,10.0.0.1,x"]}, "invalid route metric x"),
    ],
)
def test_refusals(settings: Settings, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        networks.create_network(settings, NetworkCreateOptions(name="web", **fields))


def test_filters(settings: Settings) -> None:
    networks.create_network(settings, NetworkCreateOptions(name="front", label=["tier=front"]))
    networks.create_network(settings, NetworkCreateOptions(name="back", label=["tier=back"]))

    def names(**filters: list[str]) -> list[str]:
        return [network["name"] for network in networks.list_networks(settings, filters)]

    assert names() == ["back", "front", "podman"]
    assert names(name=["^f", "ack"]) == ["back", "front"]
    assert names(driver=["macvlan"]) == []
    assert names(label=["tier=front"]) == ["front"]
    assert names(**{"label!": ["tier=front"]}) == ["back", "podman"]
    assert names(id=["2f259b"]) == ["podman"]
    assert names(until=["1h"]) == []
    assert set(names(until=["2100-01-01"])) == {"back", "front"}
    with pytest.raises(InvalidArgument, match='invalid filter "colour"'):
        names(colour=["red"])
