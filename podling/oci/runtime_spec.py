"""config.json of the runtime specification, checked: what is wrong is refused before anything is made.

    check(config)   shapes and contradictions, in the order of the specification's chapters

After it `process`, `root` and `linux` are objects, and whatever else is absent may be asked for with `.get`. Fields
that this runtime does not know are passed over, as the specification demands. Pure: no file is read.
"""

from __future__ import annotations

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")
HOOK_POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
RLIMITS = (
    *("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK"),
    *("RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO"),
    *("RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"),
)
_MAPPING_ROWS = 340  # what the kernel takes: user_namespaces(7)
_IPC_SYSCTLS = (
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax"),
    *("kernel.shmmni", "kernel.shm_rmid_forced"),
)


def check(config: Any) -> dict[str, Any]:
    """Return a configuration that makes sense. Raise InvalidArgument, naming the field, for one that does not."""
    checked = _object(config, "the configuration")
    _check_version(checked)
    checked["process"] = check_process(_object(checked.get("process"), "process"))
    checked["linux"] = linux = _object(checked.get("linux") or {}, "linux")
    _check_root(checked)
    _check_mounts(checked)
    _check_hooks(checked)
    kinds = _check_namespaces(linux)
    _check_names(checked, kinds)
    _check_sysctls(linux, kinds)
    _check_mappings(linux, kinds)
    _check_devices(linux)
    return checked


def check_process(process: dict[str, Any]) -> dict[str, Any]:
    """Return a process that makes sense: that of a configuration, or that of an exec."""
    arguments = process.get("args")
    if not isinstance(arguments, list) or not arguments or not all(isinstance(word, str) for word in arguments):
        raise InvalidArgument("process.args must name a program")
    if not arguments[0]:
        raise InvalidArgument("process.args[0] is empty")
    if any("\0" in word for word in arguments):
        raise InvalidArgument("process.args holds a null byte")
    if not str(process.get("cwd") or "").startswith("/"):
        raise InvalidArgument("process.cwd must be an absolute path")
    for row in process.get("env") or ():
        if not isinstance(row, str) or "\0" in row:
            raise InvalidArgument("process.env holds something else than NAME=VALUE")
    _check_rlimits(process)
    _check_user(process)
    return process


def namespaces_of(config: dict[str, Any]) -> dict[str, str]:
    """Return the namespaces that are not the runtime's own: kind to path, empty for a new one."""
    return {row["type"]: row.get("path") or "" for row in config["linux"].get("namespaces") or ()}


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument(f"{name} must be an object")
    return value


def _check_version(config: dict[str, Any]) -> None:
    version = config.get("ociVersion")
    if not isinstance(version, str) or not version:
        raise InvalidArgument("ociVersion is missing")
    if version.split(".")[0] != "1":
        raise InvalidArgument(f'ociVersion "{version}" is not supported: this runtime knows version 1')


def _check_rlimits(process: dict[str, Any]) -> None:
    seen = set()
    for row in process.get("rlimits") or ():
        name = row.get("type")
        if name not in RLIMITS:
            raise InvalidArgument(f'unknown rlimit "{name}"')
        if name in seen:
            raise InvalidArgument(f'rlimit "{name}" is given twice')
        seen.add(name)
        if row.get("soft", 0) > row.get("hard", 0):
            raise InvalidArgument(f'rlimit "{name}" has a soft limit above the hard one')


def _check_user(process: dict[str, Any]) -> None:
    user = process.get("user") or {}
    for name in ("uid", "gid"):
        _check_id(user.get(name, 0), f"process.user.{name}")
    for group in user.get("additionalGids") or ():
        _check_id(group, "process.user.additionalGids")


def _check_id(value: Any, name: str) -> None:
    if not isinstance(value, int) or not 0 <= value < 0xFFFFFFFF:  # the last one means "no change" to the kernel
        raise InvalidArgument(f"{name} {value} is not a user or group ID")


def _check_root(config: dict[str, Any]) -> None:
    root = _object(config.get("root"), "root")
    if not root.get("path"):
        raise InvalidArgument("root.path is missing")


