"""The verbs that are walked: how each is typed, what must be there before, and what may be there after.

A verb that was killed may have done its work, or none of it, or be finished by the next mutating command; so each verb
says in which states a container may then be found. Any other, and any other trace of it, is a loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from lab.world import World

PORT = "127.0.0.1:18080:80"
Arrange = Callable[[World, list[str]], list[str]]


@dataclass(frozen=True)
class Verb:
    """A verb to be walked. `arrange` brings about what it needs, by commands with the flags given, and names it."""

    words: tuple[str, ...]
    roles: tuple[str, ...]
    arrange: Arrange = lambda world, flags: []
    argument: tuple[str, ...] = ()  # what comes after the name of what was arranged
    survivors: frozenset[str] = frozenset()
    undoes: bool = True  # a failure leaves everything as it was before, without the help of another command
    arranged_under_trace: bool = False  # the exit command was chosen when the container was started


def created(world: World, flags: list[str]) -> list[str]:
    """Arrange a container that was never started."""
    return [world.check(*flags, "create", "-v", "/anonymous", "fedora", "true")]


def running(world: World, flags: list[str]) -> list[str]:
    """Arrange a container that runs, on the default network, with a port."""
    return [world.check(*flags, "run", "-d", "-p", PORT, "fedora", "sleep", "1000")]


def isolated(world: World, flags: list[str]) -> list[str]:
    """Arrange a container that runs, on no network."""
    container = world.check(*flags, "run", "-d", "--network", "none", "fedora", "sleep", "1000")
    world.check("exec", container, "true")  # the first makes the directory of all sessions
    return [container]


def named_image(world: World, _flags: list[str]) -> list[str]:
    """Name the small image, which is not there."""
    return [tiny(world)]


def pulled_image(world: World, _flags: list[str]) -> list[str]:
    """Arrange that the small image is there."""
    world.check("pull", "--quiet", tiny(world))
    return [tiny(world)]


def tiny(world: World) -> str:
    """Return the name of an image so small that a pull makes few calls."""
    assert world.registry is not None
    return f"{world.registry.host}/lab/tiny:latest"


ENDED = frozenset({"exited"})
LIVING = frozenset({"running", "exited"})
STOPPING = LIVING | {"stopping"}  # marked, and the signal not sent: it can be stopped again
CHAIN = ("engine", "chain", "monitor", "create", "start")

VERBS = {
    "run": Verb(
        ("run", "--rm", "-p", PORT, "-v", "/anonymous", "fedora", "true"),
        (*CHAIN, "cleanup", "delete"),
        survivors=ENDED,
    ),
    "run-kept": Verb(("run", "--network", "none", "fedora", "true"), ("engine", "cleanup"), survivors=ENDED),
    "run-detached": Verb(("run", "-d", "fedora", "sleep", "1000"), ("engine", "monitor"), survivors=LIVING),
    "exec": Verb(("exec",), ("engine", "monitor", "exec", "cleanup"), isolated, ("true",), frozenset({"running"})),
    "rm": Verb(("rm", "-v"), ("engine",), created, survivors=frozenset({"created"}), undoes=False),
    "rm-running": Verb(
        ("rm", "-f", "-v", "-t", "0"),
        ("engine", "cleanup"),
        running,
        survivors=STOPPING,
        undoes=False,
        arranged_under_trace=True,
    ),
    "stop": Verb(
        ("stop", "-t", "0"), ("engine", "cleanup"), running, survivors=STOPPING, undoes=False, arranged_under_trace=True
    ),
    "pull": Verb(("pull", "--quiet"), ("engine", "chain"), named_image),
    "rmi": Verb(("rmi",), ("engine",), pulled_image, undoes=False),
}


def states(world: World) -> dict[str, str]:
    """Return the states of all containers by ID."""
    listed = json.loads(world.check("ps", "--all", "--format", "json"))
    return {row["Id"]: row["State"] for row in listed}


def run_next_command(world: World) -> None:
    """Run a cheap pair of commands that change something: they must work, and finish what a killed one began."""
    world.check("create", "--name", "next", "--network", "none", "fedora", "true")
    world.check("rm", "next")


def remove_survivors(world: World, verb: Verb) -> list[str]:
    """Remove what a verb may rightly have left, as a user would; return what it may not have left."""
    wrong = []
    for container, state in states(world).items():
        if state not in verb.survivors:
            wrong.append(f"container {container[:12]} is {state}")
        world.check("rm", "-f", "-v", "-t", "0", container)
    if tiny(world) in world.check("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        world.check("rm", world.check("create", tiny(world)))  # it is whole
        world.check("rmi", tiny(world))
    return wrong
