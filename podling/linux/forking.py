"""fork(2) into a cgroup: clone3(2) with CLONE_INTO_CGROUP, made to look like os.fork.

Moving a process into a cgroup takes a lock of the whole kernel and with it an RCU grace period, some 8 ms. A process
that is born in the cgroup never pays it.
"""

from __future__ import annotations

import ctypes
import os

from podling.linux import syscalls

_SIGCHLD = 17


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    ]


def fork_into_cgroup(directory: int) -> int:
    """Fork a process with one thread, the child in the cgroup (version 2) of a directory fd; return as os.fork does.

    The C library's own fork handlers do not run: they guard locks that other threads may hold, and there are none.
    The interpreter's do. Raise OSError where the cgroup takes no processes.
    """
    arguments = _CloneArgs(flags=syscalls.CLONE_INTO_CGROUP, exit_signal=_SIGCHLD, cgroup=directory)
    holding = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock over the call
    clone = holding.syscall
    clone.restype = ctypes.c_long
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = clone(ctypes.c_long(syscalls.SYS_clone3), ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments)))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    code = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(code, os.strerror(code))
    return int(pid)
