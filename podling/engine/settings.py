"""Settings: the global flags over containers.conf and storage.conf over our defaults.

Podman's files are read as they are, and two engines must be able to share a host, so a few keys mean their neighbour:

    storage.conf graphroot, runroot     ignored at containers/storage's own defaults; moved elsewhere by the user, ours
                                        is the directory `podling` in it: the same disk, none of Podman's files
    containers.conf tmp_dir             likewise: the directory `podling` in it
    network_config_dir                  as it stands: networks are shared with Podman; with an explicit --root and no
                                        --network-config-dir, ROOT/networks, so that a private root is private
    runtime, conmon_path                only from an administrator's file (see configuration.py)
    default_subnet                      as it stands; our own default is not Podman's

A flag that is None was not given. Keys may be spelt with dashes or underscores.
"""

from __future__ import annotations

import os

from podling.engine import configuration
from podling.engine.options import Settings
from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_STORAGE_DEFAULTS = ("", "/var/lib/containers/storage", "/run/containers/storage")
_LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
_PROGRAM_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin")
_CONMON_DIRECTORIES = ("/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman")
_TYPES: dict[str, dict[str, type]] = {
    "containers": {
        "annotations": list,
        "cap_add": list,
        "default_capabilities": list,
        "default_sysctls": list,
        "default_ulimits": list,
        "devices": list,
        "dns_options": list,
        "dns_searches": list,
        "dns_servers": list,
        "env": list,
        "env_host": bool,
        "http_proxy": bool,
        "init": bool,
        "log_size_max": int,
        "mounts": list,
        "no_hosts": bool,
        "pids_limit": int,
        "read_only": bool,
        "privileged": bool,
        "volumes": list,
        "log_driver": str,
        "shm_size": str,
        "tz": str,
        "umask": str,
        "userns": str,
        "netns": str,
        "pidns": str,
        "ipcns": str,
        "utsns": str,
        "cgroupns": str,
    },
    "engine": {
        "cdi_spec_dirs": list,
        "cgroup_manager": str,
        "conmon_path": list,
        "detach_keys": str,
        "hooks_dir": list,
        "runtime": str,
        "runtimes": dict,
        "stop_timeout": int,
    },
    "network": {"default_network": str, "default_subnet": str, "network_config_dir": str},
}


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return the settings of this invocation. Raise InvalidArgument for a bad flag, file or program name."""
    given = {name.replace("-", "_"): value for name, value in flags.items() if value is not None}
    places = configuration.Places(environment, given.get("module") or ())
    cache = os.path.join(given.get("runroot") or Settings.runroot, "configuration.json")
    return merge(given, configuration.load(places, cache), environment)


def merge(given: dict[str, Any], files: dict[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return settings from flags and the files' tables."""
    for table, keys in _TYPES.items():
        _check_types(table, keys, files.get(table, {}))
    storage, engine, network = files.get("storage", {}), files.get("engine", {}), files.get("network", {})
    settings = Settings(container=files.get("containers", {}), engine=engine, network=network, storage=storage)
    settings.modules = list(given.get("module") or ())
    _place_directories(settings, given, storage)
    settings.log_level = given.get("log_level", settings.log_level).lower()
    if settings.log_level not in _LOG_LEVELS:
        levels = "trace, debug, info, warn, warning, error, fatal, panic"
        raise InvalidArgument(f'log level "{given["log_level"]}" is not supported, choose from: {levels}')
    _check_storage_driver(given, environment)
    _choose_programs(settings, given, environment)
    _choose_cgroups(settings, given)
    settings.default_network = network.get("default_network", settings.default_network)
    settings.default_subnet = network.get("default_subnet", settings.default_subnet)
    _note_engine_flags(settings, given)
    return settings


def _check_types(table: str, keys: dict[str, type], found: Any) -> None:
    if not isinstance(found, dict):
        raise InvalidArgument(f'containers.conf: "{table}" is not a table')
    for key, kind in keys.items():
        if key in found and (not isinstance(found[key], kind) or (kind is int and isinstance(found[key], bool))):
            wanted = {list: "an array", str: "a string", bool: "a boolean", int: "an integer", dict: "a table"}[kind]
            raise InvalidArgument(f'containers.conf: key "{key}" in [{table}] must be {wanted}')


