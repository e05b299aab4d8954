"""The container's network: mode, networks, published ports, names and name servers.

--network bridge[:opts] | none | host | container:X | ns:PATH | NAME[:opts] …      (several: all bridges)
opts: ip= ip6= mac= alias= interface_name=
--publish [[IP:]HOST[-END]:]CONTAINER[-END][/PROTOCOL]                             ports.py
"""

from __future__ import annotations

from podling.engine import addresses, namespace_options
from podling.engine.container import NetworkAttachment
from podling.errors import InvalidArgument, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.request import Request

_MODES = ("bridge", "pasta", "pod", "none", "default", "private", "path", "container", "host")
_LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def fill(request: Request) -> None:
    """Fill in everything about the network, and the hostname, which depends on it."""
    options, config = request.options, request.config
    config.network_mode, config.networks = _networks(request)
    _apply_address_flags(request)
    _check_networks(request)
    if options.publish or options.publish_all or options.expose or request.image.get("ExposedPorts"):
        from podling.engine import ports

        ports.fill(request)
    _fill_names(request)
    _fill_name_servers(request)
    config.hostname = namespace_options.hostname(request)


def _networks(request: Request) -> tuple[str, dict[str, NetworkAttachment]]:
    given = list(request.options.network) or [request.defaults.get("netns", "")]
    first, separator, detail = given[0].partition(":")
    networks: dict[str, NetworkAttachment] = {}
    if given[0] in ("", "default", "private"):
        mode = "bridge"
        networks[request.settings.default_network] = NetworkAttachment()
    elif first == "bridge":
        mode = "bridge"
        networks[request.settings.default_network] = _attachment(detail)
    elif given[0] in ("none", "host"):
        mode = given[0]
    elif first == "container" and separator:
        mode = f"container:{_joined(request, detail)}"
    elif first == "ns" and separator:
        mode = _path(detail)
    else:
        mode = "bridge"
        _refuse_unsupported(first)
        _add_named(networks, given[0])
    if len(given) > 1 and mode != "bridge":
        raise InvalidArgument(
            f"cannot set multiple networks without bridge network mode, selected mode {given[0]}: invalid argument"
        )
    for text in given[1:]:
        _add_further(networks, text)
    return mode, networks


def _refuse_unsupported(mode: str) -> None:
    if mode == "slirp4netns":
        raise InvalidArgument("slirp4netns support has been removed, use --network=pasta instead")
    if mode == "pasta":
        raise InvalidArgument(
            "invalid config provided: pasta networking is only supported for rootless mode or when inside a nested "
            "userns"
        )
    if mode == "pod":
        raise Unsupported("--network pod: pods are not supported yet")


def _joined(request: Request, name: str) -> str:
    if not name:
        raise InvalidArgument("invalid config provided: namespace mode container requires a value")
    if request.options.add_host:
        raise InvalidArgument(
            "invalid config provided: cannot set extra host entries when the container is joined to another containers "
            "network namespace: invalid configuration"
        )
    other = request.require(name, "looking up container to share net namespace with")
    if other.config.network_mode == "host":
        raise InvalidArgument(f'container "{other.name}" has the host\'s network: use --network host')
    return other.id


def _path(path: str) -> str:
    import os

    if not path:
        raise InvalidArgument("invalid config provided: namespace mode path requires a value")
    if not os.path.exists(path):
        raise InvalidArgument(f"cannot find specified network namespace path: stat {path}: no such file or directory")
    return f"ns:{path}"


def _add_named(networks: dict[str, NetworkAttachment], text: str) -> None:
    name, separator, detail = text.partition(":")
    if not separator:
        for part in text.split(","):
            networks[part] = NetworkAttachment()
        return
    if not name:
        raise InvalidArgument("network name cannot be empty")
    networks[name] = _named_attachment(name, detail)


def _add_further(networks: dict[str, NetworkAttachment], text: str) -> None:
    name, _, detail = text.partition(":")
    if not name:
        raise InvalidArgument("network name cannot be empty: invalid argument")
    if name in _MODES:
        raise InvalidArgument(
            f"can only set extra network names, selected mode {name} conflicts with bridge: invalid argument"
        )
    networks[name] = _named_attachment(name, detail)


def _named_attachment(name: str, detail: str) -> NetworkAttachment:
    try:
        return _attachment(detail)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid option for network {name}: {error}") from None


