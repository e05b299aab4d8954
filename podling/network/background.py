"""Small processes that outlive the command: the resolver of a network, and the collector of dead interfaces.

They belong to no container, terminal or unit: a session of their own, init's cgroups (so that neither a logout nor
the removal of a container's cgroup ends them), no descriptors but those they were given.
"""

from __future__ import annotations

import _signal
import os

from podling.linux import processes

FIRST_DESCRIPTOR = 3


def fork_detached(name: str, descriptors: list[int], *, record: int = -1) -> bool:
    """Fork twice; return True in the grandchild, which has 0, 1, 2 on /dev/null, `descriptors` from 3 on, no others.

    The grandchild is nobody's to wait for. It must end in `os._exit` or an exec, which the descriptors survive. Its
    "pid started" has been written to the fd `record` when this returns in the caller.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    try:
        pid = _fork_outside()
        if pid:
            if record >= 0:
                os.write(record, f"{pid} {processes.start_time(pid)}\n".encode())
            os._exit(0)
        _detach(name, descriptors)
    except BaseException:
        os._exit(1)
    return True


def _detach(name: str, descriptors: list[int]) -> None:
    from podling.linux import syscalls

    os.setsid()
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    syscalls.set_process_name(name)
    beyond = max([FIRST_DESCRIPTOR + len(descriptors), *descriptors]) + 1
    for number, fd in enumerate(descriptors):
        os.dup2(fd, beyond + number)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for number in range(len(descriptors)):
        os.dup2(beyond + number, FIRST_DESCRIPTOR + number)
    syscalls.close_range(FIRST_DESCRIPTOR + len(descriptors))


def _fork_outside() -> int:
    """Fork, the child being in the cgroups of init from birth, where that is allowed.

    Whoever waits for the forking process may remove its cgroups then. Version 1 lets a process with one thread move
    itself at no cost; to move in the unified hierarchy costs 8 ms, to be born elsewhere does not.
    """
    from podling.linux.forking import fork_into_cgroup

    unified = _enter_version_1()
    try:
        fd = os.open(unified, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return os.fork()
    try:
        return fork_into_cgroup(fd)
    except OSError:
        return os.fork()
    finally:
        os.close(fd)


def _enter_version_1() -> str:
    """Enter init's version 1 cgroups; return the directory of its unified one, or nothing."""
    from podling.linux import cgroups

    unified = ""
    for controller, cgroup in cgroups.membership(1).items():
        if controller == cgroups.UNIFIED and controller in cgroups.hierarchies():
            unified = cgroups.directory(controller, cgroup)
        elif controller in cgroups.hierarchies():
            _enter(f"{cgroups.directory(controller, cgroup)}/tasks")
    return unified


def _enter(tasks: str) -> None:
    try:
        fd = os.open(tasks, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"0")
    except OSError:
        pass
    os.close(fd)
