"""Finishing what a killed process left. Every mutating verb begins here; reading verbs never come here.

    dead claimant of "create" or "run", not running yet   its command never ended: the container goes
    dead claimant of "remove"                             the removal is finished
    dead claimant of anything else                        taken down; at rest again
    running, and the boot ID has changed                  everything that ran is gone: Exited, or Created
    running, monitor and process dead                     recorded with its exit code, or with -1
    stopping, and the stopper dead                        running again
    running, its bundle deleted                           killed: nobody could ever attach, stop or wait
    running, monitor dead, process alive                  left alone: `ps` says so, `rm -f` works

The common case is one query that returns nothing.
"""

from __future__ import annotations

import os

from podling.engine import claims, database, networking, paths, teardown
from podling.engine.container import Status
from podling.errors import NotFound
from podling.linux import files, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container, ContainerState
    from podling.engine.options import Settings

_UNFINISHED = (Status.CREATING, Status.CREATED, Status.INITIALIZED)
_AT_REST = (Status.CREATED, Status.EXITED)


def recover(settings: Settings) -> None:
    """Settle every container whose claimant, monitor or boot is gone; sweep what no row owns."""
    settled = False
    with database.read(settings) as db:
        unsettled = db.unsettled()
        gone = db.gone()
    if unsettled:
        boot_id = processes.boot_id(settings.boot_id_path)
        for container in unsettled:
            if needs_settling(settings, container, boot_id):
                settle(settings, container.id, boot_id)
                settled = True
    if settled or networking.left_something(settings):
        networking.sweep(settings)
    _sweep_exit_files(settings, gone)
    for container_id in gone:
        _sweep_monitor_cgroup(settings, container_id)
    from podling.store.store import Store

    Store(settings.root, settings.runroot).sweep_staging()


def _sweep_exit_files(settings: Settings, gone: list[str]) -> None:
    """Remove the exit files of containers that are gone: a cleanup was killed before the last step."""
    try:
        left = os.listdir(paths.exit_directory(settings))
    except FileNotFoundError:
        return
    for container_id in set(left).intersection(gone):
        files.unlink_if_there(paths.exit_file(settings, container_id))


def _sweep_monitor_cgroup(settings: Settings, container_id: str) -> None:
    """Remove the cgroup of a monitor whose container removed itself with nobody waiting: it could not leave it."""
    path = paths.monitor_cgroup(settings, container_id)
    if settings.cgroup_manager == "systemd" or not teardown.cgroup_exists(path):
        return
    teardown.remove_cgroup_if_empty(path, settings)


def needs_settling(settings: Settings, container: Container, boot_id: str) -> bool:
    """Tell whether something has to be done about a container that is claimed or not at rest."""
    state = container.state
    if claims.is_claimed(state):
        return False
    if state.claimed_by and state.claimed_by != os.getpid():
        return True
    if state.claimed_by:
        return False  # this process is at work on it
    if state.status == Status.CREATING or state.boot_id != boot_id:
        return True
    if not os.path.exists(f"{paths.bundle(settings, container.id)}/config.json"):  # its shm may hold the directory
        return True
    if was_left_stopping(state):
        return True
    if processes.is_alive(state.monitor_pid, state.monitor_started):
        return False
    return not processes.is_alive(state.pid, state.pid_started)


def was_left_stopping(state: ContainerState) -> bool:
    """Tell whether a container runs on because the one who was stopping it was killed."""
    if state.status != Status.STOPPING or processes.is_alive(state.stopper_pid, state.stopper_started):
        return False
    alive = processes.is_alive(state.monitor_pid, state.monitor_started)
    return alive and processes.is_alive(state.pid, state.pid_started)


def settle(settings: Settings, container_id: str, boot_id: str) -> None:
    """Bring one container to rest, or remove it."""
    try:
        container = _take_over(settings, container_id, boot_id)
    except NotFound:
        return
    if container is None:
        return
    restart = False
    try:
        restart = _finish(settings, container, boot_id)
    finally:
        claims.release(settings, container)
    if restart:
        from podling.engine import start

        start.start(settings, container_id)


def _take_over(settings: Settings, container_id: str, boot_id: str) -> Container | None:
    """Claim a container under the dead claimant's verb, so that a killed recovery is recovered the same way."""
    with database.write(settings) as db:
        container = db.container(container_id)
        if not needs_settling(settings, container, boot_id):
            return None
        claims.take(container.state, container.state.claimed_for or "cleanup")
        db.save_state(container)
        return container


def _finish(settings: Settings, container: Container, boot_id: str) -> bool:
    from podling.engine import cleanup, remove

    state = container.state
    began_here = state.claimed_for in ("create", "run") and state.status in _UNFINISHED
    removing = state.claimed_for in (claims.REMOVE, claims.REMOVE_WITH_VOLUMES)
    if began_here or removing or state.status == Status.CREATING:
        with_volumes = began_here or container.config.remove or state.claimed_for == claims.REMOVE_WITH_VOLUMES
        remove.dismantle(settings, container, volumes=with_volumes)
        return False
    if state.status in _AT_REST:
        teardown.kill_monitor(settings, container)
        teardown.take_down(settings, container)
        return False
    if state.boot_id == boot_id and was_left_stopping(state):
        state.status = Status.RUNNING
        state.stopped_by_user = False
        return False
    rebooted = state.boot_id != boot_id
    wants_restart = cleanup.finish(settings, container, monitor_is_ours=False)
    return wants_restart and not rebooted
