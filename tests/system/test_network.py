"""Networks as their users know them: names between containers, published ports, and the network verbs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from lab.world import World

SERVER = """use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die $!;
print STDOUT "ready\\n"; STDOUT->flush();
while (my $client = $socket->accept()) { print $client "$ARGV[1]\\n"; close $client; }"""
ASK = 'exec 3<>/dev/tcp/"$0"/"$1" && cat <&3'


@pytest.fixture(scope="module", autouse=True)
def toolbox(podling: World) -> Iterator[None]:
    """Have the server's image, and a directory for networks."""
    podling.check("pull", "--quiet", "toolbox")
    podling.check("network", "create", "first")
    podling.check("network", "rm", "first")
    yield
    podling.check("rmi", "--force", "toolbox")


@pytest.fixture(autouse=True)
def clean(podling: World, nothing_left: None) -> Iterator[None]:
    """Remove what the test made."""
    yield
    for name in podling.check("ps", "--all", "--quiet").split():
        podling.check("rm", "--force", "--time", "0", name)
    for name in podling.check("network", "ls", "--quiet").split():
        if name != "podman":
            podling.check("network", "rm", name)


def serve(podling: World, name: str, *flags: str, port: int = 80) -> None:
    """Start a server that says its name, and wait until it listens."""
    podling.check("run", "-d", "--name", name, *flags, "toolbox", "perl", "-e", SERVER, str(port), name)
    podling.check("exec", name, "bash", "-c", "until exec 3<>/dev/tcp/127.0.0.1/80; do :; done 2>/dev/null")


def ask(port: int, host: str = "127.0.0.1") -> str:
    """Return what answers at a port of the host."""
    with socket.create_connection((host, port), timeout=5) as client:
        return client.makefile().readline().strip()


def test_containers_know_each_other_by_name_on_a_network(podling: World) -> None:
    assert podling.check("network", "create", "web").strip() == "web"
    serve(podling, "shop", "--network", "web", "--network-alias", "store")
    for name in ("shop", "store", "shop.dns.podman"):
        assert podling.check("run", "--rm", "--network", "web", "fedora", "bash", "-c", ASK, name, "80") == "shop"
    assert podling.run("network", "rm", "web").returncode == 2
    inspected = json.loads(podling.check("network", "inspect", "web"))[0]
    assert (inspected["name"], inspected["dns_enabled"], inspected["driver"]) == ("web", True, "bridge")


def test_a_published_port_is_answered_from_the_host_and_from_containers(podling: World) -> None:
    serve(podling, "shop", "-p", "8180:80", "-p", "127.0.0.1:8181:80")
    assert ask(8180) == ask(8181) == "shop"
    gateway = podling.check("inspect", "--format", "{{.NetworkSettings.Gateway}}", "shop").strip()
    assert podling.check("run", "--rm", "fedora", "bash", "-c", ASK, gateway, "8180") == "shop"
    if not podling.is_podman:  # of Podman 4 itself: the packet is lost where bridged frames pass the firewall
        assert podling.check("exec", "shop", "bash", "-c", ASK, gateway, "8180") == "shop"
    taken = podling.run("run", "--rm", "-p", "8180:80", "fedora", "true")
    assert taken.returncode != 0 and "address already in use" in taken.stderr
    podling.check("rm", "--force", "--time", "0", "shop")
    with pytest.raises(ConnectionRefusedError):
        ask(8180)


def test_a_restarted_container_is_connected_again(podling: World) -> None:
    serve(podling, "shop", "-p", "8182:80")
    podling.check("restart", "--time", "0", "shop")
    podling.check("exec", "shop", "bash", "-c", "until exec 3<>/dev/tcp/127.0.0.1/80; do :; done 2>/dev/null")
    assert ask(8182) == "shop"


def test_address_and_interface_are_as_asked(podling: World) -> None:
    podling.check("network", "create", "--subnet", "10.133.7.0/24", "--label", "tier=front", "web")
    shown = podling.check("run", "--rm", "--network", "web", "--ip", "10.133.7.9", "fedora", "ip", "-br", "address")
    assert [row.split()[0].partition("@")[0] for row in shown.splitlines()] == ["lo", "eth0"]
    assert shown.splitlines()[1].split()[2] == "10.133.7.9/24"
    listed = podling.check("network", "ls", "--filter", "label=tier=front", "--format", "{{.Name}} {{.Driver}}")
    assert listed == "web bridge"


def test_the_verbs_say_no(podling: World) -> None:
    podling.check("network", "create", "web")
    again = podling.run("network", "create", "web")
    assert (again.returncode, again.stderr) == (
        125,
        "Error: network name web already used: network already exists\n",
    )
    assert podling.run("network", "rm", "nosuch").returncode == 1
    assert podling.run("network", "inspect", "nosuch").returncode != 0
    default = podling.run("network", "rm", "podman")
    assert default.returncode == 125 and "default network podman cannot be removed" in default.stderr
