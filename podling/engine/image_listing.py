"""Listing images: all of them, or those that filters let through. Lock-free, and without ctypes: `images` is quick.

Filters: after since before (an image's creation), containers, dangling, digest, id, intermediate, label, manifest,
readonly, reference, until. The same key twice means either value, of `label` both; different keys mean all.
"""

from __future__ import annotations

from podling.errors import InvalidArgument
from podling.store.image import Image
from podling.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.options import Settings

    Predicate = Callable[[Image], bool]


__all__ = ["Image", "find_image", "list_images", "users"]


def find_image(settings: Settings, name_or_id: str) -> Image:
    """Return the image a user means. Raise NotFound, or InvalidArgument where it could be several."""
    return Store(settings.root, settings.runroot).find_image(name_or_id)


def list_images(settings: Settings, filters: dict[str, list[str]] | None = None) -> list[Image]:
    """Return the images that pass all filters, newest first. Raise InvalidArgument for an unknown filter."""
    for key in filters or {}:
        if key not in _MAKERS:
            raise InvalidArgument(f'unsupported image filter "{key}": invalid argument')
    accepts = [_MAKERS[key](settings, values) for key, values in (filters or {}).items()]
    images = Store(settings.root, settings.runroot).images()
    found = [image for image in images if all(accept(image) for accept in accepts)]
    found.sort(key=lambda image: -image.created)
    return found


def users(settings: Settings) -> dict[str, int]:
    """Return how many containers were made from each image, by its ID."""
    from podling.engine import database

    counts: dict[str, int] = {}
    with database.read(settings) as db:
        for container in db.containers():
            image_id = container.config.image_id
            counts[image_id] = counts.get(image_id, 0) + 1
    return counts


def _boolean(key: str, values: list[str]) -> bool:
    from podling.engine import units

    try:
        return units.boolean(values[-1])
    except InvalidArgument as error:
        raise InvalidArgument(f'non-boolean value "{values[-1]}" for {key} filter') from error


def _created_after(settings: Settings, values: list[str]) -> Predicate:
    moment = max(find_image(settings, value).created for value in values)
    return lambda image: image.created > moment


def _created_before(settings: Settings, values: list[str]) -> Predicate:
    moment = min(find_image(settings, value).created for value in values)
    return lambda image: image.created < moment


def _until(_settings: Settings, values: list[str]) -> Predicate:
    from podling.engine import filtering

    moment = min(filtering.moment(value) for value in values)
    return lambda image: image.created < moment


def _containers(settings: Settings, values: list[str]) -> Predicate:
    wanted = _boolean("containers", values)
    used = users(settings)
    return lambda image: (image.id in used) == wanted


def _dangling(_settings: Settings, values: list[str]) -> Predicate:
    wanted = _boolean("dangling", values)
    return lambda image: (not image.names) == wanted


def _never(key: str) -> Callable[[Settings, list[str]], Predicate]:
    """Return the maker of a filter on something that no image of this store is."""

    def make(_settings: Settings, values: list[str]) -> Predicate:
        wanted = _boolean(key, values)
        return lambda _image: not wanted

    return make


def _digest(_settings: Settings, values: list[str]) -> Predicate:
    return lambda image: any(image.digest.startswith(value) or value in image.digest for value in values)


def _id(_settings: Settings, values: list[str]) -> Predicate:
    return lambda image: any(image.id.startswith(value.removeprefix("sha256:")) for value in values)


def _label(_settings: Settings, values: list[str]) -> Predicate:
    from podling.engine import filtering

    return lambda image: filtering.matches_labels(image.labels, values)


def _not_label(_settings: Settings, values: list[str]) -> Predicate:
    from podling.engine import filtering

    return lambda image: not filtering.matches_labels(image.labels, values)


def _reference(settings: Settings, values: list[str]) -> Predicate:
    def accepts(image: Image) -> bool:
        wanted = [value for value in values if not value.startswith("!")]
        refused = [value[1:] for value in values if value.startswith("!")]
        if any(matches_reference(settings, image, value) for value in refused):
            return False
        return not wanted or any(matches_reference(settings, image, value) for value in wanted)

    return accepts


def matches_reference(settings: Settings, image: Image, pattern: str) -> bool:
    """Tell whether an image goes by a name, or one of its names fits a pattern with * and ?."""
    from podling.errors import NotFound

    if not any(letter in pattern for letter in "*?["):
        try:
            return find_image(settings, pattern).id == image.id or _has_repository(image, pattern)
        except (NotFound, InvalidArgument):
            return _has_repository(image, pattern)
    from fnmatch import fnmatchcase

    return any(fnmatchcase(candidate, pattern) for name in image.names for candidate in _candidates(name))


def _has_repository(image: Image, pattern: str) -> bool:
    return any(pattern in _candidates(name) for name in image.names)


def _candidates(name: str) -> list[str]:
    """Return the ways to write a name: with and without its registry, path prefix and tag."""
    repository, _, tag = name.rpartition(":")
    parts = repository.split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    return [*tails, *(f"{tail}:{tag}" for tail in tails)]


_MAKERS: dict[str, Callable[[Settings, list[str]], Predicate]] = {
    "after": _created_after,
    "before": _created_before,
    "containers": _containers,
    "dangling": _dangling,
    "digest": _digest,
    "id": _id,
    "intermediate": _never("intermediate"),
    "label": _label,
    "label!": _not_label,
    "manifest": _never("manifest"),
    "readonly": _never("readonly"),
    "reference": _reference,
    "since": _created_after,
    "until": _until,
}
