"""Faults from outside: strace traces a program once, then kills it at, or fails, one of the system calls that it saw.

    role        what is traced                                    how it is reached
    engine      the command itself, not what it forks             strace podling …
    chain       the command with all that it forks                strace -f podling …
    monitor     both conmons, not the programs they run           --conmon SCRIPT
    create …    one verb of the runtime, with what it forks       --runtime SCRIPT
    cleanup     the exit command                                  --conmon SCRIPT, which replaces --exit-command

A point is a system call and how many of that call the process has made: strace counts for each process and each call
by itself. With a role of more than one process a point can be met by several, and all of them are struck. SIGKILL
strikes before the call is made, so that what an open(O_CREAT) left is met by the kill at the next call of the table.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.world import PROGRAMS, World

# What changes anything outside the process. Reading, waiting, memory, credentials and terminals are left out.
NAMES = "mkdir mkdirat mknod mknodat rename renameat renameat2 unlink unlinkat rmdir link linkat symlink symlinkat"
MOUNTS = "mount umount2 fsopen fsconfig fsmount move_mount open_tree mount_setattr pivot_root"
CONTENT = "write pwrite64 ftruncate fallocate copy_file_range sendfile fsync fdatasync syncfs"
INODES = "chmod fchmod fchmodat chown fchown lchown fchownat setxattr lsetxattr fsetxattr utimensat"
PROCESSES = "clone clone3 fork vfork unshare setns sethostname kill pidfd_send_signal"
SOCKETS = "bind connect sendmsg sendto"
CHANGING = f"{NAMES} {MOUNTS} {CONTENT} {INODES} {PROCESSES} {SOCKETS}".split()
KILLED_AT = [*CHANGING, "execve", "exit_group"]
FAILED_AT = [*CHANGING, "openat"]  # those that create or write
LEFT_ALONE = re.compile(r"write\([12], ")  # a message that cannot be written cannot be read either
# A monitor tells itself of a SIGCHLD by a write, which may be any of its writes, and fails nowhere but under strace.
WOKEN_BY_WRITES = ("monitor", "chain")
REMOVALS = ("rmdir", "unlink", "unlinkat", "umount2")
STRUCK = re.compile(r"\(INJECTED\)| = \?|killed by SIGKILL")  # a call that was never finished
CALL = re.compile(r"([a-z_0-9]+)\((.*)")

RUNTIME_VERBS = ("create", "start", "delete", "exec")


@dataclass(frozen=True)
class Point:
    """The number-th `call` of a process. `example` is what it was when it was traced."""

    call: str
    number: int
    example: str


@dataclass(frozen=True)
class Fault:
    """What strikes at a point: `signal=KILL` or `error=NAME`."""

    action: str
    point: Point

    def flags(self) -> list[str]:
        """Return strace's arguments."""
        call = self.point.call
        return ["-e", f"trace={call}", "-e", f"inject={call}:{self.action}:when={self.point.number}"]

    def __str__(self) -> str:
        return f"{self.action} at {self.point.call} {self.point.number}: {self.point.example[:120]}"


class Tracing:
    """strace around one role, in a world of its own. Makes the command line of a verb, and reads what was traced."""

    def __init__(self, world: World, role: str) -> None:
        self.role = role
        self.directory = world.directory / "tracing"
        self.directory.mkdir(exist_ok=True)

    def prepare(self, fault: Fault | None, calls: list[str]) -> list[str]:
        """Write the scripts for a fault, or for tracing; return the flags by which podling comes to use them."""
        for old in self.directory.iterdir():
            old.unlink()
        flags = fault.flags() if fault else ["-e", f"trace={','.join(calls)}"]
        self._flags = ["-q", "-e", "signal=none", "-s", "100", *flags]
        return [] if self.role in ("engine", "chain") else self._scripts(self._flags)

    def command(self, flags: list[str]) -> list[str]:
        """Return the beginning of the command line of podling, up to the verb."""
        podling = str(PROGRAMS / "podling")
        if self.role == "engine":
            return ["strace", "-o", str(self.directory / "trace"), *self._flags, podling]
        if self.role == "chain":
            return [*self._following(self._flags), *_launched("podling")]
        return [podling, *flags]

    def _following(self, flags: list[str]) -> list[str]:
        """Return strace as a grandchild (-D), so that parents stay parents, which lets go of what executes another."""
        return ["strace", "-D", "-f", "-ff", "-b", "execve", "-o", str(self.directory / "trace"), *flags]

    def _scripts(self, flags: list[str]) -> list[str]:
        traced = " ".join(f"'{word}'" for word in self._following(flags))
        conmon, runc, podling = (" ".join(_launched(name)) for name in ("podling-conmon", "podling-runc", "podling"))
        is_verb = f'case " $* " in *" {self.role} "*) exec {traced} {runc} "$@";; esac\n'
        runtime = self._script("runtime", (is_verb if self.role in RUNTIME_VERBS else "") + f'exec {runc} "$@"\n')
        cleanup = self._script("cleanup", f'exec {traced if self.role == "cleanup" else ""} {podling} "$@"\n')
        exchange = (
            "count=$#; before=\nwhile [ $count -gt 0 ]; do\n    word=$1; shift; count=$((count - 1))\n"
            f'    [ "$before" = --exit-command ] && set -- "$@" {cleanup} || set -- "$@" "$word"\n'
            "    before=$word\ndone\n"
        )
        monitor = self._script("monitor", f'{exchange}exec {traced if self.role == "monitor" else ""} {conmon} "$@"\n')
        return ["--runtime", runtime] + (["--conmon", monitor] if self.role in ("monitor", "cleanup") else [])

    def _script(self, name: str, text: str) -> str:
        path = self.directory / f"{name}.sh"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)

    def points(self, calls: list[str]) -> list[Point]:
        """Return the points of what was traced last, each once, in the order of the calls within each process."""
        found: dict[tuple[str, int], Point] = {}
        harmless: set[tuple[str, int]] = set()
        for path in sorted(self.directory.glob("trace*"), key=_process_number):
            counts: dict[str, int] = {}
            for line in path.read_text(errors="replace").splitlines():
                match = CALL.match(line)
                if match is None or match[1] not in calls:
                    continue
                call = match[1]
                counts[call] = counts.get(call, 0) + 1
                key = (call, counts[call])
                if self._is_change(line, calls) and key != ("execve", 1):  # strace's own
                    found.setdefault(key, Point(*key, line))
                else:
                    harmless.add(key)
        if calls is FAILED_AT and self.role in WOKEN_BY_WRITES:
            return [point for key, point in found.items() if key not in harmless and point.call != "write"]
        return [point for key, point in found.items() if key not in harmless]

    def has_struck(self) -> bool:
        """Tell whether the last fault was met: processes race, and may take another way than when they were traced."""
        texts = [path.read_text(errors="replace") for path in self.directory.glob("trace*")]
        return any(STRUCK.search(text) for text in texts)

    def _is_change(self, line: str, calls: list[str]) -> bool:
        if line.startswith("openat("):
            return "O_CREAT" in line or "O_WRONLY" in line or "O_RDWR" in line
        return calls is KILLED_AT or not LEFT_ALONE.match(line)


def _launched(name: str) -> list[str]:
    """Return the command of a launcher without its shell: strace would let go when it executes the interpreter."""
    return [str(Path(sys.prefix) / "bin" / "python3"), "-I", "-S", str(PROGRAMS / name)]


def _process_number(path: Path) -> int:
    return int(path.suffix[1:] or 0)
