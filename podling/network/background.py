"""Small processes that outlive the command: the resolver of a network, and the collector of dead interfaces.

They belong to no container, terminal or unit: a session of their own, init's cgroups (so that neither a logout nor
the removal of a container's cgroup ends them), no descriptors but those they were given.
"""

from __future__ import annotations

import os


def fork_detached(name: str, keep: int) -> bool:
    """Fork twice; return True in the grandchild, whose only descriptors are 0, 1, 2 on /dev/null and `keep`.

    The grandchild is nobody's to wait for. It must end in `os._exit`.
    """
    from podling.linux import syscalls

    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    try:
        if _fork_outside():
            os._exit(0)
        os.setsid()
        syscalls.set_process_name(name)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        if keep > 3:
            syscalls.close_range(3, keep - 1)
        syscalls.close_range(keep + 1)
    except BaseException:
        os._exit(1)
    return True


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


def leave_cgroups() -> None:
    """Move this process, which has one thread, to the cgroups of init, where that is allowed."""
    _enter(f"{_enter_version_1()}/cgroup.procs")


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
