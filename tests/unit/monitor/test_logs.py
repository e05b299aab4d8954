"""Log lines and files, journal entries, and the drivers' command line."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from podling.errors import InvalidArgument
from podling.monitor import journald, logdrivers
from podling.monitor.logfile import LogFile
from podling.monitor.options import Options
from podling.monitor.report import ERROR, Report

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d"


def log_file(path: Path, **values: Any) -> LogFile:
    log = LogFile(Report(level=ERROR), path=str(path), **values)
    log.open()
    return log


def lines(path: Path) -> list[str]:
    return [re.sub(f"^{STAMP} ", "", line) for line in path.read_text().splitlines()]


def test_lines_and_parts(tmp_path: Path) -> None:
    log = log_file(tmp_path / "log")
    log.write(2, [b"one\n\ntwo\nthr", b"ee\n"])
    log.write(3, [b"x" * 8192, b"x\n", b"\n"])
    log.close()
    assert lines(tmp_path / "log") == [
        "stdout F one",
        "stdout F ",
        "stdout F two",
        "stdout P thr",
        "stdout F ee",
        "stderr P " + "x" * 8192,
        "stderr F x",
        "stderr F ",
    ]
    assert re.match(f"{STAMP} stdout F one$", (tmp_path / "log").read_text().splitlines()[0])
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("zone", "offset"), [("XXX-5:30", "+05:30"), ("XXX8", "-08:00"), ("UTC0", "+00:00")])
def test_local_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, offset: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        log = log_file(tmp_path / "log")
        log.write(2, [b"a\n"])
        log.close()
        stamp = (tmp_path / "log").read_text().split()[0]
        assert stamp[-6:] == offset
        assert stamp[:10] == time.strftime("%Y-%m-%d")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_full_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = log_file(path, size_max=150)
    for number in range(5):
        log.write(2, [b"line %d\n" % number])
    log.close()
    assert lines(path) == ["stdout F line 4"]  # two lines of 52 bytes fit
    assert os.listdir(tmp_path) == ["log"]


def test_a_batch_is_split_where_the_file_is_full(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = log_file(path, size_max=3 * 52, rotate=True, max_files=9)
    log.write(2, [b"".join(b"line %d\n" % number for number in range(8))])
    log.close()
    assert lines(tmp_path / "log.2") == [f"stdout F line {number}" for number in (0, 1, 2)]
    assert lines(tmp_path / "log.1") == [f"stdout F line {number}" for number in (3, 4, 5)]
    assert lines(path) == [f"stdout F line {number}" for number in (6, 7)]


def test_rotation_keeps_max_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = log_file(path, size_max=60, rotate=True, max_files=2)
    for number in range(6):
        log.write(2, [b"line %d\n" % number])
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert [lines(tmp_path / name) for name in ("log", "log.1", "log.2")] == [
        ["stdout F line 5"],
        ["stdout F line 4"],
        ["stdout F line 3"],
    ]


def test_global_size_stops_writing(tmp_path: Path) -> None:
    log = log_file(tmp_path / "log", global_size_max=100)
    log.write(2, [b"".join(b"line %d\n" % number for number in range(8))])
    log.write(2, [b"more\n"])
    log.close()
    assert lines(tmp_path / "log") == ["stdout F line 0", "stdout F line 1"]


def test_an_existing_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 99 + b"\n")
    log = log_file(path, size_max=120)
    log.write(2, [b"line\n"])
    log.close()
    assert lines(path) == ["stdout F line"]


def test_a_lost_directory_loses_no_container(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    log = log_file(directory / "log", size_max=60)
    (directory / "log").unlink()
    directory.rmdir()
    for _ in range(4):
        log.write(2, [b"line\n"])
    log.sync()
    log.close()
    assert not directory.exists()


def test_handed_over_it_goes_on(tmp_path: Path) -> None:
    log = log_file(tmp_path / "log", size_max=110)
    log.write(2, [b"1\n"])
    second = LogFile(Report(), **log.handover())
    second.write(2, [b"2\n"])
    second.write(2, [b"3\n"])
    second.close()
    assert lines(tmp_path / "log") == ["stdout F 3"]


def entries(content: bytes) -> dict[bytes, bytes]:
    """Read one entry of the native protocol."""
    found = {}
    while content:
        row, _, rest = content.partition(b"\n")
        name, equals, value = row.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        found[name] = value
        content = rest
    return found


def journal(**values: Any) -> tuple[journald.Journal, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.setblocking(False)
    fields = journald.fields("0123456789abcdef", "name", None, ["A=b"])
    return journald.Journal(Report(level=ERROR), fields=fields, fd=ours.detach(), **values), theirs


def test_journal_entries() -> None:
    log, there = journal()
    log.write(2, [b"hello\nwor"])
    log.write(3, [b"<4>careful\n"])
    log.write(2, [b"ld\n"])
    assert entries(there.recv(9999)) == {
        b"MESSAGE": b"hello\n",
        b"PRIORITY": b"6",
        b"CONTAINER_ID_FULL": b"0123456789abcdef",
        b"CONTAINER_ID": b"0123456789ab",
        b"CONTAINER_NAME": b"name",
        b"SYSLOG_IDENTIFIER": b"name",
        b"A": b"b",
    }
    careful = entries(there.recv(9999))
    assert (careful[b"MESSAGE"], careful[b"PRIORITY"]) == (b"careful\n", b"4")
    assert entries(there.recv(9999))[b"MESSAGE"] == b"world\n"
    log.write(3, [b"last words"])
    log.flush()
    last = entries(there.recv(9999))
    assert (last[b"MESSAGE"], last[b"PRIORITY"]) == (b"last words", b"3")
    assert last[b"CONTAINER_PARTIAL_MESSAGE"] == b"true"
    with pytest.raises(BlockingIOError):
        there.recv(9999)
    log.close()
    there.close()


def test_long_lines_are_cut_and_said_to_be() -> None:
    log, there = journal(say_partial=True)
    log.write(2, [b"x" * 8192, b"y\n"])
    first, second = entries(there.recv(99999)), entries(there.recv(99999))
    assert first[b"MESSAGE"] == b"x" * 8192 and b"CONTAINER_PARTIAL_MESSAGE" in first
    assert second[b"MESSAGE"] == b"y\n" and b"CONTAINER_PARTIAL_MESSAGE" not in second
    log.close()
    there.close()


def test_partial_lines_go_through_a_handover() -> None:
    log, there = journal()
    log.write(2, [b"wor"])
    second = journald.Journal(Report(), **log.handover())
    second.write(2, [b"ld\n"])
    assert entries(there.recv(9999))[b"MESSAGE"] == b"world\n"
    second.close()
    there.close()


@pytest.mark.parametrize(
    ("tag", "name", "identifier"), [("t", "n", b"t"), (None, "n", b"n"), (None, None, b"0123456789ab")]
)
def test_who_the_syslog_identifier_is(tag: str | None, name: str | None, identifier: bytes) -> None:
    found = entries(journald.fields("0123456789abcdef", name, tag, []))
    assert found[b"SYSLOG_IDENTIFIER"] == identifier
    assert found.get(b"CONTAINER_TAG") == (tag.encode() if tag else None)


@pytest.mark.parametrize(
    ("values", "path", "journal", "passthrough"),
    [
        (["/a"], "/a", False, False),
        ([":/a"], "/a", False, False),
        (["k8s-file:/a"], "/a", False, False),
        (["json-file:/a"], "/a", False, False),
        ([":none"], "none", False, False),
        (["none", "off:", "null:x"], None, False, False),
        (["journald", "k8s-file:/a"], "/a", True, False),
        (["journald:"], None, True, False),
        ([":journald"], "journald", False, False),
        (["passthrough"], None, False, True),
        (["/a", "/b"], "/b", False, False),
    ],
)
def test_drivers(values: list[str], path: str | None, journal: bool, passthrough: bool) -> None:
    drivers = logdrivers.parse(values)
    assert (drivers.path, drivers.journald, drivers.passthrough) == (path, journal, passthrough)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "Log driver not provided. Use --log-path"),
        ([""], "log-path must not be empty"),
        ([":"], "log-path must not be empty"),
        (["k8s-file"], "k8s-file requires a filename"),
        (["k8s-file:"], "k8s-file requires a filename"),
        (["foo:/a"], "No such log driver foo"),
        (["foo:"], "No such log driver foo"),
    ],
)
def test_driver_refusals(values: list[str], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        logdrivers.parse(values)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"log_tag": "t", "log_paths": ["LOG"]}, "k8s-file doesn't support --log-tag"),
        ({"log_labels": ["A=b"], "log_paths": ["LOG"]}, "k8s-file doesn't support --log-label"),
        ({"log_paths": ["/nowhere/at/all"]}, "Failed to open log file"),
        ({"uuid": "short", "log_paths": ["journald"]}, "Container ID must be longer than 12 characters"),
        (
            {"log_labels": ["=b"], "log_paths": ["journald"]},
            "Container labels must be in format LABEL=VALUE (no LABEL present in '=b')",
        ),
        (
            {"log_labels": ["ab"], "log_paths": ["journald"]},
            "Container labels must be in format LABEL=VALUE (none or more than one '=' present in 'ab')",
        ),
        (
            {"log_labels": ["ab=c"], "log_paths": ["journald"]},
            "Container label names must contain only uppercase letters, numbers and underscore (in 'ab=c')",
        ),
    ],
)
def test_log_refusals(tmp_path: Path, given: dict[str, Any], text: str) -> None:
    given["log_paths"] = [str(tmp_path / "log") if path == "LOG" else path for path in given["log_paths"]]
    options = Options(**{"uuid": "0123456789abcdef", **given})
    with pytest.raises(InvalidArgument) as caught:
        logdrivers.open_logs(logdrivers.parse(options.log_paths), options, Report(level=ERROR))
    assert str(caught.value) == text


def test_rotation_stays_below_the_allowed_directories(tmp_path: Path) -> None:
    for allowed, rotates in ((str(tmp_path), True), ("/nowhere", False)):
        options = Options(log_rotate=True, log_allowlist=[allowed], log_paths=[f"k8s-file:{tmp_path}/log"])
        (log,) = logdrivers.open_logs(logdrivers.parse(options.log_paths), options, Report())
        assert isinstance(log, LogFile) and log.rotate is rotates
        log.close()
