"""The mounts of config.json: the file systems every container has, the user's, and the files the engine provides.

    /proc /dev /sys /dev/pts /dev/mqueue /sys/fs/cgroup     unless a mount of the user's takes the place
    --volume --mount --tmpfs, named volumes, overlays
    /dev/shm /etc/hosts /etc/resolv.conf /etc/hostname /run/.containerenv …     unless a mount of the user's is there

sorted by depth, so that no mount covers an earlier one. Pure.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import ContainerConfig
    from podling.engine.specification import Facts

    Mount = dict[str, Any]

_NEW_USER_NAMESPACES = ("private", "auto", "keep-id", "nomap")
_SAFE = ["nosuid", "noexec", "nodev"]
_NOT_FOR_THE_RUNTIME = ("z", "Z", "O", "copy", "nocopy", "volume-opt", "nocreate")


def in_new_user_namespace(config: ContainerConfig) -> bool:
    """Tell whether the container is not in the engine's own user namespace."""
    mode = config.namespaces.get("user", "host")
    return mode in _NEW_USER_NAMESPACES or mode.startswith(("container:", "ns:"))


def mounts(config: ContainerConfig, facts: Facts) -> list[Mount]:
    """Return all mounts in the order in which a runtime makes them."""
    wanted = [*_volumes(config, facts), *_overlays(config, facts), *_users(config, facts)]
    taken = {_clean(mount["destination"]) for mount in wanted}
    base = [mount for mount in base_mounts(config, facts) if not _covered(mount["destination"], taken)]
    if config.systemd:
        base = _for_systemd(base, taken, facts)
    everything = base + wanted
    taken.update(_clean(mount["destination"]) for mount in base)
    everything += [
        _bind_file(config, destination, source)
        for destination, source in facts.bind_files.items()
        if destination not in taken
    ]
    everything.sort(key=lambda mount: _depth(mount["destination"]))
    return everything


def _covered(destination: str, taken: set[str]) -> bool:
    return destination in taken or ("/dev" in taken and destination.startswith("/dev/"))


def _clean(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _depth(path: str) -> int:
    return 0 if path == "/" else _clean(path).count("/")


def root_propagation(listed: list[Mount]) -> str:
    """Return linux.rootfsPropagation: a shared or slave mount needs a root that is not private."""
    options = {option for mount in listed for option in mount.get("options", [])}
    if options & {"shared", "rshared"}:
        return "shared"
    return "rslave" if options & {"slave", "rslave"} else ""


def base_mounts(config: ContainerConfig, facts: Facts) -> list[Mount]:
    """Return the file systems that a container has whatever the user says."""
    foreign = in_new_user_namespace(config)
    listed = [_proc(config, foreign), _dev(config)]
    own_network = config.network_mode != "host" and "network" not in facts.namespace_paths
    can_mount_sys = own_network or not foreign
    listed.append(_sys(config, can_mount_sys))
    listed.append(_devpts(config))
    if facts.message_queues:
        listed.append(_message_queues(config, foreign))
    listed.append(_cgroup(config, can_mount_sys))
    return listed


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _proc(config: ContainerConfig, foreign: bool) -> Mount:
    if foreign and config.namespaces.get("pid") == "host":
        return _mount("/proc", "bind", "/proc", config.proc_options or ["rbind", *_SAFE])
    return _mount("/proc", "proc", "proc", config.proc_options or list(_SAFE))


def _dev(config: ContainerConfig) -> Mount:
    options = ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]
    if config.read_only and not config.read_only_tmpfs:
        options.append("ro")
    return _mount("/dev", "tmpfs", "tmpfs", options)


def _sys(config: ContainerConfig, can_mount: bool) -> Mount:
    if not can_mount:
        options = ["rprivate", "nosuid", "noexec", "nodev", "rw" if config.privileged else "ro", "rbind"]
        return _mount("/sys", "bind", "/sys", options)
    if config.privileged:
        return _mount("/sys", "sysfs", "sysfs", ["rprivate", "nosuid", "noexec", "nodev", "rw"])
    return _mount("/sys", "sysfs", "sysfs", [*_SAFE, "ro"])


def _devpts(config: ContainerConfig) -> Mount:
    options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    mappings = config.gid_mappings
    if not mappings or any(0 <= 5 - row["containerID"] < row["size"] for row in mappings):
        options.append("gid=5")
    return _mount("/dev/pts", "devpts", "devpts", options)


def _message_queues(config: ContainerConfig, foreign: bool) -> Mount:
    if foreign and config.namespaces.get("ipc") == "host":
        return _mount("/dev/mqueue", "bind", "/dev/mqueue", ["bind", *_SAFE])
    return _mount("/dev/mqueue", "mqueue", "mqueue", list(_SAFE))


