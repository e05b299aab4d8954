"""Seccomp profiles: from the file that an administrator edits to the filter that a runtime loads.

    /etc/containers/seccomp.json           the administrator's
    /usr/share/containers/seccomp.json     the distribution's
    podling/engine/seccomp_default.json    ours, where neither is installed

The format is containers/common's: rules that apply only with or without certain capabilities, architectures and kernel
versions, and a table of architectures. `translate` resolves these conditions into the runtime specification's
linux.seccomp. A default profile has 20 kB and 500 names, so the result is kept:

    RUNROOT/seccomp/*.json         by the profile's identity and the capabilities that decided
"""

from __future__ import annotations

import binascii
import os

from podling.engine.configuration import identity
from podling.errors import InvalidArgument, PodlingError
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from podling.engine.options import Settings

DEFAULTS = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
OURS = os.path.join(os.path.dirname(__file__), "seccomp_default.json")

# The kernel's name of a machine, as containers/common and as libseccomp write it.
_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "mips64": ("mips64", "SCMP_ARCH_MIPS64"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}


def default_path(settings: Settings) -> str:
    """Return the profile that applies where the user names none."""
    configured = settings.container.get("seccomp_profile")
    if configured:
        return str(configured)
    return next((path for path in DEFAULTS if os.path.exists(path)), OURS)


def load(path: str, capabilities: Collection[str], cache: str) -> dict[str, Any] | None:
    """Return the linux.seccomp of a profile for a bounding set; None for a profile that filters nothing.

    `cache` is a directory. Raise InvalidArgument for a profile that cannot be read.
    """
    machine = os.uname()
    key = f"{path} {identity(path)} {sorted(capabilities)} {machine.machine} {machine.release}"
    place = os.path.join(cache, f"{binascii.crc32(key.encode('utf-8', 'surrogateescape')):08x}.json")
    try:
        with open(place, "rb", buffering=0) as file:
            kept = jsontext.loads(file.read())
        if kept["key"] == key:  # a name is short, and two keys may share it
            found: dict[str, Any] | None = kept["seccomp"]
            return found
    except (OSError, PodlingError, KeyError, TypeError):
        pass  # not there yet
    translated = _translate_file(path, capabilities, machine)
    _keep(place, {"key": key, "seccomp": translated})
    return translated


def _translate_file(path: str, capabilities: Collection[str], machine: os.uname_result) -> dict[str, Any] | None:
    try:
        with open(path, "rb", buffering=0) as file:
            profile = jsontext.loads(file.read())
    except OSError as error:
        raise InvalidArgument("opening seccomp profile failed") from error
    except PodlingError as error:
        raise InvalidArgument(f"loading seccomp profile ({path}) failed: decoding seccomp profile failed") from error
    try:
        return translate(profile, capabilities, machine.machine, kernel_version(machine.release))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidArgument(f"loading seccomp profile ({path}) failed: decoding seccomp profile failed") from error


def _keep(place: str, content: dict[str, Any]) -> None:
    from podling.linux import files

    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        files.write_atomically(place, jsontext.dumps(content), mode=0o600, durable=False)
    except OSError:
        return  # a cache; the next run translates again


def kernel_version(release: str) -> tuple[int, int]:
    """Return the major and minor number of a kernel release."""
    major, _, rest = release.partition(".")
    digits = "".join(character if character.isdigit() else " " for character in rest).split()
    return int(major), int(digits[0]) if digits else 0


def translate(
    profile: dict[str, Any], capabilities: Collection[str], machine: str, kernel: tuple[int, int]
) -> dict[str, Any] | None:
    """Resolve a profile's conditions into linux.seccomp. Raise InvalidArgument for a contradictory profile."""
    rules = profile.get("syscalls") or []
    if not profile.get("defaultAction") and not rules:
        return None
    architecture, token = _MACHINES.get(machine, (machine, ""))
    result: dict[str, Any] = {"defaultAction": profile["defaultAction"]}
    errno = _errno(profile.get("defaultErrno"), profile.get("defaultErrnoRet"))
    if errno is not None:
        result["defaultErrnoRet"] = errno
    architectures = _architectures(profile, token)
    if architectures:
        result["architectures"] = architectures
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            result[key] = profile[key]
    applicable = [rule for rule in rules if _applies(rule, set(capabilities), architecture, kernel)]
    result["syscalls"] = [_rule(rule) for rule in applicable]
    return result


def _architectures(profile: dict[str, Any], token: str) -> list[str]:
    listed: list[str] = list(profile.get("architectures") or [])
    table = profile.get("archMap") or []
    if listed and table:
        raise InvalidArgument(
            "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or "
            "'archMap'"
        )
    for row in table:
        if row["architecture"] == token:
            return [token, *(row.get("subArchitectures") or [])]
    return listed


def _applies(rule: dict[str, Any], capabilities: set[str], architecture: str, kernel: tuple[int, int]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if architecture in (excludes.get("arches") or []):
        return False
    if capabilities.intersection(excludes.get("caps") or []):
        return False
    if excludes.get("minKernel") and kernel >= kernel_version(excludes["minKernel"]):
        return False
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if not capabilities.issuperset(includes.get("caps") or []):
        return False
    return not includes.get("minKernel") or kernel >= kernel_version(includes["minKernel"])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = list(rule.get("names") or [])
    if rule.get("name"):
        if names:
            raise InvalidArgument(
                "'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'"
            )
        names = [rule["name"]]
    result: dict[str, Any] = {"names": names, "action": rule["action"]}
    errno = _errno(rule.get("errno"), rule.get("errnoRet"))
    if errno is not None:
        result["errnoRet"] = errno
    arguments = [
        {key: argument[key] for key in ("index", "value", "valueTwo", "op") if argument.get(key) or key != "valueTwo"}
        for argument in rule.get("args") or []
    ]
    if arguments:
        result["args"] = arguments
    return result


def _errno(name: str | None, number: int | None) -> int | None:
    if not name:
        return number
    if name.isdigit():
        return int(name)
    import errno

    found = getattr(errno, name, None)
    if not isinstance(found, int):
        raise InvalidArgument(f"unknown errno {name}")
    return found
