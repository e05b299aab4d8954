"""`pause ID`: freeze every process of a container."""

from __future__ import annotations

from podling.errors import WrongState
from podling.runtime import container
from podling.runtime.arguments import only_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = "<container-id>"
OPTIONS: tuple[str, ...] = ()


def run(context: Context, _options: dict[str, Any], words: list[str]) -> int:
    """Freeze a container that is created or running, and return when it is frozen."""
    found = container.load(context.root, only_id(words))
    if found.status() not in (container.CREATED, container.RUNNING):
        raise WrongState("container not running")
    found.cgroup().freeze()
    return 0
