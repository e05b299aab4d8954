"""The columns of `ps`, as text."""

from __future__ import annotations

from podling.cli import human
from podling.engine import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import Container, PortMapping


def command_text(container: Container, whole: bool) -> str:
    """Return the COMMAND column."""
    text = " ".join(listing.command(container))
    return text if whole or len(text) <= 17 else text[:17] + "..."


def status_text(container: Container, now: int) -> str:
    """Return the STATUS column: how long it has been so, and what is wrong with it."""
    state = container.state
    if state.status == "running":
        text = "Up " + human.duration(now - state.started_at)
        return text + " (unmonitored)" if listing.is_unmonitored(container) else text
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {human.ago(state.finished_at, now)}"
    return str(state.status).title()


def size_text(written: int, virtual: int) -> str:
    """Return the SIZE column."""
    return f"{human.size(written)} (virtual {human.size(virtual)})"


def ports_text(ports: list[PortMapping], exposed: dict[str, Any]) -> str:
    """Return the PORTS column: published ports, then exposed ones that are not, with neighbours joined to ranges."""
    if not ports and not exposed:
        return ""
    parts = []
    published: set[tuple[str, int]] = set()
    for port in ports:
        host = port.host_ip or "0.0.0.0"
        last = port.range - 1
        from_range = f"{port.host_port}-{port.host_port + last}" if last else str(port.host_port)
        to_range = f"{port.container_port}-{port.container_port + last}" if last else str(port.container_port)
        parts.append(f"{host}:{from_range}->{to_range}/{port.protocol}")
        published.update((port.protocol, port.container_port + offset) for offset in range(port.range))
    return ", ".join([*parts, *_exposed_ranges(exposed, published)])


def _exposed_ranges(exposed: dict[str, Any], published: set[tuple[str, int]]) -> list[str]:
    rows: list[list[Any]] = []
    for protocol, number in sorted(exposed_ports(exposed)):
        if (protocol, number) in published:
            continue
        if rows and rows[-1][0] == protocol and rows[-1][2] == number - 1:
            rows[-1][2] = number
        else:
            rows.append([protocol, number, number])
    return [f"{first}-{last}/{protocol}" if last > first else f"{first}/{protocol}" for protocol, first, last in rows]


def exposed_ports(exposed: dict[str, Any]) -> list[tuple[str, int]]:
    """Return (protocol, number) of exposed ports, given as "80/tcp" or as number → protocols."""
    found = []
    for key, protocols in exposed.items():
        number, slash, protocol = str(key).partition("/")
        if slash or not isinstance(protocols, list):
            found.append((protocol or "tcp", int(number)))
        else:
            found += [(each, int(number)) for each in protocols]
    return found
