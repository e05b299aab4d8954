"""Named volumes: a row in the database, then a directory; filled from the image when a container first mounts one.

    ROOT/volumes/NAME/_data        what containers see     (--volumepath or containers.conf's volume_path: elsewhere)
    RUNROOT/locks/volume/NAME      held while a volume is filled

A volume is filled only while its row says that it never was and its directory is empty: data that is there is never
written over (CVE-2020-1726). Copying reads the container's root as the container would, and follows no link out of it.
"""

from __future__ import annotations

import os
import time

from podling.engine import database
from podling.engine.names import valid_name
from podling.errors import InvalidArgument, NotFound
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import ContainerConfig
    from podling.engine.options import Settings
    from podling.linux.locks import Lock


class Volume(Record):
    """A volume's row."""

    name: str
    driver: str = "local"
    created: int = 0  # nanoseconds since the epoch
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    anonymous: bool = False
    needs_copy_up: bool = True
    uid: int = 0
    gid: int = 0


def check_name(name: str) -> None:
    """Raise InvalidArgument for a name that no volume can have."""
    if not valid_name(name):
        raise InvalidArgument(
            f'creating named volume "{name}": running volume create option: names must match '
            "[a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        )


def directory(settings: Settings, name: str) -> str:
    """Return where a volume's content is."""
    base = settings.engine.get("volume_path") or f"{settings.root}/volumes"
    return f"{base}/{name}/_data"


def list_volumes(settings: Settings) -> list[Volume]:
    """Return all volumes by name."""
    with database.read(settings) as db:
        return [Volume.from_json(row) for row in db.volumes()]


def get(settings: Settings, name: str) -> Volume:
    """Return one volume. Raise NotFound."""
    with database.read(settings) as db:
        row = db.volume(name)
    if row is None:
        raise NotFound(f"no such volume {name}: no such volume")
    return Volume.from_json(row)


def ensure(settings: Settings, config: ContainerConfig) -> None:
    """Create such volumes of a container as do not exist."""
    if not config.volumes:
        return
    with database.read(settings) as db:
        missing = [wanted for wanted in config.volumes if db.volume(wanted["name"]) is None]
    if missing:
        with database.write(settings) as db:
            for wanted in missing:
                if db.volume(wanted["name"]) is None:
                    db.save_volume(wanted["name"], _new(wanted).to_json())
    for wanted in config.volumes:
        os.makedirs(directory(settings, wanted["name"]), mode=0o755, exist_ok=True)


def _new(wanted: dict[str, Any]) -> Volume:
    anonymous = bool(wanted.get("anonymous"))
    return Volume(name=wanted["name"], created=time.time_ns(), anonymous=anonymous)


def directories(settings: Settings, config: ContainerConfig) -> dict[str, str]:
    """Return the directory of each of a container's volumes. Raise NotFound for one that has been removed."""
    found = {}
    for wanted in config.volumes:
        path = directory(settings, wanted["name"])
        if not os.path.isdir(path):
            raise NotFound(
                f"retrieving volume {wanted['name']} to add to container {config.id}: "
                f'no volume with name "{wanted["name"]}" found: no such volume'
            )
        found[wanted["name"]] = path
    return found


def remove_anonymous(settings: Settings, config: ContainerConfig) -> None:
    """Remove the volumes that were made for this container alone and that no other container uses."""
    names = {wanted["name"] for wanted in config.volumes if wanted.get("anonymous")}
    if not names:
        return
    with database.read(settings) as db:
        for other in db.containers():
            if other.id != config.id:
                names -= {wanted["name"] for wanted in other.config.volumes}
        names = {name for name in names if (row := db.volume(name)) is not None and row.get("anonymous")}
    for name in names:
        remove_unused(settings, name)


def remove_unused(settings: Settings, name: str) -> None:
    """Remove a volume's content, then its row; whoever calls knows that nothing uses it.

    The lock's file goes before the row does, or nobody would come back for it after a kill.
    """
    from podling.linux import files

    lock = _lock(settings, name)
    lock.acquire()
    try:
        files.remove_tree(os.path.dirname(directory(settings, name)))
    finally:
        lock.release(unlink=True)
    with database.write(settings) as db:
        db.delete_volume(name)


def _lock(settings: Settings, name: str) -> Lock:
    from podling.linux.locks import Lock

    locks = f"{settings.runroot}/locks/volume"
    os.makedirs(locks, mode=0o700, exist_ok=True)
    return Lock(f"{locks}/{name}")


def populate(settings: Settings, config: ContainerConfig, rootfs: str) -> None:
    """Fill the container's new volumes with what its root has at their place: mode, owner and, by default, content."""
    if not config.volumes:
        return
    with database.read(settings) as db:
        rows = {wanted["name"]: db.volume(wanted["name"]) for wanted in config.volumes}
    fresh = [wanted for wanted in config.volumes if (row := rows[wanted["name"]]) and row.get("needs_copy_up", True)]
    for wanted in fresh:
        _populate_one(settings, config, wanted, rootfs)


def _populate_one(settings: Settings, config: ContainerConfig, wanted: dict[str, Any], rootfs: str) -> None:
    from podling.engine import copying

    name = wanted["name"]
    with _lock(settings, name):
        with database.read(settings) as db:
            row = db.volume(name)
        if row is None or not row.get("needs_copy_up", True):
            return  # another container was faster
        target = directory(settings, name)
        if not os.listdir(target):
            owner = _root_owner(config)
            copying.fill(rootfs, wanted["destination"], target, content=wanted.get("copy", True), owner=owner)
        with database.write(settings) as db:
            db.save_volume(name, {**row, "needs_copy_up": False})


def _root_owner(config: ContainerConfig) -> tuple[int, int]:
    """Return the host's IDs of the container's root."""

    def host(mappings: list[dict[str, int]]) -> int:
        return next((row["hostID"] for row in mappings if row["containerID"] == 0), 0)

    return host(config.uid_mappings), host(config.gid_mappings)
