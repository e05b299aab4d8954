"""The image configuration (image-spec, config.md): what a container of the image runs, and the layers it stands on."""

from __future__ import annotations

from podling.errors import Corrupt
from podling.oci import jsontext
from podling.oci.digest import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DAYS_BEFORE_EPOCH = 719468


def parse(content: bytes) -> dict[str, Any]:
    """Parse and check a configuration. Raise Corrupt where its list of layers is malformed."""
    document = jsontext.loads(content)
    if not isinstance(document, dict):
        raise Corrupt("image configuration is not a JSON object")
    rootfs = document.get("rootfs")
    if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids") or [], list):
        raise Corrupt("image configuration has no list of layers")
    for digest in rootfs.get("diff_ids") or []:
        if not is_digest(digest):
            raise Corrupt(f"image configuration has the invalid layer digest {jsontext.dumps(digest)[:100]}")
    for key, kind in (("config", dict), ("history", list)):
        if document.get(key) is not None and not isinstance(document[key], kind):
            raise Corrupt(f'image configuration has a malformed "{key}"')
    return document


def diff_ids(document: dict[str, Any]) -> list[str]:
    """Return the digests of the uncompressed layers, bottom first."""
    return [str(digest) for digest in document["rootfs"].get("diff_ids") or []]


def created(document: dict[str, Any]) -> int:
    """Return when the image was made, in nanoseconds since the epoch; 0 where it does not say."""
    text = document.get("created")
    return nanoseconds(text) if isinstance(text, str) else 0


def nanoseconds(text: str) -> int:
    """Return a time of RFC 3339 in nanoseconds since the epoch; 0 where it is malformed or before the epoch."""
    try:
        date, clock, offset = text[:10], text[11:19], _offset_seconds(text)
        year, month, day = (int(part) for part in date.split("-"))
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        fraction = text[20:].split("Z")[0].split("+")[0].split("-")[0] if text[19:20] == "." else ""
        total = _days_from_civil(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds - offset
        return max(0, total * 10**9 + int((fraction + "0" * 9)[:9]))
    except ValueError:
        return 0


def _offset_seconds(text: str) -> int:
    zone = text[19:].lstrip(".0123456789")
    if zone in ("Z", "z"):
        return 0
    hours, minutes = zone[1:].split(":")
    return (int(hours) * 3600 + int(minutes) * 60) * {"+": 1, "-": -1}[zone[:1]] if zone[:1] in "+-" else 0


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Return days since the epoch of a Gregorian date; datetime costs 3 ms to import."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _DAYS_BEFORE_EPOCH
