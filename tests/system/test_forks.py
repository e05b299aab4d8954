"""What the engine holds when it forks a program: one thread, no lock, no open database.

strace stops the engine at each of its forks, from outside; /proc tells what it has open then.
"""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from lab import processes
from lab.world import World

FORKS = "clone,clone3,fork,vfork"
PATIENCE_SECONDS = 20


def forks(world: World, *arguments: str) -> Iterator[tuple[int, list[str]]]:
    """Run a command; at each of its forks yield the number of threads and the open files."""
    reading, writing = os.pipe()
    inject = f"--inject={FORKS}:signal=STOP:when=1+2"  # a stopped call is made again afterwards: that is the second
    command = ["strace", "-o", f"/proc/self/fd/{writing}", f"--trace={FORKS}", inject, str(world.program), *arguments]
    null = subprocess.DEVNULL
    strace = subprocess.Popen(
        command, env=world.environment, cwd=world.directory, pass_fds=[writing], stdin=null, stdout=null
    )
    os.close(writing)
    with os.fdopen(reading) as story:
        for line in story:
            if "--- stopped by SIGSTOP ---" in line:
                (pid,) = processes.children(strace.pid)
                names = os.listdir(f"/proc/{pid}/fd")
                opened = [os.readlink(f"/proc/{pid}/fd/{name}") for name in names]
                yield len(os.listdir(f"/proc/{pid}/task")), opened
                os.kill(pid, signal.SIGCONT)
    assert strace.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize(
    "arguments",
    [("run", "--rm", "--network", "none", "fedora", "true"), ("run", "--rm", "-p", "18231:80", "fedora", "true")],
    ids=["none", "bridge"],
)
def test_the_engine_forks_with_one_thread_and_nothing_held(podling: World, arguments: tuple[str, ...]) -> None:
    seen = list(forks(podling, *arguments))
    assert len(seen) >= 2, "a run forks a monitor and a start"
    for tasks, opened in seen:
        assert tasks == 1
        held = [path for path in opened if "podling.db" in path or "/locks/" in path or "/networks/" in path]
        assert not held


def test_an_exec_forks_with_one_thread_and_nothing_held(podling: World) -> None:
    container = podling.check("run", "-d", "--network", "none", "fedora", "sleep", "1000")
    seen = list(forks(podling, "exec", container, "true"))
    podling.check("rm", "-f", "-t", "0", container)
    assert seen
    for tasks, opened in seen:
        assert tasks == 1
        assert not [path for path in opened if "podling.db" in path or "/locks/" in path]
