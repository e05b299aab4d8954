"""The files that the engine writes for a container and binds into it.

    BUNDLE/hosts          /etc/hosts          the host's, --add-host, host.containers.internal, the container's own
    BUNDLE/resolv.conf    /etc/resolv.conf    --dns, the networks' name servers, the host's
    BUNDLE/hostname       /etc/hostname
    BUNDLE/.containerenv  /run/.containerenv  how programs know that they are in a container

A bind mount pins the inode, so these files are rewritten in place, never renamed over; who rewrites one that may be
mounted holds RUNROOT/locks/hosts. Peers on a network that a user made are a block of their own at the end of hosts:

    # peers, kept by podling
    10.89.0.3	web 0123456789ab
"""

from __future__ import annotations

import os

from podling.engine import paths
from podling.errors import InvalidArgument
from podling.linux import files
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from podling.engine.container import Container, ContainerConfig
    from podling.engine.options import Settings

_PEERS = "# peers, kept by podling"
_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")
_RESOLVED_STUB = "127.0.0.53"
_RESOLVED_UPSTREAM = "/run/systemd/resolve/resolv.conf"


def write(settings: Settings, container: Container, rootfs: str) -> dict[str, str]:
    """Write the files that this container gets; return destination → source of each."""
    config = container.config
    home = paths.bundle(settings, config.id)
    made: dict[str, str] = {}
    shared = _shared_files(settings, config)
    if config.manage_resolv_conf and config.network_mode != "none" and not shared:
        rewrite(f"{home}/resolv.conf", resolv_conf(settings, container))
        made["/etc/resolv.conf"] = f"{home}/resolv.conf"
    if config.manage_hosts and not shared:
        rewrite(f"{home}/hosts", hosts(settings, container, rootfs))
        made["/etc/hosts"] = f"{home}/hosts"
    made.update(shared)
    if config.manage_hostname:
        rewrite(f"{home}/hostname", f"{config.hostname}\n")
        made["/etc/hostname"] = f"{home}/hostname"
    if not _has_own_run(config):
        rewrite(f"{home}/.containerenv", _containerenv(config))
        made["/run/.containerenv"] = f"{home}/.containerenv"
    return made


def complete(settings: Settings, container: Container) -> None:
    """Write hosts and resolv.conf again, now that the addresses in `container.state.network_status` are known."""
    home = paths.bundle(settings, container.id)
    peers = ""
    wanted = _named_networks(settings, container)
    if wanted:
        peers = _peer_rows(peers_of(_others_connected(settings, container), container, wanted))
    with _locked(settings):
        if os.path.exists(f"{home}/resolv.conf"):
            rewrite(f"{home}/resolv.conf", resolv_conf(settings, container))
        if os.path.exists(f"{home}/hosts"):
            rootfs = _rootfs(home) if _base_hosts(settings, container.config) == "image" else ""
            rewrite(f"{home}/hosts", hosts(settings, container, rootfs) + peers)


def _rootfs(home: str) -> str:
    """Return the root filesystem that a written bundle names."""
    with open(f"{home}/config.json", "rb", buffering=0) as file:
        path: str = jsontext.loads(file.read())["root"]["path"]
    return path


