"""A container as a scope of a real systemd, which is pid 1 of namespaces of its own with cgroup version 2."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podling.linux import cgroups, cgroups_tree

ROOT = Path(cgroups.__file__).parents[2]
SYSTEMD = "/lib/systemd/systemd"

BOOT = f"""
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/lock
printf '[Unit]\\nDescription=nothing\\nDefaultDependencies=no\\n' > /run/systemd/system/nothing.target
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
export container=podling
exec {SYSTEMD} --system --unit=nothing.target --log-target=null --show-status=no
"""

SCRIPT = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from podling.errors import PodlingError
from podling.linux import cgroups, cgroups_bpf, cgroups_systemd

def idle():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()
    os._exit(0)

def words(act):
    try:
        act()
    except PodlingError as error:
        return str(error)

name = "machine-podling.slice:libpod:abc"
told = {"layout": cgroups.layout()}
scope = cgroups.manager(name, "abc", systemd=True)
scope.create()
scope.apply({"devices": [{"allow": False, "access": "rwm"}]})
pid = scope.fork()
if pid == 0:
    idle()
told["cgroup"] = cgroups.membership(pid)[""]
told["alone"] = scope.processes() == [pid]
directory = os.open(scope.paths()[""], os.O_RDONLY)
told["programs"] = len(cgroups_bpf.attached(directory))
os.close(directory)
told["again"] = words(cgroups.manager(name, "abc", systemd=True).create)
found = cgroups.from_paths(scope.paths(), systemd=True)
second = found.fork()
if second == 0:
    idle()
told["both"] = found.processes() == sorted([pid, second])
found.freeze()
told["frozen"] = found.frozen()
found.thaw()
found.kill(signal.SIGKILL)
told["killed"] = [os.WTERMSIG(os.waitpid(each, 0)[1]) for each in (pid, second)]
found.remove()
found.remove()
told["gone"] = not os.path.exists(scope.paths()[""])
monitor = os.fork()
if monitor == 0:
    idle()
cgroups_systemd.place(monitor, "machine.slice", "libpod-conmon-abc.scope")
told["monitor"] = cgroups.membership(monitor)[""]
os.kill(monitor, signal.SIGKILL)
os.waitpid(monitor, 0)
cgroups_systemd.stop("libpod-conmon-abc.scope")
print(json.dumps(told))
"""


@pytest.fixture
def systemd() -> Iterator[Callable[[str], Any]]:
    """Return a function that runs a Python script beside a running systemd and returns its JSON."""
    if not os.path.exists(SYSTEMD) or shutil.which("nsenter") is None or "" not in cgroups.hierarchies():
        pytest.skip("needs systemd, nsenter and a unified cgroup hierarchy")
    top = cgroups.directory("", "/podling-systemd")
    cgroups_tree.make(top)
    namespaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--propagation", "private"]
    command = ["unshare", "--fork", "--kill-child=KILL", "--mount-proc", *namespaces, "sh", "-c", BOOT]
    booting = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: cgroups_tree.write(f"{top}/cgroup.procs", "0"),
    )
    first = until(lambda: children(booting.pid))[0]
    until(lambda: os.path.exists(f"/proc/{first}/root/run/systemd/private"))

    def run(script: str) -> Any:
        enter = ["nsenter", "-t", str(first), "-m", "-p", "-C", "-i", "-u"]
        arguments = [*enter, sys.executable, "-c", script, str(ROOT)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield run
    os.kill(first, signal.SIGKILL)
    booting.wait()
    cgroups_tree.remove([top])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what no descriptor tells: systemd has a socket, and nobody to say so to."""
    give_up = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found


def test_a_container_is_a_scope(systemd: Callable[[str], Any]) -> None:
    told = systemd(SCRIPT)
    scope = "/machine.slice/machine-podling.slice/libpod-abc.scope"
    assert told.pop("again").startswith(f'cgroup "/sys/fs/cgroup{scope}" is not empty')
    assert told == {
        "layout": "v2",
        "cgroup": scope,
        "alone": True,
        "programs": 1,
        "both": True,
        "frozen": True,
        "killed": [9, 9],
        "gone": True,
        "monitor": "/machine.slice/libpod-conmon-abc.scope",
    }
