"""Filters of container lists: `--filter KEY=VALUE`, with Podman's keys.

The same key twice means either value (of `label`: both); different keys mean all of them. A name is a regular
expression, an ID a beginning.
"""

from __future__ import annotations

import re
import time

from podling.engine import units
from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.container import Container
    from podling.engine.options import Settings

    Predicate = Callable[[Container], bool]
    Maker = Callable[["_Lookup", list[str]], Predicate]

_STATUSES = "unknown created initialized running stopped paused exited removing stopping".split()  # noqa: SIM905
_POLICIES = ("always", "no", "never", "none", "on-failure", "unless-stopped")


def containers(settings: Settings, filters: dict[str, list[str]], everything: list[Container]) -> Predicate:
    """Return whether a container passes all filters. Raise InvalidArgument for an unknown key or value."""
    lookup = _Lookup(settings, everything)
    predicates = []
    for key, values in filters.items():
        if key not in _MAKERS:
            raise InvalidArgument(f"{key} is an invalid filter")
        predicates.append(_MAKERS[key](lookup, values))
    return lambda container: all(accepts(container) for accepts in predicates)


class _Lookup:
    """What a filter's value may refer to."""

    def __init__(self, settings: Settings, everything: list[Container]) -> None:
        self.settings = settings
        self.everything = everything

    def created(self, names: list[str]) -> int:
        """Return the earliest creation of some containers. Raise NotFound."""
        from podling.engine import find

        return min(find.find(self.settings, name).config.created for name in names)


def matches_labels(labels: dict[str, str], wanted: list[str]) -> bool:
    """Tell whether labels have all of NAME or NAME=VALUE, where a name may end in an asterisk."""
    return all(_matches_label(labels, want) for want in wanted)


def _matches_label(labels: dict[str, str], want: str) -> bool:
    name, equals, value = want.partition("=")
    for key, found in labels.items():
        if (key == name or (name.endswith("*") and key.startswith(name[:-1]))) and (not equals or found == value):
            return True
    return False


def matches_pattern(patterns: list[str], text: str) -> bool:
    """Tell whether a regular expression among some is found in a text; one that is none matches nothing."""
    for pattern in patterns:
        try:
            if re.search(pattern, text):
                return True
        except re.error:
            continue
    return False


def moment(text: str, now: int | None = None) -> int:
    """Return a time given as a duration before now, a Unix time or a date, in nanoseconds. Raise InvalidArgument."""
    from datetime import datetime

    try:
        return (time.time_ns() if now is None else now) - units.duration(text)
    except InvalidArgument:
        pass
    try:
        seconds, _, fraction = text.partition(".")
        if text.replace(".", "", 1).isascii() and seconds.isdigit():
            return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
        whole, dot, rest = text.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        parsed = datetime.fromisoformat(whole + rest[digits:] if dot else text)
        seconds_since = int((parsed if parsed.tzinfo else parsed.astimezone()).timestamp())
        return seconds_since * 1_000_000_000 + int(rest[:digits].ljust(9, "0")[:9] or 0)
    except (ValueError, OverflowError):
        raise InvalidArgument(f'unable to parse time "{text}"') from None


def _identifier(_lookup: _Lookup, values: list[str]) -> Predicate:
    return lambda container: any(container.id.startswith(value.lower()) for value in values)


def _name(_lookup: _Lookup, values: list[str]) -> Predicate:
    patterns = [value.replace("/", "") for value in values]
    return lambda container: matches_pattern(patterns, container.name)


def _label(_lookup: _Lookup, values: list[str]) -> Predicate:
    return lambda container: matches_labels(container.config.labels, values)


def _not_label(_lookup: _Lookup, values: list[str]) -> Predicate:
    return lambda container: not matches_labels(container.config.labels, values)


def _exited(_lookup: _Lookup, values: list[str]) -> Predicate:
    codes = [units.integer(value) for value in values]
    return lambda container: container.state.status == "exited" and container.state.exit_code in codes


