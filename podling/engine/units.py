"""Sizes, durations, limits and signals as users write them, with the texts of Go's parsers when they are wrong.

512m 1.5g 10KiB       bytes, in powers of 1024 (memory) or of 1000 (log sizes)
1h30m 300ms           nanoseconds
nofile=1024:2048      a resource limit
SIGTERM term 15 SIGRTMIN+3
"""

from __future__ import annotations

import _signal

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_DURATIONS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}

_LIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
LIMITS = tuple(_LIMITS.split())
UNLIMITED = (1 << 64) - 1


def size(text: str, *, decimal: bool = False) -> int:
    """Return a size in bytes. Raise InvalidArgument."""
    last = max(text.rfind(character) for character in "0123456789. ")
    if last < 0:
        raise InvalidArgument(f"invalid size: '{text}'")
    number, suffix = (text[:last] if text[last] == " " else text[: last + 1]), text[last + 1 :]
    value = _float(number)
    if value < 0:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(value * _multiplier(suffix.lower(), _DECIMAL if decimal else _BINARY))


def _float(number: str) -> float:
    try:
        if "_" in number or number != number.strip():
            raise ValueError
        return float(number)
    except ValueError:
        raise InvalidArgument(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None


def _multiplier(suffix: str, units: dict[str, int]) -> int:
    if suffix in ("", "b"):
        return 1
    if suffix[0] not in units or suffix[1:] not in ("", "b", "ib"):
        raise InvalidArgument(f"invalid suffix: '{suffix}'")
    return units[suffix[0]]


def duration(text: str) -> int:
    """Return a duration in nanoseconds, as Go's time.ParseDuration reads it. Raise InvalidArgument."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        number, rest = _leading(rest, lambda character: character in "0123456789.")
        unit, rest = _leading(rest, lambda character: character not in "0123456789.")
        if not number.strip(".") or number.count(".") > 1:
            raise InvalidArgument(f'time: invalid duration "{text}"')
        if not unit:
            raise InvalidArgument(f'time: missing unit in duration "{text}"')
        if unit not in _DURATIONS:
            raise InvalidArgument(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _DURATIONS[unit]
    return int(-total if text.startswith("-") else total)


def _leading(text: str, wanted: Callable[[str], bool]) -> tuple[str, str]:
    length = 0
    while length < len(text) and wanted(text[length]):
        length += 1
    return text[:length], text[length:]


def limit(text: str) -> tuple[str, int, int]:
    """Return a limit's name, soft and hard value; -1 is unlimited. Raise InvalidArgument."""
    name, separator, values = text.partition("=")
    if not separator:
        raise InvalidArgument(f"invalid ulimit argument: {text}")
    if name not in LIMITS:
        raise InvalidArgument(f"invalid ulimit type: {name}")
    parts = values.split(":")
    if len(parts) > 2:
        raise InvalidArgument(f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`")
    soft = integer(parts[0])
    hard = integer(parts[1]) if len(parts) == 2 else soft
    if hard != -1 and soft == -1:
        raise InvalidArgument(
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        )
    if hard != -1 and soft > hard:
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return name, soft & UNLIMITED, hard & UNLIMITED


def integer(
    text: str, *, parser: str = "strconv.ParseInt", lowest: int = -(1 << 63), highest: int = (1 << 63) - 1
) -> int:
    """Return a decimal integer. Raise InvalidArgument in the words of Go's `parser`."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit() or (lowest == 0 and text[:1] in ("+", "-")):
        raise InvalidArgument(f'{parser}: parsing "{text}": invalid syntax')
    value = int(text)
    if not lowest <= value <= highest:
        raise InvalidArgument(f'{parser}: parsing "{text}": value out of range')
    return value


def unsigned(text: str, bits: int = 64) -> int:
    """Return an unsigned decimal integer. Raise InvalidArgument."""
    return integer(text, parser="strconv.ParseUint", lowest=0, highest=(1 << bits) - 1)


def boolean(text: str) -> bool:
    """Return a boolean as Go's strconv.ParseBool reads it. Raise InvalidArgument."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def signal(text: str) -> int:
    """Return a signal's number, given as a number or as a name with or without SIG. Raise InvalidArgument."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if not 1 <= number <= _signal.SIGRTMAX:
            raise InvalidArgument("valid signals are 1 through 64")
        return number
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+" if name.startswith("RTMIN") else "-")
    if base in ("RTMIN", "RTMAX") and (not sign or offset.isdigit()):
        number = getattr(_signal, f"SIG{base}") + (int(offset or 0) if sign == "+" else -int(offset or 0))
        found: object = number if _signal.SIGRTMIN <= number <= _signal.SIGRTMAX else None
    else:
        found = getattr(_signal, f"SIG{name}", None) if name.isalnum() else None
    if not isinstance(found, int) or found < 1:
        raise InvalidArgument(f"invalid signal: {text}")
    return int(found)
