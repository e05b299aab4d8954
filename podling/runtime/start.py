"""`start`: let the process of a created container execute its program, and wait until it has.

open exec.fifo for reading ─► init's open for writing returns ─► "0", then the end of file when the exec closes it
                                                              └► "0", then a reason where the exec failed
"""

from __future__ import annotations

import os
import select

from podling.errors import PodlingError, WrongState
from podling.linux import syscalls
from podling.linux.files import unlink_if_there
from podling.runtime import arguments, container, hooks
from podling.runtime.main import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID"
OPTIONS: tuple[str, ...] = ()


def run(context: Context, _options: dict[str, Any], words: list[str]) -> int:
    """Start a created container."""
    start(context, container.load(context.root, arguments.only_id(words)))
    return 0


def start(context: Context, found: Container) -> None:
    """Start a created container. Raise WrongState in any other state, PodlingError with the reason of a failed exec."""
    status = found.status()
    if status != container.CREATED:
        if status == container.STOPPED:
            raise WrongState("cannot start a container that has stopped")
        raise WrongState(f"cannot start a container in the {status} state")
    said = _let_execute(found)
    unlink_if_there(found.fifo)
    if not said:
        raise PodlingError("the container's process ended before it was started")
    if len(said) > 1:
        raise PodlingError(said[1:].decode("utf-8", "replace"))
    if "poststart" in found.state.hook_points:
        _run_poststart(context, found, found.config())


def _let_execute(found: Container) -> bytes:
    """Open the fifo and return all that init says before it becomes another program or ends."""
    pidfd = syscalls.pidfd_open(found.state.pid)
    fifo = os.open(found.fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(fifo, select.POLLIN)
    said = b""
    try:
        while True:
            ready = [fd for fd, _event in poll.poll()]
            if fifo in ready:
                part = os.read(fifo, 65536)
                if not part:
                    return said
                said += part
            elif pidfd in ready:
                return said
    finally:
        os.close(fifo)
        os.close(pidfd)


def _run_poststart(context: Context, found: Container, config: dict[str, Any]) -> None:
    from podling.runtime.state import describe

    try:
        hooks.run_all(config, "poststart", describe(found))
    except PodlingError as error:
        from podling.errors import reason

        report(context, reason(error), "warning")
