"""What confines a container: capabilities, --security-opt, limits, sysctls, devices.

--security-opt seccomp=FILE|unconfined  apparmor=PROFILE  label=…  no-new-privileges[=BOOL]
               mask=/a:/b  unmask=ALL|/a:/b  proc-opts=…  systempaths=unconfined
"""

from __future__ import annotations

from podling.engine import units
from podling.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from podling.engine.request import Request

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
_REQUIRED_LABELS = ("io.containers.capabilities",)
_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def fill(request: Request) -> None:
    """Fill in everything that confines the container."""
    options, config, defaults = request.options, request.config, request.defaults
    config.privileged = options.privileged or bool(defaults.get("privileged", False))
    config.read_only = options.read_only or bool(defaults.get("read_only", False))
    config.read_only_tmpfs = options.read_only_tmpfs
    config.capabilities_add = list(options.cap_add)
    config.capabilities_drop = list(options.cap_drop)
    config.security_opt = list(options.security_opt)
    _apply_security_options(request)
    request.process()["capabilities"] = _capabilities(request)
    limits = _limits(request)
    if limits:
        request.process()["rlimits"] = limits
    sysctls = _sysctls(request)
    if sysctls:
        request.linux()["sysctl"] = sysctls
    _limit_processes(request)
    if options.device or options.gpus or defaults.get("devices"):
        _fill_devices(request)


# --security-opt


def _apply_security_options(request: Request) -> None:
    for option in request.options.security_opt:
        key, separator, value = option.partition("=" if "=" in option else ":")
        if not separator and key != "no-new-privileges":
            raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
        handler = _HANDLERS.get(key)
        if handler is None:
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
        handler(request, value, option)
    if request.defaults.get("no_new_privileges") and "noNewPrivileges" not in request.process():
        request.process()["noNewPrivileges"] = True
    if request.options.seccomp_policy not in ("default", "image", ""):
        raise InvalidArgument(
            f'invalid seccomp policy "{request.options.seccomp_policy}": valid policies are ["default" "image"]'
        )
    if request.options.seccomp_policy == "image":
        raise Unsupported("--seccomp-policy image is not supported yet")


def _note(request: Request, name: str, value: str) -> None:
    request.config.annotations[f"io.podman.annotations.{name}"] = value


def _seccomp(request: Request, value: str, option: str) -> None:
    import os

    request.config.seccomp_profile = value if value == "unconfined" else os.path.abspath(value)
    if value != "unconfined" and not os.path.exists(value):
        raise InvalidArgument(f"opening seccomp profile failed: open {value}: no such file or directory")
    _note(request, "seccomp", value)


def _apparmor(request: Request, value: str, option: str) -> None:
    _note(request, "apparmor", value)
    if value == "unconfined":
        return
    if not apparmor_enabled():
        raise InvalidArgument(f'apparmor profile "{value}" specified, but Apparmor is not enabled on this system')
    request.process()["apparmorProfile"] = value


def apparmor_enabled() -> bool:
    """Tell whether the kernel confines by AppArmor."""
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def _label(request: Request, value: str, option: str) -> None:
    earlier = request.config.annotations.get("io.podman.annotations.label", "")
    _note(request, "label", f"{earlier},label={value}" if earlier else value)
    if value not in ("disable", "nested") and ":" not in value:
        raise InvalidArgument(
            f"bad label option \"{value}\", valid options 'disable' or \n'user, role, level, type, filetype' followed "
            "by ':' and a value"
        )


def _mask(request: Request, value: str, option: str) -> None:
    request.config.masked_paths += value.split(":")


def _unmask(request: Request, value: str, option: str) -> None:
    request.config.unmasked_paths += value.split(":")


def _proc_options(request: Request, value: str, option: str) -> None:
    request.config.proc_options = value.split(",")


def _system_paths(request: Request, value: str, option: str) -> None:
    if value != "unconfined":
        raise InvalidArgument(f'invalid systempaths option "{value}", only `unconfined` is supported')
    request.config.unmasked_paths.append("ALL")


def _no_new_privileges(request: Request, value: str, option: str) -> None:
    try:
        request.process()["noNewPrivileges"] = units.boolean(value) if "=" in option or ":" in option else True
    except InvalidArgument:
        raise InvalidArgument(f'invalid --security-opt 2: "{option}"') from None


_HANDLERS = {
    "apparmor": _apparmor,
    "label": _label,
    "mask": _mask,
    "no-new-privileges": _no_new_privileges,
    "proc-opts": _proc_options,
    "seccomp": _seccomp,
    "systempaths": _system_paths,
    "unmask": _unmask,
}


# capabilities


def _capabilities(request: Request) -> dict[str, list[str]]:
    """Return the bounding set and, as "ambient", what a user other than root gets."""
    options, defaults = request.options, request.defaults
    base = defaults.get("default_capabilities") or DEFAULT_CAPABILITIES
    added = [*defaults.get("cap_add", ()), *options.cap_add]
    bounding = merge_capabilities(base, added, options.cap_drop)
    required = _required_by_labels(request.config.labels)
    if required is not None and not request.config.privileged:
        missing = [name for name in required if name not in bounding]
        if missing:
            request.warn(f'Capabilities requested by user or image are not allowed by default: "{",".join(missing)}"')
        else:
            bounding = required
    ambient = [name for name in merge_capabilities((), added, ()) if name in bounding]
    return {"bounding": bounding, "ambient": ambient}


