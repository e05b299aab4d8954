"""A container's cgroups as a systemd scope, so that systemd counts it as its own and leaves it alone.

    cgroupsPath  machine.slice:libpod:ID
    unit         libpod-ID.scope in machine.slice
    cgroup       /machine.slice/libpod-ID.scope        a slice a-b.slice lies in a.slice

A scope cannot be made empty, so `create` and `apply` before the first process only note what is wanted; `add` asks
systemd to make the scope around it (StartTransientUnit, Delegate) and then does in the directories what systemd does
not. Limits are told to systemd as well: it writes its own idea of them again at every daemon-reload.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, Unavailable
from podling.linux import cgroups, cgroups_devices, cgroups_settings, cgroups_tree, dbus
from podling.linux.cgroups_statistics import numbers
from podling.linux.cgroups_v2 import swap_alone, weight_of_shares
from podling.linux.dbus import Variant
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_INFINITY = (1 << 64) - 1
_NOT_THERE = ("org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.LoadFailed")


class Unit(Record):
    """Where a scope is."""

    slice: str  # system.slice; empty where only the directories are known
    name: str  # libpod-ID.scope


def parse_path(cgroups_path: str, container_id: str) -> Unit:
    """Return the unit of `linux.cgroupsPath`. Raise InvalidArgument unless it is "slice:prefix:name" or empty."""
    default_slice = "system.slice" if os.geteuid() == 0 else "user.slice"
    if not cgroups_path:
        return Unit(slice=default_slice, name=f"runc-{container_id}.scope")
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2]:
        raise InvalidArgument(f'expected cgroupsPath to be of format "slice:prefix:name", got "{cgroups_path}"')
    slice_name, prefix, name = parts
    if name.endswith(".slice"):
        raise InvalidArgument(f'cgroups path "{cgroups_path}" names a slice, and a container needs a scope')
    return Unit(slice=slice_name or default_slice, name=f"{prefix}-{name}.scope" if prefix else f"{name}.scope")


def expand_slice(name: str) -> str:
    """Return the cgroup of a slice: a-b.slice is /a.slice/a-b.slice. Raise InvalidArgument for what is no slice."""
    stem = name.removesuffix(".slice")
    if stem == name or not stem or "/" in name:
        raise InvalidArgument(f'invalid slice name "{name}"')
    if stem == "-":
        return ""
    parts = stem.split("-")
    if "" in parts:
        raise InvalidArgument(f'invalid slice name "{name}"')
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))


def scope_of(paths: dict[str, str]) -> Unit:
    """Return the unit whose directories these are."""
    return Unit(slice="", name=os.path.basename(next(iter(paths.values()))))


def properties_of(resources: dict[str, Any], *, version_2: bool, devices: bool = True) -> list[tuple[str, Variant]]:
    """Return `linux.resources` as systemd's unit properties (systemd.resource-control(5)), as far as it has them."""
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    found = _quota(cpu) + _cpusets(cpu)
    if version_2:
        found += _memory(memory)
        if cpu.get("shares"):
            found.append(("CPUWeight", Variant("t", weight_of_shares(cpu["shares"]))))
    else:
        found += [("MemoryLimit", Variant("t", _limit(memory["limit"])))] if memory.get("limit") else []
        found += [("CPUShares", Variant("t", cpu["shares"]))] if cpu.get("shares") else []
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        found.append(("TasksMax", Variant("t", _INFINITY if limit < 0 else limit or 1)))
    return found + (_devices(resources.get("devices")) if devices else [])


def _limit(value: int) -> int:
    return _INFINITY if value < 0 else int(value)


def _memory(memory: dict[str, Any]) -> list[tuple[str, Variant]]:
    found = [
        (name, Variant("t", _limit(memory[key])))
        for key, name in (("limit", "MemoryMax"), ("reservation", "MemoryLow"))
        if memory.get(key)
    ]
    swap = swap_alone(memory.get("limit") or 0, memory.get("swap") or 0)
    return found if swap is None else [*found, ("MemorySwapMax", Variant("t", _limit(swap)))]


