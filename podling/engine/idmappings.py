"""The mappings of user namespaces: given, found in /etc/subuid, or allocated.

    --uidmap CONTAINER:HOST[:SIZE]                  as given; without --gidmap the same for groups, and the reverse
    --subuidname NAME                               the ranges of NAME in /etc/subuid and /etc/subgid, from 0 on
    --userns auto[:size=N,uidmapping=…,gidmapping=…]   a range of the user "containers" that no other container has
    --userns keep-id                                for root: all IDs as they are, in a namespace of their own

/etc/subuid: NAME:FIRST:COUNT. user_namespaces(7): at most 340 rows a map.
"""

from __future__ import annotations

import itertools

from podling.engine import units
from podling.errors import InvalidArgument, Unsupported, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podling.engine.request import Request

    Mapping = dict[str, int]
    Range = tuple[int, int]

_AUTO_USER = "containers"
_AUTO_SIZE = 65536
_MOST_ROWS = 340
_ALL_IDS = (1 << 32) - 1


def fill(request: Request, kind: str, detail: str) -> None:
    """Fill in the mappings for `private`, `auto`, `keep-id` or `nomap`. Raise InvalidArgument."""
    if kind == "auto":
        _fill_auto(request, detail)
    elif kind == "keep-id":
        _fill_keep_id(request, detail)
    elif kind == "nomap":
        raise InvalidArgument("nomap is only supported in rootless mode")
    else:
        _fill_given(request)
    for rows in (request.config.uid_mappings, request.config.gid_mappings):
        if not rows:
            raise InvalidArgument("must provide at least one UID or GID mapping to configure a user namespace")
        if len(rows) > _MOST_ROWS:
            raise InvalidArgument(f"a user namespace has at most {_MOST_ROWS} mappings, not {len(rows)}")
        _check_overlap(rows)


def _check_overlap(rows: list[Mapping]) -> None:
    for side in ("containerID", "hostID"):
        ordered = sorted((row[side], row["size"]) for row in rows)
        for (first, size), (following, _) in itertools.pairwise(ordered):
            if first + size > following:
                raise InvalidArgument(f"ID mappings overlap at {following}")


def _fill_given(request: Request) -> None:
    options, config = request.options, request.config
    uid_name = options.subuidname or options.subgidname
    gid_name = options.subgidname or options.subuidname
    if uid_name and gid_name:
        config.uid_mappings = from_zero(ranges_of("/etc/subuid", uid_name))
        config.gid_mappings = from_zero(ranges_of("/etc/subgid", gid_name))
    config.uid_mappings = config.uid_mappings + parse(options.uidmap or options.gidmap, "UID")
    config.gid_mappings = config.gid_mappings + parse(options.gidmap or options.uidmap, "GID")


def parse(texts: Sequence[str], what: str) -> list[Mapping]:
    """Return the mappings that `--uidmap` or `--gidmap` name. Raise InvalidArgument."""
    rows = []
    for text in texts:
        parts = text.split(":")
        if len(parts) == 2:
            parts.append("1")
        if len(parts) != 3:
            raise InvalidArgument(
                f'initializing ID mappings: {what} setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : '
                f'["{text}"]'
            )
        if not parts[0]:
            raise InvalidArgument(f"invalid empty container id at {what} map: [{' '.join(parts)}]")
        flags = parts[0].rstrip("0123456789")
        if set(flags) - set("+ug"):
            raise InvalidArgument(f"invalid mapping: [{' '.join(parts)}], parsing flags")
        if ("u" in flags) != ("g" in flags) and what[0].lower() not in flags:
            continue
        numbers = [_number(part) for part in (parts[0][len(flags) :], parts[1].removeprefix("@"), parts[2])]
        rows.append({"containerID": numbers[0], "hostID": numbers[1], "size": numbers[2]})
    return rows


def _number(text: str) -> int:
    try:
        return units.unsigned(text, 32)
    except InvalidArgument as error:
        raise InvalidArgument(f'parsing id map value "{text}": {error}') from None


def from_zero(ranges: Sequence[Range]) -> list[Mapping]:
    """Return mappings that put ranges of the host one after the other, beginning with the container's 0."""
    rows: list[Mapping] = []
    first = 0
    for start, count in ranges:
        rows.append({"containerID": first, "hostID": start, "size": count})
        first += count
    return rows


