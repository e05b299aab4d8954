"""Writing a bundle: read what only the host and the root filesystem can tell, generate, act, write.

    RUNROOT/containers/ID/     config.json  hosts  resolv.conf  hostname  .containerenv  passwd  group  shm/

    read        accounts, capabilities, limits, seccomp profile, devices            → Facts
    generate    specification.generate                                              → config.json
    act         shm mounted, working directory made, volumes filled, owners changed, an entry for an unknown user

The root filesystem is mounted; all names in it are resolved as a process inside would. Writing twice is harmless.
"""

from __future__ import annotations

import os

from podling.engine import hostfiles, paths, rootfs_files, seccomp_profile, specification, users
from podling.engine.specification import Facts
from podling.engine.specification_mounts import in_new_user_namespace
from podling.errors import InvalidArgument
from podling.linux import syscalls
from podling.linux.capabilities import BY_NAME, NAMES
from podling.linux.processes import read_small
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import Container, ContainerConfig
    from podling.engine.options import Settings

_CPUS = "/sys/devices/system/cpu"


def write(settings: Settings, container: Container, rootfs: str, namespace_paths: dict[str, str]) -> None:
    """Write config.json and all that it names. `namespace_paths` are to be joined, by the specification's types.

    Sets `container.state.cgroup_path`. Raise InvalidArgument for a user, working directory or profile not found.
    """
    config = container.config
    home = paths.bundle(settings, config.id)
    os.makedirs(home, mode=0o700, exist_ok=True)
    facts = read_facts(settings, container, rootfs, namespace_paths)
    document = specification.generate(config, facts)
    _act(config, facts, rootfs)
    if in_new_user_namespace(config):
        for path in (home, rootfs, *facts.volume_paths.values()):
            rootfs_files.make_traversable(path)
    if config.cdi_devices:
        from podling.engine import devices_cdi

        devices_cdi.inject(document, config.cdi_devices, settings.engine.get("cdi_spec_dirs"))
    _add_hooks(settings, config, document)
    container.state.cgroup_path = document["linux"].get("cgroupsPath", "")
    hostfiles.rewrite(f"{home}/config.json", jsontext.dumps(document))


def read_facts(settings: Settings, container: Container, rootfs: str, namespace_paths: dict[str, str]) -> Facts:
    """Read everything that the specification depends on beside the config."""
    config = container.config
    accounts = read_accounts(config, rootfs)
    account = find_account(config, accounts)
    bounding, may_raise_limits = read_capabilities()
    files = hostfiles.write(settings, container, rootfs)
    files.update(_shared_memory(settings, config))
    files.update(rootfs_files.add_accounts(settings, config, rootfs, accounts))
    files.update(_timezone(config))
    if config.init:
        files[specification.INIT_PATH] = config.init_path
    return Facts(
        rootfs=rootfs,
        account=account,
        additional_groups=users.groups_to_add(accounts, config.groups),
        bounding=bounding,
        seccomp=_seccomp(settings, config, bounding),
        namespace_paths=namespace_paths,
        bind_files=files,
        volume_paths=_volumes(settings, config, rootfs),
        overlay_directories=_overlay_directories(settings, config),
        resolved_destinations=_resolved_destinations(config, rootfs),
        host_devices=_host_devices(config),
        thermal_paths=_thermal_paths(),
        message_queues=os.path.exists("/proc/sys/fs/mqueue"),
        unified_cgroups=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        cgroup_manager=settings.cgroup_manager,
        cgroup_parent=settings.cgroup_parent,
        limits={} if may_raise_limits else own_limits(),
        host_name=os.uname().nodename,
        listen_environment=_listen_environment(),
    )


def read_accounts(config: ContainerConfig, rootfs: str) -> users.Accounts:
    """Return the accounts of a container: its image's files, or those that the user mounts over them."""
    mounted = {mount["destination"]: mount.get("source") for mount in config.mounts if mount["type"] == "bind"}
    etc = mounted.get("/etc")
    passwd = mounted.get("/etc/passwd") or (f"{etc}/passwd" if etc else None)
    group = mounted.get("/etc/group") or (f"{etc}/group" if etc else None)
    return users.Accounts(rootfs, passwd_path=passwd, group_path=group)


def find_account(config: ContainerConfig, accounts: users.Accounts) -> users.Account:
    """Return who the container's processes are; a number without an entry has the working directory for a home."""
    account = accounts.find(config.user)
    if not account.name and config.user and config.passwd:
        account.home = config.working_directory
    return account


def read_capabilities() -> tuple[list[str], bool]:
    """Return the names in this process's bounding set, sorted, and whether it may raise limits."""
    fields = dict(line.split(":\t", 1) for line in read_small("/proc/self/status").splitlines() if ":\t" in line)
    mask = int(fields["CapBnd"], 16)
    names = sorted(name for number, name in enumerate(NAMES) if mask >> number & 1)
    return names, bool(int(fields["CapEff"], 16) >> BY_NAME["CAP_SYS_RESOURCE"] & 1)


def own_limits() -> dict[str, tuple[int, int]]:
    """Return this process's limits of files and processes: soft and hard."""
    import resource

    limits = {}
    for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC"):
        soft, hard = resource.getrlimit(getattr(resource, name))
        limits[name] = (soft & 0xFFFFFFFFFFFFFFFF, hard & 0xFFFFFFFFFFFFFFFF)
    return limits


def _timezone(config: ContainerConfig) -> dict[str, str]:
    if not config.timezone:
        return {}
    zone = "/etc/localtime" if config.timezone == "local" else f"/usr/share/zoneinfo/{config.timezone}"
    source = os.path.realpath(zone)
    return {"/etc/localtime": source} if os.path.isfile(source) else {}


