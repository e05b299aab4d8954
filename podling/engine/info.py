"""`info` and `version`: what this engine is, on which host, with what in its store. The keys are Podman's.

    host        the machine, its cgroups and security, the programs of the chain
    store       where things are, how many there are, how full the disk is
    registries  registries.conf as it is read
    plugins     what networks, volumes and logs can be
    version     of this program

Reading takes no lock and repairs nothing.
"""

from __future__ import annotations

import os
import time

import podling
from podling.engine import info_programs
from podling.linux import cgroups, cgroups_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.options import Settings

LOG_DRIVERS = ("k8s-file", "none", "passthrough", "journald")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_BACKING = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}


def info(settings: Settings) -> dict[str, Any]:
    """Return what `info --format json` prints."""
    return {
        "host": _host(settings),
        "store": _store(settings),
        "registries": _registries(),
        "plugins": {"volume": ["local"], "network": ["bridge"], "log": list(LOG_DRIVERS), "authorization": None},
        "version": version(settings)["Client"],
    }


def version(_settings: Settings) -> dict[str, Any]:
    """Return what `version --format json` prints. There is no server: that is the point."""
    built = int(os.stat(podling.__file__).st_mtime)
    return {
        "Client": {
            "APIVersion": podling.__version__,
            "Version": podling.__version__,
            "GoVersion": f"python{_python_version()}",
            "GitCommit": "",
            "BuiltTime": time.asctime(time.localtime(built)),
            "Built": built,
            "OsArch": f"linux/{_architecture()}",
            "Os": "linux",
        }
    }


def _python_version() -> str:
    import sys

    return ".".join(str(number) for number in sys.version_info[:3])


def _architecture() -> str:
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def _host(settings: Settings) -> dict[str, Any]:
    memory = _memory()
    uname = os.uname()
    return {
        "arch": _architecture(),
        "buildahVersion": podling.__version__,
        "cgroupManager": settings.cgroup_manager,
        "cgroupVersion": "v2" if cgroups.layout() == "v2" else "v1",
        "cgroupControllers": _controllers(),
        "conmon": info_programs.program(settings.conmon, joined=True),
        "cpus": os.cpu_count() or 1,
        "cpuUtilization": cpu_utilization(cgroups_tree.read("/proc/stat")),
        "databaseBackend": "sqlite",
        "distribution": _distribution(),
        "eventLogger": settings.engine.get("events_logger") or "file",
        "hostname": uname.nodename,
        "idMappings": _mappings(),
        "kernel": uname.release,
        "logDriver": settings.container.get("log_driver") or "k8s-file",
        "memFree": memory.get("MemFree", 0),
        "memTotal": memory.get("MemTotal", 0),
        **_network(),
        "ociRuntime": {"name": settings.runtime_name, **info_programs.program(settings.runtime)},
        "os": "linux",
        "remoteSocket": {"path": f"{settings.runroot}/podling.sock", "exists": False},
        "rootlessNetworkCmd": settings.network.get("default_rootless_network_cmd") or "pasta",
        "serviceIsRemote": False,
        "security": _security(settings),
        "pasta": info_programs.helper("pasta"),
        "slirp4netns": info_programs.helper("slirp4netns"),
        "swapFree": memory.get("SwapFree", 0),
        "swapTotal": memory.get("SwapTotal", 0),
        "uptime": uptime(float(cgroups_tree.read("/proc/uptime").split()[0])),
        "variant": "v8" if _architecture() == "arm64" else "",
        "linkmode": "dynamic",
    }


def _network() -> dict[str, Any]:
    """Return the network backend. Its files and status objects are netavark's, and scripts branch on that name."""
    text = f"podling {podling.__version__}"
    return {
        "networkBackend": "netavark",
        "networkBackendInfo": {
            "backend": "netavark",
            "version": text,
            "package": info_programs.OWN_PACKAGE,
            "path": os.path.dirname(podling.__file__) + "/network",
            "dns": {"version": text, "package": info_programs.OWN_PACKAGE},
        },
    }


def _memory() -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    rows = (line.split() for line in cgroups_tree.read("/proc/meminfo").splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3}


def _controllers() -> list[str]:
    if cgroups.layout() == "v2":
        path = cgroups.directory("", cgroups.membership()[""] if os.geteuid() else "/")
        return cgroups_tree.read(f"{path}/cgroup.controllers").split()
    rows = (line.split() for line in cgroups_tree.read("/proc/cgroups").splitlines()[1:])
    return [row[0] for row in rows if row[0] in cgroups.hierarchies()]


def cpu_utilization(stat: str) -> dict[str, float]:
    """Return shares of the time since boot, in percent, from /proc/stat."""
    user, _nice, system, idle = (int(value) for value in stat.splitlines()[0].split()[1:5])
    total = user + system + idle or 1
    shares = {"userPercent": user, "systemPercent": system, "idlePercent": idle}
    return {name: round(value / total * 100, 2) for name, value in shares.items()}


def _distribution() -> dict[str, str]:
    found = {"distribution": "unknown", "version": "unknown"}
    keys = {"ID": "distribution", "VARIANT_ID": "variant", "VERSION_ID": "version", "VERSION_CODENAME": "codename"}
    try:
        text = cgroups_tree.read("/etc/os-release")
    except OSError:
        return found
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name in keys:
            found[keys[name]] = value.strip("\"'")
    return found


