"""Giving a container another name."""

from __future__ import annotations

from podling.engine import claims, database, recover
from podling.errors import AlreadyExists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings


def rename(settings: Settings, container: Container, name: str) -> None:
    """Change a container's name. Raise InvalidArgument for a bad one, AlreadyExists for one that is taken."""
    from podling.engine import names

    names.check(name)
    recover.recover(settings)
    with claims.claimed(settings, container.id, "rename"), database.write(settings) as db:
        for other in db.lookup(name):
            if other.name == name:
                raise AlreadyExists(f'the name "{name}" is already in use by container {other.id}: name is in use')
        renamed = db.container(container.id)
        renamed.config.name = name
        db.save_config(renamed)
