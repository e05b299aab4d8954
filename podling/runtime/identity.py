"""From a process of ours to the user's: limits, keyring, seccomp, capabilities, user, working directory.

    become     once, in this order, since each step needs what a later one takes away:
               rlimits · session keyring · bounding set · seccomp (unless no_new_privs lets it wait) ·
               groups and user · working directory · capabilities
    find       which file execve will be given
    execute    the exec

After the pivot nothing is opened by name but the working directory, which is resolved without magic links and must
lie inside the root.
"""

from __future__ import annotations

import _signal
import errno
import os
import resource
import stat

from podling.errors import CannotInvoke, CommandNotFound, InvalidArgument, PodlingError
from podling.linux import capabilities, seccomp, syscalls
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LISTENER = "SECCOMP_FILTER_FLAG_NEW_LISTENER"
_KEY_POSSESSOR_AND_UID_SEARCH = 0x3F3F0000 | 0x00080000


class Identity(Record):
    """What a process is to become, all of it read and checked before the pivot."""

    process: dict[str, Any]
    sets: capabilities.Sets
    program: bytes = b""
    seccomp_flags: list[str] = []
    keyring: str = ""  # name of the session keyring to join; empty: keep the caller's
    set_groups: bool = True
    proc: int = -1  # the host's /proc
    interpreter: tuple[int, int] = (0, 0)  # device and inode of what runs us

    @property
    def late_seccomp(self) -> bool:
        """Tell whether the filter can be the last thing before the exec: no_new_privs permits it unprivileged."""
        return bool(self.process.get("noNewPrivileges")) and _LISTENER not in self.seccomp_flags


def environment_of(process: dict[str, Any]) -> dict[str, str]:
    """Return the environment; of a name given twice the last counts."""
    environment = {}
    for row in process.get("env") or ():
        name, equals, value = row.partition("=")
        if name and equals:
            environment[name] = value
    return environment


def become(identity: Identity) -> int:
    """Change the calling process in all but its program. Return the seccomp listener's fd, or -1."""
    process = identity.process
    user = process.get("user") or {}
    set_limits(process.get("rlimits") or [])
    if identity.keyring:
        _join_keyring(identity.keyring)
    _own_streams(user.get("uid", 0))
    _label(identity)
    if process.get("noNewPrivileges"):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    listener = -1
    if identity.program and not identity.late_seccomp:
        listener = load_seccomp(identity)
    capabilities.drop_bounding(identity.sets.bounding)
    inside = _change_directory(process["cwd"], retry_later=True)
    groups = sorted(set(user.get("additionalGids") or [])) if identity.set_groups else None
    capabilities.become_user(user.get("uid", 0), user.get("gid", 0), groups)
    if not inside:
        _change_directory(process["cwd"], retry_later=False)
    os.umask(0o022 if user.get("umask") is None else user["umask"])
    capabilities.install(identity.sets)
    return listener


def load_seccomp(identity: Identity) -> int:
    """Load the filter. Return the listener's fd, or -1 where the profile notifies nobody."""
    fd = seccomp.load(identity.program, identity.seccomp_flags)
    return fd if _LISTENER in identity.seccomp_flags else -1


def set_limits(rlimits: list[dict[str, Any]]) -> None:
    """Set resource limits exactly as given; what the host does not permit is an error."""
    for row in rlimits:
        number = getattr(resource, row["type"], None)
        if number is None:
            raise InvalidArgument(f'unknown rlimit "{row["type"]}"')
        try:
            resource.setrlimit(number, (_limit(row["soft"]), _limit(row["hard"])))
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else OSError(errno.EPERM, "operation not permitted")
            raise PodlingError(f"cannot set {row['type']} to {row['soft']}:{row['hard']}") from cause


def _limit(value: int) -> int:
    return -1 if value >= 1 << 63 else value  # RLIM_INFINITY is 2^64 - 1, which Python spells -1


def _join_keyring(name: str) -> None:
    try:
        keyring = syscalls.keyctl_join_session(name)
        syscalls.keyctl_set_permissions(keyring, _KEY_POSSESSOR_AND_UID_SEARCH)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise PodlingError(f'cannot join session keyring "{name}"') from error


def _own_streams(uid: int) -> None:
    """Let the user own its standard streams, so that it can open /dev/stdout again; /dev/null stays everybody's."""
    null = os.makedev(1, 3)
    for fd in range(3):
        try:
            facts = os.fstat(fd)
            if facts.st_uid != uid and facts.st_rdev != null:
                os.fchown(fd, uid, -1)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EROFS, errno.EINVAL, errno.EBADF):
                raise


