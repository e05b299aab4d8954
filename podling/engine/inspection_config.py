"""`inspect`'s Config, HostConfig and Mounts: what was asked of a container, told in Docker's terms."""

from __future__ import annotations

import os

from podling.engine import inspection_network
from podling.engine.container import ContainerConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.options import Settings

_PROPAGATIONS = ("shared", "slave", "private", "rshared", "rslave", "rprivate", "unbindable", "runbindable")


def config(container: ContainerConfig, specification: dict[str, Any]) -> dict[str, Any]:
    """Return Podman's InspectContainerConfig."""
    process = specification["process"]
    data: dict[str, Any] = {
        "Hostname": specification.get("hostname") or container.hostname,
        "Domainname": "",
        "User": container.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": container.tty,
        "OpenStdin": container.interactive,
        "StdinOnce": False,
        "Env": process.get("env") or [],
        "Cmd": container.command or None,
        "Image": container.image_name,
        "Volumes": None,
        "WorkingDir": process.get("cwd", "/"),
        "Entrypoint": container.entrypoint or None,
        "OnBuild": None,
        "Labels": _sorted(container.labels) or None,
        "Annotations": _sorted(specification.get("annotations") or {}) or None,
        "StopSignal": signal_name(container.stop_signal),
        "HealthcheckOnFailureAction": "none",
    }
    optional: dict[str, Any] = {
        "Healthcheck": container.healthcheck,
        "CreateCommand": container.create_command,
        "Timezone": container.timezone,
        "SystemdMode": container.systemd,
        "Umask": container.umask.rjust(4, "0"),
    }
    data |= {key: value for key, value in optional.items() if value}
    data |= {
        "Timeout": container.timeout_seconds,
        "StopTimeout": max(0, container.stop_timeout_seconds),
        "Passwd": container.passwd,
        "sdNotifyMode": container.sdnotify,
    }
    exposed = inspection_network.ports(container.ports, container.exposed_ports)
    return data | ({"ExposedPorts": {port: {} for port in exposed}} if exposed else {})


def signal_name(number: int) -> str:
    """Return a signal's name as Docker shows it."""
    from podling.engine import kill

    return kill.signal_name(number)


def host_config(settings: Settings, container: ContainerConfig, specification: dict[str, Any]) -> dict[str, Any]:
    """Return Podman's InspectContainerHostConfig."""
    linux = specification["linux"]
    annotations = specification.get("annotations") or {}
    added, dropped = _capabilities(settings, container, specification)
    data: dict[str, Any] = {
        "Binds": _binds(container),
        "CgroupManager": settings.cgroup_manager,
        "CgroupMode": _mode(container, linux, "cgroup", "host"),
        "ContainerIDFile": container.cidfile,
        "LogConfig": {
            "Type": container.log_driver,
            "Config": None,
            "Path": container.log_path,
            "Tag": container.log_tag,
            "Size": _log_size(container.log_size_max),
        },
        "NetworkMode": container.network_mode,
        "PortBindings": inspection_network.bindings(container.ports),
        "RestartPolicy": {
            "Name": container.restart_policy or "no",
            "MaximumRetryCount": container.restart_retries,
        },
        "AutoRemove": container.remove,
        "AutoRemoveImage": container.remove_image,
        "Annotations": _sorted(annotations) or None,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "CapAdd": added,
        "CapDrop": dropped,
        "Dns": list(container.dns_servers),
        "DnsOptions": list(container.dns_options),
        "DnsSearch": list(container.dns_search),
        "ExtraHosts": list(container.add_hosts),
        "HostsFile": container.base_hosts_file,
        "GroupAdd": list(container.groups),
        "IpcMode": _ipc_mode(container, linux),
        "Cgroup": "",
        "Cgroups": "disabled" if container.cgroups == "disabled" else "default",
        "Links": None,
        "OomScoreAdj": specification["process"].get("oomScoreAdj", 0),
        "PidMode": _mode(container, linux, "pid", "host"),
        "Privileged": container.privileged,
        "PublishAllPorts": annotations.get("io.podman.annotations.publish-all") == "TRUE",
        "ReadonlyRootfs": container.read_only,
        "SecurityOpt": _security_options(container, specification),
        "Tmpfs": _tmpfs(container),
        "UTSMode": _mode(container, linux, "uts", "host"),
        "UsernsMode": _mode(container, linux, "user", ""),
    }
    if container.uid_mappings:
        data["IDMappings"] = {
            "UidMap": [_mapping(row) for row in container.uid_mappings],
            "GidMap": [_mapping(row) for row in container.gid_mappings],
        }
    data |= {"ShmSize": container.shm_size, "Runtime": "oci", "ConsoleSize": [0, 0], "Isolation": ""}
    return data | _resources(settings, container, specification)


