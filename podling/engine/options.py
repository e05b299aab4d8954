"""What a user asks for: one record per verb that has many options, filled by a front door, read by the engine.

Values are as the user wrote them, with types but without interpretation: the engine resolves and validates them against
the image and the host (`resolve.py`), so that every front door gives the same answers. `None` means "not given".
"""

from __future__ import annotations

from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CreateOptions(Record):
    """`run` and `create`: names are those of Podman's flags, with underscores."""

    image: str = ""
    command: list[str] = []  # what follows the image
    create_command: list[str] = []  # the command line that asked for it, for inspect to show
    rootfs: str | None = None  # --rootfs: `image` is empty
    name: str | None = None
    replace: bool = False
    tty: bool = False
    interactive: bool = False
    rm: bool = False
    rmi: bool = False
    pull: str = "missing"  # always missing never newer
    platform: str | None = None
    arch: str | None = None
    os: str | None = None
    variant: str | None = None
    authfile: str | None = None
    creds: str | None = None
    cert_dir: str | None = None
    tls_verify: bool | None = None
    retry: int | None = None  # of a pull; None: three times
    quiet: bool = False
    # process
    entrypoint: str | None = None
    env: list[str] = []
    env_file: list[str] = []
    env_host: bool = False
    env_merge: list[str] = []
    unsetenv: list[str] = []
    unsetenv_all: bool = False
    http_proxy: bool = True
    workdir: str | None = None
    user: str | None = None
    group_add: list[str] = []
    group_entry: str | None = None
    passwd: bool = True
    passwd_entry: str | None = None
    umask: str | None = None
    tz: str | None = None
    init: bool = False
    init_path: str | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    timeout: int = 0
    ulimit: list[str] = []
    personality: str | None = None
    preserve_fds: int = 0
    preserve_fd: list[str] = []
    sdnotify: str = "container"
    systemd: str = "true"
    oom_score_adj: int | None = None
    # security
    privileged: bool = False
    cap_add: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    seccomp_policy: str = "default"
    read_only: bool = False
    read_only_tmpfs: bool = True
    # namespaces
    network: list[str] = []
    network_alias: list[str] = []
    ip: str | None = None
    ip6: str | None = None
    mac_address: str | None = None
    publish: list[str] = []
    publish_all: bool = False
    expose: list[str] = []
    pid: str | None = None
    ipc: str | None = None
    uts: str | None = None
    userns: str | None = None
    cgroupns: str | None = None
    uidmap: list[str] = []
    gidmap: list[str] = []
    subuidname: str | None = None
    subgidname: str | None = None
    hostname: str | None = None
    no_hostname: bool = False
    add_host: list[str] = []
    hosts_file: str | None = None
    no_hosts: bool = False
    dns: list[str] = []
    dns_option: list[str] = []
    dns_search: list[str] = []
    sysctl: list[str] = []
    # mounts
    volume: list[str] = []
    mount: list[str] = []
    tmpfs: list[str] = []
    volumes_from: list[str] = []
    image_volume: str | None = None
    shm_size: str | None = None
    shm_size_systemd: str | None = None
    chrootdirs: list[str] = []
    secret: list[str] = []
    # devices and cgroups
    device: list[str] = []
    device_cgroup_rule: list[str] = []
    gpus: list[str] = []
    cgroups: str | None = None
    cgroup_parent: str | None = None
    cgroup_conf: list[str] = []
    memory: str | None = None
    memory_reservation: str | None = None
    memory_swap: str | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpus: float | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    blkio_weight: int | None = None
    blkio_weight_device: list[str] = []
    device_read_bps: list[str] = []
    device_read_iops: list[str] = []
    device_write_bps: list[str] = []
    device_write_iops: list[str] = []
    pids_limit: int | None = None
    rdt_class: str | None = None
    # metadata and life
    label: list[str] = []
    label_file: list[str] = []
    annotation: list[str] = []
    restart: str | None = None
    requires: list[str] = []
    pod: str | None = None
    pod_id_file: str | None = None
    cidfile: str | None = None
    conmon_pidfile: str | None = None
    pidfile: str | None = None
    log_driver: str | None = None
    log_opt: list[str] = []
    no_healthcheck: bool = False
    health_cmd: str | None = None
    health_interval: str | None = None
    health_retries: int | None = None
    health_start_period: str | None = None
    health_timeout: str | None = None
    health_on_failure: str | None = None
    hostuser: list[str] = []


class ExecOptions(Record):
    """`exec`."""

    command: list[str] = []
    tty: bool = False
    interactive: bool = False
    detach: bool = False
    env: list[str] = []
    env_file: list[str] = []
    user: str | None = None
    workdir: str | None = None
    privileged: bool = False
    preserve_fds: int = 0
    preserve_fd: list[str] = []
    detach_keys: str | None = None


class AttachStreams(Record):
    """What of the user's terminal or pipes a container is connected to."""

    stdin: bool = True
    stdout: bool = True
    stderr: bool = True
    detach_keys: str | None = None  # None: the configured ones; "": none
    sig_proxy: bool = True


class Settings(Record):
    """Where things are and which programs do them: containers.conf, storage.conf and the global flags, merged.

    `programs` are "podling-runc" and "podling-conmon" unless the user chose others by absolute path.
    """

    root: str = "/var/lib/podling"
    runroot: str = "/run/podling"
    tmpdir: str = "/run/podling/tmp"
    runtime: str = "podling-runc"  # ours by name, a foreign one by absolute path
    runtime_flags: list[str] = []  # each with its leading dashes
    runtime_name: str = "podling-runc"  # as the user gave it: what inspect shows
    conmon: str = "podling-conmon"
    log_level: str = "warn"
    cgroup_manager: str = "cgroupfs"  # cgroupfs or systemd
    cgroup_parent: str = "/libpod_parent"
    network_config_dir: str = "/etc/containers/networks"
    default_network: str = "podman"
    default_subnet: str = "10.86.0.0/16"  # of the default network; Podman's is 10.88.0.0/16
    boot_id_path: str = "/proc/sys/kernel/random/boot_id"
    container: dict[str, Any] = {}  # the [containers] table of containers.conf
    engine: dict[str, Any] = {}  # its [engine] table
    network: dict[str, Any] = {}  # its [network] table
    storage: dict[str, Any] = {}  # the [storage] table of storage.conf
    modules: list[str] = []  # --module, to be repeated to a cleanup process
