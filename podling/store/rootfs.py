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
    for name, mode in (("diff", 0o755), ("work", 0o700), ("merged", 0o755)):
        try:
            os.mkdir(f"{path}/{name}", mode)
        except FileExistsError:
            pass
    files.write_atomically(f"{path}/image", jsontext.dumps(base.to_json()), durable=False)


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
