"""`ps`: the processes of a container, by its cgroup; the table is the host's ps(1), cut to those rows."""

from __future__ import annotations

import os
import sys

from podling.errors import InvalidArgument, PodlingError
from podling.oci.jsontext import dumps
from podling.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID [PS-OPTION...]"
OPTIONS = ("format,f=table|json",)
INTERSPERSED = False

_PS = ("/usr/bin/ps", "/bin/ps")


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Print a container's processes: as a list of pids in JSON, or as ps prints them."""
    if not words:
        raise InvalidArgument("container id cannot be empty")
    if options["format"] not in (None, "table", "json"):
        raise InvalidArgument(f'invalid format option "{options["format"]}"')
    pids = container.load(context.root, words[0]).cgroup().processes()
    if options["format"] == "json":
        sys.stdout.write(dumps(pids) + "\n")
        return 0
    for row in rows_of(_ps(words[1:] or ["-ef"]), set(pids)):
        sys.stdout.write(row + "\n")
    return 0


def rows_of(text: str, pids: set[int]) -> list[str]:
    """Return the header of ps's output and the rows of some processes."""
    lines = text.splitlines()
    header = lines[0].split() if lines else []
    if "PID" not in header:
        raise PodlingError('ps prints no column "PID"')
    column = header.index("PID")
    found = [lines[0]]
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            found.append(line)
    return found


def _ps(words: list[str]) -> str:
    program = next((path for path in _PS if os.access(path, os.X_OK)), None)
    if program is None:
        raise PodlingError("the host has no ps")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
    pid = os.posix_spawn(program, ["ps", *words], {"LC_ALL": "C", "COLUMNS": "500"}, file_actions=actions)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as output:
        text = output.read()
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise PodlingError(f"ps {' '.join(words)} failed")
    return text
