"""`delete`: remove what is left of a container, in the order by which an interrupted delete can be repeated.

    kill what runs (--force) ── cgroups ── poststop hooks ── the directory under --root

With --force it works on whatever a kill of any runtime command left, at any point: processes are found by their
record and through the cgroups, which are recorded before they are made.
"""

from __future__ import annotations

import os
import select

from podling.errors import InvalidArgument, NotFound, PodlingError, Unavailable, WrongState, reason
from podling.linux import syscalls
from podling.runtime import container, hooks
from podling.runtime.main import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID..."
OPTIONS = ("force,f",)

_SIGKILL = 9
_PATIENCE_MS = 10_000


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Delete containers; with --force running ones too, and absent ones are fine."""
    if not words:
        raise InvalidArgument("container id cannot be empty")
    for container_id in words:
        try:
            found = container.load(context.root, container_id)
        except NotFound:
            if options["force"]:
                continue
            raise
        delete(context, found, force=options["force"])
    return 0


def delete(context: Context, found: Container, *, force: bool) -> None:
    """Delete one container. Raise WrongState where it runs and force is not used."""
    status = found.status()
    if status != container.STOPPED and not force and status != container.CREATED:
        raise WrongState(f'cannot delete container "{found.id}" that is not stopped: {status}')
    if status != container.STOPPED or force:
        _kill(found)
    if found.state.cgroup:  # none where cgroups are disabled, or where a killed delete has come as far as the record
        found.cgroup().kill(_SIGKILL)
        found.cgroup().remove()
    _run_poststop(context, found)
    found.forget()


def _kill(found: Container) -> None:
    """Kill the first process and all others, and wait for the first to end."""
    if not found.is_alive():
        return
    pidfd = syscalls.pidfd_open(found.state.pid)
    try:
        found.signal(_SIGKILL)
        if found.is_frozen():
            found.cgroup().thaw()
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_PATIENCE_MS):
            raise Unavailable(f"process {found.state.pid} does not die")
    except WrongState:
        pass  # it ended by itself
    finally:
        os.close(pidfd)


def _run_poststop(context: Context, found: Container) -> None:
    if "poststop" not in found.state.hook_points:
        return
    from podling.runtime.state import describe

    for hook in hooks.of(found.config(), "poststop"):
        try:
            hooks.run_all({"hooks": {"poststop": [hook]}}, "poststop", {**describe(found), "status": "stopped"})
        except PodlingError as error:
            report(context, reason(error), "warning")
