"""What happens when a container's process has ended: the monitor's exit command, `podling container cleanup ID`.

The monitor has written the exit file by then, and waits for this command before it ends itself; whoever waits for the
container waits for the monitor's end and finds everything done.
"""

from __future__ import annotations

import os
import time

from podling.engine import claims, paths, teardown
from podling.engine.container import Status
from podling.errors import NotFound
from podling.linux import files, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings

UNKNOWN_EXIT_CODE = -1
_LIVE = (Status.INITIALIZED, Status.RUNNING, Status.PAUSED, Status.STOPPING)


def cleanup(settings: Settings, container_id: str, *, remove: bool = False) -> None:
    """Take down an ended container, then remove it or start it again if it was made for that.

    A container that is gone, at rest or alive is left alone, and one that somebody is removing.
    """
    try:
        container = claims.wait_for(settings, container_id, claims.CLEANUP)
    except NotFound:
        return
    ended = container.state.status in _LIVE and has_ended(settings, container)
    restart = False
    try:
        if ended:
            restart = finish(settings, container, remove=remove)
    finally:
        claims.release(settings, container)
    if restart:
        from podling.engine import start

        start.start(settings, container_id)


def has_ended(settings: Settings, container: Container) -> bool:
    """Tell whether the container's first process is gone."""
    if os.path.exists(paths.exit_file(settings, container.id)):
        return True
    return not processes.is_alive(container.state.pid, container.state.pid_started)


def finish(settings: Settings, container: Container, *, remove: bool = False, monitor_is_ours: bool = True) -> bool:
    """Record how a container ended and take it down; tell whether its restart policy wants it back.

    The claim is held by the caller. With `monitor_is_ours` this process was started by the container's monitor.
    """
    record_exit(settings, container)
    if not monitor_is_ours:
        teardown.kill_monitor(settings, container)
    if remove or container.config.remove:
        from podling.engine.remove import dismantle

        dismantle(settings, container, volumes=True, by_monitor=monitor_is_ours)
        return False
    teardown.take_down(settings, container)
    return wants_restart(container)


def record_exit(settings: Settings, container: Container) -> None:
    """Write into the state what the monitor left about the end; an exit code that nobody saw is -1."""
    state = container.state
    state.exit_code = read_exit_code(settings, container.id)
    if state.exit_code == UNKNOWN_EXIT_CODE:
        state.error = "the exit code is not known: the monitor ended before the container"
    state.oom_killed = os.path.exists(f"{paths.persist_directory(settings, container.id)}/oom")
    state.finished_at = _time_of_exit(settings, container.id)
    never_started = state.status == Status.INITIALIZED and not state.started_at
    state.status = Status.CREATED if never_started else Status.EXITED
    state.pid = state.pid_started = state.monitor_pid = state.monitor_started = 0
    state.network_status = {}


def read_exit_code(settings: Settings, container_id: str) -> int:
    """Return the code in the exit file, or -1."""
    try:
        return int(processes.read_small(paths.exit_file(settings, container_id)))
    except (OSError, ValueError):
        return UNKNOWN_EXIT_CODE


def _time_of_exit(settings: Settings, container_id: str) -> int:
    try:
        return os.stat(paths.exit_file(settings, container_id)).st_mtime_ns
    except OSError:
        return time.time_ns()


def wants_restart(container: Container) -> bool:
    """Tell whether the restart policy brings the container back, and count the restart."""
    config, state = container.config, container.state
    if state.stopped_by_user or state.status != Status.EXITED:
        return False
    if config.restart_policy == "on-failure":
        wanted = state.exit_code != 0 and (not config.restart_retries or state.restarts < config.restart_retries)
    else:
        wanted = config.restart_policy in ("always", "unless-stopped")
    state.restarts += wanted
    return wanted


def cleanup_exec(settings: Settings, container_id: str, session: str) -> None:
    """Remove what an ended exec session left."""
    files.remove_tree(paths.exec_bundle(settings, container_id, session))