def _seccomp(settings: Settings, config: ContainerConfig, bounding: list[str]) -> dict[str, Any] | None:
    if config.seccomp_profile == "unconfined" or (config.privileged and not config.seccomp_profile):
        return None
    profile = config.seccomp_profile or seccomp_profile.default_path(settings)
    capabilities = specification.capabilities(config, bounding)["bounding"]
    return seccomp_profile.load(profile, capabilities, f"{settings.runroot}/seccomp")


def _shared_memory(settings: Settings, config: ContainerConfig) -> dict[str, str]:
    """Mount the container's /dev/shm in its bundle, where a container that joins it finds it."""
    mode = config.namespaces.get("ipc", "shareable")
    if mode == "none" or any(mount["destination"] == "/dev/shm" for mount in config.mounts):
        return {}
    if mode == "host":
        return {"/dev/shm": "/dev/shm"}
    if config.shm_path:
        return {"/dev/shm": config.shm_path}
    path = f"{paths.bundle(settings, config.id)}/shm"
    os.makedirs(path, mode=0o755, exist_ok=True)
    if not os.path.ismount(path):
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("shm", path, "tmpfs", flags, f"mode=1777,size={config.shm_size}")
        owner = rootfs_files.host_id(config.uid_mappings, 0), rootfs_files.host_id(config.gid_mappings, 0)
        if owner != (0, 0):
            os.chown(path, *owner)
    return {"/dev/shm": path}


def _volumes(settings: Settings, config: ContainerConfig, rootfs: str) -> dict[str, str]:
    if not config.volumes:
        return {}
    from podling.engine import volumes

    found = volumes.directories(settings, config)
    volumes.populate(settings, config, rootfs)
    return found


def _overlay_directories(settings: Settings, config: ContainerConfig) -> list[tuple[str, str]]:
    """Return upper and work directory of each overlay volume; ours are emptied at each start, the user's are kept."""
    wanted = [*config.overlay_volumes, *(volume for volume in config.volumes if "O" in volume["options"])]
    made = []
    for index, volume in enumerate(wanted):
        given = dict(option.split("=", 1) for option in volume["options"] if "=" in option)
        if "upperdir" in given:
            made.append((given["upperdir"], given["workdir"]))
            continue
        from podling.linux import files

        top = f"{paths.container_directory(settings, config.id)}/overlays/{index}"
        files.remove_tree(top)
        os.makedirs(f"{top}/upper", mode=0o755)
        os.makedirs(f"{top}/work", mode=0o700)
        made.append((f"{top}/upper", f"{top}/work"))
    return made


def _resolved_destinations(config: ContainerConfig, rootfs: str) -> dict[str, str]:
    places = [mount["destination"] for mount in config.mounts if mount["type"] == "tmpfs"]
    return {place: rootfs_files.resolve(rootfs, place) for place in places}


def _host_devices(config: ContainerConfig) -> list[dict[str, Any]]:
    if not config.privileged:
        return []
    from podling.engine import devices

    return devices.all_of_host(virtual_consoles=not config.systemd)


def _thermal_paths() -> list[str]:
    if not os.path.isdir(f"{_CPUS}/cpu0/thermal_throttle"):
        return []
    names = sorted(name for name in os.listdir(_CPUS) if name.startswith("cpu") and name[3:].isdigit())
    found = [f"{_CPUS}/{name}/thermal_throttle" for name in names]
    return [path for path in found if os.path.isdir(path)]


def _listen_environment() -> list[str]:
    found = []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        if name in os.environ:
            found.append(f"{name}={'1' if name == 'LISTEN_PID' else os.environ[name]}")
    return found


def _act(config: ContainerConfig, facts: Facts, rootfs: str) -> None:
    owner = tuple(
        rootfs_files.host_id(mappings, number)
        for mappings, number in ((config.uid_mappings, facts.account.uid), (config.gid_mappings, facts.account.gid))
    )
    if not config.read_only and not config.rootfs:
        rootfs_files.make_mtab(rootfs)
    destinations = config.user_volumes or [mount["destination"] for mount in config.mounts]
    rootfs_files.check_working_directory(
        rootfs, config.working_directory, config.id, destinations, create=config.create_working_directory, owner=owner
    )
    sources = [mount["source"] for mount in config.mounts if mount["type"] == "bind" and "U" in mount["options"]]
    sources += [facts.volume_paths[volume["name"]] for volume in config.volumes if "U" in volume["options"]]
    for source in sources:
        from podling.engine import copying

        copying.change_owner(source, *owner)


def _add_hooks(settings: Settings, config: ContainerConfig, document: dict[str, Any]) -> None:
    directories = settings.engine.get("hooks_dir") or ["/usr/share/containers/oci/hooks.d"]
    present = [directory for directory in directories if os.path.isdir(directory)]
    if not present:
        return
    from podling.engine import hooks_config

    hooks = hooks_config.select(present, document, bind_mounts=bool(config.user_volumes))
    if hooks:
        document["hooks"] = hooks


def read(settings: Settings, container_id: str) -> dict[str, Any]:
    """Return a container's config.json. Raise InvalidArgument where it has none: it was never started."""
    try:
        with open(f"{paths.bundle(settings, container_id)}/config.json", "rb", buffering=0) as file:
            document: dict[str, Any] = jsontext.loads(file.read())
            return document
    except FileNotFoundError as error:
        raise InvalidArgument(f"container {container_id} has no bundle") from error
