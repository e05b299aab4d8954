"""Which namespaces a container has of its own, shares with another, or does without.

    pid uts            private | host | container:X | ns:PATH
    ipc                shareable | private | none | host | container:X | ns:PATH
    cgroup             private | host | container:X | ns:PATH        (version 1 knows no default of its own: host)
    user               host | private (with mappings) | keep-id | auto | container:X | ns:PATH
    network            see network_options.py

A container that is joined has to run first: its ID goes into `requires`.
"""

from __future__ import annotations

import os

from podling.engine import units
from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podling.engine.container import Container
    from podling.engine.request import Request

_PURPOSE = "looking up container to share {} namespace with"
_DEFAULT_SHM_SIZE = "65536k"


def fill(request: Request) -> None:
    """Fill in the namespaces but the network's, the hostname and the size of /dev/shm."""
    options, config, defaults = request.options, request.config, request.defaults
    modes = config.namespaces
    modes["pid"] = _mode(request, "pid", options.pid or defaults.get("pidns", ""), ())
    modes["ipc"] = _mode(request, "ipc", options.ipc or defaults.get("ipcns", "shareable"), ("shareable", "none"))
    modes["uts"] = _mode(request, "uts", options.uts or defaults.get("utsns", ""), ())
    cgroupns = options.cgroupns or defaults.get("cgroupns", "")
    if cgroupns:
        modes["cgroup"] = _mode(request, "cgroup", cgroupns, ())
        if not options.cgroupns and cgroupns == "private" and not _unified():
            del modes["cgroup"]
    _fill_user(request)
    _fill_shared_memory(request)
    if config.init and modes["pid"] != "private":
        raise InvalidArgument("cannot add init binary as PID 1 (PID namespace isn't private)")


def _unified() -> bool:
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def _mode(request: Request, kind: str, text: str, more: Sequence[str]) -> str:
    """Return a mode resolved: a container by its ID, a path that exists. Raise InvalidArgument, NotFound."""
    if text in ("", "private"):
        return "private"
    if text == "host" or text in more:
        return text
    if text == "pod":
        raise InvalidArgument(
            "cannot use pod namespace as container is not joining a pod or pod has no infra container: invalid argument"
        )
    if text.startswith("container:"):
        other = request.require(text.removeprefix("container:"), _PURPOSE.format(kind))
        if kind == "ipc":
            _share_memory(request, other)
        return f"container:{other.id}"
    if text.startswith("ns:"):
        path = text.removeprefix("ns:")
        if not path:
            raise InvalidArgument("invalid config provided: namespace mode path requires a value")
        if not os.path.exists(path):
            name = {"pid": "PID", "ipc": "IPC", "uts": "UTS"}.get(kind, kind)
            raise InvalidArgument(
                f"cannot find specified {name} namespace path: stat {path}: no such file or directory"
            )
        return text
    raise InvalidArgument(f"unrecognized namespace mode {text} passed")


def _share_memory(request: Request, other: Container) -> None:
    mode = other.config.namespaces.get("ipc", "shareable")
    if mode == "private":
        raise InvalidArgument(
            f"joining IPC of container {other.id} is not allowed: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    from podling.engine import paths

    if mode == "host":
        request.config.shm_path = "/dev/shm"
    elif mode != "none":
        request.config.shm_path = other.config.shm_path or f"{paths.bundle(request.settings, other.id)}/shm"


def _fill_shared_memory(request: Request) -> None:
    given, mode = request.options.shm_size, request.config.namespaces["ipc"]
    if given and mode in ("host", "none"):
        raise InvalidArgument(f"invalid config provided: cannot set shmsize when running in the {mode} IPC Namespace")
    try:
        default = units.size(request.defaults.get("shm_size", _DEFAULT_SHM_SIZE), decimal=True)  # as Podman reads it
        request.config.shm_size = units.size(given) if given else default
    except InvalidArgument as error:
        raise InvalidArgument(f"unable to translate --shm-size: {error}") from None


def _fill_user(request: Request) -> None:
    options, config = request.options, request.config
    mapped = options.uidmap or options.gidmap or options.subuidname or options.subgidname
    if mapped and options.userns:
        raise InvalidArgument("--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive")
    mode = "private" if mapped else options.userns
    mode = mode or request.environment.get("PODMAN_USERNS", "") or request.defaults.get("userns", "") or "host"
    kind, _, detail = mode.partition(":")
    if kind in ("private", "auto", "keep-id", "nomap"):
        from podling.engine import idmappings

        config.namespaces["user"] = kind
        idmappings.fill(request, kind, detail)
        return
    config.namespaces["user"] = _mode(request, "user", mode, ())
    if kind == "container":
        other = request.require(detail, _PURPOSE.format("user"))
        config.uid_mappings = other.config.uid_mappings
        config.gid_mappings = other.config.gid_mappings


def hostname(request: Request) -> str:
    """Return the container's hostname, once the network is known. Raise InvalidArgument where it cannot have one."""
    uts, given = request.config.namespaces["uts"], request.options.hostname
    if given and uts != "private":
        raise InvalidArgument(
            "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration"
        )
    if given:
        return given
    if uts.startswith("container:"):
        return request.require(uts.removeprefix("container:"), _PURPOSE.format("uts")).config.hostname
    if uts == "host" or request.config.network_mode == "host":
        return os.uname().nodename
    return request.config.id[:12]