def _quota(cpu: dict[str, Any]) -> list[tuple[str, Variant]]:
    """Return the CPU quota; systemd counts in hundredths of a CPU, and less than what was asked must not come out."""
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 0
    if not quota and not period:
        return []
    per_second = _INFINITY
    if quota > 0:
        per_second = -(-(quota * 1_000_000 // (period or 100_000)) // 10_000) * 10_000
    found = [("CPUQuotaPerSecUSec", Variant("t", per_second))]
    return [("CPUQuotaPeriodUSec", Variant("t", period)), *found] if period else found


def _cpusets(cpu: dict[str, Any]) -> list[tuple[str, Variant]]:
    found = []
    for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        if cpu.get(key):
            bits = sum(1 << number for number in set(numbers(cpu[key])))
            found.append((name, Variant("ay", bits.to_bytes((bits.bit_length() + 7) // 8 or 1, "little"))))
    return found


def _devices(rules: list[dict[str, Any]] | None) -> list[tuple[str, Variant]]:
    """Return the device rules. What systemd cannot say (a rule for all majors) is in the directories' rules alone."""
    wanted = cgroups_devices.policy(rules)
    clear = ("DeviceAllow", Variant("a(ss)", []))
    if wanted.allow:
        return [clear, ("DevicePolicy", Variant("s", "auto"))]
    allowed = []
    for (kind, major, minor), access in wanted.exceptions.items():
        group = "block" if kind == "b" else "char"
        if major == cgroups_devices.ANY and minor != cgroups_devices.ANY:
            continue
        if minor != cgroups_devices.ANY:
            path = f"/dev/{group}/{major}:{minor}"
        else:
            path = f"{group}-{'*' if major == cgroups_devices.ANY else major}"
        allowed.append((path, access))
    return [clear, ("DevicePolicy", Variant("s", "strict")), ("DeviceAllow", Variant("a(ss)", allowed))]


class Scope:
    """A container's cgroups under systemd. `paths` are given where the scope is there already."""

    def __init__(self, unit: Unit, paths: dict[str, str] | None = None) -> None:
        self.unit = unit
        self._started = paths is not None
        if paths is None:
            cgroup = f"{expand_slice(unit.slice)}/{unit.name}"
            paths = {name: cgroups.directory(name, cgroup) for name in cgroups.hierarchies()}
        self._inside = cgroups.at_paths(paths)
        self._wanted: list[tuple[dict[str, Any], bool]] = []

    def paths(self) -> dict[str, str]:
        """Return the directory of each controller."""
        return self._inside.paths()

    def create(self) -> None:
        """Refuse a scope that is there already; it is made by the first `add`."""
        for path in self.paths().values():
            if os.path.isdir(path):
                cgroups_settings.refuse_processes(path)

    def apply(self, resources: dict[str, Any], *, devices: bool = True) -> None:
        """Set limits; before the first process they are noted."""
        if not self._started:
            self._wanted.append((resources, devices))
            return
        self._call("SetUnitProperties", "sba(sv)", [self.unit.name, True, self._properties(resources, devices)])
        self._inside.apply(resources, devices=devices)

    def _properties(self, resources: dict[str, Any], devices: bool) -> list[tuple[str, Variant]]:
        return properties_of(resources, version_2=set(self.paths()) == {""}, devices=devices)

    def add(self, pid: int) -> None:
        """Move a process in; the first one makes the scope, with the limits noted so far."""
        if self._started:
            if set(self.paths()) == {""}:
                self._inside.add(pid)
                return
            self._call("AttachProcessesToUnit", "ssau", [self.unit.name, "/", [pid]])
            self._inside.add(pid)
            return
        limits = [row for resources, devices in self._wanted for row in self._properties(resources, devices)]
        start(self.unit, pid, [*_scope_properties(self.unit, set(self.paths()) == {""}), *limits])
        self._started = True
        for path in self.paths().values():
            cgroups_tree.make(path)
        cgroups.prepare(self.paths())
        self._inside.add(pid)
        for resources, devices in self._wanted:
            self._inside.apply(resources, devices=devices)

    def join(self, *, unified: bool = True) -> None:
        """Move the calling process in."""
        self.add(os.getpid())

    def fork(self) -> int:
        """Fork, the child going on once it is in the scope; return as os.fork does."""
        return cgroups.fork_and_add(self)

    def processes(self) -> list[int]:
        """Return the pids in the cgroups and below."""
        return self._inside.processes()

    def freeze(self) -> None:
        """Freeze every process, and return when all are."""
        self._inside.freeze()

    def thaw(self) -> None:
        """Let frozen processes run."""
        self._inside.thaw()

    def frozen(self) -> bool:
        """Tell whether the cgroup is frozen or freezing."""
        return self._inside.frozen()

    def kill(self, signal: int) -> None:
        """Signal every process, none escaping by a fork."""
        self._inside.kill(signal)

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Have systemd forget the scope, and remove what it left; absent is fine."""
        stop(self.unit.name)
        self._inside.remove(timeout_seconds)

    def statistics(self) -> dict[str, Any]:
        """Return usage and limits, in the shape of `runc events --stats`."""
        return self._inside.statistics()

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        return self._inside.oom_kills()

    def _call(self, member: str, signature: str, values: list[Any]) -> None:
        with dbus.systemd() as connection:
            connection.call(*_MANAGER, member, signature, values)


def _scope_properties(unit: Unit, version_2: bool) -> list[tuple[str, Variant]]:
    switches = ["Delegate", "MemoryAccounting", "CPUAccounting", "TasksAccounting"]
    switches.append("IOAccounting" if version_2 else "BlockIOAccounting")
    return [
        ("Description", Variant("s", f"podling container {unit.name.removesuffix('.scope')}")),
        *((name, Variant("b", True)) for name in switches),
        ("DefaultDependencies", Variant("b", False)),
    ]


def start(unit: Unit, pid: int, properties: list[tuple[str, Variant]]) -> None:
    """Make a scope around a process and wait until it stands. A dead one of the same name is cleared away first."""
    wanted = [("Slice", Variant("s", unit.slice)), ("PIDs", Variant("au", [pid])), *properties]
    with dbus.systemd() as connection:
        connection.listen(_MANAGER[2], "JobRemoved")
        connection.call(*_MANAGER, "Subscribe")
        try:
            job = _start(connection, unit.name, wanted)
        except dbus.DBusError as error:
            if not error.name.endswith(".UnitExists"):
                raise Unavailable(f'cannot start systemd unit "{unit.name}"') from error
            _reset_failed(connection, unit.name)
            job = _start(connection, unit.name, wanted)
        result = _await_job(connection, job)
        if result != "done":
            _reset_failed(connection, unit.name)
            raise Unavailable(f'cannot start systemd unit "{unit.name}": {result}')


def _start(connection: dbus.Connection, name: str, properties: list[tuple[str, Variant]]) -> str:
    values = [name, "replace", properties, []]
    return str(connection.call(*_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", values)[0])


def _await_job(connection: dbus.Connection, job: str) -> str:
    while True:
        _number, path, _unit, result = connection.next_signal("JobRemoved")
        if path == job:
            return str(result)


def _reset_failed(connection: dbus.Connection, name: str) -> None:
    try:
        connection.call(*_MANAGER, "ResetFailedUnit", "s", [name])
    except dbus.DBusError as error:
        if error.name not in _NOT_THERE:
            raise


def stop(name: str) -> None:
    """Stop a unit and wait until it has; one that is not there is fine."""
    with dbus.systemd() as connection:
        connection.listen(_MANAGER[2], "JobRemoved")
        connection.call(*_MANAGER, "Subscribe")
        try:
            job = str(connection.call(*_MANAGER, "StopUnit", "ss", [name, "replace"])[0])
            _await_job(connection, job)
        except dbus.DBusError as error:
            if error.name not in _NOT_THERE:
                raise Unavailable(f'cannot stop systemd unit "{name}"') from error
        _reset_failed(connection, name)


def place(pid: int, slice_name: str, name: str) -> None:
    """Put a process into a scope of its own, such as a monitor into libpod-conmon-ID.scope."""
    unit = Unit(slice=slice_name, name=name)
    start(unit, pid, [("Delegate", Variant("b", True)), ("DefaultDependencies", Variant("b", False))])
