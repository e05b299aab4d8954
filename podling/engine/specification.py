"""From a container's config and the facts of a host to config.json: pure, and the same every time.

    ContainerConfig ─┐
                     ├─► generate ─► {"ociVersion": …, "process": …, "root": …, "mounts": …, "linux": …}
    Facts ───────────┘

What the user decided is in the config; what only the host and the image's files can tell (`bundle.py` reads them) is in
the facts. The result equals, key by key, what Podman writes for the same command. specs: opencontainers/runtime-spec.
"""

from __future__ import annotations

from podling.engine import specification_mounts
from podling.engine.users import Account
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import ContainerConfig

OCI_VERSION = "1.0.2-dev"  # the newest that every runtime a user may name accepts
INIT_PATH = "/run/podman-init"  # where --init puts its binary, as Podman does
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_LIMIT = 1048576  # of files and processes, where the host permits it
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
READ_ONLY_PATHS = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Facts(Record):
    """What the host and the container's root filesystem say."""

    rootfs: str
    account: Account = Account()
    additional_groups: list[int] = []  # of --group-add
    bounding: list[str] = []  # capabilities this process could hand on
    seccomp: dict[str, Any] | None = None
    namespace_paths: dict[str, str] = {}  # to be joined, by the specification's types
    bind_files: dict[str, str] = {}  # destination → source: /etc/hosts and its kind
    volume_paths: dict[str, str] = {}  # name → directory
    overlay_directories: list[tuple[str, str]] = []  # upper and work of each overlay volume
    resolved_destinations: dict[str, str] = {}  # of tmpfs mounts, symbolic links in the root followed
    host_devices: list[dict[str, Any]] = []  # all of /dev, for a privileged container
    thermal_paths: list[str] = []
    message_queues: bool = True  # whether the kernel has mqueue
    unified_cgroups: bool = False  # version 2
    cgroup_manager: str = "cgroupfs"
    cgroup_parent: str = "/libpod_parent"
    limits: dict[str, tuple[int, int]] = {}  # soft and hard: where this process may not raise its own
    host_name: str = ""
    listen_environment: list[str] = []  # LISTEN_FDS and its kind, for socket activation


def generate(config: ContainerConfig, facts: Facts) -> dict[str, Any]:
    """Return the runtime specification of a container."""
    specification: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": _process(config, facts),
        "root": {"path": facts.rootfs},
    }
    if config.read_only:
        specification["root"]["readonly"] = True
    if config.namespaces.get("uts", "private") == "private":
        specification["hostname"] = config.hostname
    specification["mounts"] = specification_mounts.mounts(config, facts)
    specification["annotations"] = _annotations(config, facts)
    specification["linux"] = _linux(config, facts)
    propagation = specification_mounts.root_propagation(specification["mounts"])
    if propagation:
        specification["linux"]["rootfsPropagation"] = propagation
    return specification


def arguments(config: ContainerConfig) -> list[str]:
    """Return the command line of the first process."""
    line = [*config.entrypoint, *config.command] or [""]
    return [INIT_PATH, "--", *line] if config.init else line


def _process(config: ContainerConfig, facts: Facts) -> dict[str, Any]:
    fragment = config.specification.get("process", {})
    process: dict[str, Any] = {}
    if config.tty:
        process["terminal"] = True
    process["user"] = user(config, facts.account, facts.additional_groups)
    process["args"] = arguments(config)
    process["env"] = [*environment(config, facts.account, facts.host_name), *facts.listen_environment]
    process["cwd"] = config.working_directory or "/"
    process["capabilities"] = capabilities(config, facts.bounding)
    process["rlimits"] = _limits(config, facts)
    for key in ("noNewPrivileges", "apparmorProfile", "oomScoreAdj", "selinuxLabel"):
        if key in fragment:
            process[key] = fragment[key]
    return process


def user(config: ContainerConfig, account: Account, additional: list[int]) -> dict[str, Any]:
    """Return process.user; supplementary groups that the user namespace does not map are left out."""
    wanted = ([account.gid] if config.user else []) + additional + account.supplementary
    groups = [gid for gid in dict.fromkeys(wanted) if _is_mapped(gid, config.gid_mappings)]
    result: dict[str, Any] = {"uid": account.uid, "gid": account.gid}
    if config.umask:
        result["umask"] = int(config.umask, 8)
    if groups:
        result["additionalGids"] = groups
    return result


def _is_mapped(gid: int, mappings: list[dict[str, int]]) -> bool:
    return not mappings or any(0 <= gid - row["containerID"] < row["size"] for row in mappings)


def environment(config: ContainerConfig, account: Account, host_name: str) -> list[str]:
    """Return the complete environment of the container's processes."""
    names = {entry.partition("=")[0] for entry in config.environment}
    complete = list(config.environment)
    if config.tty and "TERM" not in names:
        complete.append("TERM=xterm")
    if "container" not in names:
        complete.append("container=podman")
    if config.systemd and "container_uuid" not in names:
        complete.append(f"container_uuid={config.id[:32]}")
    if "HOME" not in names:
        complete.append(f"HOME={account.home}")
    if "HOSTNAME" not in names:
        complete.append(f"HOSTNAME={config.hostname or host_name}")
    return complete


def capabilities(config: ContainerConfig, bounding: list[str]) -> dict[str, list[str]]:
    """Return process.capabilities: all five sets.

    A user other than root gets into the effective, permitted, inheritable and ambient sets what --cap-add names and
    nothing else; root's inheritable set is empty (CVE-2022-27649).
    """
    allowed = set(bounding)
    wanted = config.specification.get("process", {}).get("capabilities", {})
    own = bounding if config.privileged else [name for name in wanted.get("bounding", []) if name in allowed]
    name = config.user.partition(":")[0]
    if name in ("root", "0") or (not name and config.namespaces.get("user") != "keep-id"):
        return {"bounding": own, "effective": own, "permitted": own}
    added = [name for name in wanted.get("ambient", []) if name in allowed]
    if not added:
        return {"bounding": own}
    return {"bounding": own, "effective": added, "inheritable": added, "permitted": added, "ambient": added}


