"""A walk: one verb, one role, every point; after each, the inventories are compared.

    before ─► arrange ─► the verb, struck ─► the next command ─► survivors removed ─► as before?

An injected error has more to show: one line that tells of it, and everything undone before any other command.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import inventory
from lab.registry import Registry
from lab.world import Failed, World
from tests.walks.tracing import FAILED_AT, KILLED_AT, REMOVALS, Fault, Point, Tracing
from tests.walks.verbs import VERBS, remove_survivors, run_next_command, states

Done = subprocess.CompletedProcess[str]
Judge = Callable[[Fault, Done, inventory.Inventory], list[str]]
HANGS_AFTER_SECONDS = 60.0
EVERYTHING = os.environ.get("PODLING_WALK") == "all"


OTHER_PROGRAMS = ("[conmon:", "podling-conmon: ", "podling-runc: ")  # they tell their own part, on the same stderr


class Ground:
    """The world that walks are done in. It is replaced when something was left in it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.is_clean = True
        self.world = self._begin()

    def _begin(self) -> World:
        """Return a world in which everything is made that is made on first use."""
        world = World(registry=self.registry, engine="podling")
        world.check("pull", "--quiet", "fedora")
        used = world.check("run", "-d", "-v", "/anonymous", "-p", "127.0.0.1:18081:80", "fedora", "sleep", "1000")
        world.check("exec", used, "true")
        world.check("rm", "-f", "-v", "-t", "0", used)
        run_next_command(world)
        return world

    def renew(self) -> None:
        """Replace the world."""
        self.end()
        self.world = self._begin()
        self.is_clean = True

    def end(self) -> None:
        """Remove the world."""
        self.world.destroy()


