"""A container's life under the monitor: pid, log, exit file, exit command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import OURS, RUNC, Caller, await_true, maps

SHELL = ("--exit-command", "/bin/sh", "--exit-command-arg", "-c")


def test_a_short_container(caller: Caller) -> None:
    caller.command("echo out; echo err >&2; printf part; exit 3")
    caller.create(
        *SHELL,
        "--exit-command-arg",
        'echo "<$0><$1>" > cleaned',
        "--exit-command-arg",
        "",
        "--exit-command-arg=two words",
    )
    assert caller.exit_code() == 3
    assert (caller.persist / "exit").read_text() == "3"
    assert sorted(caller.lines()) == [("stderr", "F", "err"), ("stdout", "F", "out"), ("stdout", "P", "part")]
    assert (caller.directory / "cleaned").read_text() == "<><two words>\n"
    assert not (caller.bundle / "attach").exists()


def test_a_container_that_outlives_the_first_second(caller: Caller) -> None:
    caller.command("echo before; read line < fifo; echo after $line; exit 4")
    os.mkfifo(caller.directory / "fifo")
    caller.create(*SHELL, "--exit-command-arg", "echo hi > cleaned")
    if caller.conmon == OURS:
        caller.await_shrunk()
    assert Path(f"/proc/{caller.monitor}/comm").read_text() == "conmon\n"
    words = Path(f"/proc/{caller.monitor}/cmdline").read_bytes().split(b"\0")
    assert words[0].rpartition(b"/")[2] == b"conmon"
    assert words[1:5] == [b"--api-version", b"1", b"-c", caller.id.encode()]
    (caller.directory / "fifo").write_text("that\n")
    assert caller.exit_code() == 4
    assert caller.text() == "before\nafter that\n"
    assert (caller.directory / "cleaned").read_text() == "hi\n"