def _limits(config: ContainerConfig, facts: Facts) -> list[dict[str, Any]]:
    given = list(config.specification.get("process", {}).get("rlimits", []))
    if config.specification.get("host_limits"):
        return given
    names = {row["type"] for row in given}
    for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC"):
        if name not in names:
            soft, hard = facts.limits.get(name, (DEFAULT_LIMIT, DEFAULT_LIMIT))
            row = {"type": name, "hard": min(hard, DEFAULT_LIMIT), "soft": min(soft, DEFAULT_LIMIT)}
            given.append(row)
    return given


def _annotations(config: ContainerConfig, facts: Facts) -> dict[str, str]:
    annotations = {"io.container.manager": "libpod", **config.annotations}
    annotations["org.opencontainers.image.stopSignal"] = str(config.stop_signal)
    flags = {"autoremove": config.remove, "privileged": config.privileged, "init": config.init}
    annotations.update({f"io.podman.annotations.{name}": "TRUE" for name, given in flags.items() if given})
    if facts.cgroup_manager == "systemd":
        annotations["org.systemd.property.KillSignal"] = str(config.stop_signal)
        microseconds = max(config.stop_timeout_seconds, 0) * 1000000
        if microseconds:
            annotations["org.systemd.property.TimeoutStopUSec"] = f"uint64 {microseconds}"
    return dict(sorted(annotations.items()))


def _linux(config: ContainerConfig, facts: Facts) -> dict[str, Any]:
    fragment = config.specification.get("linux", {})
    linux: dict[str, Any] = {}
    if config.uid_mappings:
        linux["uidMappings"] = config.uid_mappings
        linux["gidMappings"] = config.gid_mappings
    if fragment.get("sysctl"):
        linux["sysctl"] = fragment["sysctl"]
    linux["resources"] = _resources(config)
    path = cgroups_path(config, facts.cgroup_manager, facts.cgroup_parent)
    if path:
        linux["cgroupsPath"] = path
    linux["namespaces"] = _namespaces(config, facts)
    devices = [*(facts.host_devices if config.privileged else []), *config.devices]
    if devices:
        linux["devices"] = [_without_access(device) for device in devices]
    if facts.seccomp is not None:
        linux["seccomp"] = facts.seccomp
    masked, read_only = _covered_paths(config, facts)
    if masked:
        linux["maskedPaths"] = masked
    if read_only:
        linux["readonlyPaths"] = read_only
    for key in ("personality", "intelRdt", "mountLabel"):
        if key in fragment:
            linux[key] = fragment[key]
    return linux


def _without_access(device: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in device.items() if key not in ("access", "source")}


def _resources(config: ContainerConfig) -> dict[str, Any]:
    resources = {**config.specification.get("linux", {}).get("resources", {})}
    rules = resources.pop("devices", [])
    if config.privileged:
        return {"devices": [{"allow": True, "access": "rwm"}], **resources}
    listed: list[dict[str, Any]] = (
        [] if specification_mounts.in_new_user_namespace(config) else [{"allow": False, "access": "rwm"}]
    )
    for device in config.devices:
        rule = {"allow": True, "type": device["type"], "major": device["major"], "minor": device["minor"]}
        listed.append({**rule, "access": device.get("access", "rwm")})
    listed += rules
    return {"devices": listed, **resources} if listed else resources


def cgroups_path(config: ContainerConfig, manager: str, default_parent: str) -> str:
    """Return linux.cgroupsPath: PARENT/libpod-ID, or SLICE:libpod:ID for systemd; empty without cgroups."""
    if config.cgroups == "disabled":
        return ""
    parent = config.cgroup_parent or default_parent
    if manager == "systemd":
        return f"{parent.rstrip('/').rpartition('/')[2]}:libpod:{config.id}"
    return f"{parent.rstrip('/')}/libpod-{config.id}"


def _namespaces(config: ContainerConfig, facts: Facts) -> list[dict[str, str]]:
    modes = {"network": config.network_mode}
    modes.update({kind: config.namespaces.get(kind, "private") for kind in ("pid", "ipc", "uts")})
    modes["mount"] = "private"
    modes["user"] = config.namespaces.get("user", "host")
    modes["cgroup"] = config.namespaces.get("cgroup", "private" if facts.unified_cgroups else "host")
    rows = []
    for kind in ("pid", "network", "ipc", "uts", "mount", "user", "cgroup"):
        path = facts.namespace_paths.get(kind)
        if path:
            rows.append({"type": kind, "path": path})
        elif modes[kind] != "host":
            rows.append({"type": kind})
    return rows


def _covered_paths(config: ContainerConfig, facts: Facts) -> tuple[list[str], list[str]]:
    masked: list[str] = []
    read_only: list[str] = []
    if not config.privileged:
        masked = [path for path in (*MASKED_PATHS, *facts.thermal_paths) if not _matches(path, config.unmasked_paths)]
        read_only = [path for path in READ_ONLY_PATHS if not _matches(path, config.unmasked_paths)]
    return [*masked, *(path for path in config.masked_paths if path.startswith("/"))], read_only


def _matches(path: str, patterns: list[str]) -> bool:
    for pattern in patterns:
        if pattern.lower() == "all" or pattern.rstrip("/") == path:
            return True
        if any(character in pattern for character in "*?["):
            import fnmatch

            if pattern.count("/") == path.count("/") and fnmatch.fnmatchcase(path, pattern):
                return True
    return False