def rewrite(path: str, text: str) -> None:
    """Replace a file's content in place, keeping its inode: it may be mounted in a container."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        content = text.encode("utf-8", "surrogateescape")
        files.write_all(fd, content)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)


def _shared_files(settings: Settings, config: ContainerConfig) -> dict[str, str]:
    """Return hosts and resolv.conf of the container whose network this one joins."""
    if not config.network_mode.startswith("container:"):
        return {}
    other = paths.bundle(settings, config.network_mode.removeprefix("container:"))
    shared = {}
    if config.manage_resolv_conf and os.path.exists(f"{other}/resolv.conf"):
        shared["/etc/resolv.conf"] = f"{other}/resolv.conf"
    if config.manage_hosts and os.path.exists(f"{other}/hosts"):
        shared["/etc/hosts"] = f"{other}/hosts"
        _add_local_name(settings, os.path.basename(other), config.name)
    return shared


def _add_local_name(settings: Settings, owner_id: str, name: str) -> None:
    """Make a container that shares another's network known by name in the other's hosts file."""
    path = f"{paths.bundle(settings, owner_id)}/hosts"
    row = f"127.0.0.1\t{name}\n"
    with _locked(settings):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if row not in text:
            own, mark, peers = text.partition(f"{_PEERS}\n")
            rewrite(path, own + row + mark + peers)


def _has_own_run(config: ContainerConfig) -> bool:
    return any(
        mount["destination"] == "/run/.containerenv" or (mount["destination"] == "/run" and mount["type"] != "tmpfs")
        for mount in config.mounts
    )


def _containerenv(config: ContainerConfig) -> str:
    if not config.privileged:
        return ""
    from podling import __version__

    rows = {
        "engine": f"podling-{__version__}",
        "name": config.name,
        "id": config.id,
        "image": config.image_name,
        "imageid": config.image_id,
    }
    text = "".join(f'{key}="{value}"\n' for key, value in rows.items())
    return f"{text}rootless={int(os.geteuid() != 0)}\n"


# hosts


def hosts(settings: Settings, container: Container, rootfs: str) -> str:
    """Return the text of /etc/hosts."""
    config = container.config
    status = container.state.network_status
    rows = base_hosts(_base_hosts_text(settings, config, rootfs))
    known = {name for _, names in rows for name in names}
    internal = _host_address(settings, config, status)
    extra = [(_add_host_address(address, internal), names) for address, names in map(split_add_host, config.add_hosts)]
    own = _own_rows(config, status)
    named = {name for _, names in extra for name in names}
    rows = extra + [(address, [name for name in names if name not in named]) for address, names in rows]
    if internal and "host.containers.internal" not in known | named:
        rows.append((internal, ["host.containers.internal", "host.docker.internal"]))
    rows += own
    return "".join(f"{address}\t{' '.join(names)}\n" for address, names in rows if names)


def base_hosts(text: str) -> list[tuple[str, list[str]]]:
    """Return the rows of a hosts file, without comments."""
    rows = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[1:] != ["host.containers.internal"]:
            rows.append((words[0], words[1:]))
    return rows


def _base_hosts(settings: Settings, config: ContainerConfig) -> str:
    return config.base_hosts_file or str(settings.container.get("base_hosts_file", ""))


def _base_hosts_text(settings: Settings, config: ContainerConfig, rootfs: str) -> str:
    wanted = _base_hosts(settings, config)
    if wanted == "none":
        return "127.0.0.1 localhost\n::1 localhost\n"
    if wanted == "image":
        from podling.engine.users import read_regular

        return read_regular(rootfs, "etc/hosts").decode("utf-8", "surrogateescape")
    try:
        with open(wanted or "/etc/hosts", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        if wanted:
            raise InvalidArgument(f"failed to read base hosts file: open {wanted}: no such file or directory") from None
        return "127.0.0.1 localhost\n::1 localhost\n"


def split_add_host(text: str) -> tuple[str, list[str]]:
    """Return address and names of --add-host NAME[;NAME…]:ADDRESS."""
    names, _, address = text.partition(":")
    return address.removeprefix("[").removesuffix("]"), names.split(";")


def _add_host_address(address: str, internal: str) -> str:
    if address != "host-gateway":
        return address
    if not internal:
        raise InvalidArgument("host containers internal IP address is empty: unable to replace host-gateway")
    return internal


def _host_address(settings: Settings, config: ContainerConfig, status: Mapping[str, Any]) -> str:
    configured = settings.container.get("host_containers_internal_ip", "")
    if configured:
        return "" if configured == "none" else str(configured)
    for row in _subnets(status):
        if row.get("gateway"):
            return str(row["gateway"])
    return "127.0.0.1" if config.network_mode == "host" else ""


def _subnets(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for network in status.values():
        for interface in (network.get("interfaces") or {}).values():
            rows += interface.get("subnets") or []
    return rows


def _own_rows(config: ContainerConfig, status: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    names = list(dict.fromkeys([config.hostname, config.name]))
    addresses = [str(row["ipnet"]).partition("/")[0] for row in _subnets(status)]
    if not addresses and config.network_mode == "none":
        addresses = ["127.0.0.1"]
    return [(address, names) for address in addresses]


# names between containers


def update_network_peers(settings: Settings, container_id: str, peers: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Make `peers`, rows of an address and its names, the peers in a running container's hosts file."""
    path = f"{paths.bundle(settings, container_id)}/hosts"
    rows = _peer_rows(peers)
    with _locked(settings):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                own = file.read().partition(f"{_PEERS}\n")[0]
        except FileNotFoundError:
            return  # it has ended meanwhile, or brought its own
        rewrite(path, own + rows)