def _status(_lookup: _Lookup, values: list[str]) -> Predicate:
    for value in values:
        if value not in _STATUSES:
            raise InvalidArgument(f"unknown container state: {value}: invalid argument")
    wanted = ["exited" if value == "stopped" else value for value in values]
    return lambda container: container.state.status in wanted


def _ancestor(_lookup: _Lookup, values: list[str]) -> Predicate:
    def accepts(container: Container) -> bool:
        image_id, name = container.config.image_id, container.config.image_name
        path, _, tag = name.rpartition(":")
        bare = [path] if tag == "latest" else []
        return any(value in image_id for value in values) or any(
            matches_pattern(values, each) for each in [name, *bare]
        )

    return accepts


def _before(lookup: _Lookup, values: list[str]) -> Predicate:
    created = lookup.created(values)
    return lambda container: container.config.created < created


def _since(lookup: _Lookup, values: list[str]) -> Predicate:
    created = lookup.created(values)
    return lambda container: container.config.created > created


def _until(_lookup: _Lookup, values: list[str]) -> Predicate:
    if len(values) != 1:
        raise InvalidArgument("specify exactly one timestamp for until")
    until = moment(values[0])
    return lambda container: container.config.created < until


def _volume(_lookup: _Lookup, values: list[str]) -> Predicate:
    pairs = [value.partition(":")[::2] for value in values]

    def accepts(container: Container) -> bool:
        binds = [(str(mount.get("source", "")), mount["destination"]) for mount in container.config.mounts]
        volumes = [(volume["name"], volume["destination"]) for volume in container.config.volumes]
        for source, destination in pairs:
            if destination and (source, destination) in (*binds, *volumes):
                return True
            if not destination and (source in [place for _, place in binds] or source in [name for name, _ in volumes]):
                return True
        return False

    return accepts


def _health(_lookup: _Lookup, values: list[str]) -> Predicate:
    return lambda container: "starting" in values if container.config.healthcheck else "" in values


def _network(lookup: _Lookup, values: list[str]) -> Predicate:
    from podling.errors import NotFound

    modes = set()
    for value in values:
        if value.startswith("container:"):
            from podling.engine import find

            try:
                modes.add("container:" + find.find(lookup.settings, value.removeprefix("container:")).id)
            except NotFound:
                continue
    return lambda container: (
        container.config.network_mode in modes or any(value in container.config.networks for value in values)
    )


def _pod(_lookup: _Lookup, _values: list[str]) -> Predicate:
    return lambda _container: False  # there are no pods yet


def _restart_policy(_lookup: _Lookup, values: list[str]) -> Predicate:
    wrong = [value for value in values if value not in _POLICIES]
    if wrong:
        raise InvalidArgument(f"{', '.join(wrong)} invalid restart {'policies' if len(wrong) > 1 else 'policy'}")
    wanted = ["no" if value in ("none", "never") else value for value in values]
    return lambda container: (container.config.restart_policy or "no") in wanted


def _command(_lookup: _Lookup, values: list[str]) -> Predicate:
    return lambda container: matches_pattern(values, "".join((container.config.command or [])[:1]))


def _start_on_boot(_lookup: _Lookup, values: list[str]) -> Predicate:
    wanted = units.boolean(values[-1])

    def accepts(container: Container) -> bool:
        policy = container.config.restart_policy
        starts = policy == "always" or (policy == "unless-stopped" and not container.state.stopped_by_user)
        return starts == wanted

    return accepts


_MAKERS: dict[str, Maker] = {
    "ancestor": _ancestor,
    "before": _before,
    "command": _command,
    "exited": _exited,
    "health": _health,
    "id": _identifier,
    "label": _label,
    "label!": _not_label,
    "name": _name,
    "network": _network,
    "pod": _pod,
    "restart-policy": _restart_policy,
    "should-start-on-boot": _start_on_boot,
    "since": _since,
    "status": _status,
    "until": _until,
    "volume": _volume,
}
