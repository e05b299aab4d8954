"""What `inspect` tells of a container, an image or a volume: Podman's keys, in Podman's order and of Podman's types.

    row + reality (listing.observe) ──┐
    config.json, or what it would be ─┼──► inspect_container   State, NetworkSettings, Mounts, Config, HostConfig
    the store ────────────────────────┘    inspect_image, inspect_volume

Nothing is locked and nothing repaired. The values of maps come sorted, as Go writes them.
"""

from __future__ import annotations

import os
import time

from podling.engine import inspection_config, inspection_network, listing, paths
from podling.engine.container import Container, Status
from podling.errors import NotFound
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.options import Settings
    from podling.engine.volumes import Volume
    from podling.store.image import Image

ZERO_TIME = "0001-01-01T00:00:00Z"


def inspect_container(settings: Settings, container: Container, size: bool = False) -> dict[str, Any]:
    """Return Podman's InspectContainerData; with `size` also what the container takes on disk."""
    container = listing.observe(settings, container)
    config, state = container.config, container.state
    specification = effective_specification(settings, container)
    line = specification["process"]["args"]
    home = paths.container_directory(settings, config.id)
    image = _image(settings, config.image_id)
    data: dict[str, Any] = {
        "Id": config.id,
        "Created": timestamp(config.created),
        "Path": line[0] if line else "",
        "Args": line[1:],
        "State": _state(settings, container, specification),
        "Image": config.image_id,
        "ImageDigest": image.digest if image else "",
        "ImageName": config.image_name,
        "Rootfs": config.rootfs,
        "Pod": "",
        **_bound_files(settings, container),
        "StaticDir": f"{home}/artifacts",
        **_config_path(settings, container),
        "OCIRuntime": settings.runtime_name,
        "ConmonPidFile": config.conmon_pidfile or f"{paths.bundle(settings, config.id)}/conmon.pid",
        "PidFile": config.pidfile or f"{paths.bundle(settings, config.id)}/pidfile",
        "Name": config.name,
        "RestartCount": state.restarts,
        "Driver": "overlay",
        "MountLabel": specification["linux"].get("mountLabel", ""),
        "ProcessLabel": specification["process"].get("selinuxLabel", ""),
        "AppArmorProfile": specification["process"].get("apparmorProfile", ""),
        "EffectiveCaps": specification["process"]["capabilities"].get("effective"),
        "BoundingCaps": specification["process"]["capabilities"].get("bounding"),
        "ExecIDs": _exec_sessions(settings, container),
        "GraphDriver": _graph_driver(settings, container, image),
    }
    if size:
        written = listing.size_on_disk(settings, container)
        data |= {"SizeRw": written, "SizeRootFs": written + (image.size if image else 0)}
    return data | {
        "Mounts": inspection_config.mounts(settings, config),
        "Dependencies": _dependencies(container),
        "NetworkSettings": inspection_network.settings_of(settings, container),
        "Namespace": "",
        "IsInfra": False,
        "IsService": False,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": 0,
        "Config": inspection_config.config(config, specification),
        "HostConfig": inspection_config.host_config(settings, config, specification),
        "UseImageHosts": not config.manage_hosts,
        "UseImageHostname": not config.manage_hostname,
    }


def effective_specification(settings: Settings, container: Container) -> dict[str, Any]:
    """Return the bundle's config.json; where there is none yet, what can be said of it before a start."""
    try:
        with open(f"{paths.bundle(settings, container.id)}/config.json", "rb", buffering=0) as file:
            found: dict[str, Any] = jsontext.loads(file.read())
            return found
    except FileNotFoundError:
        return _expected_specification(settings, container)


def _expected_specification(settings: Settings, container: Container) -> dict[str, Any]:
    from podling.engine import specification, volumes
    from podling.linux import capabilities

    config = container.config
    wanted = config.specification.get("process", {}).get("capabilities", {})
    everything = sorted(capabilities.BY_NAME)
    overlays = [("", "")] * len(config.overlay_volumes)
    facts = specification.Facts(
        rootfs=config.rootfs or f"{paths.container_directory(settings, config.id)}/merged",
        bounding=everything if config.privileged else sorted(set(everything) & set(wanted.get("bounding", everything))),
        volume_paths={volume["name"]: volumes.directory(settings, volume["name"]) for volume in config.volumes},
        overlay_directories=overlays,
        unified_cgroups=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        cgroup_manager=settings.cgroup_manager,
        cgroup_parent=settings.cgroup_parent,
    )
    return specification.generate(config, facts)


