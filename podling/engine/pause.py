"""Freezing and thawing a container's processes, through the runtime."""

from __future__ import annotations

from podling.engine import chain, claims, recover
from podling.engine.container import Status
from podling.errors import WrongState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings


def pause(settings: Settings, container: Container) -> None:
    """Freeze a running container. Raise WrongState unless it runs."""
    _change(settings, container, "pause", Status.RUNNING, Status.PAUSED)


def unpause(settings: Settings, container: Container) -> None:
    """Thaw a paused container. Raise WrongState unless it is paused."""
    _change(settings, container, "resume", Status.PAUSED, Status.RUNNING)


def _change(settings: Settings, container: Container, verb: str, before: str, after: str) -> None:
    recover.recover(settings)
    with claims.claimed(settings, container.id, verb) as current:
        if current.state.status != before:
            words = "is not running, can't pause" if verb == "pause" else "is not paused, can't unpause"
            raise WrongState(f'"{current.state.status}" {words}: container state improper')
        chain.call_runtime(settings, verb, current.id)
        current.state.status = after
