"""Removing a container: its row goes last, so that a killed removal is finished by whoever comes next."""

from __future__ import annotations

import os
import time

from podling.engine import claims, cleanup, database, paths, recover, stop, teardown
from podling.engine.claims import REMOVE, REMOVE_WITH_VOLUMES
from podling.engine.container import Status
from podling.errors import InUse, NotFound, WrongState
from podling.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings
    from podling.engine.stop import Warn

_MONITOR_GRACE_SECONDS = 10.0
_LIVE = (Status.RUNNING, Status.PAUSED, Status.STOPPING)


def remove(
    settings: Settings,
    container: Container,
    *,
    force: bool = False,
    volumes: bool = False,
    depend: bool = False,
    timeout_seconds: int | None = None,
    warn: Warn | None = None,
) -> list[str]:
    """Remove a container and return the IDs of all that went. A live one is refused without `force`, which stops it.

    `timeout_seconds` is the grace of that stop; None means the container's own.
    """
    recover.recover(settings)
    gone: list[str] = []
    for dependent in _dependents(settings, container):
        if not depend:
            raise InUse(
                f"container {container.id} has dependent containers which must be removed before it: "
                f"{dependent.id}: container already exists"
            )
        gone += remove(settings, dependent, force=force, volumes=volumes, depend=True, timeout_seconds=timeout_seconds)
    volumes = volumes or container.config.remove
    try:
        container = claims.wait_for(settings, container.id, REMOVE_WITH_VOLUMES if volumes else REMOVE)
    except NotFound:
        return [*gone, container.id]  # it was made with --rm, and its monitor was faster
    try:
        monitor = None
        if container.state.status in _LIVE:
            if not force:
                raise _live(container)
            monitor = stop.end(settings, container, timeout_seconds, warn)
        dismantle(settings, container, volumes=volumes, monitor=monitor)
    except BaseException:
        claims.release(settings, container)
        raise
    return [*gone, container.id]


def _live(container: Container) -> WrongState:
    return WrongState(
        f"cannot remove container {container.id} as it is {container.state.status} - running or paused containers "
        "cannot be removed without force: container state improper"
    )


def _dependents(settings: Settings, container: Container) -> list[Container]:
    with database.read(settings) as db:
        everyone = db.containers()
    return [other for other in everyone if container.id in other.config.requires]


def dismantle(
    settings: Settings,
    container: Container,
    *,
    volumes: bool,
    by_monitor: bool = False,
    monitor: int | None = None,
) -> None:
    """Remove a claimed container, whatever state it is in: resources, then the row.

    Where its monitor asks for it (`by_monitor`), or is just ending by itself (`monitor`, a pidfd, closed here), the
    exit code is kept: somebody may be waiting for it. Any other monitor is killed.
    """
    kept = by_monitor or monitor is not None
    if not kept:
        teardown.kill_monitor(settings, container)
    teardown.let_go(settings, container)
    if monitor is not None:
        teardown.await_monitor(settings, container, monitor, _MONITOR_GRACE_SECONDS)
        teardown.kill_monitor(settings, container)
        cleanup.record_exit(settings, container)
    teardown.clear_bundle(settings, container.id)
    _remove_from_disk(settings, container)
    if volumes:
        from podling.engine import volumes as volume_store

        volume_store.remove_anonymous(settings, container.config)
    if not kept:
        files.unlink_if_there(paths.exit_file(settings, container.id))
    with database.write(settings) as db:
        if kept:
            db.keep_exit_code(container.id, container.state.exit_code, time.time_ns())
        db.delete(container.id)
    if kept:  # at no moment is the code in neither place
        files.unlink_if_there(paths.exit_file(settings, container.id))


def _remove_from_disk(settings: Settings, container: Container) -> None:
    if container.config.image_id:
        from podling.store.store import Store

        Store(settings.root, settings.runroot).remove_rootfs(container.id)
    files.remove_tree(paths.container_directory(settings, container.id))
    if container.config.cidfile and os.path.exists(container.config.cidfile) and container.config.remove:
        files.unlink_if_there(container.config.cidfile)
