"""System calls that Python does not wrap, each under the kernel's own name.

A wrapper is a few lines: it raises OSError with the path, and does nothing else. This is the one module that holds
architecture-bound constants; beside it only modules that pass structures (capabilities, seccomp, bpf) import ctypes.
Python 3.11 is the floor, so `unshare`, `setns`, `pidfd_getfd` and the mount family are here even where a later os
module has them.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

# These numbers are the same on every architecture since the unified table (424 and up) began.
SYS_pidfd_send_signal = 424
SYS_open_tree = 428
SYS_move_mount = 429
SYS_fsopen = 430
SYS_fsconfig = 431
SYS_fsmount = 432
SYS_pidfd_open = 434
SYS_clone3 = 435
SYS_openat2 = 437
SYS_pidfd_getfd = 438
SYS_mount_setattr = 442

_NUMBERS = {
    #          pivot_root keyctl seccomp memfd_create clone capget capset ioprio_set sched_setattr set_mempolicy bpf
    "x86_64": (155, 250, 317, 319, 56, 125, 126, 251, 314, 238, 321),
    "aarch64": (41, 219, 277, 279, 220, 90, 91, 30, 274, 237, 280),
}
(
    SYS_pivot_root,
    SYS_keyctl,
    SYS_seccomp,
    SYS_memfd_create,
    SYS_clone,
    SYS_capget,
    SYS_capset,
    SYS_ioprio_set,
    SYS_sched_setattr,
    SYS_set_mempolicy,
    SYS_bpf,
) = _NUMBERS[os.uname().machine]

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MNT_FORCE = 1
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_PATH = 3
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_NOSUID = 0x00000002
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_NOEXEC = 0x00000008
MOUNT_ATTR__ATIME = 0x00000070
MOUNT_ATTR_RELATIME = 0x00000000
MOUNT_ATTR_NOATIME = 0x00000010
MOUNT_ATTR_STRICTATIME = 0x00000020
MOUNT_ATTR_NODIRATIME = 0x00000080
MOUNT_ATTR_IDMAP = 0x00100000
MOUNT_ATTR_NOSYMFOLLOW = 0x00200000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

CLOSE_RANGE_CLOEXEC = 4

P_PIDFD = 3


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path) if path is not None else OSError(code, os.strerror(code))
    return result


def _bytes(path: str | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def syscall(number: int, *arguments: object) -> int:
    """Make a system call by number; integers are passed as longs. Raise OSError on failure."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_syscall(ctypes.c_long(number), *wide))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2); the error carries the target."""
    result = _libc.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data))
    _check(result, target)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(_bytes(target), flags), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _check(_syscall(ctypes.c_long(SYS_pivot_root), _bytes(new_root), _bytes(put_old)), new_root)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int = 0) -> None:
    """setns(2), with a namespace fd, or a pidfd and a set of CLONE_NEW* flags."""
    _check(_libc.setns(fd, ctypes.c_int(kind)))


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with up to four integer arguments."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _check(_libc.prctl(option, *[ctypes.c_ulong(value) for value in padded]))


def set_process_name(name: str) -> None:
    """Set comm, what ps and pstree show; the kernel keeps the first 15 bytes."""
    _check(_libc.prctl(PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)), 0, 0, 0))


def sethostname(name: str) -> None:
    """sethostname(2)."""
    encoded = os.fsencode(name)
    _check(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    encoded = os.fsencode(name)
    _check(_libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))), name)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2): close the fds first to last, both included."""
    _check(_libc.close_range(ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_int(flags)))


def pidfd_open(pid: int) -> int:
    """pidfd_open(2). The fd is close-on-exec, and readable once the process has ended."""
    return syscall(SYS_pidfd_open, pid, 0)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """pidfd_send_signal(2)."""
    syscall(SYS_pidfd_send_signal, pidfd, signal, None, 0)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2); close-on-exec always."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return syscall(SYS_openat2, directory, _bytes(path), ctypes.byref(how), ctypes.sizeof(how))
        except BlockingIOError:
            continue  # a rename raced with RESOLVE_IN_ROOT: the man page says to try again
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open a path as a process whose root is the directory fd `root` would; magic links are refused."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode)


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def mount_setattr(
    directory: int,
    path: str,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns: int = 0,
) -> None:
    """mount_setattr(2)."""
    attributes = _MountAttr(attr_set, attr_clr, propagation, userns)
    size = ctypes.sizeof(attributes)
    try:
        syscall(SYS_mount_setattr, directory, _bytes(path), flags, ctypes.byref(attributes), size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path or None) from None


def open_tree(directory: int, path: str, flags: int) -> int:
    """open_tree(2); close-on-exec always."""
    try:
        return syscall(SYS_open_tree, directory, _bytes(path), flags | OPEN_TREE_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path or None) from None


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int) -> None:
    """move_mount(2)."""
    try:
        syscall(SYS_move_mount, from_fd, _bytes(from_path), to_fd, _bytes(to_path), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, to_path or from_path or None) from None


def fsopen(kind: str) -> int:
    """fsopen(2); close-on-exec always."""
    return syscall(SYS_fsopen, _bytes(kind), FSOPEN_CLOEXEC)


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None, aux: int = 0) -> None:
    """fsconfig(2); the error carries the value. A string value ends at 255 bytes."""
    try:
        syscall(SYS_fsconfig, fd, command, _bytes(key), _bytes(value), aux)
    except OSError as error:
        raise OSError(error.errno, error.strerror, value or key) from None


def fsmount(fd: int, attributes: int = 0) -> int:
    """fsmount(2): a fd of a detached mount; close-on-exec always."""
    return syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes)


def memfd_create(name: str, flags: int = 1) -> int:
    """memfd_create(2); close-on-exec by default."""
    return syscall(SYS_memfd_create, _bytes(name), flags)


def keyctl_join_session(name: str | None) -> int:
    """keyctl(KEYCTL_JOIN_SESSION_KEYRING): a keyring of the process's own."""
    return syscall(SYS_keyctl, 1, _bytes(name), 0, 0, 0)


def syncfs(fd: int) -> None:
    """syncfs(2)."""
    _check(_libc.syncfs(fd))


class _StatFs(ctypes.Structure):
    _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_long * 31)]


PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
DEVPTS_SUPER_MAGIC = 0x1CD1


def filesystem_type(fd: int) -> int:
    """fstatfs(2): the magic number of the file system that a fd is on."""
    facts = _StatFs()
    _check(_libc.fstatfs(fd, ctypes.byref(facts)))
    return int(facts.f_type)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2): a duplicate of another process's fd; close-on-exec always."""
    return syscall(SYS_pidfd_getfd, pidfd, fd, 0)


def personality(value: int) -> int:
    """personality(2): set the execution domain and return the one before."""
    return _check(_libc.personality(ctypes.c_ulong(value)))


def keyctl_set_permissions(keyring: int, permissions: int) -> None:
    """keyctl(KEYCTL_SETPERM)."""
    syscall(SYS_keyctl, 5, keyring, permissions, 0, 0)
