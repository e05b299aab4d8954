"""Starting a container: the chain is brought up, then its process let go.

    bring_up     monitor launched, root mounted, namespace made, bundle written, network set up: the process waits
    begin        the runtime's `start`; the row says "running"; the claim is let go

A failure, or a kill, at any point between is undone by `teardown`: everything has a place that the ID tells.
"""

from __future__ import annotations

import os
import time

from podling import programs
from podling.engine import bundle, chain, claims, find, hostfiles, networking, paths, recover, teardown
from podling.engine.clock import Clock
from podling.engine.container import Status, check_transition
from podling.errors import CannotInvoke, InvalidArgument, PodlingError, WrongState
from podling.linux import files, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import Settings
    from podling.store.idmap import IdMappings

STARTABLE = (Status.CREATED, Status.EXITED, Status.INITIALIZED)


def start(settings: Settings, container_id: str, clock: Clock | None = None) -> Container:
    """Start a container that is at rest; one that runs already is left alone. Return it."""
    recover.recover(settings)
    with claims.claimed(settings, container_id, "start") as container:
        if container.state.status in (Status.RUNNING, Status.PAUSED):
            return container
        check_startable(container)
        start_requirements(settings, container)
        bring_up(settings, container, clock or Clock())
        begin(settings, container, clock or Clock())
        return container


def check_startable(container: Container) -> None:
    """Raise WrongState unless the container is at rest."""
    if container.state.status not in STARTABLE:
        raise WrongState(
            f"unable to start container {container.id}: container must be in Created or Stopped state to be started: "
            "container state improper"
        )


def start_requirements(settings: Settings, container: Container) -> None:
    """Start the containers that this one needs, in order."""
    for required in container.config.requires:
        other = find.find(settings, required)
        if other.state.status not in (Status.RUNNING, Status.PAUSED):
            start(settings, other.id)


def bring_up(settings: Settings, container: Container, clock: Clock) -> None:
    """Bring the chain up to the point where the container's first process waits for `begin`.

    The claim is held by the caller. What was made is taken down again if anything fails.
    """
    files.unlink_if_there(paths.exit_file(settings, container.id))
    before = container.state.status
    monitor: chain.Monitor | None = None
    try:
        monitor = _fork_monitor(settings, container)
        clock.mark("fork the monitor")
        rootfs = mount(settings, container)
        clock.mark("mount the root")
        namespaces = _namespaces(settings, container)
        clock.mark("make the network namespace")
        _write_bundle(settings, container, rootfs, namespaces)
        clock.mark("write the bundle")
        _let_create(settings, container, monitor, clock)
        check_transition(container.name, before, Status.INITIALIZED)
        container.state.status = Status.INITIALIZED
    except BaseException:
        teardown.kill_monitor(settings, container)
        if monitor is not None:
            monitor.reap()
        teardown.take_down(settings, container)
        raise
    finally:
        if monitor is not None:
            monitor.close()


def _write_bundle(settings: Settings, container: Container, rootfs: str, namespaces: dict[str, str]) -> None:
    """Write the bundle; what the image does not have, a user or a directory, is a command that cannot be run."""
    try:
        bundle.write(settings, container, rootfs, namespaces)
    except InvalidArgument as error:
        raise CannotInvoke(str(error)) from error.__cause__


def begin(settings: Settings, container: Container, clock: Clock) -> None:
    """Let the container's process go, and say so in its row; the claim ends with that."""
    state = container.state
    try:
        chain.call_runtime(settings, "start", container.id)
    except BaseException:
        teardown.kill_monitor(settings, container)
        teardown.take_down(settings, container)
        state.status = Status.EXITED if state.finished_at else Status.CREATED
        raise
    clock.mark("start")
    check_transition(container.name, state.status, Status.RUNNING)
    state.status = Status.RUNNING
    state.started_at = time.time_ns()
    state.finished_at = state.exit_code = 0
    state.error = ""
    state.oom_killed = state.stopped_by_user = False
    claims.release(settings, container)
    hostfiles.refresh_peers(settings, container)
    clock.mark("write the row (running)")


def mount(settings: Settings, container: Container) -> str:
    """Mount the container's root and return its path."""
    config = container.config
    if config.rootfs:
        return config.rootfs
    from podling.store.store import Store

    store = Store(settings.root, settings.runroot)
    return store.mount_rootfs(config.id, config.image_id, userns=_file_owners(container))


def _file_owners(container: Container) -> IdMappings | None:
    """Return how the owners of the root's files are mapped; None where the IDs are the host's own."""
    config = container.config
    if all(row["containerID"] == row["hostID"] for row in (*config.uid_mappings, *config.gid_mappings)):
        return None
    from podling.store.idmap import IdMappings

    return IdMappings(uids=config.uid_mappings, gids=config.gid_mappings)


