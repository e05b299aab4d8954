"""What a container uses, read from its cgroups, in one shape for both versions: that of `runc events --stats`.

    cpu        {usage: {total, kernel, user, percpu…}, throttling: {periods, throttledPeriods, throttledTime}}   ns
    memory     {usage, swap, kernel, kernelTCP: each {limit, usage, max, failcnt}, cache, raw}                  bytes
    pids       {current, limit}                                                                                 0: none
    blkio      {ioServiceBytesRecursive, ioServicedRecursive, …: [{major, minor, op, value}]}
    cpuset     {cpus, mems, …}
    hugetlb    {page size: {usage, max, failcnt}}

Swap counts memory and swap together, as version 1 does. A controller that is missing leaves zeros.
"""

from __future__ import annotations

import os

from podling.linux.cgroups_tree import read, read_number, read_pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = (1 << 64) - 1

_CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)
_BLKIO = (
    ("ioServiceBytesRecursive", ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")),
    ("ioServicedRecursive", ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")),
    ("ioQueueRecursive", ("blkio.bfq.io_queued_recursive", "blkio.io_queued_recursive")),
    ("ioServiceTimeRecursive", ("blkio.bfq.io_service_time_recursive", "blkio.io_service_time_recursive")),
    ("ioWaitTimeRecursive", ("blkio.bfq.io_wait_time_recursive", "blkio.io_wait_time_recursive")),
    ("ioMergedRecursive", ("blkio.bfq.io_merged_recursive", "blkio.io_merged_recursive")),
    ("ioTimeRecursive", ("blkio.bfq.time_recursive", "blkio.time_recursive")),
    ("sectorsRecursive", ("blkio.bfq.sectors_recursive", "blkio.sectors_recursive")),
)


def version_1(paths: dict[str, str]) -> dict[str, Any]:
    """Return the statistics of a container on version 1, from the directory of each controller."""
    return {
        "cpu": {"usage": _cpu_usage_1(paths.get("cpuacct")), "throttling": _throttling(paths.get("cpu"), "time", 1)},
        "cpuset": _cpuset(paths.get("cpuset")),
        "memory": _memory_1(paths.get("memory")),
        "pids": _pids(paths.get("pids")),
        "blkio": _blkio_1(paths.get("blkio")),
        "hugetlb": _hugetlb(paths.get("hugetlb"), ("usage_in_bytes", "max_usage_in_bytes", "failcnt")),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def version_2(path: str) -> dict[str, Any]:
    """Return the statistics of a container on version 2."""
    cpu = read_pairs(f"{path}/cpu.stat")
    usage = {"total": "usage_usec", "kernel": "system_usec", "user": "user_usec"}
    return {
        "cpu": {
            "usage": {name: cpu.get(field, 0) * 1000 for name, field in usage.items()},
            "throttling": _throttling(path, "usec", 1000),
            "psi": _pressure(f"{path}/cpu.pressure"),
        },
        "cpuset": _cpuset(path),
        "memory": _memory_2(path),
        "pids": _pids(path),
        "blkio": {**_io(path), "psi": _pressure(f"{path}/io.pressure")},
        "hugetlb": _hugetlb(path, ("current", "max_usage_in_bytes", "")),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu_usage_1(path: str | None) -> dict[str, Any]:
    if path is None:
        return {"total": 0, "kernel": 0, "user": 0}
    split = read_pairs(f"{path}/cpuacct.stat")
    nanoseconds = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    usage: dict[str, Any] = {
        "total": read_number(f"{path}/cpuacct.usage"),
        "kernel": split.get("system", 0) * nanoseconds,
        "user": split.get("user", 0) * nanoseconds,
    }
    for key, name in (("percpu", ""), ("percpu_kernel", "_sys"), ("percpu_user", "_user")):
        try:
            usage[key] = [int(value) for value in read(f"{path}/cpuacct.usage_percpu{name}").split()]
        except FileNotFoundError:
            continue
    return usage


def _throttling(path: str | None, unit: str, nanoseconds: int) -> dict[str, int]:
    statistics = read_pairs(f"{path}/cpu.stat") if path else {}
    return {
        "periods": statistics.get("nr_periods", 0),
        "throttledPeriods": statistics.get("nr_throttled", 0),
        "throttledTime": statistics.get(f"throttled_{unit}", 0) * nanoseconds,
    }


def _cpuset(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    result: dict[str, Any] = {}
    for name in ("cpus", "mems"):
        try:
            result[name] = numbers(read(f"{path}/cpuset.{name}"))
        except FileNotFoundError:
            continue
    for name in _CPUSET:
        try:
            result[name] = int(read(f"{path}/cpuset.{name}"))
        except FileNotFoundError:
            continue
    return result


def numbers(ranges: str) -> list[int]:
    """Return the numbers of a list such as "0-2,4"."""
    found: list[int] = []
    for part in ranges.split(","):
        first, dash, last = part.strip().partition("-")
        if first:
            found.extend(range(int(first), int(last if dash else first) + 1))
    return found


def _entry_1(path: str, kind: str) -> dict[str, int]:
    prefix = f"{path}/memory.{kind}"
    return {
        "limit": read_number(f"{prefix}limit_in_bytes"),
        "usage": read_number(f"{prefix}usage_in_bytes"),
        "max": read_number(f"{prefix}max_usage_in_bytes"),
        "failcnt": read_number(f"{prefix}failcnt"),
    }


def _memory_1(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    raw = read_pairs(f"{path}/memory.stat")
    kinds = {"usage": "", "swap": "memsw.", "kernel": "kmem.", "kernelTCP": "kmem.tcp."}
    return {
        "cache": raw.get("cache", 0),
        **{key: _entry_1(path, kind) for key, kind in kinds.items()},
        "raw": raw,
    }


def _memory_2(path: str) -> dict[str, Any]:
    raw = read_pairs(f"{path}/memory.stat")
    usage, swap = _entry_2(path, ""), _entry_2(path, "swap.")
    limited = UNLIMITED not in (usage["limit"], swap["limit"])
    return {
        "cache": raw.get("file", 0),
        "usage": usage,
        "swap": {
            "limit": usage["limit"] + swap["limit"] if limited else UNLIMITED,
            "usage": usage["usage"] + swap["usage"],
            "max": 0,  # two peaks at different times have no sum
            "failcnt": 0,
        },
        "raw": raw,
        "psi": _pressure(f"{path}/memory.pressure"),
    }


def _entry_2(path: str, kind: str) -> dict[str, int]:
    prefix = f"{path}/memory.{kind}"
    return {
        "limit": read_number(f"{prefix}max", UNLIMITED),
        "usage": read_number(f"{prefix}current"),
        "max": read_number(f"{prefix}peak"),
        "failcnt": 0,
    }


def _pids(path: str | None) -> dict[str, int]:
    if path is None:
        return {"current": 0, "limit": 0}
    return {"current": read_number(f"{path}/pids.current"), "limit": read_number(f"{path}/pids.max")}


def _blkio_1(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    return {key: _first_table(path, names) for key, names in _BLKIO}


def _first_table(path: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rows "major:minor operation value" of the first file that there is; totals have no device."""
    for name in names:
        try:
            text = read(f"{path}/{name}")
        except (FileNotFoundError, OSError):
            continue
        return [_row(*line.replace(":", " ").split()) for line in text.splitlines() if ":" in line]
    return []


def _row(major: str, minor: str, *rest: str) -> dict[str, Any]:
    return {"major": int(major), "minor": int(minor), "op": rest[0] if len(rest) > 1 else "", "value": int(rest[-1])}


def _io(path: str) -> dict[str, Any]:
    kinds = {
        "rbytes": ("ioServiceBytesRecursive", "Read"),
        "wbytes": ("ioServiceBytesRecursive", "Write"),
        "rios": ("ioServicedRecursive", "Read"),
        "wios": ("ioServicedRecursive", "Write"),
    }
    tables: dict[str, Any] = {"ioServiceBytesRecursive": [], "ioServicedRecursive": []}
    try:
        text = read(f"{path}/io.stat")
    except FileNotFoundError:
        return tables
    for line in text.splitlines():
        device, *items = line.split()
        major, _, minor = device.partition(":")
        for item in items:
            name, _, value = item.partition("=")
            if name in kinds:
                table, operation = kinds[name]
                tables[table].append(_row(major, minor, operation, value))
    return tables


def _hugetlb(path: str | None, files: tuple[str, str, str]) -> dict[str, dict[str, int]]:
    """Return the use of each page size: of reserved pages where they are counted, else of pages in use."""
    result = {}
    for size in huge_page_sizes() if path else []:
        for prefix in (f"{path}/hugetlb.{size}.rsvd.", f"{path}/hugetlb.{size}."):
            if os.path.exists(prefix + files[0]):
                usage, peak, failures = (read_number(prefix + name) if name else 0 for name in files)
                result[size] = {"usage": usage, "max": peak, "failcnt": failures}
                break
    return result


def huge_page_sizes() -> list[str]:
    """Return the sizes of huge pages as cgroup files name them: 2MB, 1GB."""
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return []
    kilobytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return [_size(number) for number in kilobytes]


def _size(kilobytes: int) -> str:
    for unit, factor in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kilobytes >= factor:
            return f"{kilobytes // factor}{unit}"
    return f"{kilobytes}KB"


def _pressure(path: str) -> dict[str, Any] | None:
    """Return the lines "some avg10=0.00 … total=0" of a pressure file; None where it is not there or switched off."""
    try:
        text = read(path)
    except OSError:
        return None
    return {kind: _averages(items) for kind, *items in (line.split() for line in text.splitlines())}


def _averages(items: list[str]) -> dict[str, float]:
    pairs = (item.split("=") for item in items)
    return {name: int(value) if name == "total" else float(value) for name, value in pairs}
