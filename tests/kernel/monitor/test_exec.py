"""Exec sessions: under a monitor of their own, attached before they begin."""

from __future__ import annotations

import json
import socket

import pytest

from tests.kernel.monitor.conftest import OURS, Caller


def session(caller: Caller, *more: str) -> list[str]:
    """Return the command line of an exec session as Podman gives it."""
    line = ["--api-version", "1", "-c", caller.id, "-u", "session", "-r", caller.runtime, "-b", str(caller.bundle)]
    line += ["-p", str(caller.pidfile), "-n", "name", "--exit-dir", str(caller.exits), "--full-attach", "-l", "none"]
    line += ["--conmon-pidfile", str(caller.monitor_pidfile)]
    return [*line, *more, "-e", "--exec-process-spec", str(caller.bundle / "command")]


def test_attached_before_it_begins(caller: Caller) -> None:
    caller.command("read line; echo got $line; echo err >&2; exit 5")
    caller.run(*session(caller, "-i", "--exec-attach"), attach_pipe=True)
    assert caller.attach_answer() == {"data": 0}
    client = caller.attach()
    caller.start.send(b"\0")
    assert caller.answer()["data"] > 0
    client.send(b"this\n")
    packets = []
    while packet := client.recv(999):
        packets.append(packet)
    assert sorted(packets) == [b"\2got this\n", b"\3err\n"]
    assert caller.answer() == {"data": 5}
    assert caller.exit_code() == 5


def test_a_command_that_is_over_at_once_is_heard(caller: Caller) -> None:
    caller.command("echo out")
    caller.run(*session(caller, "--exec-attach"), attach_pipe=True)
    assert caller.attach_answer() == {"data": 0}
    client = caller.attach()
    caller.start.send(b"\0")
    assert client.recv(999) == b"\2out\n"
    assert client.recv(999) == b""
    assert [caller.answer()["data"] > 0, caller.answer()] == [True, {"data": 0}]


def test_the_legacy_session(caller: Caller) -> None:
    """CRI-O's ExecSync: no UUID, one answer, at the end."""
    caller.command("echo out; exit 6")
    line = ["-c", caller.id, "-n", "name", "-r", caller.runtime, "-p", str(caller.pidfile), "-e", "-l", str(caller.log)]
    caller.run(*line, "--exec-process-spec", str(caller.bundle / "command"), "-P", str(caller.monitor_pidfile))
    assert caller.answer() == {"exit_code": 6}
    caller.wait()
    assert caller.text() == "out\n"


def test_the_time_limit_is_told(caller: Caller) -> None:
    caller.command("exec sleep 1000")
    caller.run(*session(caller, "-T", "1"))
    caller.pid = caller.answer()["data"]
    assert caller.answer() == {"data": -1, "message": "command timed out"}
    assert caller.exit_code() == -1


def test_a_session_that_fails(caller: Caller) -> None:
    caller.run(*session(caller))
    answer = caller.answer()
    assert answer["data"] < 0
    if caller.conmon == OURS:  # 2.1.6 reports the runtime's status
        assert answer == {"data": -1, "message": f"no command for {caller.id}\n"}
    caller.wait()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (["--exec-attach"], "Attach can only be specified with exec"),
        (["-e", "--exec-attach"], "Attach can only be specified for a non-legacy exec session"),
        (["-e", "--restore", "x"], "Cannot use 'exec' and 'restore' at the same time"),
        (["-e", "--api-version"], "Container UUID not provided. Use --cuuid"),
        (["-u", "u"], "Runtime path not provided. Use --runtime"),
        (["-u", "u", "-r", "/nowhere"], "Runtime path /nowhere is not valid No such file or directory"),
        (["-e", "-r", "/bin/true"], "Exec process spec path not provided. Use --exec-process-spec"),
        (["-u", "u", "-r", "/bin/true", "--exit-delay", "-1"], "Delay before invoking exit command must be greater"),
        (["-u", "u", "-r", "/bin/true"], "Log driver not provided. Use --log-path"),
    ],
)
def test_refusals(caller: Caller, line: list[str], text: str) -> None:
    done = caller.run("-c", caller.id, *line)
    assert done.returncode == 1
    assert done.stderr.replace("[conmon:e] ", "[conmon:e]: ").startswith(f"[conmon:e]: {text}")


def test_a_broken_pipe_number(caller: Caller) -> None:
    done = caller.run(*caller.arguments(), environment={"_OCI_STARTPIPE": "x"})
    assert done.returncode == 1
    assert "unable to parse _OCI_STARTPIPE" in done.stderr


def test_answers_are_json(our_caller: Caller) -> None:
    caller = our_caller
    caller.runtime = str(caller.directory / "loud")
    (caller.directory / "loud").write_text("#!/bin/sh\nprintf 'a \"b\"\\n\\t/c\\\\ \\001' >&2\nexit 1\n")
    (caller.directory / "loud").chmod(0o755)
    caller.run(*caller.arguments())
    caller.sync.settimeout(20)
    assert json.loads(caller.sync.recv(9999)) == {"data": -1, "message": 'a "b"\n\t/c\\ \x01'}
    assert isinstance(caller.sync, socket.socket)
