"""What is measured: a function per row of the table, which does the work once in a world and returns milliseconds.

Everything is measured from outside, as a user waits for it: from the start of the command to its end.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import processes
from lab.world import World

IMAGE = "fedora"
CROWD = 20
MANY = 100


@dataclass(frozen=True)
class Row:
    """A row: what is done, how, how much of Podman's time it may take, and how many of the usual runs it is worth."""

    title: str
    measure: Callable[[World], float]
    goal: float
    share: float = 1.0


def timed(world: World, *arguments: str) -> float:
    """Return how long a command takes, in milliseconds. It must succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(world.program), *arguments], env=world.environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    took = (time.perf_counter() - started) * 1000
    if done.returncode:
        raise RuntimeError(f"{world.engine} {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return took


def run_without_network(world: World) -> float:
    return timed(world, "run", "--rm", "--network", "none", IMAGE, "true")


def run_on_bridge(world: World) -> float:
    return timed(world, "run", "--rm", IMAGE, "true")


def detached_and_removed(world: World) -> float:
    started = timed(world, "run", "-d", "--name", "detached", IMAGE, "sleep", "1000")
    return started + timed(world, "rm", "-f", "-t", "0", "detached")


def execute(world: World) -> float:
    return timed(world, "exec", "idle", "true")


def list_containers(world: World) -> float:
    return timed(world, "ps", "--all")


def list_images(world: World) -> float:
    return timed(world, "images")


def inspect(world: World) -> float:
    return timed(world, "inspect", "idle")


def pull(world: World) -> float:
    took = timed(world, "pull", "--quiet", large(world))
    world.check("rmi", large(world))
    return took


def large(world: World) -> str:
    """Return the large image's name; its registry's address is left in the world's home."""
    return f"{(world.home / 'large').read_text()}/lab/large:latest"


def start_crowd(world: World) -> float:
    """Start many containers at once, and return once the last has told its ID."""
    command = [str(world.program), "run", "-d", IMAGE, "sleep", "1000"]
    started = time.perf_counter()
    crowd = [
        subprocess.Popen(command, env=world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(CROWD)
    ]
    containers = [one.communicate()[0].decode().strip() for one in crowd]
    took = (time.perf_counter() - started) * 1000
    if any(one.returncode for one in crowd):
        raise RuntimeError(f"{world.engine}: not all of {CROWD} containers started")
    world.check("rm", "-f", "-t", "0", *containers, timeout_seconds=300)
    return took


ROWS = [
    Row("run --rm --network none IMAGE true", run_without_network, 0.25),
    Row("run --rm IMAGE true (bridge)", run_on_bridge, 0.20),
    Row("run -d until the ID, then rm -f -t 0", detached_and_removed, 0.30),
    Row("exec CONTAINER true", execute, 0.25),
    Row("ps with 1 container", list_containers, 0.8),
    Row("images", list_images, 0.8),
    Row("inspect CONTAINER", inspect, 0.8),
    Row(f"{CROWD} containers started at once", start_crowd, 0.25, 0.2),
    Row("pull of 150 MB in 5 layers", pull, 0.8, 0.34),
]
PS_MANY = Row(f"ps with {MANY} containers", list_containers, 0.5)
MEMORY_GOAL_MB = 3.0


def make_many(world: World) -> None:
    """Make containers until there are many; they need not run to be listed."""
    for _ in range(MANY - 1):
        world.check("create", IMAGE, "true")


def memory_of_idle(world: World) -> float:
    """Return the megabytes (PSS) per idle container of all that stays beside its own process."""
    before = set(world.processes())
    containers = [world.check("run", "-d", IMAGE, "sleep", "1000") for _ in range(CROWD)]
    own = {int(world.check("inspect", "--format", "{{.State.Pid}}", container)) for container in containers}
    settle(world, own)
    total = sum(pss_kilobytes(pid) for pid in set(world.processes()) - own - before)
    world.check("rm", "-f", "-t", "0", *containers, timeout_seconds=300)
    return total / 1024 / CROWD


def settle(world: World, containers: set[int]) -> None:
    """Wait until each monitor has become what it stays: ours re-execs itself once a burst of starts is over."""
    deadline = time.monotonic() + 10
    monitors = [processes.parent(pid) for pid in containers]
    while time.monotonic() < deadline:
        if all(processes.arguments(pid)[0].endswith("conmon") for pid in monitors):
            return


def pss_kilobytes(pid: int) -> int:
    """Return a process's proportional set size."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def lower_directories(world: World) -> str:
    """Return Podman's unpacked layers of the image, uppermost first, for the floor's overlay."""
    data = json.loads(world.check("image", "inspect", IMAGE))[0]["GraphDriver"]["Data"]
    return ":".join(path for key in ("UpperDir", "LowerDir") for path in [data.get(key, "")] if path)