def _mappings() -> dict[str, Any]:
    """Return the user namespace's ID mappings, where this is not the first one."""
    mappings: dict[str, Any] = {"gidmap": None, "uidmap": None}
    for key in mappings if os.geteuid() else ():
        name = key.replace("map", "_map")
        rows = (line.split() for line in cgroups_tree.read(f"/proc/self/{name}").splitlines())
        mappings[key] = [
            {"container_id": int(inside), "host_id": int(outside), "size": int(size)} for inside, outside, size in rows
        ]
    return mappings


def uptime(seconds: float) -> str:
    """Return an uptime as Podman words it."""
    whole = int(seconds)
    hours = whole // 3600
    text = f"{hours}h {whole // 60 % 60}m {whole % 60:.2f}s"
    return f"{text} (Approximately {hours / 24:.2f} days)" if hours else text


def _security(settings: Settings) -> dict[str, Any]:
    from podling.engine import seccomp_profile
    from podling.engine.security_options import DEFAULT_CAPABILITIES

    apparmor = "/sys/module/apparmor/parameters/enabled"
    return {
        "apparmorEnabled": os.path.exists(apparmor) and cgroups_tree.read(apparmor) == "Y",
        "capabilities": ",".join(settings.container.get("default_capabilities") or DEFAULT_CAPABILITIES),
        "rootless": os.geteuid() != 0,
        "seccompEnabled": "\nSeccomp:" in cgroups_tree.read("/proc/self/status"),
        "seccompProfilePath": seccomp_profile.default_path(settings),
        "selinuxEnabled": os.path.exists("/sys/fs/selinux/enforce"),
    }


def _store(settings: Settings) -> dict[str, Any]:
    from podling.store.store import Store

    disk = os.statvfs(_existing(settings.root))
    return {
        "configFile": _storage_conf(),
        "containerStore": _containers(settings),
        "graphDriverName": "overlay",
        "graphOptions": {},
        "graphRoot": settings.root,
        "graphRootAllocated": disk.f_frsize * disk.f_blocks,
        "graphRootUsed": disk.f_frsize * (disk.f_blocks - disk.f_bfree),
        "graphStatus": {
            "Backing Filesystem": _backing(_existing(settings.root)),
            "Native Overlay Diff": "true",
            "Supports d_type": "true",
            "Supports shifting": "true" if os.geteuid() == 0 else "false",
            "Using metacopy": "false",
        },
        "imageCopyTmpDir": os.environ.get("TMPDIR") or "/var/tmp",
        "imageStore": {"number": len(Store(settings.root, settings.runroot).images())},
        "runRoot": settings.runroot,
        "volumePath": settings.engine.get("volume_path") or f"{settings.root}/volumes",
        "transientStore": False,
    }


def _existing(path: str) -> str:
    """Return a path, or the closest directory above it that is there: `info` makes nothing."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _storage_conf() -> str:
    places = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")
    return next((path for path in places if os.path.exists(path)), places[0])


def _backing(path: str) -> str:
    """Return the file system under a directory, by containers/storage's name for it."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in cgroups_tree.read("/proc/self/mountinfo").splitlines():
        if line.split()[2] == wanted:
            kind = line.partition(" - ")[2].split()[0]
            return _BACKING.get(kind, kind)
    return "<unknown>"


def _containers(settings: Settings) -> dict[str, int]:
    from podling.engine import find, listing

    found = [listing.observe(settings, container).state.status for container in find.all_containers(settings)]
    paused, running = found.count("paused"), found.count("running")
    return {"number": len(found), "paused": paused, "running": running, "stopped": len(found) - paused - running}


def _registries() -> dict[str, Any]:
    """Return registries.conf: "search", and each [[registry]] by its prefix."""
    found: dict[str, Any] = {}
    for path in _registries_files():
        for row in (table := _toml(path)).get("registry") or ():
            prefix = row.get("prefix") or row.get("location") or ""
            found[prefix] = _registry(prefix, row)
        search = table.get("unqualified-search-registries")
        if search is not None:
            found["search"] = search
    if not found.get("search"):
        found.pop("search", None)
    return found


def _registries_files() -> list[str]:
    directory = "/etc/containers/registries.conf.d"
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    main = "/etc/containers/registries.conf"
    files = [main] if os.path.exists(main) else []
    return files + [f"{directory}/{name}" for name in names if name.endswith(".conf")]


def _toml(path: str) -> dict[str, Any]:
    import tomllib

    from podling.errors import InvalidArgument

    try:
        return tomllib.loads(cgroups_tree.read(path))
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f'"{path}" is not TOML: {error}') from None


def _registry(prefix: str, row: dict[str, Any]) -> dict[str, Any]:
    mirrors = [
        {
            "Location": mirror.get("location", ""),
            "Insecure": bool(mirror.get("insecure")),
            "PullFromMirror": mirror.get("pull-from-mirror", ""),
        }
        for mirror in row.get("mirror") or ()
    ]
    return {
        "Prefix": prefix,
        "Location": row.get("location") or prefix,
        "Insecure": bool(row.get("insecure")),
        "PullFromMirror": "",
        "Mirrors": mirrors or None,
        "Blocked": bool(row.get("blocked")),
        "MirrorByDigestOnly": bool(row.get("mirror-by-digest-only")),
    }
