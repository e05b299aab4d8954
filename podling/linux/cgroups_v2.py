"""Cgroups of version 2: one directory in the unified hierarchy, whose ancestors hand the controllers down.

    /sys/fs/cgroup                     cgroup.controllers: cpu io memory pids …
      libpod_parent                    cgroup.subtree_control: +cpu +io +memory +pids …      (no processes here)
        libpod-ID                      memory.max  pids.max  cpu.weight  cgroup.freeze  cgroup.kill

`linux.resources` speaks version 1; `plan` translates it, the way that runc and crun do. Device rules become an eBPF
program (`cgroups_bpf.py`).
"""

from __future__ import annotations

import errno
import os

from podling.errors import InvalidArgument, Unavailable, Unsupported
from podling.linux import cgroups_devices, cgroups_settings, cgroups_tree
from podling.linux.cgroups_settings import NOTHING, Setting, one, shares, signed, throttles, weights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FREEZE_TIMEOUT_SECONDS = 10.0


def plan(resources: dict[str, Any]) -> list[Setting]:
    """Return what to write for `linux.resources`, in order, without the devices.

    Raise InvalidArgument for a value out of range, Unsupported for what only version 1 has.
    """
    _refuse_version_1(resources)
    return [
        *_cpu(resources.get("cpu") or {}),
        *_memory(resources.get("memory") or {}),
        *_pids(resources.get("pids") or {}),
        *_io(resources.get("blockIO") or {}),
        *cgroups_settings.hugetlb(resources.get("hugepageLimits") or [], ".max"),
        *cgroups_settings.rdma(resources.get("rdma") or {}),
        *_unified(resources.get("unified") or {}),
    ]


def _refuse_version_1(resources: dict[str, Any]) -> None:
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    network, block = resources.get("network") or {}, resources.get("blockIO") or {}
    swappiness = memory.get("swappiness")
    for asked, what in (
        (cpu.get("realtimePeriod") or cpu.get("realtimeRuntime"), "real-time CPU limits"),
        (memory.get("kernel") or memory.get("kernelTCP"), "kernel memory limits"),
        (memory.get("disableOOMKiller"), "disabling the OOM killer"),
        (swappiness is not None and swappiness not in (-1, 0xFFFFFFFFFFFFFFFF), "memory swappiness"),
        (network.get("classID") or network.get("priorities"), "network classes and priorities"),
        (block.get("leafWeight"), "block I/O leaf weights"),
    ):
        if asked:
            raise Unsupported(f"{what}: cgroup version 2 does not have them, and this host has version 2")


def weight_of_shares(value: int) -> int:
    """Return the cpu.weight of CPU shares: a curve through minimum, default and maximum of both scales."""
    import math

    if value <= 2:
        return 1
    if value >= 262144:
        return 10000
    logarithm = math.log2(value)
    return math.ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34))


def swap_alone(limit: int, swap: int) -> int | None:
    """Return memory.swap.max from a limit on memory with swap: -1 for no limit, None to leave it."""
    if limit == -1 and swap == 0:
        return -1
    if swap in (-1, 0):
        return swap or None
    if limit == -1:
        return swap
    if limit == 0:
        raise InvalidArgument("cannot limit swap without a limit on memory")
    return swap - limit


def _cpu(cpu: dict[str, Any]) -> list[Setting]:
    settings = []
    if cpu.get("idle") is not None:
        settings.append(one("cpu", "cpu.idle", str(cpu["idle"])))
    if cpu.get("shares"):
        settings.append(one("cpu", "cpu.weight", str(weight_of_shares(int(shares(cpu["shares"]))))))
    if cpu.get("burst") is not None:
        settings.append(one("cpu", "cpu.max.burst", str(cpu["burst"])))
    quota, period = int(signed(cpu.get("quota") or 0)), cpu.get("period") or 0
    if quota or period:
        settings.append(one("cpu", "cpu.max", f"{quota if quota > 0 else 'max'} {period or 100000}"))
    for key in ("cpus", "mems"):
        if cpu.get(key):
            settings.append(one("cpuset", f"cpuset.{key}", str(cpu[key])))
    return settings


