"""Everything an engine can leave behind on a host, as sets of lines that can be compared.

| part        | a line per                                                                                             |
|-------------|--------------------------------------------------------------------------------------------------------|
| processes   | process, by pid and start time; the dead that nobody reaped too                                        |
| mounts      | mount in this mount namespace                                                                          |
| namespaces  | network namespace that a process or a mount holds                                                      |
| links       | network interface in this network namespace                                                            |
| cgroups     | cgroup                                                                                                 |
| firewall    | rule and set element of nftables                                                                       |
| locks       | file lock that is held                                                                                 |
| files       | file or directory below the roots that were named, two levels deep in layers, without databases        |

In a machine of one's own (machine.py) these are the engine's alone.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab import machine

Inventory = dict[str, set[str]]

# What is made on first use and stays on purpose: databases, caches, lock files, what tells that an engine was here.
LASTING_SUFFIXES = (
    ".db",
    ".db-wal",
    ".db-shm",
    ".lock",
    ".lck",
    "configuration.json",
    "events.log",
    "/secrets",
    "volatile-true",
)
LASTING_DIRECTORIES = ("/seccomp/", "/.seccomp/")  # compiled profiles
LASTING_MOUNTS = ("/root/overlay", "/run/netns")  # Podman's own
LASTING_CGROUPS = ("libpod_parent", "conmon")
SETTLE_SECONDS = 5.0


def process_line(pid: int) -> str | None:
    """Return a process's name and arguments; None for one that is gone, and for the kernel's own threads."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    comm = stat[stat.index("(") + 1 : stat.rindex(")")]
    state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
    if pid == 2 or parent == "2":
        return None
    return f"{comm}{' (zombie)' if state == 'Z' else ''} {arguments}"


def start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks: with its pid it names the process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat[stat.rindex(")") + 2 :].split()[19]


def processes() -> set[str]:
    """Return pid and start time of each process: name and arguments may change in its life."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {f"{pid} {start_time(pid)}" for pid in pids if process_line(pid) is not None}


def mounts() -> set[str]:
    """Return a line per mount."""
    lines = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        if not point.endswith(LASTING_MOUNTS):
            lines.add(f"{point} {right.split()[0]}")
    return lines


def namespaces() -> set[str]:
    """Return the network namespaces that processes are in or that mounts hold."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.add(os.readlink(f"/proc/{name}/ns/net"))
            except OSError:
                continue
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[3].startswith("net:["):
            found.add(fields[3])
    return found


def cgroups() -> set[str]:
    """Return the cgroups of all hierarchies, each path once."""
    found = set()
    for hierarchy in machine.hierarchies():
        for directory, _, _ in os.walk(hierarchy.path):
            if os.path.basename(directory) not in LASTING_CGROUPS:
                found.add(os.path.relpath(directory, hierarchy.path))
    return found


def firewall() -> set[str]:
    """Return the rules and elements of nftables; the tables and empty chains themselves may stay."""
    listed = subprocess.run(["nft", "--json", "list", "ruleset"], capture_output=True, text=True)
    lines: set[str] = set()
    for item in json.loads(listed.stdout or "{}").get("nftables", []):
        if "rule" in item and item["rule"]["table"] != "podling":  # ours stay for the next container
            rule = {key: value for key, value in item["rule"].items() if key not in ("handle", "index")}
            lines.add(json.dumps(without_counters(rule), sort_keys=True))
        for kind in ("set", "map"):
            if item.get(kind, {}).get("name") == "version":
                continue
            for element in item.get(kind, {}).get("elem", []):
                place = f"{item[kind]['table']} {item[kind]['name']}"
                lines.add(f"{place} {json.dumps(without_counters(element), sort_keys=True)}")
    return lines


def without_counters(value: Any) -> Any:
    """Return a JSON value without what merely counts packets."""
    if isinstance(value, dict):
        return {key: without_counters(item) for key, item in value.items() if key != "counter"}
    if isinstance(value, list):
        return [without_counters(item) for item in value]
    return value


def locks() -> set[str]:
    """Return the file locks that are held, by kind and inode. One of an open file description tells no process: it may
    be anyone's on the host.
    """
    lines = (line.split()[1:6] for line in Path("/proc/locks").read_text().splitlines())
    return {" ".join(words) for words in lines if words[0] != "OFDLCK"}


def files(roots: Iterable[Path]) -> set[str]:
    """Return what lies below some directories. The content of an unpacked layer counts as one thing."""
    found: set[str] = set()
    for root in roots:
        for directory, directories, names in os.walk(root):
            relative = os.path.relpath(directory, root)
            if "layers" in Path(relative).parts[:-1] or Path(relative).name in ("merged", "diff"):
                directories.clear()
                continue
            paths = (os.path.join(directory, name) for name in [*directories, *names])
            found.update(path for path in paths if not lasting(path))
    return found


def lasting(path: str) -> bool:
    """Tell whether a file is one that is made on first use and stays."""
    return path.endswith(LASTING_SUFFIXES) or any(part in path for part in LASTING_DIRECTORIES)


def take(roots: Iterable[Path] = ()) -> Inventory:
    """Return the inventory of this machine and of the directories named, once the network's collector is through."""
    await_collectors()
    return {
        "processes": processes(),
        "mounts": mounts(),
        "namespaces": namespaces(),
        "links": {name for _, name in socket.if_nameindex()},
        "cgroups": cgroups(),
        "firewall": firewall(),
        "locks": locks(),
        "files": files(roots),
    }


def await_collectors() -> None:
    """Wait for the processes that delete idle bridges after a tear-down."""
    deadline = time.monotonic() + SETTLE_SECONDS
    for name in os.listdir("/proc"):
        if name.isdigit() and (process_line(int(name)) or "").startswith("podling-net "):
            await_end(int(name), deadline)


def differences(before: Inventory, after: Inventory) -> list[str]:
    """Return what was added, a line each, and which files were lost: anything else may end by itself."""
    lines = []
    for part, had in before.items():
        for line in sorted(after[part] - had):
            told = process_line(int(line.split()[0])) if part == "processes" else ""
            lines += [f"{part}: + {line} {told or ''}".rstrip()]
        if part == "files":
            lines += [f"{part}: - {line}" for line in sorted(had - after[part])]
    return lines


def settled(before: Inventory, roots: Iterable[Path] = ()) -> list[str]:
    """Return the differences that remain once the processes that are on their way out have ended."""
    roots = list(roots)
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        after = take(roots)
        rest = differences(before, after)
        ended = [await_end(int(line.split()[0]), deadline) for line in after["processes"] - before["processes"]]
        if not rest or not any(ended):
            return rest


def await_end(pid: int, deadline: float) -> bool:
    """Wait until a process has ended, at most until the deadline; tell whether it did."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(descriptor)
