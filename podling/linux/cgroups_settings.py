"""What both versions of the cgroup interface make of `linux.resources`: settings as data, and their writing.

    Setting = (controller, [(file, value), (other file, other value), …])

The alternatives are tried until one's file exists; NOTHING at their end means that none has to. Some values depend on
each other (memory and memory with swap, period and quota); the kernel refuses them in the wrong order, and which order
is right depends on what is set now. So what it refuses is tried once more after the rest.
"""

from __future__ import annotations

import errno
import os

from podling.errors import InUse, InvalidArgument, Unavailable, Unsupported
from podling.linux import cgroups_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Setting = tuple[str, list[tuple[str, str]]]
else:
    Setting = tuple

SIGKILL = 9
NOTHING = ("", "")

THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)

_ENOTSUPP = 524  # kmem limits on kernels that have lost them
_ASK_AGAIN = (errno.EINVAL, errno.EBUSY)


def one(controller: str, name: str, value: str) -> Setting:
    """Return a setting with one file only."""
    return (controller, [(name, value)])


def signed(value: int) -> str:
    """Return a number as text; what JSON gave as unsigned -1 is -1."""
    return str(int(value) - (1 << 64) if int(value) >= 1 << 63 else int(value))


def shares(value: int) -> str:
    """Return CPU shares as text. Raise InvalidArgument out of the range that the kernel would silently clamp to."""
    if not 2 <= value <= 262144:
        raise InvalidArgument(f"invalid CPU shares {value}: they are 2 to 262144")
    return str(value)


def pids_limit(limit: int) -> str:
    """Return pids.max: negative is no limit, and 0 is 1, because systemd knows no 0 and one process must run."""
    return "max" if limit < 0 else str(limit or 1)


def check_memory(memory: dict[str, Any]) -> None:
    """Raise InvalidArgument where memory limits contradict each other."""
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if limit < -1:
        raise InvalidArgument(f"invalid memory limit {limit}")
    if swap > 0 and limit > swap:
        raise InvalidArgument(f"memory with swap is limited to {swap}, less than memory alone, {limit}")


def weights(block: dict[str, Any], key: str) -> list[str]:
    """Return the "major:minor weight" lines of `weightDevice`."""
    return [f"{row['major']}:{row['minor']} {row[key]}" for row in block.get("weightDevice") or () if row.get(key)]


def throttles(block: dict[str, Any], key: str) -> list[tuple[str, int]]:
    """Return device and rate of each row of a throttle list."""
    return [(f"{row['major']}:{row['minor']}", int(row["rate"])) for row in block.get(key) or ()]


def hugetlb(limits: list[dict[str, Any]], suffix: str) -> list[Setting]:
    """Return the settings of `hugepageLimits`, for pages in use and, where the kernel has it, reserved ones."""
    settings: list[Setting] = []
    for row in limits:
        size, value = row["pageSize"], str(row["limit"])
        if "/" in size:
            raise InvalidArgument(f'invalid huge page size "{size}"')
        settings.append(one("hugetlb", f"hugetlb.{size}{suffix}", value))
        settings.append(("hugetlb", [(f"hugetlb.{size}.rsvd{suffix}", value), NOTHING]))
    return settings


def rdma(devices: dict[str, dict[str, int]]) -> list[Setting]:
    """Return the settings of `rdma`."""
    settings = []
    for device, limit in devices.items():
        handles, objects = limit.get("hcaHandles"), limit.get("hcaObjects")
        parts = [device]
        if handles is not None:
            parts.append(f"hca_handle={handles}")
        if objects is not None:
            parts.append(f"hca_object={objects}")
        settings.append(one("rdma", "rdma.max", " ".join(parts)))
    return settings


def write_all(paths: dict[str, str], settings: list[Setting], explain: Callable[[str, str], str]) -> None:
    """Write settings, each in its controller's directory. Raise with the first that the kernel refuses for good.

    `explain` may add words to a refusal of (file, value).
    """
    again = []
    for setting in settings:
        try:
            _write_first(paths, setting)
        except OSError as error:
            if error.errno not in _ASK_AGAIN:
                raise _refusal(setting, error, explain) from error
            again.append(setting)
    for setting in again:
        try:
            _write_first(paths, setting)
        except OSError as error:
            raise _refusal(setting, error, explain) from error


def _write_first(paths: dict[str, str], setting: Setting) -> None:
    controller, alternatives = setting
    for number, (name, value) in enumerate(alternatives, 1):
        if not name:
            return
        try:
            return cgroups_tree.write(f"{paths[controller]}/{name}", value)
        except FileNotFoundError:
            if number == len(alternatives):
                raise


def _refusal(setting: Setting, error: OSError, explain: Callable[[str, str], str]) -> Exception:
    name, value = setting[1][0]
    intent = f"cannot set {name} to {value}{explain(name, value)}"
    if error.errno == errno.ENOENT:
        return Unsupported(f"{intent}: this kernel has no such limit")
    if error.errno == _ENOTSUPP:
        return Unsupported(f"{intent}: this kernel no longer has it")
    if error.errno == errno.EBUSY:
        return Unavailable(intent)
    return InvalidArgument(intent)


def refuse_processes(directory: str) -> None:
    """Raise InUse where a cgroup that was there before us has processes: their limits are not ours to change."""
    pids = cgroups_tree.processes(directory)
    if pids:
        raise InUse(f'cgroup "{directory}" is not empty: it has process {pids[0]}')


def signal_all(pids: list[int], signal: int) -> None:
    """Signal processes; those that have ended meanwhile are fine."""
    for pid in pids:
        try:
            os.kill(pid, signal)
        except ProcessLookupError:
            continue


def in_user_namespace() -> bool:
    """Tell whether this process is in a user namespace other than the first."""
    text = cgroups_tree.read("/proc/self/uid_map").split()
    return text != ["0", "0", "4294967295"]
