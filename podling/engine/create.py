"""Creating a container: a row, then a layer. Nothing runs yet.

resolve      every refusal happens here, before anything has changed
row          status "creating", claimed by this process: whoever finds it with a dead claimant removes it all
layer        containers/ID with the overlay's upper directory
row          status "created"
"""

from __future__ import annotations

import os
import time

from podling.engine import claims, database, names, paths, recover, resolve
from podling.engine.container import Container, ContainerState, Status
from podling.errors import AlreadyExists, InvalidArgument, NotFound
from podling.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.clock import Clock
    from podling.engine.options import CreateOptions, Settings
    from podling.store.store import Image


def create(settings: Settings, options: CreateOptions) -> Container:
    """Create a container and return it, at rest. What was made is removed again if anything fails."""
    container = make(settings, options, "create")
    claims.release(settings, container)
    if container.config.cidfile:
        write_cidfile(container)
    return container


def make(settings: Settings, options: CreateOptions, verb: str, clock: Clock | None = None) -> Container:
    """Create a container and keep its claim, under the name of a verb that means to go on with it."""
    recover.recover(settings)
    image = _image(settings, options)
    if clock is not None:
        clock.mark("find the image")
    container_id = os.urandom(32).hex()
    config = resolve.resolve(settings, options, image, container_id)
    if clock is not None:
        clock.mark("resolve the options")
    if options.replace and options.name:
        _remove_namesake(settings, options.name)
    config.created = time.time_ns()
    container = Container(config=config, state=ContainerState(status=Status.CREATING))
    claims.take(container.state, verb)
    _insert(settings, container, named=options.name is not None)
    if clock is not None:
        clock.mark("write the row")
    try:
        _make_layer(settings, container)
        container.state.status = Status.CREATED  # in the row with the next step: as long as it is claimed, it is undone
    except BaseException:
        undo(settings, container)
        raise
    if clock is not None:
        clock.mark("make the layer")
    return container


def _insert(settings: Settings, container: Container, *, named: bool) -> None:
    while True:
        try:
            with database.write(settings) as db:
                db.insert(container)
                return
        except AlreadyExists:
            if named:
                raise
            container.config.name = names.random_name()  # two of the same in 20,000: it happens


def undo(settings: Settings, container: Container) -> None:
    """Remove a container that this process made and could not finish."""
    from podling.engine import remove

    remove.dismantle(settings, container, volumes=True)


def write_cidfile(container: Container) -> None:
    """Write the container's ID where the user asked for it."""
    files.write_atomically(container.config.cidfile, container.id, durable=False)


def _image(settings: Settings, options: CreateOptions) -> Image | None:
    if options.rootfs is not None:
        return None
    if not options.image:
        raise InvalidArgument("requires at least 1 arg(s), only received 0")
    from podling.engine import images

    return images.ensure(settings, options.image, options)


def _make_layer(settings: Settings, container: Container) -> None:
    if container.config.image_id:
        from podling.store.store import Store

        Store(settings.root, settings.runroot).prepare_rootfs(container.id, container.config.image_id)
    os.makedirs(paths.container_directory(settings, container.id), mode=0o700, exist_ok=True)
    from podling.engine import volumes

    volumes.ensure(settings, container.config)


def _remove_namesake(settings: Settings, name: str) -> None:
    from podling.engine import find, remove

    try:
        existing = find.find(settings, name)
    except NotFound:
        return
    if existing.name == name:
        remove.remove(settings, existing, force=True, timeout_seconds=None)
