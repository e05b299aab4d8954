"""Stopping containers: the stop signal, the grace, SIGKILL; all of them at once.

No claim is held meanwhile: the monitor's cleanup needs it to record the end.
"""

from __future__ import annotations

import _signal
import os
import time

from podling.engine import claims, database, kill, recover, teardown
from podling.engine.container import Status
from podling.errors import NotFound, PodlingError, Unavailable
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from podling.engine.container import Container, ContainerState
    from podling.engine.options import Settings

    Warn = Callable[[str], None]

_KILL_GRACE_SECONDS = 10.0
_LIVE = (Status.RUNNING, Status.PAUSED, Status.STOPPING)


def stop(
    settings: Settings, containers: list[Container], *, timeout_seconds: int | None = None, warn: Warn | None = None
) -> list[tuple[Container, PodlingError | None]]:
    """Stop containers together and return each with its error, if any; one that does not run is no error.

    `timeout_seconds` replaces the containers' own grace. `warn` is called when a grace has run out.
    """
    recover.recover(settings)
    stopping = [_Stopping(settings, container, timeout_seconds) for container in containers]
    for one in stopping:
        one.begin()
    for one in stopping:
        one.await_grace(warn)
    for one in stopping:
        one.await_cleanup()
    return [(one.container, one.error) for one in stopping]


def _mark_stopping(state: ContainerState) -> None:
    """Write that this process is stopping the container; if it is killed before it has, the container just runs on."""
    state.status = Status.STOPPING
    state.stopped_by_user = True
    state.stopper_pid = os.getpid()
    state.stopper_started = processes.start_time(state.stopper_pid)


def end(settings: Settings, container: Container, timeout_seconds: int | None, warn: Warn | None) -> int | None:
    """End the process of a live container that this process has claimed; return a pidfd of its monitor, if it lives.

    The monitor's cleanup leaves a container to whoever has claimed it for removal.
    """
    one = _Stopping(settings, container, timeout_seconds)
    one.begin()
    one.await_grace(warn)
    if one.error is not None:
        if one.monitor is not None:
            os.close(one.monitor)
        raise one.error
    return one.monitor


class _Stopping:
    """One container on its way down; its error ends its part, not the others'."""

    def __init__(self, settings: Settings, container: Container, timeout_seconds: int | None) -> None:
        self.settings = settings
        self.container = container
        self.error: PodlingError | None = None
        own = container.config.stop_timeout_seconds
        self.grace_seconds = own if timeout_seconds is None else timeout_seconds
        self.process: int | None = None
        self.monitor: int | None = None
        self.began = time.monotonic()

    def begin(self) -> None:
        """Mark the row, hold the processes, send the stop signal (or SIGKILL where there is no grace)."""
        try:
            self.container = self._mark()
            state = self.container.state
            if state.status != Status.STOPPING:
                return
            self.process = processes.hold(state.pid, state.pid_started)
            self.monitor = processes.hold(state.monitor_pid, state.monitor_started)
            signal = self.container.config.stop_signal if self.grace_seconds else _signal.SIGKILL
            kill.send(self.settings, self.container, self.process, signal)
        except NotFound:
            return  # it was made with --rm and has just gone
        except PodlingError as error:
            self.error = error

    def _mark(self) -> Container:
        while True:
            with database.write(self.settings) as db:
                container = db.container(self.container.id)
                before = container.state.status
                busy = claims.is_claimed(container.state)
                if not busy and before in _LIVE:
                    _mark_stopping(container.state)
                    db.save_state(container)
            if not busy:
                if before == Status.PAUSED:
                    kill.thaw(self.settings, container)
                return container
            claims.release(self.settings, claims.wait_for(self.settings, self.container.id, "stop"))

    def await_grace(self, warn: Warn | None) -> None:
        """Wait for the end of the process; when the grace is over, kill it."""
        if self.process is None:
            return
        try:
            left = self.began + self.grace_seconds - time.monotonic()
            if not processes.await_end(self.process, left):
                self._kill(warn)
            if not processes.await_end(self.process, _KILL_GRACE_SECONDS):
                name = self.container.name
                self.error = Unavailable(f'container "{name}" did not end within 10 seconds of SIGKILL')
        except PodlingError as error:
            self.error = error
        finally:
            os.close(self.process)

    def _kill(self, warn: Warn | None) -> None:
        signal = kill.signal_name(self.container.config.stop_signal)
        if warn is not None and self.grace_seconds:
            warn(
                f"StopSignal {signal} failed to stop container {self.container.name} in {self.grace_seconds} seconds, "
                "resorting to SIGKILL"
            )
        kill.send(self.settings, self.container, self.process, _signal.SIGKILL)

    def await_cleanup(self) -> None:
        """Wait for the monitor to have cleaned up; where it is dead already, do its work."""
        if self.process is None and self.monitor is None:
            return
        teardown.await_monitor(self.settings, self.container, self.monitor)
        try:
            with database.read(self.settings) as db:
                left = db.container(self.container.id)
        except NotFound:
            return
        if left.state.status in _LIVE and left.state.monitor_pid == self.container.state.monitor_pid:
            recover.recover(self.settings)
