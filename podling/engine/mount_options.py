"""What is mounted into a container beside the usual file systems.

    image VOLUMEs                  below all others (--image-volume)
    --volumes-from                 over them
    containers.conf volumes, mounts
    --volume --mount --tmpfs       over all; two at one place are refused
    --read-only                    a tmpfs at /tmp, /var/tmp and /run, where nothing else is (--read-only-tmpfs)

A mount is a bind (or another file system), a named volume, or an overlay over a directory of the host; the grammars are
in mount_grammar.py, the rules for options in mount_checks.py.
"""

from __future__ import annotations

import os

from podling.engine import mount_checks, mount_grammar
from podling.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import ContainerConfig
    from podling.engine.request import Request

    Mount = dict[str, Any]

_DUPLICATE = "duplicate mount destination"
_IMAGE_VOLUME_OPTIONS = ("rprivate", "rw", "nodev", "exec")
_IMAGE_VOLUME_MODES = ("ignore", "tmpfs", "anonymous", "bind")
_READ_WRITE_PLACES = ("/tmp", "/var/tmp", "/run")


class Plan:
    """Mounts by destination; each has a "kind": mount, volume or overlay."""

    def __init__(self) -> None:
        self.by_destination: dict[str, Mount] = {}

    def add(self, mount: Mount, *, replace: bool = False, ignore: bool = False) -> None:
        """Add a mount. Raise InvalidArgument where another is at its place and neither gives way."""
        destination = mount["destination"]
        existing = self.by_destination.get(destination)
        if existing is not None and not replace:
            if ignore or existing == mount:
                return
            raise InvalidArgument(f"{destination}: {_DUPLICATE}")
        self.by_destination[destination] = mount


def fill(request: Request) -> None:
    """Fill in mounts, volumes and overlays. Raise InvalidArgument or NotFound."""
    plan = Plan()
    _add_image_volumes(request, plan)
    for text in request.options.volumes_from:
        _add_volumes_from(request, plan, text)
    for destination, mount in _own(request).by_destination.items():
        plan.by_destination.pop(destination, None)
        plan.add(mount)
    request.config.user_volumes = list(plan.by_destination)
    if request.config.read_only and request.config.read_only_tmpfs:
        _add_read_write_places(plan)
    for mount in plan.by_destination.values():
        _place(request, mount)


def _own(request: Request) -> Plan:
    options, defaults = request.options, request.defaults
    plan = Plan()
    for text in options.mount:
        for mount in mount_grammar.parse_mount(text):
            plan.add(mount)
    for text in options.volume:
        plan.add(mount_grammar.parse_volume(text))
    for text in options.tmpfs:
        mount = mount_grammar.parse_tmpfs(text)
        existing = plan.by_destination.get(mount["destination"])
        plan.add(mount, ignore=existing is not None and existing.get("type") == "tmpfs")
    for text in defaults.get("mounts", ()):
        for mount in mount_grammar.parse_mount(text):
            plan.add(mount, ignore=True)
    for text in defaults.get("volumes", ()):
        plan.add(mount_grammar.parse_volume(text), ignore=True)
    return plan


def _add_image_volumes(request: Request, plan: Plan) -> None:
    mode = request.options.image_volume or request.settings.engine.get("image_volume_mode", "") or "anonymous"
    if mode.lower() not in _IMAGE_VOLUME_MODES:
        raise InvalidArgument(
            f'invalid image volume mode "{mode}" required value: ignore, tmpfs, or anonymous: invalid argument'
        )
    if mode.lower() == "ignore":
        return
    for place in request.image.get("Volumes") or {}:
        destination = os.path.normpath(f"/{place}").replace("//", "/")
        options = list(_IMAGE_VOLUME_OPTIONS)
        if mode.lower() == "tmpfs":
            mount: Mount = {"kind": "mount", "type": "tmpfs", "source": "tmpfs"}
        else:
            mount = {"kind": "volume", "name": ""}
        plan.add({**mount, "destination": destination, "options": options}, replace=True)


def _add_volumes_from(request: Request, plan: Plan, text: str) -> None:
    name, separator, words = text.partition(":")
    options = words.split(",") if separator else []
    _check_volumes_from(options)
    other = _find(request, name)
    for mount in other.mounts:
        if mount["type"] == "bind" and mount["destination"] in other.user_volumes:
            plan.add({**mount, "kind": "mount", "options": options or mount["options"]}, replace=True)
    for volume in other.volumes:
        plan.add({**volume, "kind": "volume", "options": options or volume["options"]}, replace=True)


def _find(request: Request, name: str) -> ContainerConfig:
    from podling.engine import find

    try:
        return find.find(request.settings, name).config
    except NotFound as error:
        raise NotFound(f'looking up container "{name}" for volumes-from: {error}') from None


def _check_volumes_from(options: list[str]) -> None:
    for option in options:
        if option not in ("z", "ro", "rw"):
            raise InvalidArgument(
                f'invalid option "{option}" specified - volumes from another container can only use z,ro,rw options'
            )
    if options.count("z") > 1:
        raise InvalidArgument("cannot set :z more than once in mount options")
    if len([option for option in options if option != "z"]) > 1:
        raise InvalidArgument("cannot set ro or rw options more than once")


def _add_read_write_places(plan: Plan) -> None:
    for destination in _READ_WRITE_PLACES:
        options = ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
        mount = {"kind": "mount", "type": "tmpfs", "source": "tmpfs", "destination": destination, "options": options}
        plan.add(mount, ignore=True)


def _place(request: Request, mount: Mount) -> None:
    """Put a mount where it belongs in the config, with its options checked and completed."""
    config = request.config
    made = {key: value for key, value in mount.items() if key != "kind"}
    if mount["kind"] == "overlay":
        _check_source(made["source"])
        config.overlay_volumes.append(made)
    elif mount["kind"] == "volume":
        config.volumes.append(_volume(made))
    else:
        if made["type"] == "bind":
            made["source"] = os.path.abspath(made["source"])
            made["options"] = mount_checks.complete(made["options"], source=made["source"])
            _refuse_over_proc(made["destination"])
        elif made["type"] == "tmpfs":
            made["options"] = mount_checks.complete(made["options"], is_tmpfs=True)
        config.mounts.append(made)


def _refuse_over_proc(destination: str) -> None:
    """Refuse a bind on /proc: it would take the runtime's writes to labels and sysctls (CVE-2019-16884)."""
    if destination == "/proc":
        raise InvalidArgument('"/proc" cannot be mounted over: the runtime needs a proc file system of its own there')


def _check_source(source: str) -> None:
    if not os.path.exists(source):
        raise InvalidArgument(f"stat {source}: no such file or directory")


def _volume(made: Mount) -> Mount:
    name = made["name"]
    copy = "nocopy" not in made["options"]
    made["options"] = mount_checks.complete(made["options"])
    made["copy"] = copy
    if not name:
        made["name"] = os.urandom(32).hex()
        made["anonymous"] = True
    else:
        made.setdefault("anonymous", False)
        from podling.engine.volumes import check_name

        check_name(name)
    return made
