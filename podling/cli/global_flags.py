"""The program's own flags: those before the verb, and those that may stand anywhere.

Podman has 32. What cannot work here is refused with its reason rather than taken and ignored.
"""

from __future__ import annotations

from podling.cli.flags import Flag

_REMOTE = "there is no client and server: the engine is the command you typed"

PERSISTENT = (
    Flag("cdi-spec-dir", "array", "Set the CDI spec directory path (may be set multiple times)"),
    Flag("cgroup-manager", "string", 'Cgroup manager to use ("cgroupfs"|"systemd")'),
    Flag("conmon", "string", "Path of the conmon binary"),
    Flag("events-backend", "string", 'Events backend to use ("file"|"journald"|"none")'),
    Flag("hooks-dir", "array", "Set the OCI hooks directory path (may be set multiple times)"),
    Flag(
        "imagestore",
        "string",
        "Path to the 'image store', different from 'graph root'",
        refused="images and containers share one root",
    ),
    Flag(
        "log-level",
        "string",
        "Log messages above specified level (trace, debug, info, warn, warning, error, fatal, panic)",
        default="warn",
    ),
    Flag(
        "network-config-dir", "string", "Path of the configuration directory for networks", aliases=("cni-config-dir",)
    ),
    Flag("root", "string", "Path to the root directory in which data, including images, is stored"),
    Flag("runroot", "string", "Path to the 'run directory' where all state information is stored"),
    Flag("runtime", "string", "Path to the OCI-compatible binary used to run containers.", default="podling-runc"),
    Flag("runtime-flag", "array", "add global flags for the container runtime"),
    Flag("storage-driver", "string", "Select which storage driver is used to manage storage of images and containers"),
    Flag(
        "storage-opt",
        "array",
        "Used to pass an option to the storage driver",
        refused="the overlay store has no options",
    ),
    Flag(
        "syslog",
        "bool",
        "Output logging information to syslog as well as the console",
        refused="logging to syslog is not supported",
        accepted=False,
    ),
    Flag("tmpdir", "string", "Path to the tmp directory for state content"),
    Flag(
        "transient-store",
        "bool",
        "Enable transient container storage",
        refused="containers are always stored durably",
        accepted=False,
    ),
    Flag("volumepath", "string", "Path to the volume directory in which volume data is stored"),
)

BEFORE_THE_VERB = (
    Flag("config", "string", "Path to directory containing authentication config file"),
    Flag("connection", "string", "Connection to use for remote Podman service", short="c", refused=_REMOTE),
    Flag("context", "string", "Name of the context to use", hidden=True, refused=_REMOTE, accepted="default"),
    Flag("host", "string", "Used for Docker compatibility", short="H", hidden=True, refused=_REMOTE),
    Flag("identity", "string", "path to SSH identity file, (CONTAINER_SSHKEY)", refused=_REMOTE),
    Flag("module", "array", "Load the containers.conf(5) module"),
    Flag("out", "string", "Send output (stdout) from podling to a file"),
    Flag("remote", "bool", "Access remote Podman service", short="r", refused=_REMOTE, accepted=False),
    Flag("ssh", "string", "define the ssh mode", refused=_REMOTE),
    Flag("tls-ca", "string", "path to TLS certificate Authority PEM file for remote.", refused=_REMOTE),
    Flag("tls-cert", "string", "path to TLS client certificate PEM file for remote.", refused=_REMOTE),
    Flag(
        "tls-details",
        "string",
        "Path to a containers-tls-details.yaml(5) file",
        refused="TLS details files are not supported",
    ),
    Flag("tls-key", "string", "path to TLS client certificate private key PEM file for remote.", refused=_REMOTE),
    Flag("url", "string", "URL to access Podman service (CONTAINER_HOST)", refused=_REMOTE),
    Flag("version", "bool", "version for podling", short="v"),
)
