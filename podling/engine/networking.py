"""A container's place in its networks: namespace, addresses, ports, and the names that its peers know it by."""

from __future__ import annotations

import os

from podling.engine import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import Settings
    from podling.network.networks import NetworkStore


def store(settings: Settings) -> NetworkStore:
    """Return the networks of these settings."""
    from podling.network.networks import NetworkStore

    return NetworkStore(
        settings.network_config_dir,
        f"{settings.runroot}/networks",
        settings.default_network,
        settings.default_subnet,
    )


def make_namespace(settings: Settings, container: Container) -> str:
    """Make the container's network namespace and return its path."""
    from podling.network import namespaces

    path = _place_for_namespace(settings, container)
    namespaces.create(path)
    return path


def adopt_namespace(settings: Settings, container: Container, pid: int) -> None:
    """Take the network namespace that the runtime made for a process as the container's."""
    from podling.network import namespaces

    namespaces.pin(pid, _place_for_namespace(settings, container))


def _place_for_namespace(settings: Settings, container: Container) -> str:
    path = paths.network_namespace(settings, container.id)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    return path


def reserve_ports(container: Container) -> list[int]:
    """Bind the published ports, so that nobody else can; the monitor holds the descriptors."""
    if not container.config.ports:
        return []
    from podling.network import ports

    return ports.reserve([port.to_json() for port in container.config.ports])


def connect(settings: Settings, container: Container) -> dict[str, Any]:
    """Connect the container's namespace to its networks; return netavark's status object of each."""
    from podling.network.attachment import AttachmentRequest, set_up

    config = container.config
    request = AttachmentRequest(
        container_id=config.id,
        container_name=config.name,
        hostname=config.hostname,
        namespace_path=paths.network_namespace(settings, config.id),
        networks={name: wanted.to_json() for name, wanted in config.networks.items()},
        ports=[port.to_json() for port in config.ports],
        dns_servers=config.dns_servers,
    )
    return set_up(store(settings), request)


def left_something(settings: Settings) -> bool:
    """Tell whether a killed process may have left a bridge, or a network without its resolver; cheap."""
    from podling.network import leftovers

    return leftovers.suspected(f"{settings.runroot}/networks")


def sweep(settings: Settings) -> None:
    """Finish what killed processes left half-done in the networks."""
    from podling.engine import database
    from podling.network import attachment

    def live() -> set[str]:
        with database.read(settings) as db:
            return db.container_ids()

    attachment.sweep(store(settings), live)


def disconnect(settings: Settings, container: Container) -> None:
    """Give back everything that the container has of its networks."""
    from podling.network.attachment import tear_down

    tear_down(store(settings), container.id)
