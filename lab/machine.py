"""A machine of one's own: a command in new pid, mount, network, ipc, uts and cgroup namespaces.

    python3 -m lab.machine COMMAND [ARGUMENT...]

    this process ──► unshare ──► init (pid 1, reaps) ──► COMMAND
    makes the cgroups              mounts /proc /sys /run, raises lo

What an engine leaves behind stays in there, and all of it can be seen: every process, mount, link, firewall rule and
cgroup in the machine belongs to the command. Nothing of the host's is changed, two machines do not meet, and when the
command ends everything it started ends. The cgroup layout is the host's, rooted at a cgroup of our own; limits work.
/run and /var/tmp are empty, and gone afterwards; all other files are the host's. Needs root. The exit status is the
command's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MARK = "PODLING_MACHINE"
SCRATCH = "PODLING_MACHINE_SCRATCH"
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup hierarchy."""

    path: Path
    kind: str  # cgroup or cgroup2
    options: str  # the controllers of a v1 hierarchy, as mount(8) wants them


def hierarchies() -> list[Hierarchy]:
    """Return the cgroup hierarchies of this mount namespace."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, superblock = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2") and left.split()[4].startswith(str(CGROUPS)):
            options = [option for option in superblock.split(",") if option not in ("rw", "ro")]
            found.append(Hierarchy(Path(left.split()[4]), kind, ",".join(options) if kind == "cgroup" else ""))
    return found


def inside() -> bool:
    """Tell whether this process is already in a machine of its own."""
    return MARK in os.environ


def make_cgroups(name: str) -> list[Path]:
    """Make a cgroup in every hierarchy."""
    made = []
    for hierarchy in hierarchies():
        path = hierarchy.path / name
        path.mkdir()
        made.append(path)
        if hierarchy.kind == "cgroup":
            allow_cpus(path, hierarchy.path)
    return made


def allow_cpus(path: Path, parent: Path) -> None:
    """Fill a new v1 cpuset as its parent is: it begins empty, and then nothing may join."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (path / setting).exists() and not (path / "cgroup.controllers").exists():
            (path / setting).write_text((parent / setting).read_text())


def remove_cgroups(paths: list[Path]) -> None:
    """Remove cgroups with all below them; their processes have ended."""
    for top in paths:
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)


def run(command: list[str]) -> int:
    """Run a command in a machine of its own and return its exit status."""
    made = make_cgroups(f"podling-machine-{os.getpid()}")
    ours, theirs = socket.socketpair()
    scratch = tempfile.mkdtemp(prefix="podling-machine-", dir="/var/tmp")
    environment = {
        **os.environ,
        MARK: str(theirs.fileno()),
        SCRATCH: scratch,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    unshare = "setpriv --pdeathsig KILL unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child=KILL"
    unshare += " --mount-proc --propagation private"
    init = [sys.executable, "-m", "lab.machine", "--init", *command]

    def join() -> None:
        for path in made:
            (path / "cgroup.procs").write_text("0")

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C reaches the command by itself
    try:
        process = subprocess.Popen(
            [*unshare.split(), *init], env=environment, preexec_fn=join, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        if ours.recv(1):  # init is there: its parent must not stay where the cgroups are to branch
            for path in made:
                (path / "outside").mkdir()
                allow_cpus(path / "outside", path)
                (path / "outside" / "cgroup.procs").write_text(str(process.pid))
            ours.send(b"!")
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        status = process.wait()
    finally:
        remove_cgroups(made)
        shutil.rmtree(scratch, ignore_errors=True)
    return status if status >= 0 else 128 - status


def mount(kind: str, path: Path, options: str = "") -> None:
    """Mount a file system."""
    subprocess.run(["mount", "-t", kind, *(["-o", options] if options else []), kind, str(path)], check=True)


def furnish() -> None:
    """Mount what a machine has, as seen from the new namespaces, and raise the loopback link."""
    forget_others()
    layout = hierarchies()
    mount("sysfs", Path("/sys"))
    if not any(hierarchy.path == CGROUPS for hierarchy in layout):
        mount("tmpfs", CGROUPS, "mode=755")
    for hierarchy in layout:
        hierarchy.path.mkdir(exist_ok=True)
        mount(hierarchy.kind, hierarchy.path, hierarchy.options)
        if hierarchy.kind == "cgroup2":
            leave_root(hierarchy.path)
    subprocess.run(["mount", "--bind", os.environ[SCRATCH], "/var/tmp"], check=True)
    mount("tmpfs", Path("/run"), "mode=755")
    Path("/run/lock").mkdir()
    subprocess.run(["mount", "--make-rshared", "/"], check=True)  # as systemd leaves it, for peers in here alone
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def forget_others() -> None:
    """Unmount the copies of what other engines on the host have mounted: they would come and go with theirs."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point, kind = line.split()[4], line.partition(" - ")[2].split()[0]
        if kind in ("overlay", "tmpfs", "nsfs", "proc") and point.startswith(("/tmp/", "/var/tmp/", "/var/lib/")):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def leave_root(root: Path) -> None:
    """Move init into a leaf and give the root's controllers to its children: no process may be where they branch."""
    leaf = root / "init"
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text("0")
    controllers = (root / "cgroup.controllers").read_text().split()
    (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def init(command: list[str]) -> int:
    """Be process 1: furnish the machine, run the command, reap all orphans until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path("/proc/self/comm").write_text("init")
    with socket.socket(fileno=int(os.environ[MARK])) as outside:
        outside.send(b"?")
        outside.recv(1)
    furnish()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    child = subprocess.Popen(command, env=environment, preexec_fn=heed_interrupts).pid
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def heed_interrupts() -> None:
    """Undo for the command what this process ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(init(sys.argv[2:]) if sys.argv[1:2] == ["--init"] else run(sys.argv[1:]))
