"""Small processes that outlive the command: the resolver of a network, and the collector of dead interfaces.

They belong to no container, terminal or unit: a session of their own, the root cgroup (so that neither a logout nor
the removal of a container's cgroup ends them), no descriptors but those they were given.
"""

from __future__ import annotations

import os

CGROUP_ROOT = "/sys/fs/cgroup"


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
        if os.fork():
            os._exit(0)
        os.setsid()
        syscalls.set_process_name(name)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        if keep > 3:
            syscalls.close_range(3, keep - 1)
        syscalls.close_range(keep + 1)
        leave_cgroups()
    except BaseException:
        os._exit(1)
    return True


def leave_cgroups() -> None:
    """Move this process to the root of every hierarchy, where that is allowed."""
    places = [CGROUP_ROOT]
    try:
        if not os.path.exists(f"{CGROUP_ROOT}/cgroup.procs"):
            places = [f"{CGROUP_ROOT}/{name}" for name in os.listdir(CGROUP_ROOT)]
    except OSError:
        return
    for place in places:
        try:
            fd = os.open(f"{place}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(fd, b"0")
        except OSError:
            pass
        os.close(fd)