class Walk:
    """A verb and a role on a ground."""

    def __init__(self, ground: Ground, name: str, role: str) -> None:
        if not ground.is_clean:
            ground.renew()
        self.ground = ground
        self.verb, self.role = VERBS[name], role
        self.walked = self.reached = 0
        self.tracing = Tracing(ground.world, role)

    @property
    def world(self) -> World:
        """Return the world of the moment."""
        return self.ground.world

    def points(self, calls: list[str]) -> list[Point]:
        """Run the verb once, traced, and return its points."""
        self.ground.is_clean = False
        before = self._inventory()
        done, arranged = self._run(None, calls)
        assert done.returncode == 0, f"{self.verb.words} as {self.role}: {done.stderr}"
        self._differences(arranged)  # waits for strace to have written all
        points = self.tracing.points(calls)
        assert points, f"nothing was traced of {self.verb.words} as {self.role}"
        wrong = self._settle(before)
        assert not wrong, f"before any fault: {wrong}"
        self.ground.is_clean = True
        return points

    def kills(self, sample: int) -> Iterator[str]:
        """Kill at each point; yield what was wrong."""
        for point in chosen(self.points(KILLED_AT), sample):
            yield from self._strike(Fault("signal=KILL", point), self._judge_kill)

    def failures(self, error: str, sample: int) -> Iterator[str]:
        """Fail each point's call; yield what was wrong."""
        for point in chosen(self.points(FAILED_AT), sample):
            yield from self._strike(Fault(f"error={error}", point), self._judge_failure)

    def _strike(self, fault: Fault, judge: Judge) -> Iterator[str]:
        before = self._inventory()
        self.walked += 1
        self.ground.is_clean = False
        try:
            done, arranged = self._run(fault, KILLED_AT)
            wrong = judge(fault, done, arranged)
            wrong += self._settle(before)
            self.reached += self.tracing.has_struck()
        except subprocess.TimeoutExpired as error:
            wrong = [f"hung: {' '.join(error.cmd[-8:])}: {self._alive(before)}"]
        except Failed as error:
            wrong = [f"the next command failed: {error}"]
        if wrong:
            yield "\n    ".join([str(fault), *(line[:300] for line in wrong[:12])])
            self.ground.renew()
            self.tracing = Tracing(self.world, self.role)
        self.ground.is_clean = True

    def _run(self, fault: Fault | None, calls: list[str]) -> tuple[Done, inventory.Inventory]:
        """Arrange what the verb needs, and run it; return how that went, and what there was between the two."""
        flags = self.tracing.prepare(fault, calls)
        words = self.verb.arrange(self.world, flags if self.verb.arranged_under_trace else [])
        arranged = self._inventory()
        command = [*self.tracing.command(flags), *self.verb.words, *words, *self.verb.argument]
        with (self.world.directory / "out").open("w+") as out, (self.world.directory / "err").open("w+") as err:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.world.environment,
                cwd=self.world.directory,
                timeout=HANGS_AFTER_SECONDS,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read()), arranged

    def _judge_kill(self, _fault: Fault, done: Done, _arranged: inventory.Inventory) -> list[str]:
        if self.role in ("engine", "chain"):
            return []
        return complaints(done)

    def _judge_failure(self, fault: Fault, done: Done, arranged: inventory.Inventory) -> list[str]:
        """Say what was not undone; what could not be removed because that failed may wait for the next command."""
        wrong = complaints(done)
        if done.returncode and self.verb.undoes and fault.point.call not in REMOVALS and not self._has_run(arranged):
            wrong += [f"not undone: {line}" for line in self._differences(arranged) if not self._is_traced_cgroup(line)]
        return wrong

    def _has_run(self, arranged: inventory.Inventory) -> bool:
        """Tell whether a container of this verb's own has run and stays: the failure came after its end."""
        had = " ".join(arranged["files"])
        return any(state == "exited" and container not in had for container, state in states(self.world).items())

    def _is_traced_cgroup(self, line: str) -> bool:
        """Tell whether a line speaks of a monitor's cgroup that strace was still in when it would have been removed."""
        return line.startswith("cgroups: ") and "/libpod-conmon-" in line and self.role != "engine"

    def _settle(self, before: inventory.Inventory) -> list[str]:
        """Do what a user does next; return what is wrong then."""
        run_next_command(self.world)
        wrong = remove_survivors(self.world, self.verb)
        run_next_command(self.world)
        if self._differences(before):  # it may have come before all that was ending had ended
            run_next_command(self.world)
        return wrong + [f"left: {line}" for line in self._differences(before)]

    def _inventory(self) -> inventory.Inventory:
        return inventory.take(self.world.roots())

    def _differences(self, before: inventory.Inventory) -> list[str]:
        """Wait for what is on its way out; return what is there that was not before, and what is lost."""
        return [line for line in inventory.settled(before, self.world.roots()) if not self._is_expected(line)]

    def _is_expected(self, line: str) -> bool:
        """Tell whether a line speaks of this harness's own files."""
        if line.startswith("locks: + OFDLCK"):  # they are shown across machines
            return True
        if not line.startswith("files: "):
            return False
        path = Path(line.split(maxsplit=2)[2])
        own = (self.world.directory / "tracing", self.world.directory / "out", self.world.directory / "err")
        return path in own or path.parent in own

    def _alive(self, before: inventory.Inventory) -> str:
        return "; ".join(line[:120] for line in sorted(inventory.processes() - before["processes"]))


def complaints(done: Done) -> list[str]:
    """Return what is wrong about how a command told of its failure: one line, and a status that says so."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if "Traceback" in done.stderr or "internal error" in done.stderr:
        return [f"exit status {done.returncode}: {line}" for line in lines[-3:]]
    if done.returncode < 0:
        return [f"ended by signal {-done.returncode}: {lines}"]
    told = [line for line in lines if not line.startswith(OTHER_PROGRAMS)]
    if done.returncode and (len(told) != 1 or not told[0].startswith("Error: ")):
        return [f"exit status {done.returncode} with {len(lines)} lines", *lines]
    return []


def chosen(points: list[Point], sample: int) -> list[Point]:
    """Return an even sample of points; all of them in a whole walk."""
    if EVERYTHING or len(points) <= sample:
        return points
    return [points[(2 * index + 1) * len(points) // (2 * sample)] for index in range(sample)]
