"""What is left to do when a container has ended: exit files, the exit command.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import _signal
import posix


def exit_code(status: int) -> int:
    """Return the exit code that a shell would tell for a wait status."""
    code = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def kill_group(pid: int) -> None:
    """Kill a process with its group, where it has one of its own."""
    try:
        group = posix.getpgid(pid)
        if group > 1:
            posix.killpg(group, _signal.SIGKILL)
        else:
            posix.kill(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass


def write_file(path: str, text: str) -> None:
    """Write a small file whole, by a rename. Raise OSError, leaving nothing."""
    directory, _, name = path.rpartition("/")
    staged = f"{directory or '.'}/.{name}.{posix.getpid()}"
    fd = posix.open(staged, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644)
    try:
        try:
            posix.write(fd, text.encode())
        finally:
            posix.close(fd)
        posix.rename(staged, path)
    except OSError:
        unlink_quietly(staged)
        raise


def write_oom_score(score: str) -> str:
    """Set this process's oom_score_adj where that is allowed; return what it was."""
    before = "0"
    try:
        fd = posix.open("/proc/self/oom_score_adj", posix.O_RDWR | posix.O_CLOEXEC)
    except OSError:
        return before
    try:
        before = posix.read(fd, 16).decode().strip()
        posix.write(fd, score.encode())
    except OSError:
        pass  # lowering it is a privilege
    finally:
        posix.close(fd)
    return before


def close_quietly(fd: int) -> None:
    """Close a descriptor that somebody else may have closed."""
    try:
        posix.close(fd)
    except OSError:
        pass


def unlink_quietly(path: str) -> None:
    """Unlink a path whose directory may be gone."""
    try:
        posix.unlink(path)
    except OSError:
        pass


def wait_for(pid: int) -> int:
    """Wait for one child, passing over others, and return its exit code."""
    while True:
        ended, status = posix.waitpid(-1, 0)
        if ended == pid:
            return exit_code(status)
