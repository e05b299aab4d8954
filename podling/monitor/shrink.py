"""The exec of the monitor into an interpreter that holds nothing but the resident part.

A monitor forked from the engine keeps the engine's heap, one started by a foreign Podman the start-up's: 5 to 6 MB of
private memory either way. A bare interpreter has 2.3. So after about a second, off the path of anybody who waits, the
monitor packs itself up and goes on in `python3 -I -S IMAGE STATE`: IMAGE is one file of code objects, kept beside the
sources, or in a memfd where that directory cannot be written; STATE is the number of a memfd. Beside the image lies a
link to the interpreter by the name of `conmon`: exec'd by that name, the process is never called otherwise.
"""

from __future__ import annotations

import os
import sys

from podling.linux.syscalls import memfd_create
from podling.monitor import handover
from podling.monitor.resident import Monitor
from podling.monitor.title import NAME

BASE = ("report", "loop", "clients", "control", "oom", "ending", "title")
TOP = ("resident", "handover")


def shrink(monitor: Monitor, arguments: list[str]) -> None:
    """Exec the monitor into the small interpreter; return only where that failed, with the monitor as it was."""
    if not monitor.loop.hold_signals():
        return
    opened: list[int] = []
    try:
        image = _image(modules(monitor), opened)
        state = _memfd("state", handover.pack(monitor), opened)
        for fd in (*monitor.descriptors(), *opened):
            os.set_inheritable(fd, True)
        python = os.path.realpath(sys.executable)
        line = [python, "-I", "-S", image, str(state), *arguments]
        os.execve(_named_conmon(python, os.path.dirname(image)), line, os.environ)
    except (OSError, ValueError) as error:
        monitor.report.debug(f"cannot shrink: {error}")
    for fd in opened:
        os.close(fd)
    for fd in monitor.descriptors():
        os.set_inheritable(fd, fd in monitor.inherited)
    monitor.loop.take_signals()


def modules(monitor: Monitor) -> list[str]:
    """Return the modules that a monitor needs, in the order in which they import each other."""
    kinds = {log.kind for log in monitor.logs}
    on_demand = ["logfile"] if "k8s-file" in kinds else []
    on_demand += ["journald"] if "journald" in kinds else []
    on_demand += ["notify"] if monitor.relay else []
    return [*BASE, *on_demand, *TOP]


def _image(names: list[str], opened: list[int]) -> str:
    """Return the path of the image, fresh: the kept one, or one that is compiled now.

    It ends with what is different when a source is.
    """
    directory = os.path.dirname(os.path.abspath(__file__))
    sources = [os.path.join(directory, f"{name}.py") for name in names]
    variant = "-".join(name for name in names if name not in BASE and name not in TOP)
    kept = os.path.join(directory, "__pycache__", f"resident-{variant}.{sys.implementation.cache_tag}.image.pyc")
    stats = [os.stat(source) for source in sources]
    stamp = repr([(stat.st_mtime_ns, stat.st_size) for stat in stats]).encode()
    if _ends_with(kept, stamp):
        return kept
    from podling.monitor.image import build  # with ast and importlib.util: 20 ms

    content = build(sources) + stamp
    staged = f"{kept}.{os.getpid()}"
    try:
        with open(staged, "wb") as file:
            file.write(content)
        os.rename(staged, kept)
    except OSError:
        return f"/proc/self/fd/{_memfd('image', content, opened)}"
    return kept


def _named_conmon(python: str, directory: str) -> str:
    link = os.path.join(directory, NAME)
    try:
        if os.path.lexists(link) and os.readlink(link) == python:
            return link
        staged = f"{link}.{os.getpid()}"
        os.symlink(python, staged)
        os.rename(staged, link)
    except OSError:
        return python
    return link


def _ends_with(path: str, tail: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read().endswith(tail)
    except OSError:
        return False


def _memfd(name: str, content: bytes, opened: list[int]) -> int:
    fd = memfd_create(f"conmon-{name}")
    opened.append(fd)
    while content:
        content = content[os.write(fd, content) :]
    return fd
