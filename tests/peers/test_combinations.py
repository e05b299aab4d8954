"""The lab on each of the four combinations of our and the real monitor and runtime, and proof of which ones ran.

The lab itself checks the monitor: /proc/PID/exe and the runtime in its argv (lab/steps.py). The runtime is gone by the
time anyone can look, so here strace witnesses what was executed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import processes
from lab.registry import Registry
from lab.terminal import Terminal
from lab.world import CHECKOUT, PROGRAMS, World

CONMON, RUNC = "/usr/bin/conmon", "/usr/sbin/runc"
COMBINATIONS = [("", ""), ("", RUNC), (CONMON, ""), (CONMON, RUNC)]
NAMES = ["ours-ours", "ours-runc", "conmon-ours", "conmon-runc"]


def flags(conmon: str, runtime: str) -> list[str]:
    """Return the global flags of a combination."""
    return [*(["--conmon", conmon] if conmon else []), *(["--runtime", runtime] if runtime else [])]


def test_the_lab_on_all_four_at_once() -> None:
    command = [sys.executable, "-m", "lab", "--port", "0"]
    labs = [
        subprocess.Popen(
            [*command, *flags(conmon, runtime)],
            cwd=CHECKOUT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for conmon, runtime in COMBINATIONS
    ]
    said = [lab.communicate(timeout=180)[0] for lab in labs]
    for name, lab, transcript in zip(NAMES, labs, said, strict=True):
        assert lab.returncode == 0, f"{name}:\n{transcript}"
        assert "The lab ran as it is printed: 11 steps" in transcript


@pytest.fixture(scope="module", params=COMBINATIONS, ids=NAMES)
def combined(request: pytest.FixtureRequest, stage: Registry) -> Iterator[World]:
    """Return a world whose monitor and runtime are one of the combinations."""
    conmon, runtime = request.param
    with World(registry=stage, engine="podling", conmon=conmon, runtime=runtime) as world:
        world.check("pull", "fedora")
        yield world


def executed(world: World, *arguments: str) -> set[str]:
    """Run a command under strace and return the programs that were executed."""
    log = world.directory / "executed"
    command = ["strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-o", str(log)]
    done = subprocess.run(
        [*command, str(world.program), *arguments], env=world.environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return set(re.findall(r'execve\("([^"]+)".* = 0$', log.read_text(), re.MULTILINE))


def test_what_was_executed(combined: World) -> None:
    found = executed(combined, "run", "--rm", "--network", "none", "fedora", "true")
    assert (CONMON in found) == bool(combined.conmon)
    assert (RUNC in found) == bool(combined.runtime)
    ours = {str(PROGRAMS / "podling-conmon"), str(PROGRAMS / "podling-runc")} & found
    # a foreign monitor cannot call our runtime: it executes it
    assert ours == ({str(PROGRAMS / "podling-runc")} if combined.conmon and not combined.runtime else set())


def test_the_monitor_is_the_one_that_was_chosen(combined: World) -> None:
    container = combined.check("run", "-d", "--network", "none", "fedora", "sleep", "1000")
    monitor = processes.parent(int(combined.check("inspect", "--format", "{{.State.Pid}}", container)))
    assert processes.comm(monitor) == "conmon"
    assert (processes.executable(monitor) == CONMON) == bool(combined.conmon)
    combined.check("rm", "-f", "-t", "0", container)


@pytest.mark.parametrize(
    ("command", "status"), [(["true"], 0), (["bash", "-c", "exit 42"], 42), (["/no/such"], 127), (["/etc"], 126)]
)
def test_run(combined: World, command: list[str], status: int) -> None:
    done = combined.run("run", "--rm", "--network", "none", "fedora", *command)
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == (1 if status in (126, 127) else 0), done.stderr


def test_streams(combined: World) -> None:
    script = "cat; echo out; echo err >&2"
    done = combined.run("run", "--rm", "-i", "--network", "none", "fedora", "bash", "-c", script, stdin="in\n")
    assert (done.stdout, done.stderr) == ("in\nout\n", "err\n")


def test_exec_logs_stop_start(combined: World) -> None:
    script = "trap 'exit 5' TERM; echo started; while :; do sleep 0.05; done"
    container = combined.check("run", "-d", "--memory", "64m", "fedora", "bash", "-c", script)
    assert combined.check("exec", container, "bash", "-c", "echo from exec; exit 0") == "from exec"
    assert combined.run("exec", container, "bash", "-c", "exit 6").returncode == 6
    assert combined.run("exec", container, "/no/such").returncode == 127
    combined.check("exec", container, "bash", "-c", "until grep -q SigCgt:.*[4-7c-f]...$ /proc/1/status; do :; done")
    assert combined.check("stop", container) == container
    assert combined.check("wait", container) == "5"
    assert combined.check("logs", container) == "started"
    assert combined.check("start", container) == container
    combined.check("pause", container)
    assert combined.check("inspect", "--format", "{{.State.Status}}", container) == "paused"
    combined.check("unpause", container)
    assert "bash" in combined.check("top", container, "args")
    combined.check("rm", "-f", "-t", "0", container)


def test_terminal(combined: World) -> None:
    command = [str(combined.program), "run", "--rm", "-it", "--network", "none", "fedora", "bash", "--noediting"]
    with Terminal(command, combined.environment, rows=31, columns=99) as terminal:
        terminal.expect(r"bash-[\d.]+# $")
        terminal.type("until [[ $(stty size) == '31 99' ]]; do :; done; echo siz''ed\r")
        terminal.expect("sized\r\n")
        terminal.type("exit 4\r")
        assert terminal.wait() == 4


def test_killed_by_a_signal(combined: World) -> None:
    container = combined.check("run", "-d", "--network", "none", "fedora", "sleep", "1000")
    combined.check("kill", "--signal", "KILL", container)
    assert combined.check("wait", container) == "137"
    combined.check("rm", container)
    assert not list(Path(combined.own_runroot, "containers").glob("?" * 64))
