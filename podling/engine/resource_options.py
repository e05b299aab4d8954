"""Limits by cgroup: memory, processors, block devices, device access; --cgroup-conf for what has no flag.

A limit that this host's cgroups cannot set is left out with a warning, as Podman does.
"""

from __future__ import annotations

import os

from podling.engine import units
from podling.errors import InvalidArgument, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from podling.engine.request import Request

_PERIOD = 100000
_DEVICE_KINDS = ("a", "b", "c")
_BPS_FORM = (
    "The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. "
    "Unit is optional and can be kb, mb, or gb"
)
_IOPS_FORM = "The correct format is <device-path>:<number>. Number must be a positive integer"


def fill(request: Request) -> None:
    """Fill in the resources. Raise InvalidArgument."""
    found = {"memory": memory(request), "cpu": processors(request), "blockIO": block_devices(request)}
    resources = request.resources()
    resources.update({name: limits for name, limits in found.items() if limits})
    rules = [device_rule(text) for text in request.options.device_cgroup_rule]
    if rules:
        resources["devices"] = rules
    unified = _unified(request)
    if unified:
        resources["unified"] = unified


def _unified(request: Request) -> dict[str, str]:
    found = {}
    for entry in request.defaults.get("cgroup_conf", ()):
        name, separator, value = entry.partition("=")
        if not separator:
            raise InvalidArgument(f"CgroupConf {entry} from containers.conf invalid, must be name=value")
        found[name] = value
    for entry in request.options.cgroup_conf:
        name, separator, value = entry.partition("=")
        if not separator:
            raise InvalidArgument("--cgroup-conf must be formatted KEY=VALUE")
        found[name] = value
    return found


