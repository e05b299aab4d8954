"""From what a user asked for to what a container is: every default applied, every contradiction refused.

    CreateOptions ─┐
    Settings ──────┼─► resolve ─► ContainerConfig
    the image ─────┘

Nothing is changed: files are read, other containers looked up, a free port probed. So a refusal leaves nothing behind.
Each step below fills its part of the config from the same request; those that a plain `run` does not need are imported
when they are needed.
"""

from __future__ import annotations

import os
import time

from podling.engine import life_options, names, namespace_options, network_options, process_options, security_options
from podling.engine.container import ContainerConfig
from podling.engine.request import Request
from podling.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.options import CreateOptions, Settings
    from podling.store.store import Image

_MOUNTS = ("volume", "mount", "tmpfs", "volumes_from", "image_volume")
_RESOURCES = (
    "memory",
    "memory_reservation",
    "memory_swap",
    "memory_swappiness",
    "oom_kill_disable",
    "cpus",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpuset_cpus",
    "cpuset_mems",
    "blkio_weight",
    "blkio_weight_device",
    "device_read_bps",
    "device_read_iops",
    "device_write_bps",
    "device_write_iops",
    "device_cgroup_rule",
    "cgroup_conf",
)
_NOT_YET = {"pod": "pods", "pod_id_file": "pods", "secret": "secrets", "chrootdirs": "chroot directories"}


def resolve(settings: Settings, options: CreateOptions, image: Image | None, container_id: str) -> ContainerConfig:
    """Return the config of a new container. Raise InvalidArgument, NotFound or Unsupported in Podman's words.

    `config.warnings` is what the user should be told beside.
    """
    check_conflicts(options)
    config = ContainerConfig(id=container_id, name=_name(options), created=time.time_ns())
    config.create_command = options.create_command
    request = Request(
        settings=settings,
        options=options,
        config=config,
        image=image.config if image is not None else {},
        environment=dict(os.environ),
    )
    _choose_root(request, image)
    process_options.fill(request)
    namespace_options.fill(request)
    network_options.fill(request)
    security_options.fill(request)
    if any(getattr(options, name) for name in _MOUNTS) or request.wants_mounts():
        from podling.engine import mount_options

        mount_options.fill(request)
    if any(getattr(options, name) for name in _RESOURCES) or "cgroup_conf" in request.defaults:
        from podling.engine import resource_options

        resource_options.fill(request)
    life_options.fill(request)
    return config


def check_conflicts(options: CreateOptions) -> None:
    """Raise InvalidArgument where flags contradict each other whatever their values."""
    for name, what in _NOT_YET.items():
        if getattr(options, name):
            raise Unsupported(f"--{name.replace('_', '-')}: {what} are not supported yet")
    if options.cpus and options.cpu_period:
        raise InvalidArgument("--cpu-period and --cpus cannot be set together")
    if options.cpus and options.cpu_quota:
        raise InvalidArgument("--cpu-quota and --cpus cannot be set together")
    if (
        options.rm
        and options.restart not in (None, "", "no", "on-failure")
        and not str(options.restart).startswith("on-failure:")
    ):
        raise InvalidArgument('the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"')
    if options.preserve_fds and options.preserve_fd:
        raise InvalidArgument("cannot specify both --preserve-fds and --preserve-fd")
    if options.no_hosts and options.add_host:
        raise InvalidArgument("--no-hosts and --add-host cannot be set together")
    if options.no_hosts and options.hosts_file:
        raise InvalidArgument("--no-hosts and --hosts-file cannot be set together")
    if options.replace and not options.name:
        raise InvalidArgument("cannot replace container without --name being set")
    if options.image and options.rootfs:
        raise InvalidArgument("both image and rootfs cannot be simultaneously: invalid configuration")


def _name(options: CreateOptions) -> str:
    if options.name is None or options.name == "":
        return names.random_name()
    names.check(options.name)
    return options.name


def _choose_root(request: Request, image: Image | None) -> None:
    config, options = request.config, request.options
    if image is not None:
        config.image_id = image.id
        config.raw_image_name = options.image
        config.image_name = _image_name(request, image)
        return
    if not options.rootfs:
        raise InvalidArgument("must set root filesystem source to either image or rootfs: invalid argument")
    path, _, flags = options.rootfs.partition(":")
    unknown = [flag for flag in flags.split(",") if flag not in ("", "O")]
    if unknown:
        raise InvalidArgument(f'invalid --rootfs option "{unknown[0]}": only "O" is supported')
    config.rootfs = os.path.abspath(path)
    if flags == "O":
        raise Unsupported("--rootfs DIRECTORY:O is not supported yet")
    if not os.path.isdir(config.rootfs):
        raise InvalidArgument(f"error checking path {config.rootfs}: no such file or directory: invalid argument")


def _image_name(request: Request, image: Image) -> str:
    wanted = request.options.image
    if wanted in image.names or not image.names:
        return wanted if image.names else ""
    if len(image.names) == 1 or image.id.startswith(wanted):
        return image.names[0]
    from podling.store.store import Store

    return Store(request.settings.root, request.settings.runroot).resolve_name(image, wanted) or image.names[0]
