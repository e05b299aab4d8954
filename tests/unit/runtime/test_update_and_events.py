"""The flags of update as limits, what an update leaves, and Go's durations."""

from typing import Any

import pytest

from podling.errors import InvalidArgument
from podling.runtime import arguments, events, update


def flags(*words: str) -> dict[str, Any]:
    return update.from_flags(arguments.parse(update.OPTIONS, list(words))[0])


def test_flags_become_resources() -> None:
    given = flags(
        "--cpu-share=100", "--cpuset-cpus", "0-1", "--memory", "64m", "--memory-swap=-1", "--pids-limit", "-1"
    )
    assert given == {
        "cpu": {"shares": 100, "cpus": "0-1"},
        "memory": {"limit": 64 << 20, "swap": -1},
        "pids": {"limit": -1},
    }
    assert flags() == {}


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("1k", 1024), ("1.5m", 3 << 19), ("2GiB", 2 << 30), ("3gb", 3 << 30), ("-1", -1)]
)
def test_sizes(text: str, size: int) -> None:
    assert update.size("memory", text) == size


@pytest.mark.parametrize("text", ["", "x", "1.2.3m", "-5", "1z", "m"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a size"):
        update.size("memory", text)


def test_the_other_half_of_a_pair_keeps_its_value() -> None:
    recorded = {"cpu": {"quota": 5000, "period": 10000}, "memory": {"limit": 100, "swap": 200}}
    assert update.complete({"cpu": {"period": 20000}}, recorded)["cpu"] == {"period": 20000, "quota": 5000}
    assert update.complete({"memory": {"limit": 150}}, recorded)["memory"] == {"limit": 150, "swap": 200}
    assert update.complete({"memory": {"limit": -1}}, recorded)["memory"] == {"limit": -1}


def test_an_update_is_recorded_and_leaves_the_rest() -> None:
    recorded = {"devices": [1], "cpu": {"shares": 5, "quota": 7}, "pids": {"limit": 9}}
    after = update.merge(recorded, {"devices": [], "cpu": {"shares": 6, "period": 0}, "memory": {"limit": 3}})
    assert after == {
        "devices": [1],
        "cpu": {"shares": 6, "quota": 7},
        "pids": {"limit": 9},
        "memory": {"limit": 3},
    }


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("2us", 2e-6)])
def test_durations(text: str, seconds: float) -> None:
    assert events.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1s2", "-1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid duration"):
        events.duration(text)
