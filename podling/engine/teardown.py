"""Taking down what a run of a container holds. Each act is idempotent and needs nothing but the container's ID.

processes     the container's cgroup, its monitor's cgroup
runtime       its state and the container's cgroup
network       interfaces, leases, ports, the namespace
root          the overlay mount
bundle        sockets, pid files, exec sessions
"""

from __future__ import annotations

import _signal
import os

from podling.engine import chain, hostfiles, paths
from podling.errors import PodlingError
from podling.linux import cgroups, files, processes, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.options import Settings


def take_down(settings: Settings, container: Container) -> None:
    """Take down everything that a run of this container holds; its layer, log and row stay."""
    let_go(settings, container)
    clear_bundle(settings, container.id)


def let_go(settings: Settings, container: Container) -> None:
    """Take down all but the bundle, which its monitor may still be writing to.

    The network goes while the runtime works, whose process has little to do with this one's.
    """
    deletion = None
    if os.path.isdir(f"{paths.runtime_root(settings)}/{container.id}"):
        deletion = chain.begin_runtime(settings, "delete", "--force", container.id)
    try:
        take_down_network(settings, container)
    finally:
        delete_from_runtime(settings, container, deletion)
    unmount(settings, container)


def delete_from_runtime(settings: Settings, container: Container, deletion: chain.RuntimeCall | None) -> None:
    """Finish the runtime's deletion of the container, if there is one, and remove the cgroup with all that is in it."""
    if deletion is not None:
        try:
            deletion.finish()
        except PodlingError as error:
            if "does not exist" not in str(error):
                raise
    if container.config.cgroups != "disabled":
        path = container_cgroup(settings, container)
        remove_cgroup(cgroups.manager(path, container.id, systemd=settings.cgroup_manager == "systemd"))


def container_cgroup(settings: Settings, container: Container) -> str:
    """Return the cgroupsPath that the container's specification names."""
    if container.state.cgroup_path:
        return container.state.cgroup_path
    return f"{container.config.cgroup_parent or settings.cgroup_parent}/libpod-{container.id}"


def monitor_cgroup(settings: Settings, container: Container) -> cgroups.Manager:
    """Return the cgroup of a container's monitors."""
    path = paths.monitor_cgroup(settings, container.id)
    return cgroups.manager(path, container.id, systemd=settings.cgroup_manager == "systemd")


def remove_cgroup(cgroup: cgroups.Manager) -> None:
    """Kill all that lives in a cgroup and remove it."""
    if cgroup.processes():
        cgroup.kill(_signal.SIGKILL)
    cgroup.remove()


def kill_monitor(settings: Settings, container: Container) -> None:
    """Kill a container's monitor with all that it forked and has not handed over, and remove its cgroup."""
    if container.config.cgroups not in ("disabled", "no-conmon"):
        remove_cgroup(monitor_cgroup(settings, container))
    _remove_staged_exit_files(settings, container.id)


def _remove_staged_exit_files(settings: Settings, container_id: str) -> None:
    """Remove the exit files that a monitor was writing when it was killed: `.ID.` and what conmon or ours appends."""
    directory = paths.exit_directory(settings)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(f".{container_id}."):
            files.unlink_if_there(f"{directory}/{name}")


def await_monitor(
    settings: Settings, container: Container, monitor: int | None, timeout_seconds: float | None = None
) -> None:
    """Wait for the monitor to end, and remove its cgroup, which it could not leave.

    `monitor` is a pidfd, which is closed here, or None where it has ended already.
    """
    if monitor is not None:
        processes.await_end(monitor, timeout_seconds)
        os.close(monitor)
    if container.config.cgroups not in ("disabled", "no-conmon"):
        remove_cgroup_if_empty(paths.monitor_cgroup(settings, container.id), settings)


def cgroup_exists(path: str) -> bool:
    """Tell whether there is a cgroup of this path, in the hierarchy in which it is made last."""
    from podling.linux.cgroups import directory, hierarchies

    return os.path.isdir(directory(next(reversed(hierarchies())), path))


def remove_cgroup_if_empty(path: str, settings: Settings) -> None:
    """Remove a cgroup unless something lives in it, such as the monitor of an exec session."""
    cgroup = cgroups.manager(path, "", systemd=settings.cgroup_manager == "systemd")
    if not cgroup.processes():
        cgroup.remove()


def take_down_network(settings: Settings, container: Container) -> None:
    """Give back addresses, ports and interfaces, and remove the network namespace."""
    namespace = paths.network_namespace(settings, container.id)
    if container.config.networks:
        from podling.engine import networking

        networking.disconnect(settings, container)
        hostfiles.refresh_peers(settings, container, leaving=True)
    if os.path.exists(namespace):
        from podling.network import namespaces

        namespaces.remove(namespace)


def unmount(settings: Settings, container: Container) -> None:
    """Unmount the container's root and its shm."""
    from podling.store.store import Store

    if container.config.image_id:
        Store(settings.root, settings.runroot).unmount_rootfs(container.id)
    shm = f"{paths.bundle(settings, container.id)}/shm"
    if os.path.ismount(shm):
        syscalls.umount2(shm, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def clear_bundle(settings: Settings, container_id: str) -> None:
    """Remove the bundle and the monitor's persist directory; a next start writes them anew. The exit file stays."""
    files.remove_tree(paths.bundle(settings, container_id))
    files.remove_tree(paths.persist_directory(settings, container_id))
