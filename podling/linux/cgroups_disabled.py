"""No cgroups: a container that stays where its maker is (--cgroups=disabled).

What needs a cgroup is refused, never passed over.
"""

from __future__ import annotations

import os

from podling.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Disabled:
    """The manager of a container without cgroups of its own."""

    def paths(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def create(self) -> None:
        """Make nothing."""

    def apply(self, resources: dict[str, Any], *, devices: bool = True) -> None:
        """Refuse limits; device rules have no effect, as Podman knows when it disables cgroups."""
        asked = [key for key, value in resources.items() if key != "devices" and _asks(value)]
        if asked:
            raise Unsupported(f"cannot set {asked[0]} limits: the container has no cgroup")

    def add(self, pid: int) -> None:
        """Leave the process where it is."""

    def join(self, *, unified: bool = True) -> None:
        """Stay."""

    def fork(self) -> int:
        """Fork."""
        return os.fork()

    def processes(self) -> list[int]:
        """Refuse: nothing says which processes are the container's."""
        raise Unsupported("cannot list processes: the container has no cgroup")

    def freeze(self) -> None:
        """Refuse."""
        raise Unsupported("cannot freeze: the container has no cgroup")

    def thaw(self) -> None:
        """Refuse."""
        raise Unsupported("cannot thaw: the container has no cgroup")

    def frozen(self) -> bool:
        """Return False."""
        return False

    def kill(self, signal: int) -> None:
        """Refuse."""
        raise Unsupported("cannot signal all processes: the container has no cgroup")

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Remove nothing."""

    def statistics(self) -> dict[str, Any]:
        """Refuse."""
        raise Unsupported("cannot read statistics: the container has no cgroup")

    def oom_kills(self) -> int:
        """Return 0."""
        return 0


def _asks(value: Any) -> bool:
    """Tell whether a part of `linux.resources` sets anything; empty objects and lists do not."""
    if isinstance(value, dict):
        return any(_asks(item) for item in value.values())
    return value not in (None, [], 0, "", False)
