"""Cgroups of version 1: one directory per hierarchy, and on a hybrid host one more in the unified hierarchy.

    /sys/fs/cgroup/memory/libpod_parent/libpod-ID     memory.limit_in_bytes  memory.memsw.limit_in_bytes
    /sys/fs/cgroup/pids/libpod_parent/libpod-ID       pids.max
    /sys/fs/cgroup/devices/…                          devices.allow  devices.deny
    /sys/fs/cgroup/unified/…                          cgroup.kill

`plan` says purely what `linux.resources` comes to; `V1.apply` writes it. A process that writes "0" to `tasks` moves
itself without the kernel's global lock, whose price is an RCU grace period, some 8 ms; anyone else's pid takes it.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, Unavailable, Unsupported
from podling.linux import cgroups_devices, cgroups_settings, cgroups_tree
from podling.linux.cgroups_settings import NOTHING, Setting, one, shares, signed, throttles, weights
from podling.linux.cgroups_v2 import kill_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNIFIED = ""  # the name of the unified hierarchy among the controllers
_SPARE = ("perf_event", "name=systemd", "misc", UNIFIED)  # joined for others' sake, never asked for a limit


def plan(resources: dict[str, Any]) -> list[Setting]:
    """Return what to write for `linux.resources`, in order, without the devices.

    Raise InvalidArgument for a value out of range, Unsupported for what only version 2 has.
    """
    if resources.get("unified"):
        raise Unsupported("cannot set unified cgroup resources: this host has cgroup version 1")
    return [
        *_cpu(resources.get("cpu") or {}),
        *_memory(resources.get("memory") or {}),
        *_pids(resources.get("pids") or {}),
        *_blkio(resources.get("blockIO") or {}),
        *cgroups_settings.hugetlb(resources.get("hugepageLimits") or [], ".limit_in_bytes"),
        *cgroups_settings.rdma(resources.get("rdma") or {}),
        *_network(resources.get("network") or {}),
    ]


def _cpu(cpu: dict[str, Any]) -> list[Setting]:
    settings = []
    if cpu.get("shares"):
        settings.append(one("cpu", "cpu.shares", shares(cpu["shares"])))
    for key, name in (
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
    ):
        if cpu.get(key):
            settings.append(one("cpu", name, signed(cpu[key])))
    for key, name in (("burst", "cpu.cfs_burst_us"), ("idle", "cpu.idle")):
        if cpu.get(key) is not None:
            settings.append(one("cpu", name, signed(cpu[key])))
    for key in ("cpus", "mems"):
        if cpu.get(key):
            settings.append(("cpuset", [(f"cpuset.{key}", str(cpu[key])), (key, str(cpu[key]))]))
    return settings


def _memory(memory: dict[str, Any]) -> list[Setting]:
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    cgroups_settings.check_memory(memory)
    settings = []
    if limit:
        settings.append(one("memory", "memory.limit_in_bytes", signed(limit)))
    if swap:
        settings.append(one("memory", "memory.memsw.limit_in_bytes", signed(swap)))
    elif limit == -1:  # no limit means none on swap either; nothing to lift where swap is not counted
        settings.append(("memory", [("memory.memsw.limit_in_bytes", "-1"), NOTHING]))
    for key, name in (
        ("reservation", "memory.soft_limit_in_bytes"),
        ("kernel", "memory.kmem.limit_in_bytes"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
    ):
        if memory.get(key):
            settings.append(one("memory", name, signed(memory[key])))
    if memory.get("disableOOMKiller"):
        settings.append(one("memory", "memory.oom_control", "1"))
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != -1 and swappiness != 0xFFFFFFFFFFFFFFFF:
        if not 0 <= swappiness <= 100:
            raise InvalidArgument(f"invalid memory swappiness {swappiness}: it is 0 to 100")
        settings.append(one("memory", "memory.swappiness", str(swappiness)))
    return settings


def _pids(pids: dict[str, Any]) -> list[Setting]:
    limit = pids.get("limit")
    return [] if limit is None else [one("pids", "pids.max", cgroups_settings.pids_limit(limit))]


def _blkio(block: dict[str, Any]) -> list[Setting]:
    settings: list[Setting] = []
    if block.get("weight"):
        text = str(block["weight"])
        settings.append(("blkio", [("blkio.weight", text), ("blkio.bfq.weight", text)]))
    if block.get("leafWeight"):
        settings.append(one("blkio", "blkio.leaf_weight", str(block["leafWeight"])))
    for text in weights(block, "weight"):
        settings.append(("blkio", [("blkio.weight_device", text), ("blkio.bfq.weight_device", text)]))
    for text in weights(block, "leafWeight"):
        settings.append(one("blkio", "blkio.leaf_weight_device", text))
    for key, kind in cgroups_settings.THROTTLES:
        for device, rate in throttles(block, key):
            name = {"bps": "bps_device", "iops": "iops_device"}[kind[1:]]
            direction = "read" if kind[0] == "r" else "write"
            settings.append(one("blkio", f"blkio.throttle.{direction}_{name}", f"{device} {rate}"))
    return settings


def _network(network: dict[str, Any]) -> list[Setting]:
    settings = []
    if network.get("classID"):
        settings.append(one("net_cls", "net_cls.classid", str(network["classID"])))
    for entry in network.get("priorities") or ():
        settings.append(one("net_prio", "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}"))
    return settings


class V1:
    """A container's cgroups: a directory by the name of each controller."""

    def __init__(self, paths: dict[str, str]) -> None:
        self._paths = paths
        self._directories = list(dict.fromkeys(paths.values()))  # co-mounted controllers share one
        self._made: list[str] = []

    def paths(self) -> dict[str, str]:
        """Return the directory of each controller; "" is the unified hierarchy of a hybrid host."""
        return dict(self._paths)

    def create(self) -> None:
        """Make the cgroups. Raise InUse where they have processes; what was made goes again on an error."""
        try:
            for directory in self._directories:
                if directory == self._paths.get("cpuset"):
                    self._make_cpuset(directory)
                elif cgroups_tree.make(directory):
                    self._made.append(directory)
                else:
                    cgroups_settings.refuse_processes(directory)
        except BaseException:
            cgroups_tree.remove(self._made)
            raise

    def _make_cpuset(self, directory: str) -> None:
        if cgroups_tree.make(directory):
            self._made.append(directory)
        else:
            cgroups_settings.refuse_processes(directory)
        inherit_cpuset(directory)

    def apply(self, resources: dict[str, Any], *, devices: bool = True) -> None:
        """Write `linux.resources`; with `devices` also the device rules, the default ones included."""
        missing = [name for name, _ in plan(resources) if name not in self._paths]
        if missing:
            raise Unsupported(f"cannot set {missing[0]} limits: this host has no {missing[0]} controller")
        if devices:
            self._apply_devices(resources)
        cgroups_settings.write_all(self._paths, plan(resources), self._explain)

    def _apply_devices(self, resources: dict[str, Any]) -> None:
        if "devices" not in self._paths:
            raise Unsupported("cannot confine devices: this host has no devices controller")
        if cgroups_settings.in_user_namespace():
            return  # devices.deny belongs to the initial namespace, and mknod is refused here anyway
        for name, value in cgroups_devices.lines(cgroups_devices.policy(resources.get("devices"))):
            try:
                cgroups_tree.write(f"{self._paths['devices']}/{name}", value)
            except OSError as error:
                raise Unsupported(f'cannot apply device rule "{value}"') from error

    def _explain(self, name: str, value: str) -> str:
        """Say more about a memory limit below what is in use."""
        if name != "memory.limit_in_bytes":
            return ""
        usage = cgroups_tree.read_number(f"{self._paths['memory']}/memory.usage_in_bytes")
        return f" (in use: {usage})" if usage > int(value) >= 0 else ""

    def add(self, pid: int) -> None:
        """Move a process in. See `join` for the calling process: it is some 8 ms cheaper."""
        for directory in self._directories:
            cgroups_tree.write(f"{directory}/cgroup.procs", str(pid))

    def join(self, *, unified: bool = True) -> None:
        """Move the calling process in; it must have one thread. `unified` False: it was born there (`fork`)."""
        own = self._paths.get(UNIFIED)
        for directory in self._directories:
            if directory != own:
                cgroups_tree.write(f"{directory}/tasks", "0")
        if own and unified:
            cgroups_tree.write(f"{own}/cgroup.procs", "0")

    def fork(self) -> int:
        """Fork, the child being in the cgroups from birth; return as os.fork does.

        The caller has one thread. In the child, raise OSError where it could not enter.
        """
        from podling.linux.cgroups import fork_into

        return fork_into(self)

    def processes(self) -> list[int]:
        """Return the pids in the cgroups and below.

        A child of `fork` is in the unified hierarchy first and in the others a moment later: it counts at once.
        """
        names = [name for name in ("pids", "devices", "freezer", "name=systemd") if name in self._paths][:1]
        directories = [self._paths[name] for name in (*names, UNIFIED) if name in self._paths] or self._directories[:1]
        return sorted({pid for directory in directories for pid in cgroups_tree.processes(directory)})

    def freeze(self) -> None:
        """Freeze every process, and return when all are. Thawed again on failure."""
        path = f"{self._freezer()}/freezer.state"
        try:
            _freeze(path)
        except BaseException:
            cgroups_tree.write(path, "THAWED")
            raise

    def thaw(self) -> None:
        """Let frozen processes run."""
        cgroups_tree.write(f"{self._freezer()}/freezer.state", "THAWED")

    def frozen(self) -> bool:
        """Tell whether the cgroup is frozen or freezing; one that is gone is not."""
        try:
            return cgroups_tree.read(f"{self._paths['freezer']}/freezer.state") != "THAWED"
        except (KeyError, FileNotFoundError):
            return False

    def _freezer(self) -> str:
        if "freezer" not in self._paths:
            raise Unsupported("cannot freeze: this host has no freezer controller")
        return self._paths["freezer"]

    def kill(self, signal: int) -> None:
        """Signal every process, none escaping by a fork. A frozen cgroup is thawed when the signal is SIGKILL."""
        frozen_before = self.frozen()
        if signal == cgroups_settings.SIGKILL and self._kill_at_once():
            if frozen_before:
                self.thaw()
            return
        if not frozen_before and "freezer" in self._paths:
            try:
                self.freeze()
            except (OSError, Unavailable):
                pass  # gone, or processes appear too fast: signalling what is there still ends it
        cgroups_settings.signal_all(self.processes(), signal)
        if (signal == cgroups_settings.SIGKILL or not frozen_before) and self.frozen():
            self.thaw()

    def _kill_at_once(self) -> bool:
        """Kill by the unified hierarchy, where the kernel does it in one stroke; tell whether that was all."""
        own = self._paths.get(UNIFIED)
        if own is None or not kill_all(own):
            return False
        return set(self.processes()) == set(cgroups_tree.processes(own))

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Remove the cgroups with all below them; absent is fine. Waits for processes on their way out."""
        cgroups_tree.remove(self._directories, timeout_seconds)

    def statistics(self) -> dict[str, Any]:
        """Return usage and limits, in the shape of `runc events --stats`."""
        from podling.linux import cgroups_statistics

        return cgroups_statistics.version_1(self._paths)

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        directory = self._paths.get("memory")
        return cgroups_tree.read_pairs(f"{directory}/memory.oom_control").get("oom_kill", 0) if directory else 0


def _freeze(path: str) -> None:
    """Ask until the state is FROZEN: while processes appear the kernel stays at FREEZING until asked again."""
    import time

    for attempt in range(1000):
        cgroups_tree.write(path, "FROZEN")
        state = cgroups_tree.read(path)
        if state == "FROZEN":
            return
        if attempt % 50 == 49:
            cgroups_tree.write(path, "THAWED")
        if attempt > 2:
            time.sleep(0.001)  # version 1 has no event for it
    raise Unavailable(f'cannot freeze "{os.path.dirname(path)}": processes appear faster than they freeze')


def inherit_cpuset(directory: str) -> None:
    """Give a cpuset, and those above it that have none, its parent's CPUs and memory nodes; without, none may join."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        path, prefixed = f"{directory}/{name}", True
        try:
            empty = not cgroups_tree.read(path)
        except FileNotFoundError:  # mounted with noprefix
            path, prefixed = f"{directory}/{name.removeprefix('cpuset.')}", False
            empty = not cgroups_tree.read(path)
        if empty:
            parent = os.path.dirname(directory)
            above = f"{parent}/{name if prefixed else name.removeprefix('cpuset.')}"
            value = cgroups_tree.read(above)
            if not value:
                inherit_cpuset(parent)
                value = cgroups_tree.read(above)
            cgroups_tree.write(path, value)
