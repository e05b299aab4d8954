"""`update ID`: change the limits of a container that is created, running or paused.

    --resources FILE or -    linux.resources as JSON; what is absent or 0 stays as it is
    --memory 64m …           the same, flag by flag

What the container then has is written to its config.json, because some limits are one file in the kernel and two
values here (quota and period), and the one that is not given must keep its value.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError, Unsupported, WrongState
from podling.oci.jsontext import dumps, loads
from podling.runtime import container
from podling.runtime.arguments import only_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.main import Context

SYNOPSIS = "<container-id>"
OPTIONS = (
    "resources,r=FILE",
    "blkio-weight#WEIGHT",
    "cpu-period=MICROSECONDS",
    "cpu-quota=MICROSECONDS",
    "cpu-burst=MICROSECONDS",
    "cpu-share=SHARES",
    "cpu-rt-period=MICROSECONDS",
    "cpu-rt-runtime=MICROSECONDS",
    "cpuset-cpus=LIST",
    "cpuset-mems=LIST",
    "cpu-idle=0|1",
    "memory=BYTES",
    "memory-reservation=BYTES",
    "memory-swap=BYTES",
    "kernel-memory=BYTES",
    "kernel-memory-tcp=BYTES",
    "pids-limit=NUMBER",
    "l3-cache-schema=SCHEMA",
    "mem-bw-schema=SCHEMA",
)

_NUMBERS = {
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "pids-limit": ("pids", "limit"),
}
_TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
_SIZES = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "kernel-memory": ("memory", "kernel"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
}
_PAIRS = (("cpu", "quota", "period"), ("memory", "limit", "swap"))


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Apply new limits; where the kernel refuses one, the container's earlier limits are put back."""
    found = container.load(context.root, only_id(words))
    if found.status() not in (container.CREATED, container.RUNNING, container.PAUSED):
        raise WrongState("container not running")
    wanted = _read(options["resources"]) if options["resources"] else from_flags(options)
    config = found.config()
    recorded = config.setdefault("linux", {}).get("resources") or {}
    cgroup = found.cgroup()
    try:
        cgroup.apply(complete(wanted, recorded), devices=False)
    except PodlingError:
        _put_back(cgroup, recorded)
        raise
    _update_schemata(found.state.intel_rdt, options)
    config["linux"]["resources"] = merge(recorded, wanted)
    found.save_config(dumps(config), b"")
    return 0


def _read(path: str) -> dict[str, Any]:
    """Return `linux.resources` from a file, or from stdin."""
    fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    if fd:
        os.close(fd)
    resources = loads(b"".join(parts))
    if not isinstance(resources, dict):
        raise InvalidArgument(f'resources in "{path}" are not a JSON object')
    return resources


def from_flags(options: dict[str, Any]) -> dict[str, Any]:
    """Return `linux.resources` from the flags; those not given are absent."""
    resources: dict[str, Any] = {}
    for table, convert in ((_NUMBERS, _number), (_TEXTS, _text), (_SIZES, size)):
        for flag, (group, key) in table.items():
            if options[flag]:
                resources.setdefault(group, {})[key] = convert(flag, options[flag])
    if options["blkio-weight"]:
        resources["blockIO"] = {"weight": options["blkio-weight"]}
    return resources


def _number(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f'invalid value for {flag}: "{text}" is not a whole number') from None


def _text(_flag: str, text: str) -> str:
    return text


def size(flag: str, text: str) -> int:
    """Return a size in bytes: a number with an optional k, m, g, t or p (powers of 1024), or -1 for no limit."""
    if text == "-1":
        return -1
    stem = text.strip().lower().removesuffix("ib").removesuffix("b")
    exponent = " kmgtp".find(stem[-1:]) if stem else -1
    number = stem[:-1] if exponent > 0 else stem
    if not number.strip().replace(".", "", 1).isdigit():
        raise InvalidArgument(f'invalid value for {flag}: "{text}" is not a size')
    return int(float(number) * 1024 ** max(exponent, 0))


def complete(wanted: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """Return what to apply: the wish, and of values that the kernel keeps together the one that is not in it."""
    result = {group: dict(value) if isinstance(value, dict) else value for group, value in wanted.items()}
    for group, first, second in _PAIRS:
        asked, has = result.get(group) or {}, recorded.get(group) or {}
        for given, other in ((first, second), (second, first)):
            if asked.get(given) and not asked.get(other) and has.get(other) and not _lifts(group, asked[given]):
                asked[other] = has[other]
    return result


def _lifts(group: str, value: int) -> bool:
    """Tell whether a memory value is "no limit", which is one for both."""
    return group == "memory" and value == -1


def merge(recorded: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the limits that a container has after an update. Device rules stay."""
    result = {group: dict(value) if isinstance(value, dict) else value for group, value in recorded.items()}
    for group, value in wanted.items():
        if group == "devices" or not value:
            continue
        if isinstance(value, dict):
            kept = {key: item for key, item in value.items() if item not in (None, "", 0) or key in ("idle", "burst")}
            result[group] = {**(result.get(group) or {}), **kept}
        else:
            result[group] = value
    return result


def _put_back(cgroup: Any, recorded: dict[str, Any]) -> None:
    """Apply the earlier limits; the error that led here is the one to tell."""
    try:
        cgroup.apply(recorded, devices=False)
    except (PodlingError, OSError):
        return


def _update_schemata(directory: str, options: dict[str, Any]) -> None:
    """Write Intel RDT schemata, in the container's directory under /sys/fs/resctrl."""
    schemata = [options[flag] for flag in ("l3-cache-schema", "mem-bw-schema") if options[flag]]
    if schemata and not directory:
        raise Unsupported("cannot update Intel RDT schemata: the container was made without")
    for schema in schemata:
        fd = os.open(f"{directory}/schemata", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"{schema}\n".encode())
        except OSError as error:
            raise InvalidArgument(f'cannot set Intel RDT schema "{schema}"') from error
        finally:
            os.close(fd)