def ranges_of(path: str, name: str) -> list[Range]:
    """Return a user's ranges in /etc/subuid or /etc/subgid. Raise InvalidArgument where it has none."""
    found = []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.strip().split(":") for line in file if not line.startswith("#")]
    except OSError as error:
        raise InvalidArgument(f"cannot read mappings: {reason(error)}") from None
    for row in rows:
        if len(row) == 3 and row[0] == name and row[1].isdigit() and row[2].isdigit():
            found.append((int(row[1]), int(row[2])))
    if not found:
        kind = "subuid" if path.endswith("subuid") else "subgid"
        raise InvalidArgument(
            f'cannot find mappings for user "{name}": no {kind} ranges found for user "{name}" in {path}'
        )
    return found


def _fill_keep_id(request: Request, detail: str) -> None:
    import os

    if os.geteuid() != 0:
        raise Unsupported("user namespace mode keep-id without root is not supported yet")
    numbers = {"uid": 0, "gid": 0}
    for option in detail.split(",") if detail else ():
        key, separator, value = option.partition("=")
        if not separator:
            raise InvalidArgument(f'invalid option specified: "{option}"')
        if key == "size":
            raise InvalidArgument("cannot set max size for user namespace when not running rootless")
        if key not in numbers:
            raise InvalidArgument(f'unknown option specified: "{option}"')
        numbers[key] = units.unsigned(value, 32)
    everything = [{"containerID": 0, "hostID": 0, "size": _ALL_IDS}]
    request.config.uid_mappings = everything
    request.config.gid_mappings = list(everything)
    if not request.options.user:
        request.config.user = f"{numbers['uid']}:{numbers['gid']}"


def _fill_auto(request: Request, detail: str) -> None:
    size, extra_uids, extra_gids = _auto_options(detail)
    used_uids, used_gids = _used_by_others(request)
    config = request.config
    config.uid_mappings = _allocate("/etc/subuid", size, used_uids, extra_uids)
    config.gid_mappings = _allocate("/etc/subgid", size, used_gids, extra_gids)


def _auto_options(detail: str) -> tuple[int, list[Mapping], list[Mapping]]:
    size = _AUTO_SIZE
    extra: dict[str, list[Mapping]] = {"uidmapping": [], "gidmapping": []}
    for option in detail.split(",") if detail else ():
        key, separator, value = option.partition("=")
        if not separator:
            raise InvalidArgument(f'invalid option specified: "{option}"')
        if key == "size":
            size = units.unsigned(value, 32)
        elif key in extra:
            extra[key] += parse([value], key[:3].upper())
        else:
            raise InvalidArgument(f'unknown option specified: "{key}"')
    return size, extra["uidmapping"], extra["gidmapping"]


def _used_by_others(request: Request) -> tuple[list[Range], list[Range]]:
    from podling.engine import find

    uids: list[Range] = []
    gids: list[Range] = []
    for other in find.all_containers(request.settings):
        if other.config.namespaces.get("user") == "auto":
            uids += [(row["hostID"], row["size"]) for row in other.config.uid_mappings]
            gids += [(row["hostID"], row["size"]) for row in other.config.gid_mappings]
    return uids, gids


def _allocate(path: str, size: int, used: list[Range], extra: list[Mapping]) -> list[Mapping]:
    """Return mappings for the container's 0 to size-1: `extra` where it says so, free IDs for the others."""
    taken = used + [(row["hostID"], row["size"]) for row in extra]
    free = subtract(ranges_of(path, _AUTO_USER), taken)
    wanted = subtract([(0, size)], [(row["containerID"], row["size"]) for row in extra])
    rows: list[Mapping] = []
    for first, count in wanted:
        while count:
            if not free:
                raise InvalidArgument("could not find enough available IDs")
            start, available = free[0]
            step = min(count, available)
            rows.append({"containerID": first, "hostID": start, "size": step})
            first, count = first + step, count - step
            free[0:1] = [(start + step, available - step)] if available > step else []
    return rows + extra


def subtract(ranges: Sequence[Range], taken: Sequence[Range]) -> list[Range]:
    """Return what is left of ranges (first, count) once others are taken out."""
    left = [(first, first + count) for first, count in ranges]
    for first, count in taken:
        last = first + count
        pieces = []
        for start, end in left:
            pieces += [piece for piece in ((start, min(end, first)), (max(start, last), end)) if piece[0] < piece[1]]
        left = pieces
    return [(start, end - start) for start, end in left]
