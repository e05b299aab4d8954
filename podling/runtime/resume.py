"""`resume ID`: let a paused container's processes run again."""

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
    """Thaw a container that is paused."""
    found = container.load(context.root, only_id(words))
    if not found.is_alive() or not found.is_frozen():  # created or running when it was paused: the freezer knows
        raise WrongState("container not paused")
    found.cgroup().thaw()
    return 0