def _namespaces(settings: Settings, container: Container) -> dict[str, str]:
    """Return the paths of the namespaces to be joined, by the runtime specification's types."""
    joined: dict[str, str] = {}
    config = container.config
    if config.network_mode.startswith("ns:"):
        joined["network"] = config.network_mode.removeprefix("ns:")
    elif config.networks and not config.uid_mappings:
        joined["network"] = networking.make_namespace(settings, container)
    kinds = {"net": "network", "pid": "pid", "ipc": "ipc", "uts": "uts", "user": "user", "cgroup": "cgroup"}
    for short, kind in kinds.items():
        mode = config.network_mode if short == "net" else config.namespaces.get(short, "")
        if mode.startswith("container:"):
            joined[kind] = _namespace_of(settings, mode.removeprefix("container:"), short)
        elif mode.startswith("ns:"):
            joined[kind] = mode.removeprefix("ns:")
    return joined


def _namespace_of(settings: Settings, other_id: str, short: str) -> str:
    other = find.find(settings, other_id)
    if not processes.is_alive(other.state.pid, other.state.pid_started):
        raise WrongState(
            f'cannot get namespace path as container "{other.name}" is not running: container state improper'
        )
    return f"/proc/{other.state.pid}/ns/{short}"


def _fork_monitor(settings: Settings, container: Container) -> chain.Monitor:
    """Launch the monitor, which imports what it needs while this process goes on, and waits to be released."""
    preserved = container.config.preserve_fds
    ports = networking.reserve_ports(container)
    try:
        extra = {number: number for number in range(3, 3 + preserved)}
        extra.update(enumerate(ports, chain.ATTACH + preserved))
        return chain.launch(
            settings,
            _monitor_arguments(settings, container),
            extra_descriptors=extra,
            preserved=preserved,
            with_attach_pipe=False,
            fork=monitor_fork(settings, container, first=True),
        )
    finally:
        for descriptor in ports:
            os.close(descriptor)


def _let_create(settings: Settings, container: Container, monitor: chain.Monitor, clock: Clock) -> None:
    """Release the monitor, and record whom it brought to life."""
    config = container.config
    monitor.release()
    if config.networks and not config.uid_mappings:
        _connect(settings, container, clock)
    programs.warm(settings.runtime, "start")  # this process would only wait
    monitor.wait_for_fork()
    message = monitor.receive(monitor.sync)
    if message["data"] <= 0:
        raise chain.runtime_failure(settings, paths.bundle(settings, config.id), str(message.get("message", "")))
    _record(settings, container, message)
    clock.mark("create")
    if config.networks and config.uid_mappings:  # its user namespace owns it: the runtime made both
        networking.adopt_namespace(settings, container, container.state.pid)
        _connect(settings, container, clock)


def _connect(settings: Settings, container: Container, clock: Clock) -> None:
    container.state.network_status = networking.connect(settings, container)
    hostfiles.complete(settings, container)
    clock.mark("set the network up")


def _monitor_arguments(settings: Settings, container: Container) -> list[str]:
    config = container.config
    home = paths.bundle(settings, config.id)
    arguments = chain.common_arguments(settings, container)
    arguments += ["-P", f"{home}/conmon.pid"]
    if config.log_driver in ("none", "journald", "passthrough", "passthrough-tty"):
        arguments += ["-l", config.log_driver.removesuffix("-tty")]
    else:
        arguments += ["-l", f"k8s-file:{config.log_path}"]
    if config.log_size_max > 0:
        arguments += ["--log-size-max", str(config.log_size_max)]
    if config.log_tag:
        arguments += ["--log-tag", config.log_tag]
    if config.remove:
        arguments.append("--no-sync-log")  # it goes with the container
    if config.tty:
        arguments.append("-t")
    elif config.interactive:
        arguments.append("-i")
    if config.timeout_seconds:
        arguments.append(f"--timeout={config.timeout_seconds}")
    if config.preserve_fds:
        arguments += ["--runtime-opt", "--preserve-fds", "--runtime-opt", str(config.preserve_fds)]
    return arguments + chain.exit_command(settings, "container", "cleanup", config.id)


def monitor_fork(settings: Settings, container: Container, *, first: bool) -> Callable[[], int]:
    """Return a fork into a cgroup for a monitor, so that the end of the caller's session does not take it along.

    All that the chain forks is in there too, until the runtime moves the container's process: whoever finds a dead
    claimant knows what to kill.
    """
    if container.config.cgroups in ("disabled", "no-conmon"):
        return os.fork
    cgroup = teardown.monitor_cgroup(settings, container)
    if first and not cgroup.processes():  # the monitor before it is still there where a policy restarts the container
        cgroup.create()
    return cgroup.fork


def _record(settings: Settings, container: Container, message: dict[str, Any]) -> None:
    home = paths.bundle(settings, container.id)
    state = container.state
    state.boot_id = processes.boot_id(settings.boot_id_path)
    state.pid = int(message["data"])
    state.monitor_pid = int(processes.read_small(f"{home}/conmon.pid"))
    try:
        state.monitor_started = processes.start_time(state.monitor_pid)
        state.pid_started = processes.start_time(state.pid)
    except ProcessLookupError as error:
        raise PodlingError(f'container "{container.name}" ended before it was started') from error
    if container.config.conmon_pidfile:
        files.write_atomically(container.config.conmon_pidfile, str(state.monitor_pid), durable=False)
    if container.config.pidfile:
        files.write_atomically(container.config.pidfile, str(state.pid), durable=False)
