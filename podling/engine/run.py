"""Running a container: create and start in one command, and, attached, its streams and its exit code."""

from __future__ import annotations

import os

from podling.engine import attach, cleanup, create, kill, paths, start, teardown, wait
from podling.engine.clock import Clock
from podling.errors import PodlingError, Unavailable
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import AttachStreams, CreateOptions, Settings


def run_detached(settings: Settings, options: CreateOptions, clock: Clock | None = None) -> Container:
    """Create and start a container and return it; what was made is removed again if anything fails."""
    clock = clock or Clock()
    container = create.make(settings, options, "run", clock)
    try:
        start.start_requirements(settings, container)
        start.bring_up(settings, container, clock)
        start.begin(settings, container, clock)
    except BaseException:
        create.undo(settings, container)
        raise
    if container.config.cidfile:
        create.write_cidfile(container)
    return container


def run_attached(
    settings: Settings,
    options: CreateOptions,
    streams: AttachStreams,
    clock: Clock | None = None,
    on_created: Callable[[Container], None] | None = None,
) -> int:
    """Create and start a container, attached; return its exit code, 0 where the user detached."""
    clock = clock or Clock()
    container = create.make(settings, options, "run", clock)
    if on_created is not None:
        on_created(container)
    try:
        start.start_requirements(settings, container)
        session = begin_attached(settings, container, streams, clock)
        if container.config.cidfile:
            create.write_cidfile(container)
    except BaseException:
        create.undo(settings, container)
        raise
    return stay(settings, container, session, clock)


def start_attached(settings: Settings, container_id: str, streams: AttachStreams) -> int:
    """Start a container that is at rest, attached; return its exit code, 0 where the user detached."""
    from podling.engine import claims, recover
    from podling.engine.container import Status

    recover.recover(settings)
    container = claims.wait_for(settings, container_id, "start")
    if container.state.status == Status.RUNNING:
        claims.release(settings, container)
        return attach_to(settings, container, streams)
    try:
        start.check_startable(container)
        start.start_requirements(settings, container)
        session = begin_attached(settings, container, streams, Clock())
    except BaseException:
        claims.release(settings, container)
        raise
    return stay(settings, container, session, Clock())


def attach_to(settings: Settings, container: Container, streams: AttachStreams) -> int:
    """Attach to a running container; return its exit code, 0 where the user detached."""
    attach.check_attachable(container.state.status, container.name)
    session = _session(settings, container, streams)
    session.resize()
    return stay(settings, container, session, Clock())


def begin_attached(settings: Settings, container: Container, streams: AttachStreams, clock: Clock) -> attach.Session:
    """Bring the chain up, attach, and only then let the process go: not a byte of its output is missed."""
    start.bring_up(settings, container, clock)
    try:
        session = _session(settings, container, streams)
        session.resize()
    except BaseException:
        teardown.kill_monitor(settings, container)
        teardown.take_down(settings, container)
        raise
    clock.mark("attach")
    start.begin(settings, container, clock)
    return session


def _session(settings: Settings, container: Container, streams: AttachStreams) -> attach.Session:
    home = paths.bundle(settings, container.id)
    keys = streams.detach_keys
    if keys is None:
        keys = str(settings.engine.get("detach_keys", attach.DEFAULT_DETACH_KEYS))
    sequence = attach.detach_sequence(keys)
    streams = streams.with_changes(stdin=streams.stdin and container.config.interactive)
    proxy = _proxy(settings, container)
    connection: Any = attach.connect(home)
    return attach.Session(connection, home, streams, tty=container.config.tty, detach_keys=sequence, proxy=proxy)


def _proxy(settings: Settings, container: Container) -> Callable[[int], None]:
    def forward(number: int) -> None:
        try:
            kill.kill(settings, container, number)
        except PodlingError:
            return  # it has ended, and the stream will say so

    return forward


def stay(settings: Settings, container: Container, session: attach.Session, clock: Clock) -> int:
    """Move bytes until the container closes its side, then wait for its cleanup; return the exit code."""
    state = container.state
    monitor = processes.hold(state.monitor_pid, state.monitor_started)
    closed = session.run()
    clock.mark("run (attached)")
    if not closed:
        if monitor is not None:
            os.close(monitor)
        return 0
    teardown.await_monitor(settings, container, monitor)
    code = wait.exit_code_of(settings, container)
    if code == cleanup.UNKNOWN_EXIT_CODE:
        raise Unavailable(f'the exit code of container "{container.name}" is not known: its monitor was killed')
    clock.mark("wait for the cleanup")
    return code