def _attachment(detail: str) -> NetworkAttachment:
    attachment = NetworkAttachment()
    for option in detail.split(",") if detail else ():
        key, _, value = option.partition("=")
        if key in ("ip", "ip6"):
            attachment.static_ips.append(addresses.check(value, f'invalid ip address "{value}"'))
        elif key == "mac":
            attachment.static_mac = addresses.mac(value)
        elif key == "alias":
            if not value:
                raise InvalidArgument("alias cannot be empty")
            attachment.aliases.append(value)
        elif key == "interface_name":
            if not value:
                raise InvalidArgument("interface_name cannot be empty")
            attachment.interface_name = value
        else:
            raise InvalidArgument(f'unknown network option "{key}"')
    return attachment


def _apply_address_flags(request: Request) -> None:
    options, config = request.options, request.config
    flags = {"ip": options.ip, "ip6": options.ip6, "mac-address": options.mac_address}
    given = {name: value for name, value in flags.items() if value}
    if options.network_alias:
        given["network-alias"] = ""
    for name in given:
        if config.network_mode != "bridge":
            raise InvalidArgument(f"--{name} can only be set when the network mode is bridge: invalid argument")
        if len(config.networks) != 1 and name != "network-alias":
            raise InvalidArgument(f"--{name} can only be set for a single network: invalid argument")
    for name in ("ip", "ip6"):
        if name in given:
            address = addresses.check(given[name], f'"{given[name]}" is not an ip address')
            next(iter(config.networks.values())).static_ips.append(address)
    if "mac-address" in given:
        next(iter(config.networks.values())).static_mac = addresses.mac(given["mac-address"])
    for attachment in config.networks.values() if options.network_alias else ():
        attachment.aliases = list(options.network_alias)


def _check_networks(request: Request) -> None:
    """Raise NotFound for a network that does not exist; the default one is made when it is needed."""
    wanted = [name for name in request.config.networks if name != request.settings.default_network]
    if not wanted:
        return
    from podling.engine import networking

    store = networking.store(request.settings)
    renamed: dict[str, NetworkAttachment] = {}
    for name, attachment in request.config.networks.items():
        full = name
        if name in wanted:
            try:
                full = store.get(name).name
            except NotFound:
                raise NotFound(f"unable to find network with name or ID {name}: network not found") from None
        renamed[full] = attachment
    request.config.networks = renamed


def _fill_names(request: Request) -> None:
    options, config, defaults = request.options, request.config, request.defaults
    for entry in options.add_host:
        _check_add_host(entry)
    config.add_hosts = list(options.add_host)
    config.base_hosts_file = options.hosts_file or ""
    config.manage_hosts = not (options.no_hosts or defaults.get("no_hosts", False))
    config.manage_hostname = not (options.no_hostname or defaults.get("no_hostname", False))


def _check_add_host(entry: str) -> None:
    names, separator, address = entry.partition(":")
    if not separator or not names:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if not all(names.split(";")):
        raise InvalidArgument(f'hostname in add-host "{entry}" is empty')
    if address != "host-gateway":
        plain = address.removeprefix("[").removesuffix("]")
        addresses.check(plain, f'invalid IP address in add-host: "{address}"')


def _fill_name_servers(request: Request) -> None:
    options, config = request.options, request.config
    given = options.dns or options.dns_option or options.dns_search
    if given and (config.network_mode == "none" or config.network_mode.startswith("container:")):
        mode = config.network_mode.partition(":")[0]
        raise InvalidArgument(f"conflicting options: dns and the network mode: {mode}")
    servers = list(options.dns)
    if "none" in servers:
        if len(servers) > 1:
            raise InvalidArgument("none is not allowed to be specified with other DNS ip addresses")
        if options.dns_search or options.dns_option:
            which = "DNSSearch" if options.dns_search else "DNSOption"
            raise InvalidArgument(
                f"invalid config provided: UseImageResolvConf and {which} are mutually exclusive options"
            )
        servers = []
        config.manage_resolv_conf = False
    config.dns_servers = [addresses.check(server, f"{server} is not an ip address") for server in servers]
    config.dns_search = [_domain(domain, options.dns_search) for domain in options.dns_search]
    config.dns_options = list(options.dns_option)
    if "none" in request.defaults.get("dns_servers", ()) and not options.dns:
        config.manage_resolv_conf = False


def _domain(domain: str, everything: list[str]) -> str:
    if domain == ".":
        if len(everything) > 1:
            raise InvalidArgument("cannot pass additional search domains when also specifying '.'")
        return domain
    labels = domain.strip().removesuffix(".").split(".")
    if len(domain) > 255 or not any(character.isalpha() for character in domain):
        raise InvalidArgument(f"{domain} is not a valid domain")
    for label in labels:
        if not label or label.strip(_LETTERS_AND_DIGITS + "-") or label[0] == "-" or label[-1] == "-":
            raise InvalidArgument(f"{domain} is not a valid domain")
    return domain
