"""`create`: make a container up to the point where nothing is left but to execute its program.

    claim the ID ── record the cgroups ── make them, with their limits ── fork init ── record its pid
        ── answer init until it is ready ── record it as created ── write the pid file ── let go

A step that fails undoes all of those before it. A kill between any two leaves a directory by which `delete --force`
finds the rest: the cgroups are recorded before they are made, and init is born in them.
"""

from __future__ import annotations

import os
import time

from podling.errors import InvalidArgument, PodlingError
from podling.linux import cgroups, processes
from podling.linux.files import write_atomically
from podling.oci import runtime_spec
from podling.oci.jsontext import loads
from podling.runtime import arguments, console, container, launch
from podling.runtime.main import SPECIFICATION_VERSION, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID"
OPTIONS = (
    "bundle,b=DIR",
    "config,f=FILE",
    "console-socket=PATH",
    "pidfd-socket=PATH",
    "pid-file=FILE",
    "no-pivot",
    "no-new-keyring",
    "no-subreaper",
    "preserve-fds#N",
    "detach,d",
)


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Create a container."""
    create(context, options, arguments.only_id(words))
    return 0


def create(context: Context, options: dict[str, Any], container_id: str) -> tuple[Container, launch.Birth]:
    """Create a container from a bundle. Return it with its first process, which waits for start."""
    launch.check_preserved(options["preserve-fds"])
    config, text = load_config(options)
    wants_console = bool(config["process"].get("terminal"))
    if wants_console and not options["console-socket"]:
        raise InvalidArgument("a container with a terminal needs --console-socket")
    if not wants_console and options["console-socket"]:
        raise InvalidArgument("--console-socket is given, and the container has no terminal")
    made = container.claim(context.root, container_id)
    manager = None
    birth = None
    try:
        manager = _record(context, options, made, config)
        made.save_config(text, launch.seccomp_program(config, os.path.join(context.root, container.SECCOMP_CACHE)))
        plan = _plan(context, options, made, config)
        _make_cgroup(manager, config["linux"].get("resources") or {})
        birth = launch.start_init(plan, manager)
        _see_through(context, made, birth)
        _let_go(options, made, birth)
    except BaseException:
        _undo(made, birth, manager)
        raise
    return made, birth


def load_config(options: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the checked configuration of a bundle, and its text as it was.

    Added to it is the bundle's directory under "bundle"; the root's path is made absolute.
    """
    bundle = os.path.realpath(options["bundle"] or ".")
    path = os.path.join(bundle, options["config"] or "config.json")
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise PodlingError("cannot read the configuration") from error
    try:
        config = runtime_spec.check(loads(text))
    except PodlingError as error:
        raise InvalidArgument(f'configuration "{path}" is not valid') from error
    config["bundle"] = bundle
    config["root"]["path"] = root = os.path.realpath(os.path.join(bundle, config["root"]["path"]))
    if not os.path.isdir(root):
        raise InvalidArgument(f'root file system "{root}": no such file or directory')
    return config, text


def _record(context: Context, options: dict[str, Any], made: Container, config: dict[str, Any]) -> cgroups.Manager:
    """Write down what is about to be made, the cgroups above all."""
    manager = cgroups.manager(
        config["linux"].get("cgroupsPath") or "",
        made.id,
        systemd=context.systemd_cgroup,
        disabled=context.cgroups_disabled,
    )
    state = made.state
    state.oci_version = config["ociVersion"]
    state.bundle, state.rootfs = config["bundle"], config["root"]["path"]
    state.annotations = config.get("annotations") or {}
    state.created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    state.owner = os.geteuid()
    state.cgroup = manager.paths()
    state.systemd_cgroup, state.cgroups_disabled = context.systemd_cgroup, context.cgroups_disabled
    state.no_new_keyring = options["no-new-keyring"]
    state.own_pid_namespace = runtime_spec.namespaces_of(config).get("pid") == ""
    state.hook_points = [point for point in runtime_spec.HOOK_POINTS if (config.get("hooks") or {}).get(point)]
    made.save()
    return manager


def _plan(context: Context, options: dict[str, Any], made: Container, config: dict[str, Any]) -> Any:
    os.mkfifo(made.fifo)
    os.chmod(made.fifo, 0o622)  # the container's user opens it, whatever its ID
    plan = launch.plan_for(made, config, state_of(made))
    plan.program, plan.seccomp_flags = made.seccomp_program(), launch.seccomp_flags(config)
    if config["process"].get("terminal"):
        plan.console = console.connect(options["console-socket"])
    passed, plan.listen_environment = launch.listen_descriptors(context.environment)
    plan.preserve_fds = options["preserve-fds"] + passed
    plan.no_pivot, plan.no_new_keyring = options["no-pivot"], options["no-new-keyring"]
    return plan


def _make_cgroup(manager: cgroups.Manager, resources: dict[str, Any]) -> None:
    """Make the cgroup with its limits. Before the fork: version 1 denies all devices before it allows init some."""
    try:
        manager.create()
    except OSError as error:
        raise PodlingError("cannot make the cgroup") from error
    try:
        manager.apply(resources)
    except OSError as error:
        raise PodlingError("cannot set resource limits") from error


def _see_through(context: Context, made: Container, birth: launch.Birth) -> None:
    def record_pid(pid: int) -> None:
        made.state.pid, made.state.started = pid, processes.start_time(pid)
        made.save()

    if birth.plan.kinds().isdisjoint({"user"}):
        record_pid(birth.pid)
    birth.see_through(lambda text: report(context, text, "warning"), record_pid)


def _let_go(options: dict[str, Any], made: Container, birth: launch.Birth) -> None:
    made.state.creating = False
    made.save()
    if options["pid-file"]:
        write_atomically(options["pid-file"], str(birth.pid), durable=False)
    birth.release()


def _undo(made: Container, birth: launch.Birth | None, manager: cgroups.Manager | None) -> None:
    """Take back all that was made; what cannot be taken back stays with the directory, for `delete --force`."""
    if birth is not None:
        birth.abandon()
    if manager is not None:
        try:
            manager.kill(9)
            manager.remove()
        except (OSError, PodlingError):
            return
    made.forget()


def state_of(made: Container) -> dict[str, Any]:
    """Return the state that hooks and `state` are told, but for status and pid."""
    return {
        "ociVersion": made.state.oci_version or SPECIFICATION_VERSION,
        "id": made.id,
        "status": container.CREATING,
        "pid": 0,
        "bundle": made.state.bundle,
        "annotations": made.state.annotations,
    }
