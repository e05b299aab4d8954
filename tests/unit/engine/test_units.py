"""Sizes, durations, limits and signals, with Go's words for what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine import units
from podling.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("1.5g", 3 << 29),
        ("10KiB", 10240),
        ("2 mb", 2 << 20),
        ("7b", 7),
        (".5k", 512),
    ],
)
def test_size(text: str, size: int) -> None:
    assert units.size(text) == size


def test_decimal_size() -> None:
    assert units.size("65536k", decimal=True) == 65536000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "invalid size: 'abc'"),
        ("", "invalid size: ''"),
        ("-1k", "invalid size: '-1k'"),
        ("5x", "invalid suffix: 'x'"),
        ("5kbb", "invalid suffix: 'kbb'"),
        ("1_0", 'strconv.ParseFloat: parsing "1_0": invalid syntax'),
        ("1.2.3k", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ],
)
def test_bad_size(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        units.size(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1h30m", 5400 * 10**9), ("300ms", 3 * 10**8), ("1.5s", 15 * 10**8), ("-2s", -2 * 10**9), ("5us", 5000)],
)
def test_duration(text: str, nanoseconds: int) -> None:
    assert units.duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "x", "5y", "1..5s", "-", "s", "3d"])
def test_bad_duration(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^time: "):
        units.duration(text)


@given(st.text(max_size=12))
def test_parsers_never_fail_otherwise(text: str) -> None:
    for parse in (units.size, units.duration, units.limit, units.signal, units.integer, units.unsigned, units.boolean):
        try:
            parse(text)
        except InvalidArgument:
            continue


def test_limit() -> None:
    assert units.limit("nofile=10:20") == ("nofile", 10, 20)
    assert units.limit("core=0") == ("core", 0, 0)
    assert units.limit("nproc=5:-1") == ("nproc", 5, units.UNLIMITED)
    assert units.limit("nproc=-1") == ("nproc", units.UNLIMITED, units.UNLIMITED)


@pytest.mark.parametrize("text", ["nofile", "bar=1", "nofile=1:2:3", "nofile=x", "nofile=5:3", "nofile=-1:3"])
def test_bad_limit(text: str) -> None:
    with pytest.raises(InvalidArgument):
        units.limit(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("15", 15), ("TERM", 15), ("sigterm", 15), ("SIGRTMIN+3", 37), ("rtmin", 34), ("RTMAX-1", 63), ("64", 64)],
)
def test_signal(text: str, number: int) -> None:
    assert units.signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "FOO", "SIG", "RTMIN+40", "RTMAX+1", "_DFL", "SIG_DFL", "RTMIN-1"])
def test_bad_signal(text: str) -> None:
    with pytest.raises(InvalidArgument):
        units.signal(text)
