"""Measure ours and Podman side by side: `make bench`.

    python3 -m bench [--runs N] [--only TEXT] [--check]

Every row is measured in alternating runs, ours and Podman's, of which the medians are compared: what else the machine
does strikes both. Both keep their files on one file system, log to a k8s-file, and use a bridge of their own. It runs
in a machine of its own (lab/machine.py), and in it both engines do. With --check the exit status tells of missed goals.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import images, work
from lab import machine, registry
from lab.world import World

FLOOR_PARTS = ("namespaces", "root", "process", "removal")


@dataclass
class Result:
    """A measured row."""

    title: str
    ours: float
    theirs: float
    goal: float
    runs: int
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def line(self) -> str:
        verdict = "ok" if self.ratio <= self.goal else "MISSED"
        numbers = f"{self.ours:9.1f} {self.theirs:9.1f} {self.ratio:7.2f} {'≤':>2} {self.goal:<5.2f}"
        return f"{self.title:40} {numbers} {self.runs:4}  {verdict}"


def measure(row: work.Row, ours: World, theirs: World, runs: int) -> Result:
    """Run a row alternately, one run of each being for the caches, and print its line."""
    count = max(3, round(runs * row.share))
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(count + 1):
        for name, world in (("ours", ours), ("theirs", theirs)):
            took = row.measure(world)
            if number:
                taken[name].append(took)
    result = Result(row.title, statistics.median(taken["ours"]), statistics.median(taken["theirs"]), row.goal, count)
    print(result.line(), flush=True)
    return result


def print_floor(theirs: World, ours: World, runs: int) -> None:
    """Print what the kernel's part of a run costs, as the shortest program has it."""
    program = Path(__file__).with_name("floor.py")
    command = [sys.executable, "-I", "-S", str(program), work.lower_directories(theirs)]
    parts: list[list[float]] = []
    for _ in range(runs):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"\nno floor: {done.stderr.strip()}")
            return
        parts.append([float(word) for word in done.stdout.split()])
    medians = [statistics.median(column) for column in zip(*parts, strict=True)]
    named = ", ".join(f"{name} {value:.1f}" for name, value in zip(FLOOR_PARTS, medians, strict=True))
    print(f"\nthe floor, one container by the shortest program: {sum(medians):.1f} ms ({named})")


def print_steps(ours: World) -> None:
    """Print where the time of one run goes, as `podling run --timings` tells it."""
    done = ours.run("run", "--timings", "--rm", work.IMAGE, "true")
    print("\nwhere the time of one run goes:")
    print(done.stderr.rstrip())


def prepare(stack: ExitStack) -> tuple[World, World]:
    """Make both worlds, with the image pulled and one container idle in each."""
    scratch = Path(tempfile.mkdtemp(prefix="pl-bench-", dir="/var/tmp"))
    stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    small = stack.enter_context(registry.Registry(scratch / "small", registry.ensure_storage(scratch)))
    big = stack.enter_context(registry.Registry(scratch / "big", images.ensure_storage(scratch)))
    worlds = []
    for engine in ("podling", "podman"):
        world = stack.enter_context(World(engine=engine, registry=small))
        shutil.copytree(big.certificates, world.home / ".config/containers/certs.d" / big.host)
        (world.home / "large").write_text(big.host)
        world.check("pull", "--quiet", work.IMAGE)
        world.check("run", "-d", "--name", "idle", "--network", "none", work.IMAGE, "sleep", "100000")
        worlds.append(world)
    return worlds[0], worlds[1]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python3 -m bench", description="Measure ours and Podman side by side.")
    parser.add_argument("--runs", type=int, default=15, help="runs of each row and engine (default: 15)")
    parser.add_argument("--only", default="", help="only rows whose title has this text")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure, print, and return the exit status."""
    options = parse(arguments)
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors, kernel {os.uname().release}")
    print(f"\n{'work':40} {'ours':>9} {'Podman':>9} {'ratio':>7}    {'goal':5} {'runs':>4}")
    with ExitStack() as stack:
        ours, theirs = prepare(stack)
        rows = [row for row in work.ROWS if options.only in row.title]
        results = [measure(row, ours, theirs, options.runs) for row in rows]
        if options.only in "memory":
            results.append(measure_memory(ours, theirs))
        if options.only in work.PS_MANY.title:
            for world in (ours, theirs):
                work.make_many(world)
            results.append(measure(work.PS_MANY, ours, theirs, options.runs))
        if not options.only:
            print_floor(theirs, ours, options.runs)
            print_steps(ours)
    print(f"\nload after: {os.getloadavg()[0]:.2f}")
    missed = [result.title for result in results if result.ratio > result.goal]
    print(f"goals missed: {', '.join(missed) or 'none'}")
    return 1 if missed and options.check else 0


def measure_memory(ours: World, theirs: World) -> Result:
    """Measure what stays per idle container, in megabytes, against the goal in megabytes."""
    megabytes = work.memory_of_idle(ours)
    result = Result("memory per idle container, MB", megabytes, work.memory_of_idle(theirs), 0, work.CROWD)
    result.goal = work.MEMORY_GOAL_MB / result.theirs
    print(f"{result.line()}  (goal: {work.MEMORY_GOAL_MB} MB)", flush=True)
    return result


if __name__ == "__main__":
    if not machine.inside():
        sys.exit(machine.run([sys.executable, "-m", "bench", *sys.argv[1:]]))
    sys.exit(main(sys.argv[1:]))
