"""`state`: print a container's state as the runtime specification words it, and a little more."""

from __future__ import annotations

import sys

from podling.oci.jsontext import dumps_indented
from podling.runtime import arguments, container
from podling.runtime.main import SPECIFICATION_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID"
OPTIONS: tuple[str, ...] = ()


def run(context: Context, _options: dict[str, Any], words: list[str]) -> int:
    """Print a container's state."""
    found = container.load(context.root, arguments.only_id(words))
    more = {"rootfs": found.state.rootfs, "created": found.state.created, "owner": ""}
    sys.stdout.write(dumps_indented({**describe(found), **more}, "  ") + "\n")
    return 0


def describe(found: Container) -> dict[str, Any]:
    """Return a container's state: `pid` is 0 once it has stopped."""
    status = found.status()
    return {
        "ociVersion": found.state.oci_version or SPECIFICATION_VERSION,
        "id": found.id,
        "pid": 0 if status == container.STOPPED else found.state.pid,
        "status": status,
        "bundle": found.state.bundle,
        "annotations": found.state.annotations,
    }
