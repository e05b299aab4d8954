"""Seccomp filters: from the runtime specification's `linux.seccomp` to a loaded BPF program.

    linux.seccomp (JSON) ──► libseccomp ──► BPF program ──► seccomp(2)
                      compile_profile             load
                             │  ▲
                             ▼  │  CACHE/<hash of profile, machine, kernel and libseccomp>.bpf
                            a file, 0600, in a directory that nobody else can write

libseccomp compiles the default profile in some 20 ms and takes 3 ms to load; a hit in the cache needs neither. The
rules are libseccomp(3)'s, the meaning of the fields config-linux.md's.
"""

from __future__ import annotations

import _blake2
import ctypes
import os

from podling.errors import InvalidArgument, Unsupported
from podling.linux import syscalls
from podling.linux.files import write_atomically
from podling.oci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPERM = 1
ENOSYS = 38

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_NEW_LISTENER": 8,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_NEW_LISTENER = FLAGS["SECCOMP_FILTER_FLAG_NEW_LISTENER"]
_TSYNC = FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
_TSYNC_ESRCH = 16  # a thread that cannot follow is an errno, not a thread ID in place of the listener

ARCHITECTURES = (
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
)

_SECCOMP_SET_MODE_FILTER = 1
_CTL_NNP = 3
_CTL_OPTIMIZE = 8
_BINARY_TREE = 2
_BINARY_TREE_PAYS_FROM = 33  # rules; and libseccomp 2.5.4 goes wrong when a tree has none

_LIBRARY = "libseccomp.so.2"
_LIBRARY_DIRECTORIES = (
    f"/usr/lib/{os.uname().machine}-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    f"/lib/{os.uname().machine}-linux-gnu",
    "/lib64",
    "/lib",
)


def applies(linux_seccomp: dict[str, Any] | None) -> bool:
    """Tell whether `linux.seccomp` asks for a filter: an object with neither default action nor rules does not."""
    return linux_seccomp is not None and bool(linux_seccomp.get("defaultAction") or linux_seccomp.get("syscalls"))


def notifies(linux_seccomp: dict[str, Any]) -> bool:
    """Tell whether a rule hands system calls to a listener; loading such a program then gives the listener's fd."""
    return any(rule.get("action") == "SCMP_ACT_NOTIFY" for rule in linux_seccomp.get("syscalls") or ())


def flags_of(linux_seccomp: dict[str, Any]) -> list[str]:
    """Return the flags to load a profile with: its own, SPEC_ALLOW if it is silent, and a listener where it notifies.

    Without SPEC_ALLOW the kernel switches speculative store bypass off for every process under the filter.
    """
    given = linux_seccomp.get("flags")
    flags = ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] if given is None else list(given)
    if notifies(linux_seccomp):
        flags.append("SECCOMP_FILTER_FLAG_NEW_LISTENER")
    return flags


def compile_profile(linux_seccomp: dict[str, Any], *, cache_directory: str | None = None) -> bytes:
    """Return the BPF program of a profile (`linux.seccomp` of the runtime specification).

    System calls that libseccomp does not know are skipped. With a cache directory (made 0700 if absent) a profile is
    compiled once per machine, kernel and libseccomp. Raise InvalidArgument for a profile that means nothing,
    Unsupported where libseccomp is missing.
    """
    if cache_directory is None:
        return _compile(linux_seccomp)
    path = os.path.join(cache_directory, f"{_key(linux_seccomp)}.bpf")
    program = _read_cached(path)
    if program is None:
        program = _compile(linux_seccomp)
        _write_cached(path, program)
    return program


