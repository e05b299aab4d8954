"""The three programs, and the two ways to reach one.

    podling ──► podling-conmon ──► podling-runc

They meet only by argv, environment, file descriptors and JSON. A foreign program is exec'd. One of ours is forked and
its `main(argv, environment)` called in the child: no second interpreter start, no re-import. A fork is not an exec, so
`start` makes it one: the child keeps the descriptors it was given and no others, default signal handlers, an empty
signal mask, umask 022, and ends in `os._exit`.

This is the one module allowed to cross the three programs. A `main` is imported in the forked child, or ahead of the
fork, by `warm`, where a process would only wait.
"""

from __future__ import annotations

import _signal
import gc
import os
import sys

from podling.errors import NotFound, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Main = Callable[[list[str], dict[str, str]], int]

OURS = ("podling", "podling-conmon", "podling-runc")
_FIRST_NEEDED = {
    ("podling", "container cleanup"): ("podling.cli.verbs.container_cleanup", "podling.engine.remove"),
    ("podling-runc", "create"): ("podling.runtime.create",),
    ("podling-runc", "exec"): ("podling.runtime.exec",),
    ("podling-runc", "start"): ("podling.runtime.start", "podling.runtime.hooks"),
    ("podling-runc", "delete"): ("podling.runtime.delete",),
}

_LEFT_ALONE = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE, _signal.SIGXFSZ)
_IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def main_of(name: str) -> Main:
    """Return the `main` of one of ours, importing it."""
    if name == "podling-runc":
        from podling.runtime.main import main as runtime

        return runtime
    if name == "podling-conmon":
        from podling.monitor.main import main as monitor

        return monitor
    if name == "podling":
        from podling.cli.main import main as engine

        return engine
    raise NotFound(f'program "{name}" is not one of ours')


def warm(path: str, verb: str) -> None:
    """Import what a verb of one of ours needs, so that a fork that calls it later finds it there."""
    name = ours(path)
    if name is not None:
        main_of(name)
        for module in _FIRST_NEEDED[name, verb]:
            __import__(module)


def ours(path: str) -> str | None:
    """Return which of our programs a path names: the bare name, or the launcher installed with this package."""
    name = os.path.basename(path)
    if name not in OURS:
        return None
    if path in (name, launcher(name)):
        return name
    return None


def launcher(name: str) -> str:
    """Return the absolute path of one of our programs, for a foreign program to exec."""
    from podling import launching

    return os.path.join(launching.directory(), name)


def start(
    path: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    descriptors: Mapping[int, int],
    working_directory: str | None = None,
    fork: Callable[[], int] = os.fork,
) -> int:
    """Start a program and return its pid.

    `fork` may be one that puts the child into a cgroup; where that fails the child ends with status 127.
    `descriptors` maps the child's numbers to the parent's; 0, 1 and 2 are the parent's own unless mapped. Everything
    else is closed. The parent must hold no thread, no lock and no database connection. Raise NotFound where a foreign
    program is not there; other failures of the exec are one line on the child's stderr and status 127.
    """
    name = ours(path)
    if name is None and not os.access(path, os.X_OK):
        raise NotFound(f'program "{path}" is not an executable file')
    mother = os.getpid()
    status = 127
    _flush()  # or the child would print it again
    try:
        pid = fork()
        if pid:
            return pid
        gc.freeze()
        _become_a_fresh_process(descriptors, working_directory)
        if name is None:
            for number in _IGNORED_BY_PYTHON:
                _signal.signal(number, _signal.SIG_DFL)
            os.execve(path, [path, *arguments], dict(environment))
        os.environ.clear()
        os.environ.update(environment)
        status = main_of(name)([path, *arguments], dict(environment))
        _flush()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:
        if os.getpid() == mother:
            raise
        _tell(f"{os.path.basename(path)}: {reason(error)}\n")
    os._exit(status & 0xFF)


def _become_a_fresh_process(descriptors: Mapping[int, int], working_directory: str | None) -> None:
    for number in range(1, _signal.NSIG):
        if number in _LEFT_ALONE:
            continue
        try:
            if _signal.getsignal(number) is not _signal.SIG_DFL:
                _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # 32 and 33 belong to the C library
    _signal.set_wakeup_fd(-1)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    os.umask(0o022)
    place_descriptors(descriptors)
    if working_directory is not None:
        os.chdir(working_directory)


def place_descriptors(descriptors: Mapping[int, int]) -> None:
    """Put descriptors at their numbers, inheritable, and close all others above 2."""
    wanted = {target: source for target, source in descriptors.items() if target != source}
    floor = max([2, *descriptors.keys(), *descriptors.values()]) + 1
    import fcntl

    from podling.linux import syscalls

    lifted = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, floor) for target, source in wanted.items()}
    for target, source in lifted.items():
        os.dup2(source, target)
    for target in descriptors:
        os.set_inheritable(target, True)
    first = 3
    for keep in sorted(number for number in descriptors if number > 2):
        if keep > first:
            syscalls.close_range(first, keep - 1)
        first = keep + 1
    syscalls.close_range(first)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the reader has gone, or the stream was closed


def _tell(line: str) -> None:
    try:
        os.write(2, line.encode("utf-8", "surrogateescape"))
    except OSError:
        pass
