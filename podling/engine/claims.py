"""Claims: who is changing a container right now.

    with claims.claimed(settings, container_id, "start") as container:
        container.state.status = Status.RUNNING            # saved, and the claim let go, at the end

A claim is two numbers in the container's row, the pid and the start time of the claimant, written in one transaction.
It is not an flock because the claimant forks programs meanwhile, and an flock would live on in them; it dies with its
process all the same, because whoever comes next looks whether the claimant is alive. What a dead claimant was doing
(`claimed_for`) tells `recover.py` how to finish it.
"""

from __future__ import annotations

import os
import time

from podling.engine import database
from podling.errors import NotFound, Unavailable
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container, ContainerState
    from podling.engine.options import Settings


CLEANUP, REMOVE, REMOVE_WITH_VOLUMES = "cleanup", "remove", "remove with volumes"  # verbs that others look for


class claimed:
    """Hold a container's claim for a block; its state is saved, and the claim let go, when the block ends.

    Raise NotFound where the container is gone, Unavailable, naming the holder, when the time is up.
    """

    def __init__(self, settings: Settings, container_id: str, verb: str, *, timeout_seconds: float = 120.0) -> None:
        self._settings = settings
        self._id = container_id
        self._verb = verb
        self._timeout_seconds = timeout_seconds
        self._container: Container | None = None

    def __enter__(self) -> Container:
        self._container = wait_for(self._settings, self._id, self._verb, timeout_seconds=self._timeout_seconds)
        return self._container

    def __exit__(self, *_error: object) -> None:
        if self._container is not None:
            release(self._settings, self._container)


def wait_for(settings: Settings, container_id: str, verb: str, *, timeout_seconds: float = 120.0) -> Container:
    """Take the claim, waiting for a living holder to let go."""
    container = try_claim(settings, container_id, verb)
    pause_seconds = 0.001
    give_up = time.monotonic() + timeout_seconds
    while container.state.claimed_by != os.getpid():
        with database.read(settings) as db:  # a reader holds nobody up, not even the claimant that is about to let go
            container = db.container(container_id)
        if verb == CLEANUP and is_claimed_for_removal(container.state):
            raise database.no_such_container(container_id)  # or soon: the remover waits for the monitor, and it for us
        if not is_claimed(container.state):
            container = try_claim(settings, container_id, verb)
            continue
        if time.monotonic() > give_up:
            state = container.state
            raise Unavailable(
                f'container "{container.name}" is busy: "{state.claimed_for}" by process {state.claimed_by}'
            )
        time.sleep(pause_seconds)  # a row has no event to await; the pauses double
        pause_seconds = min(pause_seconds * 2, 0.05)
    return container


def try_claim(settings: Settings, container_id: str, verb: str) -> Container:
    """Take the claim if no living process has it; either way return the container as it is now."""
    with database.write(settings) as db:
        container = db.container(container_id)
        if not is_claimed(container.state):
            take(container.state, verb)
            db.save_state(container)
        return container


def take(state: ContainerState, verb: str) -> None:
    """Write this process into a state as its claimant."""
    state.claimed_by = os.getpid()
    state.claimed_started = processes.start_time(state.claimed_by)
    state.claimed_for = verb


def let_go(state: ContainerState) -> None:
    """Take the claimant out of a state."""
    state.claimed_by = state.claimed_started = 0
    state.claimed_for = ""


def is_claimed(state: ContainerState) -> bool:
    """Tell whether a living process other than this one has the claim."""
    if state.claimed_by in (0, os.getpid()):
        return False
    return processes.is_alive(state.claimed_by, state.claimed_started)


def is_claimed_for_removal(state: ContainerState) -> bool:
    """Tell whether a living process is removing the container."""
    return state.claimed_for in (REMOVE, REMOVE_WITH_VOLUMES) and is_claimed(state)


def release(settings: Settings, container: Container) -> None:
    """Save the state without the claim; a container whose row is gone stays gone."""
    let_go(container.state)
    save(settings, container)


def save(settings: Settings, container: Container) -> None:
    """Save the state, claim and all."""
    with database.write(settings) as db:
        try:
            db.container(container.id)
        except NotFound:
            return
        db.save_state(container)
