"""The flags of `run` and `create`, in the groups in which the help shows them.

Every one is a field of `CreateOptions` by the same name, or is used by the verb itself, or is refused with its reason:
a test holds the table to that.
"""

from __future__ import annotations

from podling.cli.common_flags import DETACH_KEYS, PLATFORM, REGISTRY, SIG_PROXY
from podling.cli.flags import Flag

_BYTES = "(format: `<number>[<unit>]`, where unit = b (bytes), k (kibibytes), m (mebibytes), or g (gibibytes))"
_PODS = "pods are not supported yet"
_HEALTH_LOG = "the health log is kept with the container"
_STARTUP_HEALTH = "startup health checks are not supported"

_IMAGE = (
    *PLATFORM,
    *REGISTRY,
    Flag("pull", "string", 'Pull image policy ("always"|"missing"|"never"|"newer")', default="missing"),
    Flag("quiet", "bool", "Suppress output information when pulling images", short="q"),
    Flag(
        "image-volume",
        "string",
        'Tells podling how to handle the builtin image volumes ("bind"|"tmpfs"|"ignore")',
        default="bind",
    ),
    Flag("rootfs", "bool", "The first argument is not an image but the rootfs to the exploded container"),
)
_PROCESS = (
    Flag("interactive", "bool", "Make STDIN available to the contained process", short="i"),
    Flag("tty", "bool", "Allocate a pseudo-TTY for container", short="t"),
    Flag("attach", "slice", "Attach to STDIN, STDOUT or STDERR", short="a"),
    Flag("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"),
    Flag("env", "array", "Set environment variables in container", short="e"),
    Flag("env-file", "array", "Read in a file of environment variables"),
    Flag("env-host", "bool", "Use all current host environment variables in container"),
    Flag("env-merge", "array", "Preprocess environment variables from image before injecting them into the container"),
    Flag("unsetenv", "array", "Unset environment default variables in container"),
    Flag("unsetenv-all", "bool", "Unset all default environment variables in container"),
    Flag(
        "http-proxy",
        "bool",
        "Set proxy environment variables in the container based on the host proxy vars",
        default=True,
    ),
    Flag("workdir", "string", "Working directory inside the container", short="w"),
    Flag("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])", short="u"),
    Flag(
        "group-add",
        "slice",
        "Add additional groups to the container process; 'keep-groups' keeps the caller's supplementary groups",
    ),
    Flag("group-entry", "string", "Entry to write to /etc/group"),
    Flag("passwd-entry", "string", "Entry to write to /etc/passwd"),
    Flag("hostuser", "slice", "Host user account to add to /etc/passwd within container"),
    Flag("umask", "string", "Set umask in container", default="0022"),
    Flag("tz", "string", "Set timezone in container"),
    Flag("init", "bool", "Run an init binary inside the container that forwards signals and reaps processes"),
    Flag("init-path", "string", "Path to the container-init binary"),
    Flag("stop-signal", "string", "Signal to stop a container. Default is SIGTERM"),
    Flag(
        "stop-timeout",
        "uint",
        "Seconds that the container has to exit when stopped, before it is killed",
        default=10,
    ),
    Flag(
        "timeout",
        "uint",
        "Seconds that the container is allowed to run, before it is killed",
    ),
    Flag("ulimit", "slice", "Ulimit options"),
    Flag("oom-score-adj", "int", "Tune the host's OOM preferences (-1000 to 1000)"),
    Flag("personality", "string", "Configure execution domain using personality (e.g., LINUX/LINUX32)"),
    Flag(
        "sdnotify",
        "string",
        'control sd-notify behavior ("container"|"conmon"|"healthy"|"ignore")',
        default="container",
    ),
    Flag("systemd", "string", 'Run container in systemd mode ("true"|"false"|"always")', default="true"),
)
_SECURITY = (
    Flag("privileged", "bool", "Give extended privileges to container"),
    Flag("cap-add", "slice", "Add capabilities to the container"),
    Flag("cap-drop", "slice", "Drop capabilities from the container"),
    Flag("security-opt", "array", "Security Options"),
    Flag("seccomp-policy", "string", "Policy for selecting a seccomp profile (experimental)", default="default"),
    Flag("read-only", "bool", "Make containers root filesystem read-only"),
    Flag(
        "read-only-tmpfs",
        "bool",
        "When running --read-only containers mount read-write tmpfs on /dev, /dev/shm, /run, /tmp and /var/tmp",
        default=True,
    ),
    Flag("secret", "array", "Add secret to container"),
)
_NAMESPACE = (
    Flag("pid", "string", "PID namespace to use"),
    Flag("ipc", "string", "IPC namespace to use"),
    Flag("uts", "string", "UTS namespace to use"),
    Flag("userns", "string", "User namespace to use"),
    Flag("cgroupns", "string", "cgroup namespace to use"),
    Flag("uidmap", "slice", "UID map to use for the user namespace"),
    Flag("gidmap", "slice", "GID map to use for the user namespace"),
    Flag("subuidname", "string", "Name of range listed in /etc/subuid for use in user namespace"),
    Flag("subgidname", "string", "Name of range listed in /etc/subgid for use in user namespace"),
    Flag("sysctl", "slice", "Sysctl options"),
    Flag("hostname", "string", "Set container hostname", short="h"),
    Flag(
        "no-hostname",
        "bool",
        "Do not create /etc/hostname within the container, instead use the version from the image",
    ),
)
_NETWORK = (
    Flag("network", "array", "Connect a container to a network", aliases=("net",)),
    Flag("network-alias", "slice", "Add network-scoped alias for the container"),
    Flag("ip", "string", "Specify a static IPv4 address for the container"),
    Flag("ip6", "string", "Specify a static IPv6 address for the container"),
    Flag("mac-address", "string", "Container MAC address (e.g. 92:d0:c6:0a:29:33)"),
    Flag(
        "link-local-ip",
        "slice",
        "Container IPv4/IPv6 link-local addresses",
        refused="it has no meaning for these networks",
    ),
    Flag("publish", "slice", "Publish a container's port, or a range of ports, to the host (default [])", short="p"),
    Flag("publish-all", "bool", "Publish all exposed ports to random ports on the host interface", short="P"),
    Flag("expose", "slice", "Expose a port or a range of ports"),
    Flag("add-host", "slice", "Add a custom host-to-IP mapping (host:ip) (default [])"),
    Flag(
        "hosts-file",
        "string",
        'Base file to create the /etc/hosts file inside the container, or one of the special values. ("image"|"none")',
    ),
    Flag("no-hosts", "bool", "Do not create /etc/hosts within the container, instead use the version from the image"),
    Flag("dns", "slice", "Set custom DNS servers"),
    Flag("dns-option", "slice", "Set custom DNS options", aliases=("dns-opt",)),
    Flag("dns-search", "slice", "Set custom DNS search domains"),
)
_MOUNT = (
    Flag("volume", "array", "Bind mount a volume into the container", short="v"),
    Flag("mount", "array", "Attach a filesystem mount to the container"),
    Flag("tmpfs", "array", "Mount a temporary filesystem (`tmpfs`) into a container"),
    Flag("volumes-from", "array", "Mount volumes from the specified container(s)"),
    Flag("shm-size", "string", f"Size of /dev/shm {_BYTES}", default="65536k"),
    Flag("shm-size-systemd", "string", f"Size of systemd specific tmpfs mounts (/run, /run/lock) {_BYTES}"),
    Flag("chrootdirs", "array", "Chroot directories inside the container"),
)
_RESOURCE = (
    Flag("memory", "string", f"Memory limit {_BYTES}", short="m"),
    Flag("memory-reservation", "string", f"Memory soft limit {_BYTES}"),
    Flag("memory-swap", "string", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    Flag(
        "memory-swappiness", "int", "Tune container memory swappiness (0 to 100, or -1 for system default)", default=-1
    ),
    Flag("oom-kill-disable", "bool", "Disable OOM Killer"),
    Flag("cpus", "float", "Number of CPUs. The default is 0.000 which means no limit"),
    Flag("cpu-shares", "uint", "CPU shares (relative weight)", short="c"),
    Flag("cpu-period", "uint", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", "int", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-rt-period", "uint", "Limit the CPU real-time period in microseconds"),
    Flag("cpu-rt-runtime", "int", "Limit the CPU real-time runtime in microseconds"),
    Flag("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag(
        "cpuset-mems",
        "string",
        "Memory nodes (MEMs) in which to allow execution (0-3, 0,1). Only effective on NUMA systems.",
    ),
    Flag("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)", default=2048),
    Flag("device", "array", "Add a host device to the container"),
    Flag("device-cgroup-rule", "slice", "Add a rule to the cgroup allowed devices list"),
    Flag("gpus", "slice", "GPU devices to add to the container ('all' to pass all GPUs)"),
    Flag(
        "device-read-bps",
        "array",
        "Limit read rate (bytes per second) from a device (e.g. --device-read-bps=/dev/sda:1mb)",
    ),
    Flag(
        "device-read-iops",
        "array",
        "Limit read rate (IO per second) from a device (e.g. --device-read-iops=/dev/sda:1000)",
    ),
    Flag(
        "device-write-bps",
        "array",
        "Limit write rate (bytes per second) to a device (e.g. --device-write-bps=/dev/sda:1mb)",
    ),
    Flag(
        "device-write-iops",
        "array",
        "Limit write rate (IO per second) to a device (e.g. --device-write-iops=/dev/sda:1000)",
    ),
    Flag("blkio-weight", "uint", "Block IO weight (relative weight) accepts a weight value between 10 and 1000."),
    Flag("blkio-weight-device", "array", "Block IO weight (relative device weight, format: `DEVICE_NAME:WEIGHT`)"),
    Flag(
        "cgroups",
        "string",
        'control container cgroup configuration ("enabled"|"disabled"|"no-conmon"|"split")',
        default="enabled",
    ),
    Flag("cgroup-parent", "string", "Optional parent cgroup for the container"),
    Flag("cgroup-conf", "slice", "Configure cgroup v2 (key=value)"),
    Flag("rdt-class", "string", "Class of Service (COS) that the container should be assigned to"),
)
_CONTAINER = (
    Flag("name", "string", "Assign a name to the container"),
    Flag("replace", "bool", "If a container with the same name exists, replace it"),
    Flag("rm", "bool", "Remove container and any anonymous unnamed volume associated with the container after exit"),
    Flag(
        "restart",
        "string",
        'Restart policy to apply when a container exits ("always"|"no"|"never"|"on-failure"|"unless-stopped")',
    ),
    Flag(
        "requires",
        "slice",
        "Add one or more requirement containers that must be started before this container will start",
    ),
    Flag("label", "array", "Set metadata on container", short="l"),
    Flag("label-file", "array", "Read in a line delimited file of labels"),
    Flag("annotation", "array", "Add annotations to container (key=value)"),
    Flag("log-driver", "string", "Logging driver for the container", default="k8s-file"),
    Flag("log-opt", "array", "Logging driver options"),
    Flag("cidfile", "string", "Write the container ID to the file"),
    Flag("conmon-pidfile", "string", "Path to the file that will receive the PID of conmon"),
    Flag("pidfile", "string", "Write the container process ID to the file"),
    Flag("pod", "string", "Run container in an existing pod", refused=_PODS),
    Flag("pod-id-file", "string", "Read the pod ID from the file", refused=_PODS),
)
_HEALTH_CHECK = (
    Flag("no-healthcheck", "bool", "Disable healthchecks on container"),
    Flag(
        "health-cmd",
        "string",
        "set a healthcheck command for the container ('none' disables the existing healthcheck)",
        aliases=("healthcheck-command",),
    ),
    Flag(
        "health-interval",
        "string",
        "set an interval for the healthcheck. (a value of disable results in no automatic timer setup)",
        default="30s",
        aliases=("healthcheck-interval",),
    ),
    Flag(
        "health-retries",
        "uint",
        "the number of retries allowed before a healthcheck is considered to be unhealthy",
        default=3,
        aliases=("healthcheck-retries",),
    ),
    Flag(
        "health-start-period",
        "string",
        "the initialization time needed for a container to bootstrap",
        default="0s",
        aliases=("healthcheck-start-period",),
    ),
    Flag(
        "health-timeout",
        "string",
        "the maximum time allowed to complete the healthcheck before it is killed and considered failed",
        default="30s",
        aliases=("healthcheck-timeout",),
    ),
    Flag("health-on-failure", "string", "action to take once the container turns unhealthy", default="none"),
    Flag(
        "health-log-destination",
        "string",
        "set the destination of the HealthCheck log. Directory path, local or events_logger",
        refused=_HEALTH_LOG,
    ),
    Flag(
        "health-max-log-count",
        "uint",
        "set maximum number of attempts in the HealthCheck log (0 means no limit)",
        refused=_HEALTH_LOG,
    ),
    Flag(
        "health-max-log-size",
        "uint",
        "set maximum length in characters of the HealthCheck log (0 means no limit)",
        refused=_HEALTH_LOG,
    ),
    Flag(
        "health-startup-cmd", "string", "Set a startup healthcheck command for the container", refused=_STARTUP_HEALTH
    ),
    Flag("health-startup-interval", "string", "Set an interval for the startup healthcheck.", refused=_STARTUP_HEALTH),
    Flag(
        "health-startup-retries",
        "uint",
        "Set the number of retries before the container is restarted",
        refused=_STARTUP_HEALTH,
    ),
    Flag(
        "health-startup-success",
        "uint",
        "Set the number of successes after which the normal healthcheck begins (0 means one)",
        refused=_STARTUP_HEALTH,
    ),
    Flag(
        "health-startup-timeout",
        "string",
        "Set the maximum amount of time that the startup healthcheck may take before it is considered failed",
        refused=_STARTUP_HEALTH,
    ),
)
_RUN_PROCESS = (
    Flag("detach", "bool", "Run container in background and print container ID", short="d"),
    DETACH_KEYS,
    SIG_PROXY,
    Flag("passwd", "bool", "add entries to /etc/passwd and /etc/group", default=True),
    Flag("preserve-fd", "slice", "Pass a file descriptor into the container"),
    Flag("preserve-fds", "uint", "Pass a number of additional file descriptors into the container"),
)
_RUN_CONTAINER = (
    Flag("rmi", "bool", "Remove image unless used by other containers, implies --rm"),
    Flag("timings", "bool", "Print to stderr where the time of the run went"),
)
_CREATE_CONTAINER = (Flag("init-ctr", "string", "Run this container as an init container of a pod", refused=_PODS),)


_SHARED = {
    "Image": _IMAGE,
    "Process": _PROCESS,
    "Security": _SECURITY,
    "Namespace": _NAMESPACE,
    "Network": _NETWORK,
    "Mount": _MOUNT,
    "Resource": _RESOURCE,
    "Container": _CONTAINER,
    "Health check": _HEALTH_CHECK,
}
RUN = {**_SHARED, "Process": (*_PROCESS, *_RUN_PROCESS), "Container": (*_CONTAINER, *_RUN_CONTAINER)}
CREATE = {**_SHARED, "Container": (*_CONTAINER, *_CREATE_CONTAINER)}
