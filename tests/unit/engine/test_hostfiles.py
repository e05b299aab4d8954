"""hosts and resolv.conf: what is in them, and how they are rewritten under a container's eyes."""

import os
from pathlib import Path
from typing import Any

import pytest

from podling.engine import hostfiles, paths, settings
from podling.engine.container import Container, ContainerConfig, ContainerState, NetworkAttachment
from podling.engine.options import Settings

ID = "a" * 64
STATUS = {
    "podman": {
        "interfaces": {"eth0": {"subnets": [{"ipnet": "10.86.0.5/16", "gateway": "10.86.0.1"}]}},
        "dns_server_ips": ["10.86.0.1"],
        "dns_search_domains": ["dns.podling"],
    }
}


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.merge({"root": str(tmp_path / "root"), "runroot": str(tmp_path / "run")}, {}, {})


def container(name: str = "web", number: str = "a", status: dict[str, Any] | None = None, **fields: Any) -> Container:
    config = ContainerConfig(id=number * 64, name=name, created=1, hostname=number * 12, **fields)
    return Container(config=config, state=ContainerState(network_status=status or {}))


def hosts(here: Settings, one: Container, tmp_path: Path, base: str = "127.0.0.1 localhost\n") -> list[list[str]]:
    (tmp_path / "base").write_text(base)
    one.config.base_hosts_file = str(tmp_path / "base")
    return [line.split() for line in hostfiles.hosts(here, one, str(tmp_path)).splitlines()]


def test_own_names_and_the_host(here: Settings, tmp_path: Path) -> None:
    rows = hosts(here, container(status=STATUS), tmp_path, "127.0.0.1 localhost # here\n::1 ip6\n\n# none\n")
    assert rows == [
        ["127.0.0.1", "localhost"],
        ["::1", "ip6"],
        ["10.86.0.1", "host.containers.internal", "host.docker.internal"],
        ["10.86.0.5", "aaaaaaaaaaaa", "web"],
    ]


def test_added_hosts_come_first_and_win(here: Settings, tmp_path: Path) -> None:
    one = container(status=STATUS, add_hosts=["a;b:1.2.3.4", "localhost:host-gateway", "six:[::2]"])
    rows = hosts(here, one, tmp_path)
    assert rows[:3] == [["1.2.3.4", "a", "b"], ["10.86.0.1", "localhost"], ["::2", "six"]]
    assert ["127.0.0.1", "localhost"] not in rows


def test_without_a_network(here: Settings, tmp_path: Path) -> None:
    rows = hosts(here, container(network_mode="none"), tmp_path)
    assert rows == [["127.0.0.1", "localhost"], ["127.0.0.1", "aaaaaaaaaaaa", "web"]]


def test_no_base(here: Settings) -> None:
    one = container(base_hosts_file="none", network_mode="none")
    assert hostfiles.hosts(here, one, "/nope").startswith("127.0.0.1\tlocalhost\n")


