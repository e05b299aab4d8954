"""The firewall: one table, `inet podling`, whose chains are written once and whose sets say the rest.

    prerouting, output   published ports are sent to their container        maps published_…, by protocol and port
    forward              what may pass between networks                     sets inside internal isolated strict
    postrouting          what leaves takes the host's address               set bridges
    input                nobody outside reaches 127.0.0.0/8 through us

A network is a few elements, a published port one element; they come and go over netlink (`linux/nftables.py`), so that
nft(8) runs once per boot, or after somebody flushed the ruleset. That is noticed at each set-up by one question to the
kernel: is the table there in this version, and the network's own element in it?

An `accept` here ends only our own chain. Where the host's firewall drops what it does not know, our bridges are made
known to it: see `hostfirewall.py`.
"""

from __future__ import annotations

from binascii import crc32
from sys import byteorder

from podling.errors import PodlingError, Unsupported
from podling.linux.nftables import Element, Nftables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.network.networks import Network

TABLE = "podling"
_IFNAME_SIZE = 16

# Docker's rule order is kept: a packet for a published port that a host address names is caught first.
# `ct status dnat` in postrouting: the connection was sent to a container by the maps.
_SETS = """
	map published_ip4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
	map published_ip6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
	map published_at_ip4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
	map published_at_ip6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
	set itself_ip4 { type ipv4_addr . ipv4_addr; }
	set itself_ip6 { type ipv6_addr . ipv6_addr; }
	set bridges { type ifname; }
	set inside { type ifname . ifname; }
	set internal { type ifname; }
	set isolated { type ifname; }
	set strict { type ifname; }
	set version { type mark; }
"""
_CHAINS = """
	chain published {
		dnat ip to ip daddr . meta l4proto . th dport map @published_at_ip4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at_ip6
		fib daddr type local dnat ip to meta l4proto . th dport map @published_ip4
		fib daddr type local dnat ip6 to meta l4proto . th dport map @published_ip6
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		jump published
	}
	chain output {
		type nat hook output priority -100; policy accept;
		jump published
	}
	chain input {
		type filter hook input priority 0; policy accept;
		iifname @bridges ip daddr 127.0.0.0/8 ct state new,invalid,untracked drop
		iifname @internal ip daddr 127.0.0.0/8 ct state new,invalid,untracked drop
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname . oifname @inside accept
		iifname @internal drop
		oifname @internal drop
		iifname @isolated oifname @isolated drop
		iifname @strict oifname @bridges drop
		iifname @bridges oifname @strict drop
	}
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		ct status dnat iifname . oifname @inside masquerade
		ct status dnat ip saddr . ip daddr @itself_ip4 masquerade
		ct status dnat ip6 saddr . ip6 daddr @itself_ip6 masquerade
		ct status dnat oifname @bridges ip saddr 127.0.0.0/8 masquerade
		iifname @bridges oifname != @bridges masquerade
	}
"""
CHAIN_NAMES = ("prerouting", "output", "input", "forward", "postrouting", "published")
PORT_SETS = (
    "published_ip4",
    "published_ip6",
    "published_at_ip4",
    "published_at_ip6",
    "itself_ip4",
    "itself_ip6",
)
BRIDGE_SETS = ("bridges", "inside", "internal", "isolated", "strict")
VERSION = crc32((_SETS + _CHAINS).encode())

_EBUSY = 16
_EEXIST = 17


def ruleset() -> str:
    """Return the table as text for `nft -f`: one transaction that replaces the chains and keeps the elements."""
    empty = "".join(f"\tchain {name} {{\n\t}}\n" for name in CHAIN_NAMES)
    flush = "".join(f"flush chain inet {TABLE} {name}\n" for name in CHAIN_NAMES)
    remove = "".join(f"delete chain inet {TABLE} {name}\n" for name in CHAIN_NAMES)
    clear = f"table inet {TABLE} {{\n{empty}{_SETS}}}\n{flush}{remove}flush set inet {TABLE} version\n"
    return f"{clear}table inet {TABLE} {{\n{_CHAINS}}}\nadd element inet {TABLE} version {{ {VERSION:#x} }}\n"


def network_elements(network: Network) -> list[Element]:
    """Return what makes a network known to the table."""
    name = network.network_interface.encode().ljust(_IFNAME_SIZE, b"\0")
    sets = ["internal" if network.internal else "bridges"]
    isolate = network.options.get("isolate", "")
    sets += {"true": ["isolated"], "strict": ["isolated", "strict"]}.get(isolate, [])
    return [Element("inside", name * 2), *(Element(set_name, name) for set_name in sets)]


def interface_elements(interface: str) -> list[Element]:
    """Return every element that could name an interface."""
    name = interface.encode().ljust(_IFNAME_SIZE, b"\0")
    return [Element(set_name, name * 2 if set_name == "inside" else name) for set_name in BRIDGE_SETS]


def stands(nftables: Nftables, network: Network) -> tuple[bool, bool]:
    """Tell whether the table is there in this version, and whether the network is known to it: one round trip."""
    version = Element("version", VERSION.to_bytes(4, byteorder))
    table, known = nftables.have(TABLE, [version, network_elements(network)[0]])
    return table, known


def write_table() -> None:
    """Write the table with nft(8); what elements it had stay. Raise Unsupported where that is not possible."""
    status, message = run(["nft", "-f", "-"], ruleset())
    if status:
        raise Unsupported(f"cannot write the firewall table: nft: {message}")


def publish(nftables: Nftables, elements: list[Element]) -> None:
    """Add the elements of published ports; what a dead owner left in their place goes in the same transaction."""
    try:
        nftables.change(TABLE, add=elements)
    except OSError as error:
        if error.errno not in (_EBUSY, _EEXIST):
            raise PodlingError("cannot publish the container's ports") from error
        present = [element for element in elements if nftables.has(TABLE, element)]
        nftables.change(TABLE, remove=present, add=elements)


def run(command: list[str], text: str = "") -> tuple[int, str]:
    """Run a firewall program with a text on its standard input; return its status and what it said."""
    import subprocess  # once per boot, or on hosts with a firewall of their own

    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return 127, f'"{command[0]}" is not installed'
    return done.returncode, (done.stderr or done.stdout).strip().replace("\n", " ")