def _required_by_labels(labels: dict[str, str]) -> list[str] | None:
    for label in _REQUIRED_LABELS:
        if label in labels:
            return normalize_capabilities(labels[label].split(",")) if labels[label] else []
    return None


def normalize_capabilities(names: Iterable[str]) -> list[str]:
    """Return names in capitals with their prefix, sorted; ALL stays. Raise InvalidArgument for one that is unknown."""
    from podling.linux.capabilities import BY_NAME

    found = []
    for name in names:
        full = name.upper()
        if full != "ALL":
            full = full if full.startswith("CAP_") else f"CAP_{full}"
            if full not in BY_NAME:
                raise InvalidArgument(f'"{full}": unknown capability')
        found.append(full)
    return sorted(found)


def merge_capabilities(base: Iterable[str], adds: Sequence[str], drops: Sequence[str]) -> list[str]:
    """Return a set of capabilities changed by --cap-add and --cap-drop. Raise InvalidArgument."""
    kept = normalize_capabilities(base)
    if not adds and not drops:
        return kept
    dropped, added = normalize_capabilities(drops), normalize_capabilities(adds)
    if "ALL" in dropped:
        if "ALL" in added:
            raise InvalidArgument("adding all caps and removing all caps not allowed")
        return list(dict.fromkeys(added))
    if "ALL" in added:
        from podling.linux.capabilities import NAMES

        kept, added = sorted(NAMES), []
    for name in added:
        if name in dropped:
            raise InvalidArgument(f'capability "{name}" cannot be dropped and added')
    return sorted({name for name in kept if name not in dropped} | set(added))


# limits


def _limits(request: Request) -> list[dict[str, Any]]:
    """Return process.rlimits. A limit above what this process may set is lowered, with a warning."""
    found: dict[str, dict[str, Any]] = {}
    for text in [*request.defaults.get("default_ulimits", ()), *request.options.ulimit]:
        if text == "host":
            request.config.specification["host_limits"] = True
            return []
        plain = text.lower().removeprefix("rlimit_")
        try:
            name, soft, hard = units.limit(plain)
        except InvalidArgument as error:
            raise InvalidArgument(
                f'ulimit option "{plain}" requires name=SOFT:HARD, failed to be parsed: {error}'
            ) from None
        found[name] = {"type": f"RLIMIT_{name.upper()}", "hard": hard, "soft": soft}
    if found:
        _lower_to_host(request, found)
    return list(found.values())


def _lower_to_host(request: Request, limits: dict[str, dict[str, Any]]) -> None:
    from podling.engine import bundle

    if bundle.read_capabilities()[1]:
        return
    import resource

    for name, row in limits.items():
        _, highest = resource.getrlimit(getattr(resource, row["type"]))
        highest &= units.UNLIMITED
        if row["hard"] > highest or row["soft"] > highest:
            request.warn(
                f"ulimit {name}={row['soft']}:{row['hard']} is above what this host permits: lowered to {highest}"
            )
            row["hard"] = min(row["hard"], highest)
            row["soft"] = min(row["soft"], highest)


# sysctls


def _sysctls(request: Request) -> dict[str, str]:
    config = request.config
    namespaces = {"ipc": config.namespaces["ipc"], "net": config.network_mode, "uts": config.namespaces["uts"]}
    found = {}
    for name, value in parse_sysctls(request.defaults.get("default_sysctls", ())).items():
        mode = namespaces.get(_namespace_of(name), "")
        if not mode.startswith(("host", "container:")):
            found[name] = value
    for name, value in parse_sysctls(request.options.sysctl).items():
        kind = _namespace_of(name)
        if namespaces.get(kind) == "host":
            whose = {"ipc": "IPC", "net": "Network", "uts": "UTS"}[kind]
            raise InvalidArgument(
                f"sysctl {name}={value} can't be set since {whose} Namespace set to host: invalid argument"
            )
        found[name] = value
    return found


def _namespace_of(name: str) -> str:
    if name.startswith("fs.mqueue."):
        return "ipc"
    if name.startswith("net."):
        return "net"
    return "uts" if name.startswith(("kernel.domainname", "kernel.hostname")) else ""


def parse_sysctls(entries: Iterable[str]) -> dict[str, str]:
    """Return sysctls that belong to namespaces. Raise InvalidArgument for any other."""
    found = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not separator:
            raise InvalidArgument(f"{entry} is invalid, sysctl values must be in the form of KEY=VALUE")
        if name != name.strip() or value != value.strip():
            raise InvalidArgument(f"'{entry}' is invalid, extra spaces found")
        if name not in _SYSCTLS and not name.startswith(_SYSCTL_PREFIXES):
            raise InvalidArgument(f"sysctl '{name}' is not allowed")
        found[name] = value
    return found


def _limit_processes(request: Request) -> None:
    limit = request.options.pids_limit
    if limit is None:
        limit = request.defaults.get("pids_limit", 2048)
    if limit > 0:
        request.resources()["pids"] = {"limit": limit}
    elif limit < 0:
        request.resources()["pids"] = {"limit": -1}


# devices


def _fill_devices(request: Request) -> None:
    from podling.engine import devices, devices_cdi

    config = request.config
    wanted = [*request.defaults.get("devices", ()), *request.options.device]
    wanted += [name if "=" in name else f"nvidia.com/gpu={name}" for name in request.options.gpus]
    for text in wanted:
        if devices_cdi.is_qualified(text):
            config.cdi_devices.append(text)
        else:
            config.devices += devices.expand(text)
    if config.cdi_devices:
        devices_cdi.check(config.cdi_devices, request.settings.engine.get("cdi_spec_dirs"))
