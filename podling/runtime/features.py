"""`features`: what this runtime knows, in the form of the runtime specification's features.md."""

from __future__ import annotations

import sys

from podling.linux import capabilities, mounts, seccomp
from podling.oci import runtime_spec
from podling.oci.jsontext import dumps_indented
from podling.runtime.main import SPECIFICATION_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = ""
OPTIONS: tuple[str, ...] = ()


def run(_context: Context, _options: dict[str, Any], _words: list[str]) -> int:
    """Print the features."""
    sys.stdout.write(dumps_indented(features(), "  ") + "\n")
    return 0


def features() -> dict[str, Any]:
    """Return the features as plain data."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPECIFICATION_VERSION,
        "hooks": list(runtime_spec.HOOK_POINTS),
        "mountOptions": mounts.known_options(),
        "linux": {
            "namespaces": sorted(runtime_spec.NAMESPACES),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp.ACTIONS),
                "operators": sorted(seccomp.OPERATORS),
                "archs": sorted(seccomp.ARCHITECTURES),
                "knownFlags": sorted(seccomp.FLAGS),
                "supportedFlags": sorted(seccomp.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {},
        "potentiallyUnsafeConfigAnnotations": [],
    }