def test_base_of_the_image(here: Settings, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("9.9.9.9 image\n")
    one = container(base_hosts_file="image", network_mode="none")
    assert hostfiles.hosts(here, one, str(tmp_path)).startswith("9.9.9.9\timage\n")


def test_resolv_conf_of_the_networks(here: Settings) -> None:
    text = hostfiles.resolv_conf(here, container(status=STATUS, dns_servers=["1.1.1.1"]))
    assert "nameserver 10.86.0.1\n" in text
    assert "1.1.1.1" not in text  # the network's resolver asks it
    assert text.startswith("search dns.podling")


def test_resolv_conf_of_the_user(here: Settings) -> None:
    one = container(dns_servers=["1.1.1.1", "8.8.8.8"], dns_search=["ex.am"], dns_options=["ndots:5"])
    expected = "search ex.am\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions ndots:5\n"
    assert hostfiles.resolv_conf(here, one) == expected
    assert "search" not in hostfiles.resolv_conf(here, container(dns_servers=["1.1.1.1"], dns_search=["."]))


def test_parse_resolv_conf() -> None:
    text = "# c\nnameserver 1.1.1.1 # d\nsearch a b\noptions x\n;e\nnameserver\n"
    assert hostfiles.parse_resolv_conf(text) == (["1.1.1.1"], ["a", "b"], ["x"])


def test_rewriting_keeps_the_inode(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    hostfiles.rewrite(str(path), "long content\n")
    before = os.stat(path).st_ino
    hostfiles.rewrite(str(path), "short\n")
    assert (path.read_text(), os.stat(path).st_ino) == ("short\n", before)


def status_of(address: str, network: str = "mine") -> dict[str, Any]:
    return {network: {"interfaces": {"eth0": {"subnets": [{"ipnet": f"{address}/24"}]}}}}


def test_peers() -> None:
    attachment = {"mine": NetworkAttachment(aliases=["db"])}
    one = container("one", "1", status_of("10.89.0.2"), networks=attachment)
    two = container("two", "2", status_of("10.89.0.3"), networks=attachment)
    far = container("far", "3", status_of("10.90.0.3", "other"), networks={"other": NetworkAttachment()})
    assert hostfiles.peers_of([one, two, far], one, {"mine"}) == [("10.89.0.3", ["two", "db", "222222222222"])]
    assert hostfiles.peers_of([one, two], one, set()) == []


def test_peers_are_a_block_of_their_own(here: Settings) -> None:
    home = Path(paths.bundle(here, ID))
    home.mkdir(parents=True)
    (home / "hosts").write_text("127.0.0.1\tlocalhost\n")
    hostfiles.update_network_peers(here, ID, [("10.89.0.3", ["two", "db"])])
    hostfiles.update_network_peers(here, ID, [("10.89.0.4", ["three"])])
    assert (home / "hosts").read_text() == ("127.0.0.1\tlocalhost\n# peers, kept by podling\n10.89.0.4\tthree\n")
    hostfiles.update_network_peers(here, ID, [])
    assert (home / "hosts").read_text() == "127.0.0.1\tlocalhost\n"
    hostfiles.update_network_peers(here, "b" * 64, [("10.89.0.3", ["two"])])  # it has ended: nothing to do


def test_files_are_written_and_shared(here: Settings, tmp_path: Path) -> None:
    owner = container("owner", "1", STATUS, privileged=True)
    os.makedirs(paths.bundle(here, owner.id))
    made = hostfiles.write(here, owner, str(tmp_path))
    assert set(made) == {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv"}
    assert Path(made["/etc/hostname"]).read_text() == "111111111111\n"
    assert 'name="owner"\n' in Path(made["/run/.containerenv"]).read_text()
    guest = container("guest", "2", network_mode=f"container:{owner.id}")
    os.makedirs(paths.bundle(here, guest.id))
    shared = hostfiles.write(here, guest, str(tmp_path))
    assert shared["/etc/hosts"] == made["/etc/hosts"]
    assert Path(made["/etc/hosts"]).read_text().count("127.0.0.1\tguest\n") == 1
    hostfiles.write(here, guest, str(tmp_path))
    assert Path(made["/etc/hosts"]).read_text().count("127.0.0.1\tguest\n") == 1


def test_files_that_are_not_wanted(here: Settings, tmp_path: Path) -> None:
    one = container(manage_hosts=False, manage_resolv_conf=False, manage_hostname=False)
    os.makedirs(paths.bundle(here, one.id))
    assert set(hostfiles.write(here, one, str(tmp_path))) == {"/run/.containerenv"}


def test_all_on_a_network_learn_of_one_another(here: Settings) -> None:
    from podling.engine import database

    def on(name: str, number: str, *networks: str) -> Container:
        status = {
            network: status_of(f"10.{index}.0.{number}", network)[network] for index, network in enumerate(networks)
        }
        one = container(name, number, status, networks={network: NetworkAttachment() for network in networks})
        home = Path(paths.bundle(here, one.id))
        home.mkdir(parents=True)
        (home / "hosts").write_text("")
        with database.write(here) as db:
            db.insert(one)
        return one

    def peers(one: Container) -> set[str]:
        return set((Path(paths.bundle(here, one.id)) / "hosts").read_text().split()) & {"one", "two", "three"}

    one, two, three = on("one", "1", "a"), on("two", "2", "a", "b"), on("three", "3", "b")
    for each in (one, two, three):
        hostfiles.refresh_peers(here, each)
    assert (peers(one), peers(two), peers(three)) == ({"two"}, {"one", "three"}, {"two"})
    hostfiles.refresh_peers(here, one, leaving=True)
    assert (peers(two), peers(three)) == ({"three"}, {"two"})
