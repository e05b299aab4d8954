"""Waiting for containers to end: on the monitor's pidfd, since its end means that everything is recorded."""

from __future__ import annotations

import os

from podling.engine import database, teardown
from podling.engine.cleanup import UNKNOWN_EXIT_CODE, read_exit_code
from podling.engine.container import Status
from podling.errors import NotFound
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings

_LIVE = (Status.INITIALIZED, Status.RUNNING, Status.PAUSED, Status.STOPPING)
STOPPED = (Status.EXITED, Status.CREATED)


def wait(settings: Settings, container: Container, conditions: tuple[str, ...] = STOPPED) -> int:
    """Wait until a container is in one of some states and return its exit code; -1 where that is not known.

    A container that goes away meanwhile has ended.
    """
    while True:
        try:
            with database.read(settings) as db:
                container = db.container(container.id)
        except NotFound:
            return _kept(settings, container.id)
        if container.state.status in conditions:
            return container.state.exit_code
        if not _await_change(settings, container, conditions):
            return exit_code_of(settings, container)


def _await_change(settings: Settings, container: Container, conditions: tuple[str, ...]) -> bool:
    """Wait for something to have happened; False where nobody is left who could record it."""
    state = container.state
    live_wanted = not set(conditions) <= set(STOPPED)
    monitor = processes.hold(state.monitor_pid, state.monitor_started)
    if monitor is None:
        if state.status in _LIVE and state.claimed_by == 0:
            return _await_orphan(container)
        _pause()
        return True
    if live_wanted:
        processes.await_end(monitor, 0.1)
        os.close(monitor)
    else:
        teardown.await_monitor(settings, container, monitor)
    return True


def _await_orphan(container: Container) -> bool:
    process = processes.hold(container.state.pid, container.state.pid_started)
    if process is not None:
        processes.await_end(process)
        os.close(process)
    return False


def _pause() -> None:
    import time

    time.sleep(0.02)  # a container that is at rest, or being started, has no process to wait for yet


def exit_code_of(settings: Settings, container: Container) -> int:
    """Return the exit code of a container whose monitor has ended: from its row, or what is left of it."""
    try:
        with database.read(settings) as db:
            now = db.container(container.id)
    except NotFound:
        return _kept(settings, container.id)
    if now.state.status in _LIVE and now.state.monitor_pid == container.state.monitor_pid:
        return read_exit_code(settings, container.id)  # the monitor was killed before it could record anything
    return now.state.exit_code


def _kept(settings: Settings, container_id: str) -> int:
    with database.read(settings) as db:
        code = db.exit_code(container_id)
    return UNKNOWN_EXIT_CODE if code is None else code
