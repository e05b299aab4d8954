"""Signals to a container's first process."""

from __future__ import annotations

import _signal
import os

from podling.engine import chain, database
from podling.engine.container import Status
from podling.errors import InvalidArgument, WrongState
from podling.linux import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings

_REALTIME_FIRST, _REALTIME_LAST = 34, 64  # what the C library leaves of 32 and up


def kill(settings: Settings, container: Container, signal: int) -> None:
    """Send a signal. Raise WrongState unless the container is running."""
    with database.read(settings) as db:
        container = db.container(container.id)
    state = container.state
    process = processes.hold(state.pid, state.pid_started)
    if state.status not in (Status.RUNNING, Status.STOPPING, Status.PAUSED) or process is None:
        raise WrongState(
            f"can only kill running containers. {container.id} is in state {state.status}: container state improper"
        )
    try:
        send(settings, container, process, signal)
    finally:
        os.close(process)


def send(settings: Settings, container: Container, process: int | None, signal: int) -> None:
    """Send a signal to a held process; one that has ended needs none.

    Where the container shares another pid namespace its other processes do not end with the first: then the runtime
    kills them all.
    """
    if process is None:
        return
    from podling.linux import syscalls

    private = container.config.namespaces.get("pid", "private") in ("", "private")
    if signal == _signal.SIGKILL and not private:
        chain.call_runtime(settings, "kill", "--all", container.id, str(int(signal)))
        return
    try:
        syscalls.pidfd_send_signal(process, signal)
    except ProcessLookupError:
        return


def thaw(settings: Settings, container: Container) -> None:
    """Let a paused container run again, so that it can receive signals."""
    chain.call_runtime(settings, "resume", container.id)


def parse_signal(text: str) -> int:
    """Return the number of a signal given as "TERM", "SIGTERM", "15", "RTMIN+3". Raise InvalidArgument."""
    upper = text.upper().removeprefix("SIG")
    number = -1
    if text.isascii() and text.isdigit():
        number = int(text)
    elif upper.startswith("RTMIN"):
        number = _REALTIME_FIRST + _offset(upper.removeprefix("RTMIN"), "+")
    elif upper.startswith("RTMAX"):
        number = _REALTIME_LAST - _offset(upper.removeprefix("RTMAX"), "-")
    elif upper.isalnum() and isinstance(getattr(_signal, f"SIG{upper}", None), int):
        number = int(getattr(_signal, f"SIG{upper}"))
    if not 1 <= number <= _REALTIME_LAST:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def _offset(text: str, sign: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix(sign)
    return int(digits) if digits != text and digits.isascii() and digits.isdigit() else 1000


def signal_name(number: int) -> str:
    """Return a signal's name, "SIGTERM"; of one without a name, its number."""
    for name in dir(_signal):
        named = name.startswith("SIG") and not name.startswith("SIG_") and name not in ("SIGCLD", "SIGPOLL")
        if named and getattr(_signal, name) == number:
            return name
    return str(number)
