"""Losses: a monitor killed, a reboot, a runroot deleted, a disk that is full, a terminal that hangs up, a crowd.

Each is done to a world of its own; afterwards nothing of it is left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import processes
from lab.terminal import Terminal, await_pid_exit
from lab.world import World
from tests.walks.verbs import run_next_command, states

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MakeWorld = Callable[..., World]


@pytest.fixture
def mine(world: MakeWorld) -> World:
    """Return a world with `fedora` pulled."""
    made = world(engine="podling")
    made.check("pull", "--quiet", "fedora")
    return made


def inspect(world: World, container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.check("inspect", container))[0]["State"]
    return found


def monitor_of(world: World, container: str) -> int:
    return processes.parent(inspect(world, container)["Pid"])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    await_pid_exit(pid)


def sleeper(world: World, *flags: str) -> str:
    return world.check("run", "-d", *flags, "fedora", "sleep", "1000")


@contextmanager
def another_boot(world: World) -> Iterator[None]:
    """Let the machine have another boot ID."""
    fake = world.directory / "boot_id"
    fake.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    subprocess.run(["mount", "--bind", str(fake), str(BOOT_ID)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(BOOT_ID)], check=True)


def end_everything(world: World) -> None:
    """End what runs, unmount and empty the runroot, remove the cgroups and links: a reboot keeps the disk alone."""
    world.kill_processes()
    world.unmount()
    for path in world.runroot.iterdir():
        shutil.rmtree(path)
    for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
        if "libpod" in directory:
            os.rmdir(directory)
    for link in os.listdir("/sys/class/net"):
        if link != "lo":
            subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    subprocess.run(["nft", "flush", "ruleset"], check=True)


def test_killed_monitor_is_told_of_and_cleaned_up(mine: World) -> None:
    container = sleeper(mine, "-p", "127.0.0.1:18082:80")
    process = inspect(mine, container)["Pid"]
    kill(monitor_of(mine, container))
    assert states(mine) == {container: "running"}, "its process still runs"
    run_next_command(mine)
    assert states(mine) == {container: "running"}
    assert mine.check("rm", "-f", "-t", "0", container) == container
    await_pid_exit(process, 1)
    assert states(mine) == {}


def test_monitor_and_process_killed(mine: World) -> None:
    container = sleeper(mine)
    process = inspect(mine, container)["Pid"]
    kill(monitor_of(mine, container))
    kill(process)
    assert states(mine) == {container: "exited"}, "a reading verb says how it is"
    run_next_command(mine)
    state = inspect(mine, container)
    assert (state["Status"], state["ExitCode"]) == ("exited", -1) and "not known" in state["Error"]
    mine.check("start", container)
    assert states(mine) == {container: "running"}
    mine.check("rm", "-f", "-t", "0", container)


@pytest.mark.parametrize("first", ["ps", "create"])
def test_reboot(mine: World, first: str) -> None:
    ran = sleeper(mine, "--name", "ran", "-p", "127.0.0.1:18083:80")
    waited = mine.check("create", "--name", "waited", "fedora", "sleep", "1000")
    ended = mine.check("run", "-d", "--network", "none", "--name", "ended", "fedora", "false")
    mine.check("wait", ended)
    removes_itself = sleeper(mine, "--rm", "--name", "fleeting")
    end_everything(mine)
    with another_boot(mine):
        if first == "ps":
            seen = states(mine)
            assert (seen[ran], seen[waited], seen[ended]) == ("exited", "created", "exited")
        run_next_command(mine)
        assert states(mine) == {ran: "exited", waited: "created", ended: "exited"}, f"{removes_itself} went"
        assert inspect(mine, ended)["ExitCode"] == 1
        mine.check("start", "ran", "waited")
        assert states(mine) == {ran: "running", waited: "running", ended: "exited"}
        assert mine.check("exec", "ran", "echo", "again") == "again"
        mine.check("rm", "-f", "-t", "0", "ran", "waited", "ended")


def test_another_boot_with_everything_still_running(mine: World) -> None:
    container = sleeper(mine, "-p", "127.0.0.1:18084:80")
    process, monitor = inspect(mine, container)["Pid"], monitor_of(mine, container)
    with another_boot(mine):
        run_next_command(mine)
        assert states(mine) == {container: "exited"}
        await_pid_exit(process, 1)
        await_pid_exit(monitor, 1)
        mine.check("start", container)
        mine.check("rm", "-f", "-t", "0", container)


def test_runroot_deleted_under_running_containers(mine: World) -> None:
    container = sleeper(mine, "-p", "127.0.0.1:18085:80", "--name", "orphan")
    process, monitor = inspect(mine, container)["Pid"], monitor_of(mine, container)
    subprocess.run(["rm", "-rf", "--one-file-system", str(mine.runroot)], check=False, capture_output=True)
    assert not (mine.own_runroot / "containers" / container / "config.json").exists()
    run_next_command(mine)
    await_pid_exit(process, 1)
    await_pid_exit(monitor, 1)
    assert states(mine) == {container: "exited"}
    mine.check("start", "orphan")
    assert states(mine) == {container: "running"}
    mine.check("rm", "-f", "-t", "0", "orphan")


def test_full_disk_during_a_pull(mine: World) -> None:
    small = mine.directory / "small"
    small.mkdir()
    size = sum(path.stat().st_size for path in (mine.own_root / "images/blobs").rglob("*") if path.is_file())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)], check=True)
    try:
        failed = mine.run("--root", str(small), "pull", "--quiet", "fedora")
        assert failed.returncode == 125 and "no space left on device" in failed.stderr
        assert len([line for line in failed.stderr.splitlines() if line.startswith("Error: ")]) == 1, failed.stderr
        assert failed.stdout == ""
        assert mine.check("--root", str(small), "images", "-q") == ""
        left = {str(path.relative_to(small)) for path in small.rglob("*") if path.is_file()}
        assert not {path for path in left if "blobs" in path or "layers" in path or "staging/" in path}
        subprocess.run(["mount", "-o", "remount,size=2G", str(small)], check=True)
        pulled = mine.check("--root", str(small), "pull", "--quiet", "fedora")
        assert mine.check("--root", str(small), "images", "-q", "--no-trunc") == f"sha256:{pulled}"
        assert (
            mine.check("--root", str(small), "run", "--rm", "--network", "none", "fedora", "echo", "whole") == "whole"
        )
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_killed_terminal_leaves_the_container(mine: World) -> None:
    command = [str(mine.program), "run", "-it", "--network", "none", "--name", "it", "fedora", "bash", "--noediting"]
    with Terminal(command, mine.environment) as terminal:
        terminal.expect(r"# $")
        terminal.type("kept=yes\r")
        terminal.expect(r"# $")
        terminal.hang_up_client()
    run_next_command(mine)
    with Terminal([str(mine.program), "attach", "it"], mine.environment) as terminal:
        terminal.type("echo it is $kept\r")
        terminal.expect(r"it is yes\r\n")
        terminal.type("exit 5\r")
        assert terminal.wait() == 5
    mine.check("rm", "it")


def test_crowd_in_which_some_are_killed(mine: World) -> None:
    """Eight at once create, start and remove; one of them is killed again and again, at any point."""
    work = 'podling run --rm fedora true; podling create --name "$0-$i" fedora true; podling rm "$0-$i"'
    loop = f"for i in 1 2 3; do {work}; done"
    crowd = [
        subprocess.Popen(["sh", "-c", loop, f"member{number}"], env=mine.environment, stderr=subprocess.PIPE, text=True)
        for number in range(7)
    ]
    chosen = random.Random(7)
    while any(member.poll() is None for member in crowd):
        victim = subprocess.Popen(
            [str(mine.program), "run", "--rm", "fedora", "true"], env=mine.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            victim.wait(chosen.uniform(0.02, 0.6))
        except subprocess.TimeoutExpired:
            victim.kill()
            victim.wait()
    said = [member.communicate()[1] for member in crowd]
    assert [member.returncode for member in crowd] == [0] * len(crowd), said
    assert "".join(said) == ""
    run_next_command(mine)
    assert set(states(mine).values()) <= {"running", "exited"}
