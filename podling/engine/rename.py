"""Giving a container another name."""

from __future__ import annotations

from podling.engine import claims, database, recover
from podling.errors import AlreadyExists, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def rename(settings: Settings, container: Container, name: str) -> None:
    """Change a container's name, in whatever state it is. Raise AlreadyExists where the name is taken."""
    if not name or name[0] not in _ALPHANUMERIC or name.strip(_ALPHANUMERIC + "_.-"):
        raise InvalidArgument("names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
    recover.recover(settings)
    with claims.claimed(settings, container.id, "rename") as current, database.write(settings) as db:
        for other in db.lookup(name):
            if other.name == name:
                raise AlreadyExists(f'the container name "{name}" is already in use by {other.id}')
        current.config.name = name
        db.save_config(current)
