"""Volumes as a user manages them: create, list, remove. What a volume is, and how it is filled, is in volumes.py."""

from __future__ import annotations

import os
import time

from podling.engine import database, filtering, recover, volumes
from podling.engine.volumes import Volume
from podling.errors import AlreadyExists, InUse, InvalidArgument, NotFound, Unsupported
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.container import Container
    from podling.engine.options import Settings

    Predicate = Callable[[Volume], bool]


class VolumeCreateOptions(Record):
    """`volume create`: names are those of Podman's flags."""

    name: str = ""  # empty: 64 hex digits
    driver: str = "local"
    label: list[str] = []
    opt: list[str] = []
    uid: int | None = None
    gid: int | None = None
    ignore: bool = False


def create_volume(settings: Settings, options: VolumeCreateOptions) -> Volume:
    """Create a volume and return it; with `ignore`, the one that exists. Raise AlreadyExists."""
    if options.driver not in ("local", ""):
        raise Unsupported(f'volume driver "{options.driver}" is not supported: podling has "local" alone')
    if options.opt:
        raise Unsupported(f'volume option "{options.opt[0]}": mounting a file system as a volume is not supported')
    name = options.name or os.urandom(32).hex()
    volumes.check_name(name)
    recover.recover(settings)
    labels = {key: value for key, _, value in (text.partition("=") for text in options.label)}
    volume = Volume(name=name, created=time.time_ns(), labels=labels, uid=options.uid or 0, gid=options.gid or 0)
    with database.write(settings) as db:
        existing = db.volume(name)
        if existing is not None:
            if options.ignore:
                return Volume.from_json(existing)
            raise AlreadyExists(f"volume with name {name} already exists: volume already exists")
        db.save_volume(name, volume.to_json())
    path = volumes.directory(settings, name)
    os.makedirs(path, mode=0o755, exist_ok=True)
    if options.uid is not None or options.gid is not None:
        os.chown(path, volume.uid, volume.gid)
    return volume


def remove_volume(settings: Settings, name: str, *, force: bool = False, timeout_seconds: int | None = None) -> str:
    """Remove a volume and return its name. Raise NotFound, or InUse unless `force`, which removes its containers."""
    from podling.engine import remove

    recover.recover(settings)
    volume = find_volume(settings, name)
    users = users_of(settings, volume.name)
    if users and not force:
        listed = ", ".join(user.id for user in users)
        raise InUse(f"volume {volume.name} is being used by the following container(s): {listed}: volume is being used")
    for user in users:
        remove.remove(settings, user, force=True, depend=True, timeout_seconds=timeout_seconds)
    volumes.remove_unused(settings, volume.name)
    return volume.name


def find_volume(settings: Settings, name: str) -> Volume:
    """Return the volume of a name, or of the beginning of one. Raise NotFound, InvalidArgument where several fit."""
    try:
        return volumes.get(settings, name)
    except NotFound:
        fitting = [volume for volume in volumes.list_volumes(settings) if name and volume.name.startswith(name)]
        if len(fitting) > 1:
            raise InvalidArgument(f"more than one result for volume name {name}: volume already exists") from None
        if not fitting:
            raise
        return fitting[0]


def users_of(settings: Settings, name: str) -> list[Container]:
    """Return the containers that mount a volume."""
    with database.read(settings) as db:
        return [each for each in db.containers() if any(wanted["name"] == name for wanted in each.config.volumes)]


def list_volumes(settings: Settings, filters: dict[str, list[str]] | None = None) -> list[Volume]:
    """Return the volumes that pass all filters, by name. Raise InvalidArgument for an unknown one."""
    accepts = [_predicate(settings, key, values) for key, values in (filters or {}).items()]
    return [volume for volume in volumes.list_volumes(settings) if all(accept(volume) for accept in accepts)]


def _predicate(settings: Settings, key: str, values: list[str]) -> Predicate:
    if key == "name":
        return lambda volume: filtering.matches_pattern(values, volume.name)
    if key == "driver":
        return lambda volume: volume.driver in values
    if key == "scope":
        return lambda _volume: "local" in values
    if key == "label":
        return lambda volume: filtering.matches_labels(volume.labels, values)
    if key == "label!":
        return lambda volume: not filtering.matches_labels(volume.labels, values)
    if key == "opt":
        return lambda volume: any(filtering.matches_labels(volume.options, [value]) for value in values)
    if key in ("after", "since"):
        after = max(volumes.get(settings, value).created for value in values)
        return lambda volume: volume.created > after
    if key == "until":
        until = min(filtering.moment(value) for value in values)
        return lambda volume: volume.created < until
    if key == "anonymous":
        wanted = _truths(key, values)
        return lambda volume: volume.anonymous in wanted
    if key == "dangling":
        wanted = _truths(key, values)
        return lambda volume: (not users_of(settings, volume.name)) in wanted
    raise InvalidArgument(f'"{key}" is an invalid volume filter')


def _truths(key: str, values: list[str]) -> set[bool]:
    words = {"true": True, "1": True, "false": False, "0": False}
    for value in values:
        if value.lower() not in words:
            raise InvalidArgument(f'"{value}" is not a valid value for the "{key}" filter - must be true or false')
    return {words[value.lower()] for value in values}