def _cgroup(config: ContainerConfig, can_mount_sys: bool) -> Mount:
    unmasked = any(path.lower() == "all" or _clean(path) == "/sys/fs/cgroup" for path in config.unmasked_paths)
    access = "rw" if unmasked or config.privileged else "ro"
    if not can_mount_sys:
        options = ["rprivate", "nosuid", "noexec", "nodev", "rw" if config.privileged else "ro"]
        return _mount("/sys/fs/cgroup", "cgroup", "/sys/fs/cgroup", options)
    return _mount("/sys/fs/cgroup", "cgroup", "cgroup", ["rprivate", *_SAFE, "relatime", access])


def _for_systemd(base: list[Mount], taken: set[str], facts: Facts) -> list[Mount]:
    options = ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
    listed = [mount for mount in base if mount["destination"] != "/sys/fs/cgroup"]
    for destination in ("/run", "/run/lock", "/tmp", "/var/log/journal"):
        if destination not in taken:
            listed.append(_mount(destination, "tmpfs", "tmpfs", list(options)))
    if "/sys/fs/cgroup" in taken:
        return listed
    if facts.unified_cgroups:
        return [*listed, _mount("/sys/fs/cgroup", "cgroup", "cgroup", ["private", "rw"])]
    own = [*listed, _mount("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", ["bind", "nodev", "noexec", "nosuid", "ro"])]
    return [*own, _mount("/sys/fs/cgroup/systemd", "bind", "/sys/fs/cgroup/systemd", ["bind", "rprivate", "rw"])]


def _users(config: ContainerConfig, facts: Facts) -> list[Mount]:
    listed = []
    for mount in config.mounts:
        made: Mount = {key: mount[key] for key in ("destination", "type", "source") if key in mount}
        if mount["type"] == "tmpfs":
            made["destination"] = facts.resolved_destinations.get(mount["destination"], mount["destination"])
        made.update(_for_the_runtime(mount, config, facts))
        listed.append(made)
    return listed


def _volumes(config: ContainerConfig, facts: Facts) -> list[Mount]:
    listed = []
    for volume in config.volumes:
        if "O" in volume["options"]:
            continue
        made: Mount = {
            "destination": volume["destination"],
            "type": "bind",
            "source": facts.volume_paths[volume["name"]] + volume.get("subpath", ""),
        }
        made.update(_for_the_runtime(volume, config, facts))
        listed.append(made)
    return listed


def _for_the_runtime(mount: Mount, config: ContainerConfig, facts: Facts) -> Mount:
    """Return options and mappings, without what the engine itself acts on."""
    options: list[str] = []
    made: Mount = {}
    for option in mount.get("options", []):
        key = option.partition("=")[0]
        if key == "idmap":
            made.update(_idmap(option, config))
        elif key == "U" and mount.get("type") == "tmpfs":
            options += [f"uid={facts.account.uid}", f"gid={facts.account.gid}"]
        elif key == "no-dereference":
            options.append("copy-symlink")
        elif key != "U" and key not in _NOT_FOR_THE_RUNTIME:
            options.append(option)
    return {"options": options, **made}


def _idmap(option: str, config: ContainerConfig) -> Mount:
    """Return the mappings of an idmapped mount: `idmap`, or `idmap=uids=0-1000-10#…;gids=…` (container-host-size)."""
    _, given, text = option.partition("=")
    if not given:
        return {"uidMappings": config.uid_mappings, "gidMappings": config.gid_mappings}
    made: Mount = {}
    for part in text.split(";"):
        kind, _, rows = part.partition("=")
        relative = [row.lstrip("@").split("-") for row in rows.split("#")]
        key = {"uids": "uidMappings", "gids": "gidMappings"}[kind]
        made[key] = [{"containerID": int(row[0]), "hostID": int(row[1]), "size": int(row[2])} for row in relative]
    return made


def _overlays(config: ContainerConfig, facts: Facts) -> list[Mount]:
    wanted = list(config.overlay_volumes)
    for volume in config.volumes:
        if "O" in volume["options"]:
            wanted.append({**volume, "source": facts.volume_paths[volume["name"]]})
    listed = []
    for volume, (upper, work) in zip(wanted, facts.overlay_directories, strict=True):
        options = [f"lowerdir={volume['source']}", f"upperdir={upper}", f"workdir={work}", "private"]
        listed.append(_mount(volume["destination"], "overlay", "overlay", options))
    return listed


def _bind_file(config: ContainerConfig, destination: str, source: str) -> Mount:
    options = ["bind", "rprivate"]
    is_shm = destination == "/dev/shm"
    if config.read_only and not (is_shm and config.read_only_tmpfs):
        options += ["ro", *_SAFE]
    elif is_shm:
        options += _SAFE
    elif destination == "/run/podman-init":
        options.append("ro")
    return _mount(destination, "bind", source, options)
