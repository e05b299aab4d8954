"""The root file system of a container.

containers/ID/
  image        {"image": ID, "layers": [chain IDs]}    what it stands on: kept from garbage collection
  diff/ work/  overlay's upper and work directories
  merged/      where the overlay is mounted
"""

from __future__ import annotations

import os

from podling.errors import NotFound
from podling.linux import files
from podling.oci import jsontext
from podling.records import Record
from podling.store import layers


class Base(Record):
    """What a container stands on."""

    image: str
    layers: list[str] = []


def directory(root: str, container_id: str) -> str:
    """Return the directory of a container in the store."""
    return f"{root}/containers/{container_id}"


def create(root: str, container_id: str, base: Base) -> None:
    """Make a container's directories; those that exist stay. The store's lock is held, shared."""
    path = directory(root, container_id)
    os.makedirs(path, mode=0o700, exist_ok=True)
    is_new = _make(f"{path}/diff", 0o755)
    _make(f"{path}/work", 0o700)
    _make(f"{path}/merged", 0o755)
    if is_new and base.layers:
        _copy_root(layers.diff_directory(root, base.layers[-1]), f"{path}/diff")
    files.write_atomically(f"{path}/image", jsontext.dumps(base.to_json()), durable=False)


def _make(path: str, mode: int) -> bool:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    return True


def _copy_root(top: str, diff: str) -> None:
    """Give the upper layer's root the owner and mode of the layer's below: overlayfs shows the upper one's."""
    wanted, found = os.stat(top), os.stat(diff)
    if (wanted.st_uid, wanted.st_gid, wanted.st_mode) != (found.st_uid, found.st_gid, found.st_mode):
        os.chown(diff, wanted.st_uid, wanted.st_gid)
        os.chmod(diff, wanted.st_mode & 0o7777)


def base_of(root: str, container_id: str) -> Base:
    """Return what a container stands on. Raise NotFound where it has no root file system here."""
    try:
        with open(f"{directory(root, container_id)}/image", "rb") as file:
            return Base.from_json(jsontext.loads(file.read()))
    except FileNotFoundError:
        raise NotFound(f'container "{container_id}" has no root file system in the store') from None


def bases(root: str) -> list[Base]:
    """Return what each container stands on."""
    found = []
    for container_id in listed(root):
        try:
            found.append(base_of(root, container_id))
        except NotFound:
            continue
    return found


def listed(root: str) -> list[str]:
    """Return the IDs of all containers that have a directory."""
    try:
        return os.listdir(f"{root}/containers")
    except FileNotFoundError:
        return []