def _memory(memory: dict[str, Any]) -> list[Setting]:
    limit, swap = int(signed(memory.get("limit") or 0)), int(signed(memory.get("swap") or 0))
    cgroups_settings.check_memory({"limit": limit, "swap": swap})
    settings: list[Setting] = []
    alone = swap_alone(limit, swap)
    if alone is not None:
        text = "max" if alone == -1 else str(alone)
        alternatives = [("memory.swap.max", text)]
        if text in ("max", "0"):  # where swap is not counted there is none to free or to forbid
            alternatives.append(NOTHING)
        settings.append(("memory", alternatives))
    for value, name in ((limit, "memory.max"), (int(signed(memory.get("reservation") or 0)), "memory.low")):
        if value:
            settings.append(one("memory", name, "max" if value == -1 else str(value)))
    return settings


def _pids(pids: dict[str, Any]) -> list[Setting]:
    limit = pids.get("limit")
    return [] if limit is None else [one("pids", "pids.max", cgroups_settings.pids_limit(limit))]


def _io(block: dict[str, Any]) -> list[Setting]:
    settings: list[Setting] = []
    if block.get("weight"):
        weight = int(block["weight"])
        settings.append(("io", [("io.bfq.weight", str(weight)), ("io.weight", str(1 + (weight - 10) * 9999 // 990))]))
    for text in weights(block, "weight"):
        settings.append(one("io", "io.bfq.weight", text))
    for key, name in cgroups_settings.THROTTLES:
        for device, rate in throttles(block, key):
            settings.append(one("io", "io.max", f"{device} {name}={rate or 'max'}"))
    return settings


def _unified(unified: dict[str, str]) -> list[Setting]:
    settings = []
    for name, value in unified.items():
        controller, dot, rest = name.partition(".")
        if "/" in name or not dot or not rest or not controller:
            raise InvalidArgument(f'unified cgroup resource "{name}" is not CONTROLLER.PARAMETER')
        settings += [one(controller, name, row) for row in str(value).split("\n") if row]
    return settings


class V2:
    """A container's cgroup."""

    def __init__(self, path: str, mountpoint: str = "/sys/fs/cgroup") -> None:
        self._path = path
        self._mountpoint = mountpoint

    def paths(self) -> dict[str, str]:
        """Return the directory, by the name "" of the unified hierarchy."""
        return {"": self._path}

    def create(self) -> None:
        """Make the cgroup, its ancestors handing down every controller. Raise InUse where it has processes."""
        parent = os.path.dirname(self._path)
        cgroups_tree.make(parent)
        hand_down(self._mountpoint, parent)
        if not cgroups_tree.make(self._path):
            cgroups_settings.refuse_processes(self._path)

    def apply(self, resources: dict[str, Any], *, devices: bool = True) -> None:
        """Write `linux.resources`; with `devices` also the device rules, the default ones included."""
        settings = plan(resources)
        self._check_controllers(settings)
        self._check_before_update(resources.get("memory") or {})
        if devices:
            self._apply_devices(resources)
        paths = {name: self._path for name, _ in settings}
        cgroups_settings.write_all(paths, settings, lambda _name, _value: "")

    def _check_controllers(self, settings: list[Setting]) -> None:
        wanted = {name for name, _ in settings} - {"cgroup"}
        if not wanted:
            return
        missing = sorted(wanted - set(cgroups_tree.read(f"{self._path}/cgroup.controllers").split()))
        if missing:
            raise Unsupported(f'cannot set {missing[0]} limits: cgroup "{self._path}" has no {missing[0]} controller')

    def _check_before_update(self, memory: dict[str, Any]) -> None:
        """Refuse a limit below what is in use, where that was asked for: the kernel would kill instead."""
        limit = memory.get("limit") or 0
        usage = cgroups_tree.read_number(f"{self._path}/memory.current") if memory.get("checkBeforeUpdate") else 0
        if 0 < limit < usage:
            raise InvalidArgument(f"cannot set memory.max to {limit}: {usage} bytes are in use")

    def _apply_devices(self, resources: dict[str, Any]) -> None:
        from podling.linux import cgroups_bpf

        if cgroups_settings.in_user_namespace():
            return  # bpf(2) belongs to the initial namespace, and mknod is refused here anyway
        cgroups_bpf.confine(self._path, cgroups_devices.policy(resources.get("devices")))

    def add(self, pid: int) -> None:
        """Move a process in."""
        cgroups_tree.write(f"{self._path}/cgroup.procs", str(pid))

    def join(self, *, unified: bool = True) -> None:
        """Move the calling process in. `unified` False: it was born there (`fork`), and nothing is to do."""
        if unified:
            cgroups_tree.write(f"{self._path}/cgroup.procs", "0")

    def fork(self) -> int:
        """Fork, the child being in the cgroups from birth; return as os.fork does.

        The caller has one thread. In the child, raise OSError where it could not enter.
        """
        from podling.linux.cgroups import fork_into

        return fork_into(self)

    def processes(self) -> list[int]:
        """Return the pids in the cgroup and below."""
        return cgroups_tree.processes(self._path)

    def freeze(self) -> None:
        """Freeze every process, and return when all are. Thawed again on failure."""
        try:
            cgroups_tree.write(f"{self._path}/cgroup.freeze", "1")
            await_frozen(self._path)
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> None:
        """Let frozen processes run."""
        cgroups_tree.write(f"{self._path}/cgroup.freeze", "0")

    def frozen(self) -> bool:
        """Tell whether the cgroup is frozen or freezing; one that is gone is not."""
        try:
            return cgroups_tree.read(f"{self._path}/cgroup.freeze") == "1"
        except FileNotFoundError:
            return False

    def kill(self, signal: int) -> None:
        """Signal every process, none escaping by a fork."""
        if signal == cgroups_settings.SIGKILL and kill_all(self._path):
            return
        frozen_before = self.frozen()
        if not frozen_before:
            try:
                self.freeze()
            except (OSError, Unavailable):
                pass  # gone, or a process that cannot freeze: signalling what is there still ends it
        cgroups_settings.signal_all(self.processes(), signal)
        if not frozen_before and self.frozen():
            self.thaw()

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Remove the cgroup with all below it; absent is fine. Waits for processes on their way out."""
        cgroups_tree.remove([self._path], timeout_seconds)

    def statistics(self) -> dict[str, Any]:
        """Return usage and limits, in the shape of `runc events --stats`."""
        from podling.linux import cgroups_statistics

        return cgroups_statistics.version_2(self._path)

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        return cgroups_tree.read_pairs(f"{self._path}/memory.events").get("oom_kill", 0)


def hand_down(mountpoint: str, parent: str) -> None:
    """Let a cgroup's children have every controller that there is; where the kernel refuses one, go on without.

    Whoever then wants a limit of that controller is told that it is missing.
    """
    available = cgroups_tree.read(f"{mountpoint}/cgroup.controllers").split()
    if set(available) <= set(cgroups_tree.read(f"{parent}/cgroup.subtree_control").split()):
        return
    current = mountpoint
    for name in ["", *os.path.relpath(parent, mountpoint).split("/")]:
        current = os.path.normpath(f"{current}/{name}")
        _enable(f"{current}/cgroup.subtree_control", available)


def _enable(path: str, controllers: list[str]) -> None:
    try:
        return cgroups_tree.write(path, " ".join(f"+{name}" for name in controllers))
    except OSError:
        pass  # one of them is the culprit, and none was enabled
    for name in controllers:
        try:
            cgroups_tree.write(path, f"+{name}")
        except OSError:
            continue


def kill_all(path: str) -> bool:
    """Kill a cgroup's processes by cgroup.kill; tell whether the kernel has it. A cgroup that is gone is killed."""
    try:
        cgroups_tree.write(f"{path}/cgroup.kill", "1")
    except FileNotFoundError:
        return not os.path.isdir(path)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENODEV):
            raise
        return error.errno == errno.ENODEV
    return True


def await_frozen(path: str) -> None:
    """Wait for "frozen 1" in cgroup.events, which polls as an exception when it changes."""
    import select

    fd = os.open(f"{path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while b"frozen 1" not in os.pread(fd, 4096, 0):
            if not poll.poll(FREEZE_TIMEOUT_SECONDS * 1000):
                raise Unavailable(f'cannot freeze "{path}": a process did not freeze in {FREEZE_TIMEOUT_SECONDS:.0f} s')
    finally:
        os.close(fd)
