"""The devices a container may open or make: the device rules of the runtime specification, normalised.

Version 1 takes them as lines in devices.deny and devices.allow, version 2 as an eBPF program (`cgroups_bpf.py`). Both
are given the same thing: a default, and the exceptions to it.

    {"allow": false, "access": "rwm"}                                         default: deny
    {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}  ──► c 10:229 rwm
    + what every container needs                                              ──► c 1:3 rwm, c *:* m, …
"""

from __future__ import annotations

from podling.errors import InvalidArgument
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Device = tuple[str, int, int]  # "c" or "b", major, minor; ANY for all

ANY = -1

DEFAULTS: tuple[tuple[str, int, int, str], ...] = (
    # mknod alone opens nothing, and tar and package managers need it
    ("c", ANY, ANY, "m"),
    ("b", ANY, ANY, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 7, "rwm"),  # full
    ("c", 5, 0, "rwm"),  # tty
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 136, ANY, "rwm"),  # pts
    ("c", 5, 2, "rwm"),  # ptmx
)


class DevicePolicy(Record):
    """What is the default, and for which devices the other thing holds: their access of "rwm", in that order."""

    allow: bool = False
    exceptions: dict[Device, str] = {}

    def decide(self, rule: dict[str, Any]) -> None:
        """Apply one rule of `linux.resources.devices`. A rule of type "a" or none changes the default."""
        kind, access = rule.get("type") or "a", str(rule.get("access") or "")
        if kind not in ("a", "b", "c", "u", "p"):
            raise InvalidArgument(f'unknown device type "{kind}" in a cgroup rule')
        if not access or access.strip("rwm"):
            raise InvalidArgument(f'device access "{access}" in a cgroup rule is not made of r, w and m')
        allow = bool(rule.get("allow"))
        if kind == "a":
            self.allow, self.exceptions = allow, {}
        elif kind != "p":  # a FIFO is nothing that this controller knows
            device = ("c" if kind == "u" else kind, _number(rule.get("major")), _number(rule.get("minor")))
            self._except(device, access, add=allow != self.allow)

    def _except(self, device: Device, access: str, *, add: bool) -> None:
        modes = set(self.exceptions.get(device, ""))
        if add:
            modes |= set(access)
        else:
            self._refuse_a_hole(device, access)
            modes -= set(access)
        kept = "".join(mode for mode in "rwm" if mode in modes)
        if kept:
            self.exceptions[device] = kept
        else:
            self.exceptions.pop(device, None)

    def _refuse_a_hole(self, device: Device, access: str) -> None:
        """Refuse to take one device out of a wildcard exception: version 1 would ignore it without a word."""
        kind, major, minor = device
        for wider in ((kind, ANY, minor), (kind, major, ANY), (kind, ANY, ANY)):
            if wider != device and set(self.exceptions.get(wider, "")) & set(access):
                shown = f"{kind} {_text(major)}:{_text(minor)} {access}"
                raise InvalidArgument(f'device rule "{shown}" cannot cut a hole into a rule for all such devices')


def policy(rules: list[dict[str, Any]] | None) -> DevicePolicy:
    """Return what a container's device rules come to, with what every container needs."""
    result = DevicePolicy()
    for rule in rules or ():
        result.decide(rule)
    for kind, major, minor, access in DEFAULTS:
        result.decide({"allow": True, "type": kind, "major": major, "minor": minor, "access": access})
    return result


def lines(wanted: DevicePolicy) -> list[tuple[str, str]]:
    """Return what to write for a policy on version 1: (file, value), in order."""
    first, other = ("devices.allow", "devices.deny") if wanted.allow else ("devices.deny", "devices.allow")
    rows = [(first, "a")]
    for (kind, major, minor), access in wanted.exceptions.items():
        rows.append((other, f"{kind} {_text(major)}:{_text(minor)} {access}"))
    return rows


def _number(value: int | None) -> int:
    return ANY if value is None or value < 0 else int(value)


def _text(number: int) -> str:
    return "*" if number == ANY else str(number)