def load(program: bytes, flags: list[str]) -> int:
    """Load a program for the calling thread and what it executes (seccomp(2)).

    Return the listener's fd where the flags have NEW_LISTENER, else 0. Needs no_new_privs or CAP_SYS_ADMIN in the
    user namespace, else PermissionError. From here on, only what the program allows may be called.
    """
    value = flags_value(flags)
    if value & _NEW_LISTENER and value & _TSYNC:
        value |= _TSYNC_ESRCH
    instructions = ctypes.create_string_buffer(program, len(program))
    filters = _SockFprog(len(program) // 8, ctypes.addressof(instructions))
    return syscalls.syscall(syscalls.SYS_seccomp, _SECCOMP_SET_MODE_FILTER, value, ctypes.byref(filters))


def flags_value(flags: list[str]) -> int:
    """Return the flags of seccomp(2) by their names. Raise InvalidArgument for an unknown one."""
    value = 0
    for flag in flags:
        if flag not in FLAGS:
            raise InvalidArgument(f'unknown seccomp flag "{flag}"')
        value |= FLAGS[flag]
    return value


class _SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


# --- the cache


def _key(profile: dict[str, Any]) -> str:
    uname = os.uname()
    facts = f"{uname.machine} {uname.release} {_library_identity()} {dumps(profile, sort_keys=True)}"
    return _blake2.blake2b(facts.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _library_identity() -> str:
    """Name the installed libseccomp without loading it: path, size and time of the file."""
    for directory in _LIBRARY_DIRECTORIES:
        try:
            facts = os.stat(f"{directory}/{_LIBRARY}")
        except OSError:
            continue
        return f"{directory} {facts.st_size} {facts.st_mtime_ns}"
    return "elsewhere"


def _read_cached(path: str) -> bytes | None:
    """Return a cached program, or None; a file that another user could have written is not one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        facts = os.fstat(fd)
        private = facts.st_uid == os.geteuid() and facts.st_mode & 0o170077 == 0o100000
        if not private or not facts.st_size or facts.st_size % 8:
            return None
        return os.read(fd, facts.st_size)
    finally:
        os.close(fd)


def _write_cached(path: str, program: bytes) -> None:
    """Keep a program where the directory is ours alone; a full disk or a read-only one costs only time."""
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        facts = os.lstat(directory)
        if facts.st_uid == os.geteuid() and facts.st_mode & 0o170077 == 0o040000:
            write_atomically(path, program, mode=0o600)
    except OSError:
        return


# --- the compiler


def _compile(profile: dict[str, Any]) -> bytes:
    default_name = _default_action(profile)
    default = _action(default_name, profile.get("defaultErrnoRet"))
    rules = list(profile.get("syscalls") or ())
    library = _library()
    context = library.seccomp_init(default)
    if not context:
        raise InvalidArgument(f'seccomp action "{default_name}" is not supported here')
    try:
        library.seccomp_attr_set(context, _CTL_NNP, 0)
        if sum(len(rule.get("names") or ()) for rule in rules) >= _BINARY_TREE_PAYS_FROM:
            library.seccomp_attr_set(context, _CTL_OPTIMIZE, _BINARY_TREE)
        for name in profile.get("architectures") or ():
            _add_architecture(library, context, name)
        for rule in rules:
            _add_rule(library, context, rule, default)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _default_action(profile: dict[str, Any]) -> str:
    name = str(profile.get("defaultAction", ""))
    if name == "SCMP_ACT_NOTIFY":
        raise InvalidArgument("SCMP_ACT_NOTIFY cannot be used as the default action of seccomp")
    return name


def _action(name: str, errno: int | None) -> int:
    if name not in ACTIONS:
        raise InvalidArgument(f'unknown seccomp action "{name}"')
    if name in _WITH_ERRNO:
        return ACTIONS[name] | (EPERM if errno is None else int(errno)) & 0xFFFF
    if errno:
        raise InvalidArgument(f'seccomp action "{name}" takes no errno')
    return ACTIONS[name]


def _add_architecture(library: Any, context: int, name: str) -> None:
    if name not in ARCHITECTURES:
        raise InvalidArgument(f'unknown seccomp architecture "{name}"')
    token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    if not token:
        raise Unsupported(f'seccomp architecture "{name}" is unknown to this libseccomp')
    _check(library.seccomp_arch_add(context, token), f'cannot add seccomp architecture "{name}"', (0, -17))


def _add_rule(library: Any, context: int, rule: dict[str, Any], default: int) -> None:
    action = _action(str(rule.get("action", "")), rule.get("errnoRet"))
    alternatives = _conditions(rule.get("args") or [])
    for name in rule.get("names") or ():
        if not name:
            raise InvalidArgument("a seccomp rule names an empty system call")
        if name == "write" and action == ACTIONS["SCMP_ACT_NOTIFY"]:
            raise InvalidArgument("SCMP_ACT_NOTIFY cannot be used for the system call write")
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1 or action == default:
            continue
        for conditions in alternatives:
            array = (_Comparison * len(conditions))(*conditions)
            result = library.seccomp_rule_add_array(context, action, number, len(conditions), array)
            _check(result, f'cannot add a seccomp rule for "{name}"')


def _conditions(arguments: list[dict[str, Any]]) -> list[list[_Comparison]]:
    """Return the alternatives of a rule, each a list of conditions that must all hold.

    Conditions on different arguments must all hold; two on the same argument cannot be in one rule of libseccomp, and
    make every condition an alternative: what runc has always done with such profiles.
    """
    comparisons = []
    for argument in arguments:
        index, name = int(argument["index"]), str(argument["op"])
        if index > 5:
            raise InvalidArgument(f"a seccomp rule compares argument {index}; system calls have 0 to 5")
        if name not in OPERATORS:
            raise InvalidArgument(f'unknown seccomp operator "{name}"')
        second = argument.get("valueTwo", 0)
        comparisons.append(_Comparison(index, OPERATORS[name], argument["value"], second))
    if len({comparison.arg for comparison in comparisons}) < len(comparisons):
        return [[comparison] for comparison in comparisons]
    return [comparisons]


def _export(library: Any, context: int) -> bytes:
    fd = syscalls.memfd_create("seccomp")
    try:
        _check(library.seccomp_export_bpf(context, fd), "cannot export the seccomp filter")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _check(result: int, intent: str, fine: tuple[int, ...] = (0,)) -> None:
    if result not in fine:
        raise InvalidArgument(f"{intent}: {os.strerror(-result).lower()}")


def _library() -> Any:
    """Load libseccomp. Raise Unsupported where it is not installed."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise Unsupported(f"seccomp profiles need {_LIBRARY}: {error}") from None
    context, number, unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
    for name, result, arguments in (
        ("seccomp_init", context, [unsigned]),
        ("seccomp_release", None, [context]),
        ("seccomp_attr_set", number, [context, number, unsigned]),
        ("seccomp_arch_resolve_name", unsigned, [ctypes.c_char_p]),
        ("seccomp_arch_add", number, [context, unsigned]),
        ("seccomp_syscall_resolve_name", number, [ctypes.c_char_p]),
        ("seccomp_rule_add_array", number, [context, unsigned, number, ctypes.c_uint, ctypes.POINTER(_Comparison)]),
        ("seccomp_export_bpf", number, [context, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
