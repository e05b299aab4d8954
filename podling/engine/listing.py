"""Listing containers, honestly: what the database says, checked against what is.

A reading verb takes no lock and repairs nothing, so a row can lag behind: a monitor that was killed records no end, a
reboot records nothing at all. `observe` tells what is true now, from the boot ID, the exit file and /proc:

    row says it runs
      ├─ boot ID changed ................. exited, code unknown
      ├─ RUNROOT/exits/ID is there ....... exited with that code (its cleanup is about to say so)
      ├─ process gone .................... exited, code unknown
      └─ process there, monitor gone ..... still running, and nobody watches: `UNMONITORED`
"""

from __future__ import annotations

import os

from podling.engine import database, paths
from podling.engine.container import Container, Status
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.options import Settings

UNKNOWN_EXIT_CODE = -1
_ALIVE = (Status.INITIALIZED, Status.RUNNING, Status.PAUSED, Status.STOPPING)


def observe(settings: Settings, container: Container, boot_id: str = "") -> Container:
    """Return a container with the state that is true now; the row is left as it is."""
    state = container.state
    if state.status not in _ALIVE:
        return container
    boot_id = boot_id or processes.boot_id(settings.boot_id_path)
    if state.boot_id and state.boot_id != boot_id:
        return _exited(container, UNKNOWN_EXIT_CODE, 0)
    path = paths.exit_file(settings, container.id)
    if os.path.exists(path):
        try:
            return _exited(container, int(processes.read_small(path) or UNKNOWN_EXIT_CODE), os.stat(path).st_mtime_ns)
        except (OSError, ValueError):
            return _exited(container, UNKNOWN_EXIT_CODE, 0)
    if not processes.is_alive(state.pid, state.pid_started):
        return _exited(container, UNKNOWN_EXIT_CODE, 0)
    return container


def is_unmonitored(container: Container) -> bool:
    """Tell whether a container that lives has lost its monitor."""
    state = container.state
    return state.status in _ALIVE and not processes.is_alive(state.monitor_pid, state.monitor_started)


def _exited(container: Container, code: int, finished_at: int) -> Container:
    state = container.state
    changed = state.with_changes(
        status=Status.EXITED, exit_code=code, finished_at=finished_at or state.finished_at or state.started_at, pid=0
    )
    return Container(config=container.config, state=changed)


def list_containers(
    settings: Settings,
    filters: dict[str, list[str]] | None = None,
    *,
    all: bool = False,  # noqa: A002 the flag's name
    last: int = 0,
    latest: bool = False,
) -> list[Container]:
    """Return containers as they are now, oldest first: the running ones, or all, or the last few created.

    A filter on the status looks at all containers. Raise InvalidArgument for a filter that does not exist, NotFound
    for one that names a container which does not.
    """
    with database.read(settings) as db:
        rows = db.containers()
    boot_id = processes.boot_id(settings.boot_id_path) if rows else ""
    found = [observe(settings, row, boot_id) for row in rows]
    if filters:
        from podling.engine import filtering

        accept = filtering.containers(settings, filters, found)
        found = [container for container in found if accept(container)]
    number = 1 if latest else last
    if not (all or number > 0 or (filters and "status" in filters)):
        found = [container for container in found if container.state.status == Status.RUNNING]
    return found[-number:] if number > 0 else found


SORT_KEYS: dict[str, Callable[[Container], object]] = {
    "command": lambda container: " ".join(command(container)),
    "created": lambda container: container.config.created,
    "id": lambda container: container.id,
    "image": lambda container: container.config.image_name,
    "names": lambda container: container.name,
    "runningfor": lambda container: container.state.started_at // 1_000_000_000,
    "status": lambda container: str(container.state.status),
}


def command(container: Container) -> list[str]:
    """Return the command of a container as `ps` shows it: without the entrypoint."""
    return container.config.command or container.config.entrypoint


def namespaces_of(pid: int) -> dict[str, str]:
    """Return the inode numbers of a process's namespaces by their names in /proc; those that can be read."""
    found = {}
    for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        try:
            link = os.readlink(f"/proc/{pid}/ns/{name}")
        except OSError:
            continue
        found[name] = link[link.index("[") + 1 : -1]
    return found


def size_on_disk(settings: Settings, container: Container) -> int:
    """Return the bytes a container has written: what its layer holds."""
    total = 0
    waiting = [os.path.join(paths.container_directory(settings, container.id), "diff")]
    seen: set[tuple[int, int]] = set()
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        total += status.st_size
        except OSError:
            continue  # it is being removed
    return total


def sizes(settings: Settings, container: Container) -> tuple[int, int]:
    """Return the bytes a container has written, and those together with its image's."""
    from podling.errors import NotFound
    from podling.store.store import Store

    written = size_on_disk(settings, container)
    try:
        return written, written + Store(settings.root, settings.runroot).find_image(container.config.image_id).size
    except NotFound:
        return written, written