def _size(text: str, name: str) -> int:
    try:
        return units.size(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for {name}: {error}") from None


def memory(request: Request) -> dict[str, Any]:
    """Return linux.resources.memory; a limit without --memory-swap allows as much swap again."""
    options = request.options
    found: dict[str, Any] = {}
    if options.memory:
        limit = _size(options.memory, "memory")
        if limit > 0:
            found["limit"] = limit
            if not options.memory_swap:
                found["swap"] = 2 * limit
    if options.memory_reservation:
        found["reservation"] = _size(options.memory_reservation, "memory")
    if options.memory_swap == "-1":
        found["swap"] = -1
    elif options.memory_swap:
        found["swap"] = _size(options.memory_swap, "memory")
    if options.memory_swappiness is not None and options.memory_swappiness >= 0:
        if options.memory_swappiness > 100:
            raise InvalidArgument(f"invalid value: {options.memory_swappiness}, valid memory swappiness range is 0-100")
        found["swappiness"] = options.memory_swappiness
    if options.oom_kill_disable:
        found["disableOOMKiller"] = True
    _check_memory(request, found)
    return found


def _check_memory(request: Request, found: dict[str, Any]) -> None:
    limit, swap = found.get("limit"), found.get("swap")
    if swap is not None and request.options.memory_swap and swap != -1:
        if limit is None:
            raise InvalidArgument("you should always set a memory limit when using a memoryswap limit, see usage")
        if swap < limit:
            raise InvalidArgument("minimum memoryswap limit should be larger than memory limit, see usage")
    if limit is not None and found.get("reservation", 0) > limit:
        raise InvalidArgument("minimum memory limit cannot be less than memory reservation limit, see usage")
    if swap is not None and not swap_is_accounted():
        request.warn(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without "
            "swap."
        )
        del found["swap"]
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        for name, what in (("swappiness", "Memory swappiness"), ("disableOOMKiller", "OOM kill disable")):
            if name in found:
                request.warn(f"{what} is not supported on cgroups V2 systems: discarded")
                del found[name]


def swap_is_accounted(top: str = "/sys/fs/cgroup") -> bool:
    """Tell whether the memory controller limits swap."""
    if not os.path.exists(f"{top}/cgroup.controllers"):
        return os.path.exists(f"{top}/memory/memory.memsw.limit_in_bytes") or not os.path.isdir(f"{top}/memory")
    from podling.linux.processes import read_small

    own = read_small("/proc/self/cgroup").strip().rpartition(":")[2].strip("/")
    directory = f"{top}/{own}" if own else top
    return os.path.exists(f"{directory}/memory.swap.max") or not os.path.exists(f"{directory}/memory.max")


def processors(request: Request) -> dict[str, Any]:
    """Return linux.resources.cpu."""
    options = request.options
    found: dict[str, Any] = {}
    if options.cpus:
        if options.cpus < 0:
            raise InvalidArgument(f"invalid value for cpus: {options.cpus}")
        found["period"] = _PERIOD
        found["quota"] = int(options.cpus * _PERIOD)
    given = {
        "shares": options.cpu_shares,
        "period": options.cpu_period,
        "quota": options.cpu_quota,
        "realtimePeriod": options.cpu_rt_period,
        "realtimeRuntime": options.cpu_rt_runtime,
    }
    found.update({name: value for name, value in given.items() if value is not None and value > 0})
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        for name, what in (("realtimePeriod", "Realtime period"), ("realtimeRuntime", "Realtime runtime")):
            if found.pop(name, None) is not None:
                request.warn(f"{what} not supported on cgroups V2 systems")
    for name, text in (("cpus", options.cpuset_cpus), ("mems", options.cpuset_mems)):
        if text:
            _check_set(text, name)
            found[name] = text
    return found


def _check_set(text: str, name: str) -> None:
    for part in text.split(","):
        first, separator, last = part.partition("-")
        if not first.isdigit() or (separator and not last.isdigit()) or (separator and int(last) < int(first)):
            raise InvalidArgument(f'invalid value "{text}" for --cpuset-{name}')


def block_devices(request: Request) -> dict[str, Any]:
    """Return linux.resources.blockIO."""
    options = request.options
    found: dict[str, Any] = {}
    weight = _block_weight(options.blkio_weight)
    if weight:
        found["weight"] = weight
    weights = [_weight(text) for text in options.blkio_weight_device]
    throttles = {
        "throttleReadBpsDevice": _throttles(options.device_read_bps, "device-read-bps", _BPS_FORM),
        "throttleWriteBpsDevice": _throttles(options.device_write_bps, "device-write-bps", _BPS_FORM),
        "throttleReadIOPSDevice": _throttles(options.device_read_iops, "device-read-iops", _IOPS_FORM),
        "throttleWriteIOPSDevice": _throttles(options.device_write_iops, "device-write-iops", _IOPS_FORM),
    }
    if weights:
        found["weightDevice"] = weights
    found.update({name: rows for name, rows in throttles.items() if rows})
    return found


def _block_weight(given: int | None) -> int:
    try:
        weight = units.unsigned(str(given or 0), 16)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for blkio-weight: {error}") from None
    if weight and not 10 <= weight <= 1000:
        raise InvalidArgument(f"invalid value for blkio-weight: {weight} is not between 10 and 1000")
    return weight


def _device_and_value(text: str) -> tuple[str, str]:
    path, separator, value = text.partition(":")
    if not separator:
        raise InvalidArgument(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format for device path: {text}")
    return path, value


def _numbers(path: str, flag: str) -> dict[str, int]:
    try:
        device = os.stat(path).st_rdev
    except OSError as error:
        raise InvalidArgument(f"failed to inspect '{path}' in --{flag}: {reason(error)}") from None
    return {"major": os.major(device), "minor": os.minor(device)}


def _weight(text: str) -> dict[str, int]:
    path, value = _device_and_value(text)
    if not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise InvalidArgument(f"invalid weight for device: {text}")
    return {**_numbers(path, "blkio-weight-device"), "weight": int(value)}


def _throttles(texts: Sequence[str], flag: str, form: str) -> list[dict[str, int]]:
    rows = []
    for text in texts:
        path, value = _device_and_value(text)
        try:
            rate = units.size(value) if form is _BPS_FORM else units.unsigned(value)
        except InvalidArgument:
            raise InvalidArgument(f"invalid rate for device: {text}. {form}") from None
        rows.append({**_numbers(path, flag), "rate": rate})
    return rows


def device_rule(text: str) -> dict[str, Any]:
    """Return a rule of linux.resources.devices from `TYPE MAJOR:MINOR ACCESS`. Raise InvalidArgument."""
    words = text.split(" ")
    if len(words) != 3:
        raise InvalidArgument(f'invalid device cgroup rule requires type, major:Minor, and access rules: "{text}"')
    kind, numbers, access = words
    if kind not in _DEVICE_KINDS:
        raise InvalidArgument(f"invalid device type in device-access-add: {kind}")
    rule: dict[str, Any] = {"allow": True, "type": kind}
    major, separator, minor = numbers.partition(":")
    if major != "*":
        rule["major"] = units.unsigned(major)
    if separator and minor != "*":
        rule["minor"] = units.unsigned(minor)
    for letter in access:
        if letter not in "rwm":
            raise InvalidArgument(f"invalid device access in device-access-add: {letter}")
    rule["access"] = access
    return rule
