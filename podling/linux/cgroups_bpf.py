"""The device rules of a container on cgroup version 2: a BPF_PROG_TYPE_CGROUP_DEVICE program attached to its cgroup.

The program gets a bpf_cgroup_dev_ctx in R1 and returns 1 to allow:

    u32 access_type     lower half: 1 block, 2 character; upper half: 1 mknod, 2 read, 4 write
    u32 major
    u32 minor

    R2 = type, R3 = access, R4 = major, R5 = minor
    for each exception:   R2, R4 and R5 match, and R3 has nothing beyond its access   ──► return not default
    return default

bpf(2) has the attributes, Documentation/bpf/standardization/instruction-set.rst the instructions.
"""

from __future__ import annotations

import ctypes
import os
import struct

from podling.errors import Unsupported
from podling.linux import syscalls
from podling.linux.cgroups_devices import ANY, DevicePolicy

_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_DETACH = 9
_BPF_PROG_GET_FD_BY_ID = 13
_BPF_PROG_QUERY = 16
_BPF_PROG_TYPE_CGROUP_DEVICE = 15
_BPF_CGROUP_DEVICE = 6
_BPF_F_ALLOW_MULTI = 2
_MOST_PROGRAMS = 64  # that a cgroup can have

_ACCESS = {"m": 1, "r": 2, "w": 4}
_TYPE = {"b": 1, "c": 2}

_LDX_W = 0x61
_AND_K, _RSH_K, _MOV_K = 0x54, 0x74, 0xB4
_MOV_X, _JNE_K, _JNE_X, _EXIT = 0xBC, 0x55, 0x5D, 0x95


def program(policy: DevicePolicy) -> bytes:
    """Return the instructions for a policy."""
    code = [
        _instruction(_LDX_W, 2, 1, 0),
        _instruction(_AND_K, 2, immediate=0xFFFF),
        _instruction(_LDX_W, 3, 1, 0),
        _instruction(_RSH_K, 3, immediate=16),
        _instruction(_LDX_W, 4, 1, 4),
        _instruction(_LDX_W, 5, 1, 8),
    ]
    for (kind, major, minor), access in policy.exceptions.items():
        code += _exception(kind, major, minor, access, exceptional=not policy.allow, denying=policy.allow)
    code += _return(policy.allow)
    return b"".join(code)


def _exception(kind: str, major: int, minor: int, access: str, *, exceptional: bool, denying: bool) -> list[bytes]:
    modes = sum(_ACCESS[mode] for mode in access)
    checks: list[tuple[int, int, int, int]] = [(_JNE_K, 2, 0, _TYPE[kind])]
    if modes != 7 and not denying:  # an allowance must cover all that is asked
        checks += [(_MOV_X, 1, 3, 0), (_AND_K, 1, 0, modes), (_JNE_X, 1, 3, 0)]
    if major != ANY:
        checks.append((_JNE_K, 4, 0, major))
    if minor != ANY:
        checks.append((_JNE_K, 5, 0, minor))
    if modes != 7 and denying:  # a denial holds when any of it is asked: skip it where nothing is
        checks += [(_MOV_X, 1, 3, 0), (_AND_K, 1, 0, modes), (_JEQ_K, 1, 0, 0)]
    code = []
    length = len(checks) + 2
    for position, (operation, target, source, immediate) in enumerate(checks):
        jumps = operation in (_JNE_K, _JNE_X, _JEQ_K)
        offset = length - position - 1 if jumps else 0
        code.append(_instruction(operation, target, source, offset, immediate))
    return code + _return(exceptional)


_JEQ_K = 0x15


def _return(value: bool) -> list[bytes]:
    return [_instruction(_MOV_K, 0, immediate=int(value)), _instruction(_EXIT, 0)]


def _instruction(operation: int, target: int, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    signed = immediate - (1 << 32) if immediate >= 1 << 31 else immediate
    registers = source << 4 | target
    return struct.pack("=BBhi", operation, registers, offset, signed)


def confine(path: str, policy: DevicePolicy) -> None:
    """Attach a policy's program to a cgroup, then detach those that were there: at no time is it unconfined.

    Raise Unsupported where the kernel has no such programs.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    loaded = -1
    try:
        before = attached(directory)
        loaded = _load(program(policy))
        _bpf(_BPF_PROG_ATTACH, struct.pack("=IIII", directory, loaded, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI))
        for identity in before:
            _detach(directory, identity)
    except OSError as error:
        raise Unsupported(f'cannot confine the devices of cgroup "{path}"') from error
    finally:
        if loaded >= 0:
            os.close(loaded)
        os.close(directory)


def attached(directory: int) -> list[int]:
    """Return the IDs of the device programs attached to a cgroup itself."""
    identities = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    attributes = struct.pack(
        "=IIIIQII", directory, _BPF_CGROUP_DEVICE, 0, 0, ctypes.addressof(identities), _MOST_PROGRAMS, 0
    )
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    syscalls.syscall(syscalls.SYS_bpf, _BPF_PROG_QUERY, ctypes.byref(buffer), len(attributes))
    count = struct.unpack_from("=I", buffer, 24)[0]
    return list(identities[:count])


def _load(code: bytes) -> int:
    instructions, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQ",
        _BPF_PROG_TYPE_CGROUP_DEVICE,
        len(code) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
    )
    return _bpf(_BPF_PROG_LOAD, attributes)


def _detach(directory: int, identity: int) -> None:
    """Detach a program by its ID; one that a security module hides from us can stay: it only forbids more."""
    try:
        fd = _bpf(_BPF_PROG_GET_FD_BY_ID, struct.pack("=II", identity, 0))
    except (PermissionError, FileNotFoundError):
        return
    try:
        _bpf(_BPF_PROG_DETACH, struct.pack("=III", directory, fd, _BPF_CGROUP_DEVICE))
    finally:
        os.close(fd)


def _bpf(command: int, attributes: bytes) -> int:
    """bpf(2); the fd is close-on-exec always."""
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    return syscalls.syscall(syscalls.SYS_bpf, command, ctypes.byref(buffer), 128)
