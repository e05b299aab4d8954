"""Durations and sizes in words, in the words of Docker's go-units; and times as Go prints them."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_NEVER = -62135596800  # the Unix time of Go's zero time


def duration(nanoseconds: int) -> str:
    """Return about how long: "5 seconds", "About a minute", "3 weeks"."""
    seconds = max(0, nanoseconds) // 1_000_000_000
    minutes = seconds // 60
    hours = int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = seconds // 86400
    if days < 14:
        return f"{hours // 24} days"
    if days < 60:
        return f"{hours // 24 // 7} weeks"
    if days < 730:
        return f"{hours // 24 // 30} months"
    return f"{seconds // 3600 // 24 // 365} years"


def ago(moment: int, now: int) -> str:
    """Return how long before `now` a moment was, both in nanoseconds; for never, as Go's zero time comes out."""
    return duration(now - (moment or _NEVER * 1_000_000_000)) + " ago"


def size(count: float, precision: int = 3) -> str:
    """Return a size in powers of 1000 with a number of significant digits: "7.05MB"."""
    unit = 0
    while count >= 1000 and unit < len(_SIZE_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.{precision}g}{_SIZE_UNITS[unit]}"


def spaced_size(count: float) -> str:
    """Return a size as `images` shows it: "7.05 MB"."""
    text = size(count)
    digits = len(text.rstrip("BkMGTPEZY"))
    return f"{text[:digits]} {text[digits:]}"


def go_time(nanoseconds: int) -> str:
    """Return a moment as Go's time.Time prints itself, in local time."""
    return _go_time(nanoseconds, time.localtime)


def go_time_utc(nanoseconds: int) -> str:
    """Return a moment as Go's time.Time prints itself, in universal time."""
    return _go_time(nanoseconds, time.gmtime)


def _go_time(nanoseconds: int, clock: Callable[[float], time.struct_time]) -> str:
    if not nanoseconds:
        return "0001-01-01 00:00:00 +0000 UTC"
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = clock(seconds)
    zone = "UTC" if moment.tm_gmtoff == 0 else moment.tm_zone
    return time.strftime(f"%Y-%m-%d %H:%M:%S{_digits(fraction)} %z ", moment) + zone


def rfc3339(nanoseconds: int) -> str:
    """Return a moment as Go's encoding/json writes it, in local time."""
    return _rfc3339(nanoseconds, time.localtime)


def rfc3339_utc(nanoseconds: int) -> str:
    """Return a moment as Go's encoding/json writes it, in universal time."""
    return _rfc3339(nanoseconds, time.gmtime)


def _rfc3339(nanoseconds: int, clock: Callable[[float], time.struct_time]) -> str:
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = clock(seconds)
    offset = time.strftime("%z", moment)
    zone = "Z" if moment.tm_gmtoff == 0 else f"{offset[:3]}:{offset[3:]}"
    return time.strftime(f"%Y-%m-%dT%H:%M:%S{_digits(fraction)}", moment) + zone


def _digits(fraction: int) -> str:
    return f".{fraction:09d}".rstrip("0") if fraction else ""


def unix(nanoseconds: int) -> int:
    """Return a moment in whole seconds; for never, the Unix time of Go's zero time."""
    return nanoseconds // 1_000_000_000 if nanoseconds else _NEVER
