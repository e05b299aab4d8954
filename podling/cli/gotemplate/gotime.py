"""Go's time.Time and time.Duration as templates see them; their data is what JSON holds: RFC 3339 text, nanoseconds."""

from __future__ import annotations

import time
from calendar import timegm

from podling.cli import human
from podling.cli.gotemplate import values
from podling.cli.gotemplate.values import Method, Type

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def declare() -> None:
    """Declare both types, once."""
    if "time.Time" in values.TYPES:
        return
    moment = Type("struct", "time.Time")
    moment.methods |= {
        "String": Method(lambda text: human.go_time(nanoseconds(text)), values.STRING),
        "Unix": Method(lambda text: human.unix(nanoseconds(text)), values.type_of("int64")),
        "UnixNano": Method(nanoseconds, values.type_of("int64")),
        "IsZero": Method(lambda text: not nanoseconds(text), values.BOOL),
        "Year": Method(lambda text: time.localtime(nanoseconds(text) // 10**9).tm_year, values.INT),
        "Format": Method(lambda text, layout: formatted(nanoseconds(text), layout), values.STRING, (values.STRING,)),
    }
    values.TYPES["time.Time"] = moment
    duration = Type("int", "time.Duration")
    duration.methods |= {
        "String": Method(duration_text, values.STRING),
        "Seconds": Method(lambda count: count / 10**9, values.FLOAT),
    }
    values.TYPES["time.Duration"] = duration


def nanoseconds(text: str | None) -> int:
    """Return a moment given as RFC 3339 in nanoseconds since the epoch; 0 for Go's zero time."""
    if not text or text.startswith("0001-01-01T00:00:00"):
        return 0
    date, rest = text[:19], text[19:]
    fraction = ""
    if rest.startswith("."):
        end = next((at for at, letter in enumerate(rest[1:], 1) if not letter.isdigit()), len(rest))
        fraction, rest = rest[1:end], rest[end:]
    seconds = timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
    if rest[:1] in ("+", "-"):
        offset = int(rest[1:3]) * 3600 + int(rest[4:6]) * 60
        seconds -= offset if rest[0] == "+" else -offset
    return seconds * 10**9 + int(fraction.ljust(9, "0")[:9] or 0)


def duration_text(count: int) -> str:
    """Return a duration as Go prints it: 1h2m3.5s, 250ms, 0s."""
    sign, rest = ("-", -count) if count < 0 else ("", count)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if rest < size * 1000:
            return "0s" if not rest else f"{sign}{_decimal(rest, size)}{unit}"
    minutes, seconds = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(seconds, 10**9)}s"


def _decimal(count: int, size: int) -> str:
    whole, rest = divmod(count, size)
    digits = str(rest).zfill(len(str(size)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def formatted(moment: int, layout: str) -> str:
    """Return a moment in one of Go's layouts, which are written as the 2nd of January 2006, 15:04:05, would be."""
    seconds, fraction = divmod(moment, 10**9)
    local = time.localtime(seconds)
    offset = time.strftime("%z", local)
    colon = f"{offset[:3]}:{offset[3:]}"
    table = (
        ("January", _MONTHS[local.tm_mon - 1]),
        ("Jan", _MONTHS[local.tm_mon - 1][:3]),
        ("Monday", _DAYS[local.tm_wday]),
        ("Mon", _DAYS[local.tm_wday][:3]),
        ("MST", local.tm_zone or "UTC"),
        ("2006", f"{local.tm_year:04d}"),
        ("Z07:00", "Z" if offset == "+0000" else colon),
        ("-07:00", colon),
        ("-0700", offset),
        (".000000000", f".{fraction:09d}"),
        (".000000", f".{fraction // 1000:06d}"),
        (".000", f".{fraction // 10**6:03d}"),
        (".999999999", f".{fraction:09d}".rstrip("0").rstrip(".")),
        ("15", f"{local.tm_hour:02d}"),
        ("01", f"{local.tm_mon:02d}"),
        ("02", f"{local.tm_mday:02d}"),
        ("03", f"{(local.tm_hour + 11) % 12 + 1:02d}"),
        ("04", f"{local.tm_min:02d}"),
        ("05", f"{local.tm_sec:02d}"),
        ("06", f"{local.tm_year % 100:02d}"),
        ("PM", "PM" if local.tm_hour >= 12 else "AM"),
        ("_2", f"{local.tm_mday:2d}"),
        ("1", str(local.tm_mon)),
        ("2", str(local.tm_mday)),
        ("3", str((local.tm_hour + 11) % 12 + 1)),
        ("4", str(local.tm_min)),
        ("5", str(local.tm_sec)),
    )
    text = ""
    while layout:
        mark, shown = next(((mark, shown) for mark, shown in table if layout.startswith(mark)), (layout[0], layout[0]))
        text += shown
        layout = layout[len(mark) :]
    return text
