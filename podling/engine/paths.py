"""Where the engine's things are: each a pure function of the settings and an ID (the picture is in ARCHITECTURE.md)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.options import Settings


def bundle(settings: Settings, container_id: str) -> str:
    """Return the bundle: config.json, the monitor's sockets, the files bound into the container."""
    return f"{settings.runroot}/containers/{container_id}"


def exec_bundle(settings: Settings, container_id: str, session: str) -> str:
    """Return the directory of one exec session."""
    return f"{bundle(settings, container_id)}/exec/{session}"


def exit_directory(settings: Settings) -> str:
    """Return the directory in which a monitor leaves exit codes, a file per container ID."""
    return f"{settings.runroot}/exits"


def exit_file(settings: Settings, container_id: str) -> str:
    """Return the exit code file of a container: decimal digits, no newline."""
    return f"{exit_directory(settings)}/{container_id}"


def persist_directory(settings: Settings, container_id: str) -> str:
    """Return the monitor's --persist-dir: `exit` and the `oom` marker."""
    return f"{settings.runroot}/persist/{container_id}"


def network_namespace(settings: Settings, container_id: str) -> str:
    """Return the file on which a container's network namespace is mounted."""
    return f"{settings.runroot}/netns/{container_id}"


def runtime_root(settings: Settings) -> str:
    """Return the runtime's --root."""
    return f"{settings.runroot}/runtime"


def container_directory(settings: Settings, container_id: str) -> str:
    """Return the container's directory on disk: overlay upper, log, artifacts."""
    return f"{settings.root}/containers/{container_id}"


def monitor_cgroup(settings: Settings, container_id: str) -> str:
    """Return the monitor's cgroup, in the notation of the runtime specification's cgroupsPath."""
    if settings.cgroup_manager == "systemd":
        return f"machine.slice:libpod-conmon:{container_id}"
    return f"{settings.cgroup_parent}/libpod-conmon-{container_id}"