def _place_directories(settings: Settings, given: dict[str, Any], storage: dict[str, Any]) -> None:
    graphroot, runroot = storage.get("graphroot", ""), storage.get("runroot", "")
    if graphroot not in _STORAGE_DEFAULTS:
        settings.root = os.path.join(graphroot, "podling")
    if runroot not in _STORAGE_DEFAULTS:
        settings.runroot = os.path.join(runroot, "podling")
    settings.root = os.path.abspath(given.get("root") or settings.root)
    settings.runroot = os.path.abspath(given.get("runroot") or settings.runroot)
    tmp_dir = settings.engine.get("tmp_dir")
    settings.tmpdir = os.path.join(tmp_dir, "podling") if tmp_dir else os.path.join(settings.runroot, "tmp")
    settings.tmpdir = os.path.abspath(given.get("tmpdir") or settings.tmpdir)
    network_config_dir = given.get("network_config_dir")
    if not network_config_dir:
        private = given.get("root") or os.geteuid() != 0
        network_config_dir = os.path.join(settings.root, "networks") if private else None
    configured = settings.network.get("network_config_dir") or settings.network_config_dir
    settings.network_config_dir = os.path.abspath(network_config_dir or configured)


def _check_storage_driver(given: dict[str, Any], environment: Mapping[str, str]) -> None:
    driver = given.get("storage_driver") or environment.get("STORAGE_DRIVER") or "overlay"
    if driver not in ("overlay", "overlay2"):
        raise InvalidArgument(f'storage driver "{driver}" is not supported: podling has overlay alone')


def _choose_programs(settings: Settings, given: dict[str, Any], environment: Mapping[str, str]) -> None:
    runtime = given.get("runtime") or settings.engine.get("runtime")
    if runtime:
        settings.runtime_name = runtime
        settings.runtime = find_runtime(runtime, settings.engine.get("runtimes", {}), environment)
    settings.runtime_flags = [f"--{flag.lstrip('-')}" for flag in given.get("runtime_flag") or ()]
    conmon = given.get("conmon")
    if conmon:
        settings.conmon = find_conmon(conmon, environment)
    else:
        configured = settings.engine.get("conmon_path", [])
        settings.conmon = next((path for path in configured if os.access(path, os.X_OK)), settings.conmon)


def find_runtime(name: str, runtimes: dict[str, Any], environment: Mapping[str, str]) -> str:
    """Return ours by name, another by absolute path: from containers.conf's table, the usual directories, PATH."""
    if "/" in name:
        path = os.path.abspath(name)
        if os.access(path, os.X_OK):
            return path
        raise InvalidArgument(f'default OCI runtime "{name}" not found: invalid argument')
    listed = runtimes.get(name, [])
    candidates = [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else []
    found = _first_program(candidates)
    if found is None and name == Settings.runtime:
        return name
    found = found or _search(name, _PROGRAM_DIRECTORIES, environment)
    if found is None:
        raise InvalidArgument(f'default OCI runtime "{name}" not found: invalid argument')
    return found


def find_conmon(name: str, environment: Mapping[str, str]) -> str:
    """Return ours by name, another by absolute path."""
    if name == Settings.conmon:
        return name
    if "/" in name:
        found = _first_program([os.path.abspath(name)])
    else:
        found = _search(name, (*_CONMON_DIRECTORIES, *_PROGRAM_DIRECTORIES), environment)
    if found is None:
        raise InvalidArgument(f'could not find a working conmon binary: "{name}": invalid argument')
    return found


def _search(name: str, directories: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
    path = [directory for directory in environment.get("PATH", "").split(":") if directory.startswith("/")]
    return _first_program([os.path.join(directory, name) for directory in (*directories, *path)])


def _first_program(candidates: list[str]) -> str | None:
    return next((path for path in candidates if os.access(path, os.X_OK) and os.path.isfile(path)), None)


def _choose_cgroups(settings: Settings, given: dict[str, Any]) -> None:
    manager = given.get("cgroup_manager") or settings.engine.get("cgroup_manager")
    if not manager:
        systemd = os.path.isdir("/run/systemd/system") and os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        manager = "systemd" if systemd else "cgroupfs"
    if manager not in ("systemd", "cgroupfs"):
        raise InvalidArgument(f'invalid cgroup manager "{manager}": must be systemd or cgroupfs')
    settings.cgroup_manager = manager
    settings.cgroup_parent = "machine.slice" if manager == "systemd" else "/libpod_parent"


def _note_engine_flags(settings: Settings, given: dict[str, Any]) -> None:
    """Put the flags that have a key in [engine] there, where their readers look."""
    flags = {"hooks_dir": "hooks_dir", "cdi_spec_dir": "cdi_spec_dirs", "events_backend": "events_logger"}
    chosen = {key: given[flag] for flag, key in flags.items() if given.get(flag)}
    if given.get("volumepath"):
        chosen["volume_path"] = os.path.abspath(given["volumepath"])
    if chosen:
        settings.engine = {**settings.engine, **chosen}