def timestamp(nanoseconds: int) -> str:
    """Return a moment as Go's encoding/json writes it, in local time; Go's zero time for never."""
    if not nanoseconds:
        return ZERO_TIME
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    local = time.localtime(seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    offset = time.strftime("%z", local)
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
    return time.strftime(f"%Y-%m-%dT%H:%M:%S{digits}", local) + zone


def _state(settings: Settings, container: Container, specification: dict[str, Any]) -> dict[str, Any]:
    state = container.state
    alive = state.status in (Status.RUNNING, Status.PAUSED, Status.STOPPING)
    data: dict[str, Any] = {
        "OciVersion": specification["ociVersion"],
        "Status": str(state.status),
        "Running": state.status == Status.RUNNING,
        "Paused": state.status == Status.PAUSED,
        "Restarting": False,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid if alive else 0,
    }
    if alive and state.monitor_pid and not listing.is_unmonitored(container):
        data["ConmonPid"] = state.monitor_pid
    data |= {
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": timestamp(state.started_at),
        "FinishedAt": timestamp(state.finished_at),
    }
    if container.config.healthcheck:
        data["Health"] = {"Status": "starting" if alive else "", "FailingStreak": 0, "Log": None}
    if alive and state.cgroup_path:
        data["CgroupPath"] = state.cgroup_path
    data |= {"CheckpointedAt": ZERO_TIME, "RestoredAt": ZERO_TIME}
    if state.stopped_by_user:
        data["StoppedByUser"] = True
    return data


def _bound_files(settings: Settings, container: Container) -> dict[str, str]:
    home = paths.bundle(settings, container.id)
    names = {"ResolvConfPath": "resolv.conf", "HostnamePath": "hostname", "HostsPath": "hosts"}
    found = {key: f"{home}/{name}" for key, name in names.items()}
    return {key: path if os.path.exists(path) else "" for key, path in found.items()}


def _config_path(settings: Settings, container: Container) -> dict[str, str]:
    path = f"{paths.bundle(settings, container.id)}/config.json"
    return {"OCIConfigPath": path} if os.path.exists(path) else {}


def _exec_sessions(settings: Settings, container: Container) -> list[str]:
    try:
        return sorted(os.listdir(f"{paths.bundle(settings, container.id)}/exec"))
    except FileNotFoundError:
        return []


def _image(settings: Settings, image_id: str) -> Image | None:
    from podling.store.store import Store

    try:
        return Store(settings.root, settings.runroot).find_image(image_id) if image_id else None
    except NotFound:
        return None


def _graph_driver(settings: Settings, container: Container, image: Image | None) -> dict[str, Any]:
    from podling.store import layers

    home = paths.container_directory(settings, container.id)
    data = {"UpperDir": f"{home}/diff", "WorkDir": f"{home}/work"}
    if image is not None:
        found = [layers.diff_directory(settings.root, chain_id) for chain_id in reversed(image.layers)]
        data = {"LowerDir": ":".join(found), **data}
    if os.path.ismount(f"{home}/merged"):
        data["MergedDir"] = f"{home}/merged"
    return {"Name": "overlay", "Data": dict(sorted(data.items()))}


def _dependencies(container: Container) -> list[str]:
    config = container.config
    modes = (config.network_mode, *config.namespaces.values())
    joined = [mode.removeprefix("container:") for mode in modes if mode.startswith("container:")]
    return list(dict.fromkeys([*config.requires, *joined]))


def inspect_image(settings: Settings, image: Image) -> dict[str, Any]:
    """Return Podman's ImageData."""
    from podling.store import layers

    document = image.document
    manifest = image.manifest
    diff_ids = (document.get("rootfs") or {}).get("diff_ids") or []
    top = layers.diff_directory(settings.root, image.layers[-1]) if image.layers else ""
    data: dict[str, Any] = {
        "Id": image.id,
        "Digest": image.digest,
        "RepoTags": list(image.names),
        "RepoDigests": list(image.repo_digests),
        "Parent": "",
        "Comment": (image.history[0].get("comment") or "") if image.history else "",
        "Created": document.get("created") or None,
        "Config": _image_config(image.config),
        "Version": document.get("docker_version") or "",
        "Author": document.get("author") or "",
        "Architecture": document.get("architecture") or "",
        "Os": document.get("os") or "",
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": top}},
        "RootFS": {"Type": "layers", "Layers": diff_ids},
        "Labels": sorted_map(image.labels) or None,
        "Annotations": sorted_map(manifest.get("annotations") or {}),
        "ManifestType": manifest.get("mediaType") or "application/vnd.oci.image.manifest.v1+json",
        "User": image.config.get("User") or "",
        "History": [_history(row) for row in image.history],
        "NamesHistory": list(image.names),
    }
    if image.config.get("Healthcheck"):
        data["Healthcheck"] = image.config["Healthcheck"]
    return data


_IMAGE_CONFIG = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
)
_HISTORY = ("created", "created_by", "author", "comment", "empty_layer")


def _image_config(config: dict[str, Any]) -> dict[str, Any]:
    found = {key: config[key] for key in _IMAGE_CONFIG if config.get(key)}
    return {key: sorted_map(value) if isinstance(value, dict) else value for key, value in found.items()}


def _history(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in _HISTORY if row.get(key)}


def inspect_volume(settings: Settings, volume: Volume) -> dict[str, Any]:
    """Return Podman's InspectVolumeData."""
    from podling.engine import database, volumes

    with database.read(settings) as db:
        users = [
            each
            for each in db.containers()
            if each.state.status in (Status.RUNNING, Status.PAUSED)
            and any(wanted["name"] == volume.name for wanted in each.config.volumes)
        ]
    data: dict[str, Any] = {
        "Name": volume.name,
        "Driver": volume.driver,
        "Mountpoint": volumes.directory(settings, volume.name),
        "CreatedAt": timestamp(volume.created),
        "Labels": sorted_map(volume.labels),
        "Scope": "local",
        "Options": sorted_map(volume.options),
    }
    optional = {"UID": volume.uid, "GID": volume.gid, "Anonymous": volume.anonymous}
    data |= {key: value for key, value in optional.items() if value}
    data["MountCount"] = len(users)
    if volume.needs_copy_up:
        data |= {"NeedsCopyUp": True, "NeedsChown": True}
    return data | {"LockNumber": 0}


def sorted_map(value: dict[str, Any]) -> dict[str, Any]:
    """Return a map with its keys in order."""
    return {key: value[key] for key in sorted(value)}
