"""Hooks: programs that the configuration runs at six points of a container's life.

    prestart, createRuntime    by the runtime, in its namespaces, before the pivot        failure: create fails
    createContainer            by init, in the container's namespaces, before the pivot   failure: create fails
    startContainer             by init, just before the exec                              failure: start fails
    poststart                  by start, after the exec                                   failure: a warning
    poststop                   by delete, after the processes are gone                    failure: a warning

A hook reads the container's state as JSON from its stdin. What it prints goes into the error when it fails.
"""

from __future__ import annotations

import _signal
import os
import select

from podling.errors import PodlingError
from podling.linux import syscalls
from podling.oci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_OUTPUT = 4096


def of(config: dict[str, Any], point: str) -> list[dict[str, Any]]:
    """Return the hooks of one point, in order."""
    return list((config.get("hooks") or {}).get(point) or ())


def run_all(config: dict[str, Any], point: str, state: dict[str, Any]) -> None:
    """Run the hooks of a point, one after the other. Raise PodlingError at the first that fails."""
    for index, hook in enumerate(of(config, point)):
        try:
            _run(hook, dumps(state).encode())
        except (OSError, PodlingError) as error:
            raise PodlingError(f'{point} hook #{index} "{hook.get("path")}"') from error


def _run(hook: dict[str, Any], state: bytes) -> None:
    stdin, output = syscalls.memfd_create("state"), syscalls.memfd_create("output")
    try:
        os.write(stdin, state)
        os.lseek(stdin, 0, os.SEEK_SET)
        environment = dict(row.partition("=")[::2] for row in hook.get("env") or ())
        pid = os.posix_spawn(
            hook["path"],
            hook.get("args") or [hook["path"]],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0)] + [(os.POSIX_SPAWN_DUP2, output, fd) for fd in (1, 2)],
            setsigdef=[_signal.SIGPIPE, _signal.SIGXFSZ],
        )
        status = _wait(pid, hook.get("timeout"))
        if status:
            text = os.pread(output, _MOST_OUTPUT, 0).decode("utf-8", "replace").strip()
            raise PodlingError(f"{_describe(status)}{': ' if text else ''}{text}")
    finally:
        os.close(stdin)
        os.close(output)


def _wait(pid: int, timeout_seconds: int | None) -> int:
    """Return the exit code of a hook, as waitstatus_to_exitcode has it; kill it when its time is up."""
    if timeout_seconds:
        pidfd = syscalls.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = poll.poll(timeout_seconds * 1000)
        os.close(pidfd)
        if not in_time:
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)
            raise PodlingError(f"timed out after {timeout_seconds} s")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _describe(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