def _mapping(row: dict[str, int]) -> str:
    return f"{row['containerID']}:{row['hostID']}:{row['size']}"


def _resources(settings: Settings, container: ContainerConfig, specification: dict[str, Any]) -> dict[str, Any]:
    resources = specification["linux"].get("resources") or {}
    cpu, memory, block = (resources.get(key) or {} for key in ("cpu", "memory", "blockIO"))
    period, quota = cpu.get("period", 0), cpu.get("quota", 0)
    parent = container.cgroup_parent
    data = {
        "CpuShares": cpu.get("shares", 0),
        "Memory": memory.get("limit", 0),
        "NanoCpus": 10000 * quota if period == 100000 else 0,
        "CgroupParent": "" if parent == settings.cgroup_parent else parent,
        **_block_io(block),
        "CpuPeriod": period,
        "CpuQuota": quota,
        "CpuRealtimePeriod": cpu.get("realtimePeriod", 0),
        "CpuRealtimeRuntime": cpu.get("realtimeRuntime", 0),
        "CpusetCpus": cpu.get("cpus", ""),
        "CpusetMems": cpu.get("mems", ""),
        "Devices": _devices(container),
        "DiskQuota": 0,
        "KernelMemory": 0,
        "MemoryReservation": memory.get("reservation", 0),
        "MemorySwap": memory.get("swap", 0),
        "MemorySwappiness": memory.get("swappiness"),
        "OomKillDisable": memory.get("disableOOMKiller", False),
    }
    if container.init:
        data["Init"] = True
    return data | {
        "PidsLimit": (resources.get("pids") or {}).get("limit", 0),
        "Ulimits": [
            {"Name": row["type"], "Soft": _signed(row["soft"]), "Hard": _signed(row["hard"])}
            for row in specification["process"].get("rlimits") or []
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "CgroupConf": resources.get("unified"),
    }


def _signed(limit: int) -> int:
    return limit - (1 << 64) if limit >= 1 << 63 else limit


def _block_io(block: dict[str, Any]) -> dict[str, Any]:
    throttles = {
        "BlkioDeviceReadBps": "throttleReadBpsDevice",
        "BlkioDeviceWriteBps": "throttleWriteBpsDevice",
        "BlkioDeviceReadIOps": "throttleReadIOPSDevice",
        "BlkioDeviceWriteIOps": "throttleWriteIOPSDevice",
    }
    weights = [{"Path": _device_path(row), "Weight": row.get("weight", 0)} for row in block.get("weightDevice") or []]
    data: dict[str, Any] = {"BlkioWeight": block.get("weight", 0), "BlkioWeightDevice": weights or None}
    for key, name in throttles.items():
        rows = [{"Path": _device_path(row), "Rate": row.get("rate", 0)} for row in block.get(name) or []]
        data[key] = rows or None
    return data


def _device_path(row: dict[str, Any]) -> str:
    number = f"{row.get('major', 0)}:{row.get('minor', 0)}"
    try:
        return "/dev/" + os.path.basename(os.readlink(f"/sys/dev/block/{number}"))
    except OSError:
        return number


def _devices(container: ContainerConfig) -> list[dict[str, str]]:
    return [
        {
            "PathOnHost": device.get("source") or device["path"],
            "PathInContainer": device["path"],
            "CgroupPermissions": device.get("access", ""),
        }
        for device in container.devices
    ]


def _capabilities(
    settings: Settings, container: ContainerConfig, specification: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Return what the bounding set has beyond the default one, and what it lacks."""
    from podling.engine.security_options import DEFAULT_CAPABILITIES
    from podling.linux import capabilities

    configured = settings.container.get("default_capabilities") or DEFAULT_CAPABILITIES
    named = {"CAP_" + name.upper().removeprefix("CAP_") for name in configured}
    default = set(capabilities.BY_NAME) if container.privileged else named
    bounding = specification["process"]["capabilities"].get("bounding") or []
    return [name for name in bounding if name not in default], sorted(default - set(bounding))


def _mode(container: ContainerConfig, linux: dict[str, Any], kind: str, shared: str) -> str:
    """Return how a namespace came about: container:ID, ns:PATH, private, or the word for the host's."""
    asked = container.namespaces.get(kind, "")
    if asked.startswith("container:"):
        return asked
    for row in linux.get("namespaces") or []:
        if row["type"] == kind:
            return f"ns:{row['path']}" if row.get("path") else "private"
    return shared


def _ipc_mode(container: ContainerConfig, linux: dict[str, Any]) -> str:
    mode = _mode(container, linux, "ipc", "host")
    asked = container.namespaces.get("ipc", "")
    if mode != "private":
        return mode
    return asked if asked == "none" else "shareable"


def _security_options(container: ContainerConfig, specification: dict[str, Any]) -> list[str]:
    options = ["no-new-privileges"] if specification["process"].get("noNewPrivileges") else []
    annotations = specification.get("annotations") or {}
    for name in ("label", "seccomp", "apparmor"):
        value = annotations.get(f"io.podman.annotations.{name}")
        if value:
            options.append(f"{name}={value}")
    if any(path.lower() == "all" for path in container.unmasked_paths):
        options.append("unmask=all")
    return options


def _log_size(limit: int) -> str:
    if limit <= 0:
        return "0B"
    size = float(limit)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.4g}{unit}"
        size /= 1000
    return ""


def _user_mounts(container: ContainerConfig) -> list[dict[str, Any]]:
    wanted = set(container.user_volumes)
    return [mount for mount in container.mounts if not wanted or mount["destination"] in wanted]


def _binds(container: ContainerConfig) -> list[str]:
    rows = [(volume["name"], volume) for volume in container.volumes]
    rows += [(mount.get("source", ""), mount) for mount in _user_mounts(container) if mount.get("type") != "tmpfs"]
    binds = []
    for source, mount in rows:
        options = ",".join(mount.get("options") or [])
        binds.append(f"{source}:{mount['destination']}" + (f":{options}" if options else ""))
    return binds


def _tmpfs(container: ContainerConfig) -> dict[str, str]:
    found = [mount for mount in _user_mounts(container) if mount.get("type") == "tmpfs"]
    return _sorted({mount["destination"]: ",".join(mount.get("options") or []) for mount in found})


def mounts(settings: Settings, container: ContainerConfig) -> list[dict[str, Any]]:
    """Return Podman's InspectMount of each volume and bind mount that the user or the image asked for."""
    from podling.engine import volumes

    rows = [
        {
            "Type": "volume",
            "Name": volume["name"],
            "Source": volumes.directory(settings, volume["name"]),
            "Destination": volume["destination"],
            "Driver": "local",
            **_options(volume.get("options") or []),
            **({"SubPath": volume["subpath"]} if volume.get("subpath") else {}),
        }
        for volume in container.volumes
    ]
    for mount in _user_mounts(container):
        if mount.get("type") != "tmpfs":
            place = {"Type": "bind", "Source": mount.get("source", ""), "Destination": mount["destination"]}
            rows.append({**place, "Driver": "", **_options(mount.get("options") or [])})
    return rows


def _options(options: list[str]) -> dict[str, Any]:
    propagation = [option for option in options if option in _PROPAGATIONS]
    labels = [option for option in options if option in ("z", "Z")]
    known = (*_PROPAGATIONS, "ro", "rw", "z", "Z")
    return {
        "Mode": "".join(labels[-1:]),
        "Options": [option for option in options if option not in known],
        "RW": "ro" not in options,
        "Propagation": "".join(propagation[-1:]) or "rprivate",
    }


def _sorted(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in sorted(value)}
