"""Hosts with a firewall of their own, which drops what it does not know.

An accept in our table does not save a packet that another table drops. So when a bridge is made, the base chains of the
forward hook are looked through, one question to the kernel:

    policy drop in table `ip filter` or `ip6 filter`   iptables (Docker, ufw): a rule in DOCKER-USER, else in FORWARD
    a table `firewalld`                                the bridge joins its zone `trusted`
    policy drop in any other table                     a rule at the head of that chain, by nft

and legacy iptables, which nftables does not show, by its own program. The rules name the bridge. They go with it; a
host that drops nothing, which is most, never comes here again.
"""

from __future__ import annotations

from podling.linux.nftables import NF_DROP, NF_INET_FORWARD, Chain, Nftables
from podling.linux.processes import read_small
from podling.network import firewall

COMMENT = "podling"
_IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}
_LEGACY = {"/proc/net/ip_tables_names": "iptables-legacy", "/proc/net/ip6_tables_names": "ip6tables-legacy"}


def admit(nftables: Nftables, bridge: str) -> list[str]:
    """Let the bridge's traffic through the host's own firewall; return a warning for each that could not be told."""
    chains = nftables.chains()
    warnings = []
    for chain in dropping(chains):
        command = _IPTABLES.get(chain.family) if chain.table == "filter" and chain.name == "FORWARD" else None
        warnings += _admit_iptables(command, chains, bridge) if command else _admit_nft(chain, bridge)
    if any(chain.table == "firewalld" for chain in chains):
        warnings += _firewalld("--add-interface", bridge)
    for command in legacy_commands():
        warnings += _admit_iptables(command, [], bridge)
    return warnings


def dismiss(nftables: Nftables, bridge: str) -> None:
    """Remove what `admit` added for a bridge; nothing there is fine."""
    chains = nftables.chains()
    for chain in dropping(chains):
        command = _IPTABLES.get(chain.family) if chain.table == "filter" and chain.name == "FORWARD" else None
        if command:
            _dismiss_iptables(command, chains, bridge)
        else:
            _dismiss_nft(chain, bridge)
    if any(chain.table == "firewalld" for chain in chains):
        _firewalld("--remove-interface", bridge)
    for command in legacy_commands():
        _dismiss_iptables(command, [], bridge)


def dropping(chains: list[Chain]) -> list[Chain]:
    """Return the base chains, not ours, that drop forwarded packets unless a rule accepts them."""
    return [
        chain
        for chain in chains
        if chain.hook == NF_INET_FORWARD
        and chain.policy == NF_DROP
        and chain.family in ("inet", "ip", "ip6")
        and chain.table not in (firewall.TABLE, "firewalld")
    ]


def legacy_commands() -> list[str]:
    """Return the legacy iptables programs whose filter table is in use."""
    found = []
    for path, command in _LEGACY.items():
        try:
            if "filter" in read_small(path).split():
                found.append(command)
        except OSError:
            continue
    return found


def iptables_rules(bridge: str) -> list[list[str]]:
    """Return the iptables rules that let out what a bridge sends, and in what answers it or was published."""
    comment = ["-m", "comment", "--comment", COMMENT]
    return [
        ["-i", bridge, *comment, "-j", "ACCEPT"],
        ["-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT", *comment, "-j", "ACCEPT"],
    ]


def nft_rules(bridge: str) -> list[str]:
    """Return the same rules in the words of nft."""
    return [
        f'iifname "{bridge}" accept comment "{COMMENT}"',
        f'oifname "{bridge}" ct state established,related accept comment "{COMMENT}"',
        f'oifname "{bridge}" ct status dnat accept comment "{COMMENT}"',
    ]


def _iptables_chain(chains: list[Chain]) -> str:
    return "DOCKER-USER" if any(chain.name == "DOCKER-USER" for chain in chains) else "FORWARD"


def _admit_iptables(command: str, chains: list[Chain], bridge: str) -> list[str]:
    warnings = []
    where = _iptables_chain(chains)
    for rule in iptables_rules(bridge):
        if firewall.run([command, "-w", "-C", where, *rule])[0] == 0:
            continue
        status, message = firewall.run([command, "-w", "-I", where, *rule])
        if status:
            warnings.append(f"the host's firewall drops forwarded packets and {command} cannot change it: {message}")
    return warnings


def _dismiss_iptables(command: str, chains: list[Chain], bridge: str) -> None:
    for where in {_iptables_chain(chains), "FORWARD"}:
        for rule in iptables_rules(bridge):
            while firewall.run([command, "-w", "-D", where, *rule])[0] == 0:
                pass


def _admit_nft(chain: Chain, bridge: str) -> list[str]:
    if f'"{bridge}"' in firewall.run(["nft", "list", "chain", chain.family, chain.table, chain.name])[1]:
        return []
    place = f"insert rule {chain.family} {chain.table} {chain.name}"
    status, message = firewall.run(["nft", "-f", "-"], "".join(f"{place} {rule}\n" for rule in nft_rules(bridge)))
    return [f"the host's firewall drops forwarded packets and nft cannot change it: {message}"] if status else []


def _dismiss_nft(chain: Chain, bridge: str) -> None:
    where = [chain.family, chain.table, chain.name]
    listed = firewall.run(["nft", "-a", "list", "chain", *where])[1]
    mine = f'ifname "{bridge}" '
    for number in [word.split("}")[0].split()[0] for word in _after_each(listed, mine, "# handle ")]:
        firewall.run(["nft", "delete", "rule", *where, "handle", number])


def _after_each(text: str, mine: str, mark: str) -> list[str]:
    return [part.split(mark, 1)[1] for part in text.split(mine)[1:] if mark in part and f'comment "{COMMENT}"' in part]


def _firewalld(action: str, bridge: str) -> list[str]:
    status, message = firewall.run(["firewall-cmd", "--zone=trusted", f"{action}={bridge}"])
    return [f"firewalld may drop forwarded packets and cannot be told: {message}"] if status else []