def _label(identity: Identity) -> None:
    """Ask the security module for the label or profile that the next exec gets, through the host's procfs."""
    from podling.runtime.root import write_proc

    profile, label = identity.process.get("apparmorProfile"), identity.process.get("selinuxLabel")
    try:
        if profile:
            write_proc(identity.proc, "thread-self/attr/apparmor/exec", f"exec {profile}")
        if label:
            write_proc(identity.proc, "thread-self/attr/exec", label)
    except OSError as error:
        raise PodlingError(f'cannot apply security label "{profile or label}"') from error


def _change_directory(path: str, *, retry_later: bool) -> bool:
    """Enter the working directory, inside the root and by no magic link; tell whether it worked.

    It is tried as root first and as the user later, since either may lack the permission.
    """
    try:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = syscalls.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY)
        os.fchdir(fd)
        os.close(fd)
        os.close(root)
    except OSError as error:
        if retry_later and error.errno == errno.EACCES:
            return False
        raise PodlingError(f'cannot change to working directory "{path}"') from error
    try:
        os.getcwd()
    except FileNotFoundError:
        raise PodlingError(f'working directory "{path}" is outside the container\'s root') from None
    return True


def interpreter(proc: int) -> tuple[int, int]:
    """Return the device and inode of the file that runs us."""
    facts = os.stat("self/exe", dir_fd=proc)
    return facts.st_dev, facts.st_ino


def find_command(identity: Identity, environment: dict[str, str]) -> str:
    """Return the file that args[0] names, by PATH where it has no slash.

    Raise CommandNotFound or CannotInvoke, in the words by which callers tell them apart. A file that would execute our
    own interpreter is refused: at the moment of the exec /proc/self/exe still leads to it, on the host.
    """
    command = _search(identity.process["args"][0], environment.get("PATH", ""))
    _refuse_interpreter(command, identity.interpreter)
    return command


def _search(name: str, search_path: str) -> str:
    if "/" in name:
        problem = _problem(name)
        if problem:
            raise problem
        return name
    denied = False
    for directory in search_path.split(":"):
        path = os.path.join(directory or ".", name)
        problem = _problem(path)
        if problem is None:
            return path
        denied = denied or isinstance(problem, CannotInvoke)
    if denied:
        raise CannotInvoke(f'exec: "{name}": permission denied')
    raise CommandNotFound(f'exec: "{name}": executable file not found in $PATH')


def _refuse_interpreter(command: str, own: tuple[int, int]) -> None:
    """Refuse our interpreter, and scripts that lead to it: the kernel follows five "#!" at most."""
    path = command
    for _level in range(6):
        try:
            facts = os.stat(path)
        except OSError:
            return
        if (facts.st_dev, facts.st_ino) == own:
            raise CannotInvoke(f'exec: "{command}": permission denied: it is the interpreter of the runtime')
        words = _first_line(path).removeprefix(b"#!").split()
        if not words:
            return
        path = os.fsdecode(words[0])


def _first_line(path: str) -> bytes:
    """Return the first line of a script, empty for what is none; no magic link is followed and no FIFO waited for."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = syscalls.open_in_root(root, os.path.abspath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    finally:
        os.close(root)
    try:
        start = os.read(fd, 256)
    except OSError:
        return b""
    finally:
        os.close(fd)
    return start.split(b"\n")[0] if start.startswith(b"#!") else b""


def _problem(path: str) -> PodlingError | None:
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return CannotInvoke(f'exec: "{path}": permission denied')
    except OSError as error:
        return CommandNotFound(f'exec: "{path}": stat {path}: {os.strerror(error.errno or 0).lower()}')
    if stat.S_ISDIR(mode):
        return CannotInvoke(f'exec: "{path}": is a directory: permission denied')
    if not os.access(path, os.X_OK, effective_ids=True):
        return CannotInvoke(f'exec: "{path}": permission denied')
    return None


def reset_signals() -> None:
    """Give every signal its default action and block none: the interpreter ignores two, a caller perhaps more."""
    for number in range(1, _signal.NSIG):
        try:
            if _signal.getsignal(number) is _signal.SIG_IGN:
                _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # 32 and 33 belong to the C library
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def close_on_exec_above(last: int) -> None:
    """Mark every descriptor above `last`, so that the program gets none of ours."""
    syscalls.close_range(last + 1, flags=syscalls.CLOSE_RANGE_CLOEXEC)