def _peer_rows(peers: Iterable[tuple[str, Iterable[str]]]) -> str:
    rows = "".join(f"{address}\t{' '.join(names)}\n" for address, names in peers)
    return f"{_PEERS}\n{rows}" if rows else ""


def refresh_peers(settings: Settings, container: Container, *, leaving: bool = False) -> None:
    """Make all on a container's networks know each other: it has come, its row is written; or it is `leaving`."""
    wanted = _named_networks(settings, container)
    if not wanted:
        return
    everyone = _others_connected(settings, container) + ([] if leaving else [container])
    for one in everyone:
        if wanted & set(one.config.networks):
            update_network_peers(settings, one.id, peers_of(everyone, one, _named_networks(settings, one)))


def _named_networks(settings: Settings, container: Container) -> set[str]:
    """Return the networks on which containers know each other by name: all but the default one."""
    return set(container.config.networks) - {settings.default_network}


def _others_connected(settings: Settings, container: Container) -> list[Container]:
    from podling.engine import find

    everyone = find.all_containers(settings)
    return [other for other in everyone if other.id != container.id and other.state.network_status]


def peers_of(containers: Iterable[Container], of: Container, networks: set[str]) -> list[tuple[str, list[str]]]:
    """Return the rows for one container: the others on those of its networks, by address."""
    rows = []
    for other in containers:
        if other.id == of.id:
            continue
        for name, network in other.state.network_status.items():
            if name not in networks:
                continue
            attachment = other.config.networks.get(name)
            names = [other.name, *(attachment.aliases if attachment else []), other.id[:12]]
            for row in _subnets({name: network}):
                rows.append((str(row["ipnet"]).partition("/")[0], list(dict.fromkeys(names))))
    return rows


def _locked(settings: Settings) -> Any:
    from podling.linux.locks import Lock

    os.makedirs(f"{settings.runroot}/locks", mode=0o700, exist_ok=True)
    return Lock(f"{settings.runroot}/locks/hosts", timeout_seconds=30)


# resolv.conf


def resolv_conf(settings: Settings, container: Container) -> str:
    """Return the text of /etc/resolv.conf."""
    config, defaults = container.config, settings.container
    status = container.state.network_status
    network_servers = [str(server) for network in status.values() for server in network.get("dns_server_ips") or []]
    network_searches = [str(name) for network in status.values() for name in network.get("dns_search_domains") or []]
    host_servers, host_searches, host_options = _host_resolv_conf(settings, config)
    servers = network_servers or [*defaults.get("dns_servers", []), *config.dns_servers] or host_servers
    chosen = [*defaults.get("dns_searches", []), *config.dns_search]
    searches = chosen or network_searches + host_searches
    options = [*defaults.get("dns_options", []), *config.dns_options] or host_options
    lines = []
    if searches and searches != ["."]:
        lines.append(f"search {' '.join(dict.fromkeys(searches))}\n")
    lines += [f"nameserver {server}\n" for server in dict.fromkeys(servers)]
    if options:
        lines.append(f"options {' '.join(dict.fromkeys(options))}\n")
    return "".join(lines)


def _host_resolv_conf(settings: Settings, config: ContainerConfig) -> tuple[list[str], list[str], list[str]]:
    servers, searches, options = parse_resolv_conf(_read("/etc/resolv.conf"))
    if config.network_mode == "host":
        return servers, searches, options
    if servers == [_RESOLVED_STUB]:
        servers, searches, options = parse_resolv_conf(_read(_RESOLVED_UPSTREAM))
    reachable = [server for server in servers if not server.startswith("127.") and server != "::1"]
    return reachable or list(_FALLBACK_SERVERS), searches, options


def parse_resolv_conf(text: str) -> tuple[list[str], list[str], list[str]]:
    """Return name servers, search domains and options."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.partition("#")[0].partition(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = words[1:]
        elif words[0] == "options":
            options += words[1:]
    return servers, searches, options


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
