"""Networks as a user manages them: create, list, inspect, remove.

What a network is, and where it is kept, is `podling.network`'s; here are the user's words for it, and the containers
that use it. Results are JSON objects with netavark's names, as `podman network inspect` prints them.
"""

from __future__ import annotations

from podling.engine import networking
from podling.errors import InUse, InvalidArgument
from podling.network import addresses
from podling.network.networks import Network
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import Settings

    Predicate = Callable[[Network], bool]


class NetworkCreateOptions(Record):
    """`network create`: names are those of Podman's flags, with underscores."""

    name: str = ""  # empty: podman1, podman2, …
    driver: str = "bridge"
    subnet: list[str] = []
    gateway: list[str] = []
    ip_range: list[str] = []
    ipv6: bool = False
    internal: bool = False
    disable_dns: bool = False
    dns: list[str] = []
    interface_name: str = ""
    ipam_driver: str | None = None
    label: list[str] = []
    opt: list[str] = []
    route: list[str] = []
    ignore: bool = False


def create_network(settings: Settings, options: NetworkCreateOptions) -> dict[str, Any]:
    """Create a network and return it."""
    wanted = Network(
        name=options.name,
        driver=options.driver or "bridge",
        network_interface=options.interface_name,
        subnets=_subnets(options),
        routes=[_route(text) for text in options.route],
        ipv6_enabled=options.ipv6,
        internal=options.internal,
        dns_enabled=not options.disable_dns,
        network_dns_servers=[addresses.address_text(addresses.parse_address(server)) for server in options.dns],
        labels=_pairs(options.label),
        options=_pairs(options.opt),
        ipam_options={} if options.ipam_driver is None else {"driver": options.ipam_driver},
    )
    return networking.store(settings).create(wanted, ignore_existing=options.ignore).to_json()


def list_networks(settings: Settings, filters: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:
    """Return the networks that pass all filters, by name."""
    accepts = [_predicate(settings, key, values) for key, values in (filters or {}).items()]
    networks = networking.store(settings).list()
    return [network.to_json() for network in networks if all(accept(network) for accept in accepts)]


def inspect_network(settings: Settings, name_or_id: str) -> dict[str, Any]:
    """Return a network with the containers that are on it now. Raise NotFound."""
    from podling.engine import find

    network = networking.store(settings).get(name_or_id)
    connected = {}
    for container in find.all_containers(settings):
        status = container.state.network_status.get(network.name)
        if status:
            connected[container.id] = {"name": container.name, "interfaces": status.get("interfaces") or {}}
    return {**network.to_json(), "containers": connected}


def remove_network(
    settings: Settings, name_or_id: str, *, force: bool = False, timeout_seconds: int | None = None
) -> str:
    """Remove a network and return its name. Raise NotFound, or InUse unless `force`, which removes its containers."""
    from podling.engine import remove

    store = networking.store(settings)
    network = store.get(name_or_id)
    for container in _users(settings, network.name):
        if not force:
            raise InUse(
                f'"{network.name}" has associated containers with it. '
                "Use -f to forcibly delete containers and pods: network is being used"
            )
        remove.remove(settings, container, force=True, volumes=True, depend=True, timeout_seconds=timeout_seconds)
    return store.remove(network.name).name


def _users(settings: Settings, network_name: str) -> list[Container]:
    from podling.engine import find

    return [container for container in find.all_containers(settings) if network_name in container.config.networks]


def _subnets(options: NetworkCreateOptions) -> list[dict[str, Any]]:
    if not options.subnet and (options.ip_range or options.gateway):
        raise InvalidArgument("cannot set gateway or range without subnet")
    for given, what in ((options.gateway, "gateways"), (options.ip_range, "ranges")):
        if len(given) > len(options.subnet):
            raise InvalidArgument(f"cannot set more {what} than subnets")
    subnets = []
    for number, text in enumerate(options.subnet):
        subnet: dict[str, Any] = {"subnet": str(addresses.parse_subnet(text))}
        if number < len(options.gateway):
            subnet["gateway"] = addresses.address_text(addresses.parse_address(options.gateway[number]))
        if number < len(options.ip_range):
            subnet["lease_range"] = _lease_range(options.ip_range[number])
        subnets.append(subnet)
    return subnets


def _lease_range(text: str) -> dict[str, str]:
    start, dash, end = text.partition("-")
    if dash:
        for which, address in (("start", start), ("end", end)):
            try:
                addresses.parse_address(address)
            except InvalidArgument:
                raise InvalidArgument(f'range {which} ip "{address}" is not a ip address') from None
        return {"start_ip": start, "end_ip": end}
    subnet = addresses.parse_subnet(text)
    first, last = (addresses.address_text(subnet.pack(value)) for value in (subnet.base + 1, subnet.last))
    return {"start_ip": first, "end_ip": last}


def _route(text: str) -> dict[str, Any]:
    parts = text.split(",")
    if len(parts) not in (2, 3):
        form = "Format: --route <destination in CIDR>,<gateway>,<metric (optional)>"
        raise InvalidArgument(f"invalid route: {text}: {form}")
    try:
        route: dict[str, Any] = {"destination": str(addresses.parse_subnet(parts[0]))}
    except InvalidArgument:
        raise InvalidArgument(f"invalid route destination {parts[0]}") from None
    try:
        route["gateway"] = addresses.address_text(addresses.parse_address(parts[1]))
    except InvalidArgument:
        raise InvalidArgument(f"invalid route gateway {parts[1]}") from None
    if len(parts) == 3:
        if not parts[2].isdigit() or int(parts[2]) > 0xFFFFFFFF:
            raise InvalidArgument(f"invalid route metric {parts[2]}")
        route["metric"] = int(parts[2])
    return route


def _pairs(texts: list[str]) -> dict[str, str]:
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _predicate(settings: Settings, key: str, values: list[str]) -> Predicate:
    from podling.engine import filtering

    if key == "name":
        return lambda network: filtering.matches_pattern(values, network.name)
    if key == "id":
        return lambda network: any(network.id.startswith(value) for value in values)
    if key == "driver":
        return lambda network: network.driver in values
    if key == "label":
        return lambda network: filtering.matches_labels(network.labels, values)
    if key == "label!":
        return lambda network: not filtering.matches_labels(network.labels, values)
    if key == "until":
        moment = min(filtering.moment(value) for value in values)
        return lambda network: bool(network.created) and filtering.moment(network.created) < moment
    if key == "dangling":
        return _dangling(settings, values)
    raise InvalidArgument(f'invalid filter "{key}"')


def _dangling(settings: Settings, values: list[str]) -> Predicate:
    from podling.engine import find

    if len(values) != 1:
        raise InvalidArgument('got more than one value for filter key "dangling"')
    if values[0].lower() not in ("true", "false", "1", "0"):
        raise InvalidArgument(f'invalid dangling filter value "{values[0]}"')
    wanted = values[0].lower() in ("true", "1")
    used = {name for container in find.all_containers(settings) for name in container.config.networks}
    used.add(settings.default_network)
    return lambda network: (network.name not in used) == wanted
