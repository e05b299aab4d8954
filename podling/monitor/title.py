"""The monitor's name: `conmon` in comm, which pstree shows, and in its command line, which ps shows.

A monitor that was forked from the engine, or exec'd into the small interpreter, has somebody else's command line. The
kernel shows whatever lies in that memory, so the right one is written over it, as far as it fits.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "conmon"

_ARG_START, _ARG_END = 45, 46  # fields 48 and 49 of proc(5), counted from field 3 on


def set_title(arguments: "Sequence[str]") -> None:
    """Show this process as `conmon ARGUMENTS`; where the kernel refuses, it keeps the name it has."""
    try:
        _write("/proc/self/comm", NAME.encode(), 0)
        start, end = _command_line_memory()
        text = b"".join([word.encode("utf-8", "surrogateescape") + b"\0" for word in (NAME, *arguments)])
        _write("/proc/self/mem", text[: end - start - 1].ljust(end - start, b"\0"), start)
    except OSError:
        pass


def _command_line_memory() -> tuple[int, int]:
    fd = posix.open("/proc/self/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        stat = posix.read(fd, 4096)
    finally:
        posix.close(fd)
    fields = stat[stat.rindex(b")") + 2 :].split()
    return int(fields[_ARG_START]), int(fields[_ARG_END])


def _write(path: str, content: bytes, offset: int) -> None:
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        if offset:  # comm cannot be sought
            posix.lseek(fd, offset, 0)
        posix.write(fd, content)
    finally:
        posix.close(fd)
