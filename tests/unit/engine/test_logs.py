"""Reading k8s-file logs: partial rows, tails, times, rotation, following."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podling.engine import database, logs
from podling.engine.container import Container, ContainerConfig, ContainerState
from podling.engine.logs import LogOptions
from podling.engine.options import Settings
from podling.errors import Unsupported
from podling.linux import processes


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=f"{tmp_path}/root", runroot=f"{tmp_path}/run")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    return tmp_path / "c" / "ctr.log"


@pytest.fixture
def living() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that stands for a monitor, and ends when its input does."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process


def container(path: Path, *, name: str = "a", pid: int = 0, driver: str = "k8s-file") -> Container:
    started = processes.start_time(pid) if pid else 0
    config = ContainerConfig(id=os.urandom(32).hex(), name=name, created=1, log_path=str(path), log_driver=driver)
    state = ContainerState(
        status="running" if pid else "exited", pid=pid, pid_started=started, monitor_pid=pid, monitor_started=started,
    )  # fmt: skip
    return Container(config=config, state=state)


def row(second: int, text: str, *, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-01-01T00:00:{second:02d}.000000000Z {stream} {tag} {text}\n"


def texts(settings: Settings, *containers: Container, **options: Any) -> list[str]:
    found = logs.read(settings, list(containers), LogOptions(**options))
    return [line.text.decode() for line in found]


def test_whole_lines_with_their_streams(settings: Settings, log: Path) -> None:
    log.write_text(row(1, "one two") + row(2, "", stream="stderr") + row(3, "é"))
    found = list(logs.read(settings, [container(log)], LogOptions()))
    assert [(line.stream, line.text.decode(), line.whole) for line in found] == [
        ("stdout", "one two", True),
        ("stderr", "", True),
        ("stdout", "é", True),
    ]
    assert found[0].time == "2026-01-01T00:00:01.000000000Z"


def test_partial_rows_are_joined_stream_by_stream(settings: Settings, log: Path) -> None:
    log.write_text(
        row(1, "a", tag="P") + row(2, "err", stream="stderr") + row(3, "b", tag="P") + row(4, "c") + row(5, "next")
    )
    assert texts(settings, container(log)) == ["err", "abc", "next"]


def test_a_row_that_is_being_written_waits(settings: Settings, log: Path) -> None:
    log.write_text(row(1, "done") + row(2, "half")[:-3])
    assert texts(settings, container(log)) == ["done"]


def test_a_log_that_was_never_written_is_empty(settings: Settings, log: Path) -> None:
    assert texts(settings, container(log)) == []


@pytest.mark.parametrize(("count", "wanted"), [(0, []), (1, ["4"]), (2, ["b3", "4"]), (3, ["2", "b3", "4"]), (9, None)])
def test_tail(settings: Settings, log: Path, count: int, wanted: list[str] | None) -> None:
    log.write_text(row(1, "1") + row(2, "2") + row(3, "b", tag="P") + row(3, "3") + row(4, "4"))
    assert texts(settings, container(log), tail=count) == (["1", "2", "b3", "4"] if wanted is None else wanted)


def test_tail_reads_across_blocks(settings: Settings, log: Path) -> None:
    long = "x" * 700
    log.write_text("".join(row(number % 60, f"{number}{long}") for number in range(300)))
    for count in (1, 93, 94, 187, 299, 300):
        found = texts(settings, container(log), tail=count)
        assert [text.removesuffix(long) for text in found] == [str(number) for number in range(300 - count, 300)]


def test_since_and_until(settings: Settings, log: Path) -> None:
    log.write_text("".join(row(second, str(second)) for second in range(1, 6)))
    assert texts(settings, container(log), since="2026-01-01T00:00:02Z") == ["3", "4", "5"]
    assert texts(settings, container(log), until="2026-01-01T00:00:02Z") == ["1"]
    assert texts(settings, container(log), since="10m") == []


def test_several_containers_are_merged_by_time(settings: Settings, log: Path) -> None:
    other = log.with_name("other.log")
    log.write_text(row(1, "1") + row(3, "3"))
    other.write_text(row(2, "2") + row(4, "4"))
    assert texts(settings, container(log), container(other, name="b")) == ["1", "2", "3", "4"]


def test_a_driver_without_a_file_is_refused(settings: Settings, log: Path) -> None:
    with pytest.raises(Unsupported, match="this container is using the 'none' log driver, cannot read logs"):
        texts(settings, container(log, driver="none"))


def test_a_symbolic_link_is_not_followed(settings: Settings, log: Path) -> None:
    log.symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        texts(settings, container(log))


def follow(settings: Settings, subject: Container, steps: dict[str, Callable[[], object]], **options: Any) -> list[str]:
    """Follow a log; after a line a step is taken, which writes what comes next."""
    with database.write(settings) as db:
        db.insert(subject)
    found = []
    guard = threading.Timer(20, os._exit, [99])
    guard.start()
    try:
        for line in logs.read(settings, [subject], LogOptions(follow=True, **options)):
            found.append(line.text.decode())
            steps.get(found[-1], lambda: None)()
    finally:
        guard.cancel()
    return found


def append(path: Path, *rows: str) -> None:
    with path.open("a") as file:
        file.write("".join(rows))


def finish(path: Path, process: subprocess.Popen[bytes], *rows: str) -> None:
    """Write the last rows, and have the process end."""
    append(path, *rows)
    assert process.stdin
    process.stdin.close()


def test_following_ends_with_the_container(settings: Settings, log: Path, living: subprocess.Popen[bytes]) -> None:
    log.write_text(row(1, "1"))
    steps: dict[str, Callable[[], object]] = {
        "1": lambda: append(log, row(2, "2"), row(3, "part", tag="P")),
        "2": lambda: finish(log, living, row(4, "ial")),
    }
    assert follow(settings, container(log, pid=living.pid), steps) == ["1", "2", "partial"]


def test_what_never_ended_is_shown_at_the_end(settings: Settings, log: Path, living: subprocess.Popen[bytes]) -> None:
    log.write_text(row(1, "1"))
    steps: dict[str, Callable[[], object]] = {"1": lambda: finish(log, living, row(2, "torn", tag="P"))}
    assert follow(settings, container(log, pid=living.pid), steps) == ["1", "torn"]


def test_following_goes_on_after_a_rotation(settings: Settings, log: Path, living: subprocess.Popen[bytes]) -> None:
    log.write_text(row(1, "1"))

    def rotate() -> None:
        append(log, row(2, "2"))
        fresh = log.with_name("ctr.log.tmp")
        fresh.write_text(row(3, "3"))
        os.rename(fresh, log)

    steps: dict[str, Callable[[], object]] = {"1": rotate, "3": lambda: finish(log, living, row(4, "4"))}
    assert follow(settings, container(log, pid=living.pid), steps) == ["1", "2", "3", "4"]


def test_following_from_the_end(settings: Settings, log: Path, living: subprocess.Popen[bytes]) -> None:
    log.write_text(row(1, "1") + row(2, "2"))
    steps: dict[str, Callable[[], object]] = {"2": lambda: finish(log, living, row(3, "3"))}
    assert follow(settings, container(log, pid=living.pid), steps, tail=1) == ["2", "3"]


def test_following_what_does_not_run_ends_at_once(settings: Settings, log: Path) -> None:
    log.write_text(row(1, "1"))
    assert follow(settings, container(log), {}) == ["1"]