def _check_mounts(config: dict[str, Any]) -> None:
    for index, entry in enumerate(config.get("mounts") or ()):
        if not _object(entry, f"mounts[{index}]").get("destination"):
            raise InvalidArgument(f"mounts[{index}].destination is missing")
        if any("\0" in str(entry.get(name) or "") for name in ("destination", "source")):
            raise InvalidArgument(f"mounts[{index}] holds a null byte")


def _check_hooks(config: dict[str, Any]) -> None:
    for point, rows in (config.get("hooks") or {}).items():
        if point not in HOOK_POINTS:
            continue
        for row in rows or ():
            if not str(row.get("path") or "").startswith("/"):
                raise InvalidArgument(f"the path of a {point} hook must be absolute")
            if row.get("timeout") is not None and row["timeout"] <= 0:
                raise InvalidArgument(f"the timeout of a {point} hook must be above 0")


def _check_namespaces(linux: dict[str, Any]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for row in linux.get("namespaces") or ():
        kind = row.get("type")
        if kind not in NAMESPACES:
            raise InvalidArgument(f'unknown namespace "{kind}"')
        if kind in kinds:
            raise InvalidArgument(f'namespace "{kind}" is given twice')
        if row.get("path") and not row["path"].startswith("/"):
            raise InvalidArgument(f"the path of the {kind} namespace must be absolute")
        kinds[kind] = row.get("path") or ""
    return kinds


def _check_names(config: dict[str, Any], kinds: dict[str, str]) -> None:
    for name in ("hostname", "domainname"):
        if config.get(name) and "uts" not in kinds:
            raise InvalidArgument(f"{name} cannot be set without a uts namespace of the container's own")
    if (config["linux"].get("maskedPaths") or config["linux"].get("readonlyPaths")) and "mount" not in kinds:
        raise InvalidArgument("paths cannot be masked without a mount namespace of the container's own")


def _check_sysctls(linux: dict[str, Any], kinds: dict[str, str]) -> None:
    for name in linux.get("sysctl") or {}:
        dotted = name.replace("/", ".") if "/" in name else name
        if ".." in dotted or "\0" in name:
            raise InvalidArgument(f'sysctl "{name}" is malformed')
        if dotted.startswith("net."):
            needed = "network"
        elif dotted in _IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            needed = "ipc"
        elif dotted == "kernel.domainname":
            needed = "uts"
        elif dotted == "kernel.hostname":
            raise InvalidArgument('sysctl "kernel.hostname" conflicts with hostname')
        else:
            raise InvalidArgument(f'sysctl "{name}" is not in a namespace: it would change the host')
        if needed not in kinds:
            raise InvalidArgument(f'sysctl "{name}" needs a {needed} namespace of the container\'s own')


def _check_mappings(linux: dict[str, Any], kinds: dict[str, str]) -> None:
    for name in ("uidMappings", "gidMappings"):
        rows = linux.get(name) or []
        if rows and "user" not in kinds:
            raise InvalidArgument(f"{name} is given without a user namespace")
        if "user" in kinds and not kinds["user"] and not rows:
            raise InvalidArgument(f"a new user namespace needs {name}")
        if len(rows) > _MAPPING_ROWS:
            raise InvalidArgument(f"{name} has {len(rows)} rows; the kernel takes {_MAPPING_ROWS}")
        for row in rows:
            if not all(isinstance(row.get(key), int) and row[key] >= 0 for key in ("containerID", "hostID", "size")):
                raise InvalidArgument(f"{name} holds a malformed row")
    if linux.get("timeOffsets") and "time" not in kinds:
        raise InvalidArgument("timeOffsets is given without a time namespace")


def _check_devices(linux: dict[str, Any]) -> None:
    for device in linux.get("devices") or ():
        path = device.get("path")
        if not str(path or "").startswith("/"):
            raise InvalidArgument(f'the path of device "{path}" must be absolute')
        if device.get("type") not in ("c", "u", "b", "p"):
            raise InvalidArgument(f'device "{path}" has unknown type "{device.get("type")}"')
        if device["type"] != "p" and not ("major" in device and "minor" in device):
            raise InvalidArgument(f'device "{path}" has no number')
