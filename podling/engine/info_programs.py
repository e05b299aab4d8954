"""What is to be said about a program of the chain, ours or another's: package, path and version."""

from __future__ import annotations

import os

import podling
from podling import programs
from podling.errors import PodlingError

OWN_PACKAGE = f"podling_{podling.__version__}"
UNKNOWN = "Unknown"

_DIRECTORIES = ("/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/lib/podman", "/usr/local/bin", "/usr/bin")


def program(path: str, *, joined: bool = False) -> dict[str, str]:
    """Return a program's package, path and version text; `joined` puts a version of several lines on one."""
    ours = programs.ours(path)
    text = run(path, "--version")
    if joined:
        text = ", ".join(text.splitlines())
    return {
        "package": OWN_PACKAGE if ours else package(path),
        "path": programs.launcher(ours) if ours else path,
        "version": text or UNKNOWN,
    }


def helper(name: str) -> dict[str, str]:
    """Return the same of a helper program by name, empty where it is not installed."""
    path = next((f"{place}/{name}" for place in _DIRECTORIES if os.access(f"{place}/{name}", os.X_OK)), "")
    if not path:
        return {"executable": "", "package": "", "version": ""}
    return {"executable": path, "package": package(path), "version": run(path, "--version") or UNKNOWN}


def package(path: str) -> str:
    """Return the distribution's package that a file came with, as name_version_architecture or rpm's own notation."""
    if os.access("/usr/bin/dpkg-query", os.X_OK):
        name = run("/usr/bin/dpkg-query", "-S", path).partition(":")[0]
        return (
            run("/usr/bin/dpkg-query", "-f", "${Package}_${Version}_${Architecture}", "-W", name) if name else UNKNOWN
        )
    if os.access("/usr/bin/rpm", os.X_OK):
        return run("/usr/bin/rpm", "-q", "-f", path) or UNKNOWN
    return UNKNOWN


def run(path: str, *arguments: str) -> str:
    """Return what a program prints; nothing where it fails."""
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        descriptors = {0: null, 1: write, 2: null}
        pid = programs.start(path, list(arguments), environment, descriptors=descriptors)
    except PodlingError:
        os.close(read)
        return ""
    finally:
        os.close(write)
        os.close(null)
    with open(read, "rb") as pipe:
        output = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return output.decode("utf-8", "replace").strip() if status == 0 else ""
