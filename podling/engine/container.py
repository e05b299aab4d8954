"""A container as the engine knows it: what was resolved at its creation, and what has become of it.

    created ──► initialized ──► running ⇄ paused
       ▲            │              │
       │            ▼              ▼
       └──(reboot) exited ◄──── stopping          any ──► (gone)

`ContainerConfig` is written once. `ContainerState` changes under the container's lock, by a row of the transition
table.
"""

from __future__ import annotations

from podling.errors import WrongState
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Status:
    """Where a container is in its life: Podman's words, as plain strings (importing enum takes 3 ms of each verb)."""

    CREATING = "creating"  # its resources are being made; seen at rest, its maker was killed
    CREATED = "created"
    INITIALIZED = "initialized"  # the chain stands, its process waits for start
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"


TRANSITIONS: dict[str, tuple[str, ...]] = {
    Status.CREATING: (Status.CREATED,),
    Status.CREATED: (Status.INITIALIZED, Status.EXITED),
    Status.INITIALIZED: (Status.RUNNING, Status.EXITED, Status.CREATED, Status.STOPPING),
    Status.RUNNING: (Status.PAUSED, Status.STOPPING, Status.EXITED),
    Status.PAUSED: (Status.RUNNING, Status.STOPPING, Status.EXITED),
    Status.STOPPING: (Status.EXITED, Status.RUNNING),
    Status.EXITED: (Status.INITIALIZED, Status.CREATED),
}


def check_transition(name: str, before: str, after: str) -> None:
    """Raise WrongState unless the table has the transition."""
    if after not in TRANSITIONS[before]:
        raise WrongState(f'container "{name}" is {before}, which does not lead to {after}')


class PortMapping(Record):
    """A published port or range of ports."""

    host_ip: str = ""
    host_port: int  # the first of the range
    container_port: int
    range: int = 1  # how many ports
    protocol: str = "tcp"  # tcp udp sctp


class NetworkAttachment(Record):
    """What a container wants of one network."""

    aliases: list[str] = []
    static_ips: list[str] = []
    static_mac: str = ""
    interface_name: str = ""  # empty: eth0, eth1, … in order


class ContainerConfig(Record):
    """What a container is: decided at its creation, from the user's options, the image and the host."""

    id: str
    name: str
    created: int  # nanoseconds since the epoch
    image_id: str = ""
    image_name: str = ""  # as the engine resolved it: docker.io/library/fedora:latest
    raw_image_name: str = ""  # as the user wrote it
    rootfs: str = ""  # --rootfs: a directory of the user's, no image
    create_command: list[str] = []
    # process
    command: list[str] = []  # without the entrypoint
    entrypoint: list[str] = []
    environment: list[str] = []  # NAME=VALUE, complete but for TERM, HOSTNAME, HOME, container
    working_directory: str = "/"
    user: str = ""
    groups: list[str] = []
    tty: bool = False
    interactive: bool = False
    init: bool = False
    init_path: str = ""
    stop_signal: int = 15
    stop_timeout_seconds: int = 10
    timeout_seconds: int = 0
    umask: str = "0022"
    timezone: str = ""
    preserve_fds: int = 0
    # life
    remove: bool = False
    remove_image: bool = False
    restart_policy: str = ""  # "" no always on-failure unless-stopped
    restart_retries: int = 0
    requires: list[str] = []  # IDs of containers that must run first
    cidfile: str = ""
    conmon_pidfile: str = ""
    pidfile: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    log_driver: str = "k8s-file"
    log_path: str = ""
    log_size_max: int = -1
    log_tag: str = ""
    sdnotify: str = "container"
    healthcheck: dict[str, Any] = {}
    # namespaces and network: "private", "host", "none", "container:ID", "ns:PATH", "bridge" …
    namespaces: dict[str, str] = {}  # pid ipc uts user cgroup net
    network_mode: str = "bridge"  # bridge none host container:ID ns:PATH
    networks: dict[str, NetworkAttachment] = {}
    ports: list[PortMapping] = []
    exposed_ports: dict[str, Any] = {}
    hostname: str = ""
    dns_servers: list[str] = []
    dns_search: list[str] = []
    dns_options: list[str] = []
    add_hosts: list[str] = []
    base_hosts_file: str = ""
    manage_hosts: bool = True
    manage_resolv_conf: bool = True
    manage_hostname: bool = True
    uid_mappings: list[dict[str, int]] = []
    gid_mappings: list[dict[str, int]] = []
    # storage
    mounts: list[dict[str, Any]] = []  # binds and tmpfs, as in the runtime specification, plus "volume": name
    volumes: list[dict[str, Any]] = []  # {"name", "destination", "options", "anonymous", "copy"}
    shm_size: int = 65536000
    shm_path: str = ""  # set where /dev/shm is another container's
    # confinement
    privileged: bool = False
    capabilities_add: list[str] = []
    capabilities_drop: list[str] = []
    security_opt: list[str] = []
    read_only: bool = False
    read_only_tmpfs: bool = True
    devices: list[dict[str, Any]] = []
    cgroup_parent: str = ""
    cgroups: str = "enabled"
    seccomp_profile: str = ""  # a path, "unconfined", or "" for the default
    masked_paths: list[str] = []  # the user's, beside the default ones
    unmasked_paths: list[str] = []  # "ALL", or patterns
    proc_options: list[str] = []
    cdi_devices: list[str] = []
    # a fragment of config.json, merged into what specification.py generates: process.capabilities.bounding,
    # process.rlimits, process.noNewPrivileges, linux.resources, linux.sysctl, …
    specification: dict[str, Any] = {}
    # accounts
    passwd: bool = True  # whether a user without an entry in the image's passwd gets one
    passwd_entry: str = ""
    group_entry: str = ""
    host_users: list[str] = []
    # storage, beside `mounts` and `volumes`
    overlay_volumes: list[dict[str, Any]] = []  # -v SOURCE:DESTINATION:O  {"source", "destination", "options"}
    user_volumes: list[str] = []  # the destinations of all mounts that the user or the image asked for
    create_working_directory: bool = False
    systemd: bool = False  # PID 1 is systemd, which wants tmpfs in places and a cgroup of its own
    warnings: list[str] = []  # what the user should be told; of no use afterwards

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerConfig:
        """Return a config from its JSON object, nested records included."""
        config = super().from_json(value)
        config.networks = {
            name: NetworkAttachment.from_json(item) if isinstance(item, dict) else item
            for name, item in config.networks.items()
        }
        config.ports = [PortMapping.from_json(item) if isinstance(item, dict) else item for item in config.ports]
        return config


class ContainerState(Record):
    """What has become of a container. Times are nanoseconds since the epoch, 0 for never."""

    status: str = Status.CREATING
    # Who is changing the container right now: a claim that dies with its process (see claims.py)
    claimed_by: int = 0  # pid, 0 for nobody
    claimed_started: int = 0
    claimed_for: str = ""  # the verb: create run start cleanup remove …
    boot_id: str = ""  # of the boot in which pid and monitor_pid mean something
    pid: int = 0
    pid_started: int = 0
    monitor_pid: int = 0
    monitor_started: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    stopped_by_user: bool = False
    stopper_pid: int = 0  # who is stopping it
    stopper_started: int = 0
    cgroup_path: str = ""
    network_status: dict[str, Any] = {}  # network name → netavark's status object


class Container(Record):
    """A container: config and state, read together."""

    config: ContainerConfig
    state: ContainerState

    @property
    def id(self) -> str:
        """Return the 64-hex ID."""
        return self.config.id

    @property
    def name(self) -> str:
        """Return the name."""
        return self.config.name
