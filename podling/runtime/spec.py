"""`spec`: write a config.json to begin with: a shell in new namespaces, with few capabilities."""

from __future__ import annotations

import os

from podling.errors import AlreadyExists, InvalidArgument
from podling.oci.jsontext import dumps_indented
from podling.runtime.main import SPECIFICATION_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = ""
OPTIONS = ("bundle,b=DIR", "rootless")

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = "acpi asound kcore keys latency_list timer_list timer_stats sched_debug scsi"
_NO_EXEC = ["nosuid", "noexec", "nodev"]


def run(_context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Write config.json into the bundle. Raise AlreadyExists where there is one."""
    if words:
        raise InvalidArgument(f'unexpected argument "{words[0]}"')
    path = os.path.join(options["bundle"] or ".", "config.json")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise AlreadyExists(f'file "{path}" exists. Remove it first') from None
    with open(fd, "w", encoding="utf-8") as file:
        file.write(dumps_indented(example(rootless=options["rootless"]), "\t") + "\n")
    return 0


def example(*, rootless: bool) -> dict[str, Any]:
    """Return a configuration to begin with; rootless: for the calling user, in a user namespace."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    config: dict[str, Any] = {
        "ociVersion": SPECIFICATION_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {kind: list(_CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "podling",
        "mounts": _mounts(rootless),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": ["/sys/firmware", *_proc(_MASKED)],
            "readonlyPaths": _proc("bus fs irq sys sysrq-trigger"),
        },
    }
    if rootless:
        linux = config["linux"]
        linux["namespaces"] = [row for row in linux["namespaces"] if row["type"] != "network"] + [{"type": "user"}]
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
        del linux["resources"]
    return config


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + ([] if rootless else ["gid=5"])
    rows: list[tuple[str, str, str, list[str]]] = [
        ("/proc", "proc", "proc", []),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/dev/shm", "tmpfs", "shm", [*_NO_EXEC, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", list(_NO_EXEC)),
        ("/sys", "sysfs", "sysfs", [*_NO_EXEC, "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*_NO_EXEC, "relatime", "ro"]),
    ]
    if rootless:
        rows[5] = ("/sys", "none", "/sys", ["rbind", *_NO_EXEC, "ro"])
        del rows[6]
    return [
        {"destination": destination, "type": kind, "source": source, "options": options}
        for destination, kind, source, options in rows
    ]


def _proc(names: str) -> list[str]:
    return [f"/proc/{name}" for name in names.split()]
