"""Tables, durations, sizes, times, YAML."""

import time

import pytest

from podling.cli import human, scalars, suggestions, tables, yamltext
from podling.cli.gotemplate import gotime

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60, "59 minutes"),
        (3600, "About an hour"),
        (89 * 60, "About an hour"),
        (90 * 60, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations_are_dockers(seconds: int, text: str) -> None:
    assert human.duration(seconds * SECOND) == text


@pytest.mark.parametrize(
    ("count", "text", "spaced"),
    [
        (0, "0B", "0 B"),
        (999, "999B", "999 B"),
        (1987767, "1.99MB", "1.99 MB"),
        (187654321, "188MB", "188 MB"),
        (10**12, "1TB", "1 TB"),
    ],
)
def test_sizes_are_dockers(count: int, text: str, spaced: str) -> None:
    assert human.size(count) == text and human.spaced_size(count) == spaced


def test_times_are_gos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    moment = 1767323045 * SECOND + 500_000_000
    assert human.go_time(moment) == "2026-01-02 04:04:05.5 +0100 CET"
    assert human.go_time_utc(moment) == "2026-01-02 03:04:05.5 +0000 UTC"
    assert human.rfc3339(moment) == "2026-01-02T04:04:05.5+01:00"
    assert gotime.nanoseconds(human.rfc3339(moment)) == moment
    assert gotime.formatted(moment, "Mon Jan _2 15:04:05.000 MST 2006 -07:00 PM 3") == (
        "Fri Jan  2 04:04:05.500 CET 2026 +01:00 AM 4"
    )
    monkeypatch.undo()
    time.tzset()
    assert human.go_time(0) == "0001-01-01 00:00:00 +0000 UTC" and human.unix(0) == -62135596800


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0s"),
        (1500, "1.5µs"),
        (250_000_000, "250ms"),
        (90 * SECOND, "1m30s"),
        (3723 * SECOND, "1h2m3s"),
        (-SECOND, "-1s"),
    ],
)
def test_durations_of_templates_are_gos(count: int, text: str) -> None:
    assert gotime.duration_text(count) == text


def test_columns_are_at_least_twelve_wide_and_the_last_is_not_padded() -> None:
    assert tables.render([["A", "B", "C"], ["a" * 12, "b", "c"]]) == (
        "A             B           C\n" + "a" * 12 + "  b           c\n"
    )


def test_a_column_is_a_run_of_lines_that_have_it() -> None:
    assert tables.align_text("a\tb\nlong line without\nccccccccccccccc\td\n") == (
        "a           b\nlong line without\nccccccccccccccc  d\n"
    )


def test_wide_letters_take_two_cells_and_combining_ones_none() -> None:
    assert tables.width("日本") == 4 and tables.width("e\u0301") == 1
    assert tables.render([["日本", "x"]]) == "日本" + " " * 8 + "x\n"


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert tables.render([["a\x1b[31m\n", "b"]]) == "a\\x1b[31m\\n  b\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": {"x": [], "z": {}}, "c": None}, "a:\n  x: []\n  z: {}\nb: 1\nc: null\n"),
        ({"l": ["a", "b"], "m": [{"k": 1, "o": "x"}]}, "l:\n- a\n- b\nm:\n- k: 1\n  o: x\n"),
        ({"v": "12"}, 'v: "12"\n'),
        ({"v": "yes", "w": ""}, 'v: "yes"\nw: ""\n'),
        ({"v": "a: b", "w": "#x", "x": "it's: y"}, "v: 'a: b'\nw: '#x'\nx: 'it''s: y'\n"),
        ({"v": "one\ntwo"}, "v: |-\n  one\n  two\n"),
        ({"v": True, "w": 1.5}, "v: true\nw: 1.5\n"),
    ],
)
def test_yaml(value: object, text: str) -> None:
    assert yamltext.render(value) == text


def test_quoting_is_gos() -> None:
    assert scalars.quoted('a"b\\\n\x01\udcff') == '"a\\"b\\\\\\n\\x01\\xff"'
    assert scalars.quoted("é") == '"é"'


def test_near_words_are_suggested() -> None:
    assert suggestions.distance("kitten", "sitting") == 3
    assert "\tps\n" in str(suggestions.unrecognized("podling", "", "pss"))
    assert "\tinspect" in str(suggestions.unrecognized("podling", "", "insp"))
