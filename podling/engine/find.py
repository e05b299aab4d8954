"""Containers by what a user calls them: a name, an ID, the beginning of an ID, the latest."""

from __future__ import annotations

from podling.engine import database
from podling.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings


def find(settings: Settings, name_or_id: str) -> Container:
    """Return one container. Raise NotFound, or InvalidArgument where an ID's beginning fits several."""
    with database.read(settings) as db:
        found = db.lookup(name_or_id)
    if not found:
        raise database.no_such_container(name_or_id)
    if len(found) > 1:
        raise InvalidArgument(f'more than one result for container name or ID "{name_or_id}": choose a longer ID')
    return found[0]


def latest(settings: Settings) -> Container:
    """Return the container that was created last. Raise NotFound where there is none."""
    containers = all_containers(settings)
    if not containers:
        raise NotFound("no containers to operate on: no such container")
    return containers[-1]


def all_containers(settings: Settings) -> list[Container]:
    """Return all containers, oldest first."""
    with database.read(settings) as db:
        return db.containers()
