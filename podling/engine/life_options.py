"""The container's life beside its process: restarts, removal, logs, health, cgroup, files about it."""

from __future__ import annotations

import os

from podling.engine import paths, units
from podling.errors import AlreadyExists, InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.request import Request

_RESTART_POLICIES = ("", "no", "on-failure", "always", "unless-stopped")
_LOG_DRIVERS = ("journald", "k8s-file", "json-file", "none", "passthrough", "passthrough-tty")
_CGROUP_MODES = ("enabled", "disabled", "no-conmon", "split")
_NOTIFY_MODES = ("container", "conmon", "ignore", "healthy")
_HEALTH_ACTIONS = ("none", "kill", "restart", "stop")
_SECOND = 1_000_000_000


def fill(request: Request) -> None:
    """Fill in what happens to the container, and what is kept about it."""
    options, config = request.options, request.config
    config.remove = options.rm or options.rmi
    config.remove_image = options.rmi
    if options.rmi and config.rootfs:
        raise InvalidArgument("autoremoving image is not possible when a rootfs is in use: invalid argument")
    if options.restart:
        config.restart_policy, config.restart_retries = restart_policy(options.restart)
    for name in options.requires:
        request.require(name, f'"{name}" is not a valid container, cannot be used as a dependency')
    _check_files(request)
    _fill_log(request)
    _fill_cgroups(request)
    _fill_health(request)
    if options.sdnotify not in _NOTIFY_MODES:
        raise InvalidArgument(
            f'invalid config provided: invalid sdnotify value "{options.sdnotify}": must be container, conmon, healthy '
            "or ignore: invalid argument"
        )
    config.sdnotify = options.sdnotify


def restart_policy(text: str) -> tuple[str, int]:
    """Return policy and retries of `--restart`. Raise InvalidArgument."""
    parts = text.split(":")
    if len(parts) > 2:
        raise InvalidArgument("invalid restart policy: may specify retries at most once")
    policy, retries = parts[0], 0
    if len(parts) == 2:
        if policy.lower() != "on-failure":
            raise InvalidArgument("restart policy retries can only be specified with on-failure restart policy")
        try:
            retries = units.integer(parts[1], parser="strconv.Atoi")
        except InvalidArgument as error:
            raise InvalidArgument(f"parsing restart policy retry count: {error}") from None
        if retries < 0:
            raise InvalidArgument("must specify restart policy retry count as a number greater than 0")
    elif policy.lower() == "never":
        policy = "no"
    if policy not in _RESTART_POLICIES:
        raise InvalidArgument(
            f'running container create option: "{policy}" is not a valid restart policy: invalid argument'
        )
    return policy, retries


def _check_files(request: Request) -> None:
    options, config = request.options, request.config
    if options.cidfile:
        config.cidfile = os.path.abspath(options.cidfile)
        if os.path.exists(config.cidfile):
            raise AlreadyExists(
                f"container id file exists. Ensure another container is not using it or delete {options.cidfile}"
            )
    config.conmon_pidfile = os.path.abspath(options.conmon_pidfile) if options.conmon_pidfile else ""
    config.pidfile = os.path.abspath(options.pidfile) if options.pidfile else ""


def _fill_log(request: Request) -> None:
    options, config, defaults = request.options, request.config, request.defaults
    config.log_driver = options.log_driver or defaults.get("log_driver", "") or config.log_driver
    config.log_path = f"{paths.container_directory(request.settings, config.id)}/ctr.log"
    config.log_size_max = defaults.get("log_size_max", config.log_size_max)
    config.log_tag = defaults.get("log_tag", "") if config.log_driver == "journald" else ""
    for option in options.log_opt:
        key, separator, value = option.partition("=")
        if not separator:
            raise InvalidArgument(f'invalid log option "{option}"')
        if key.lower() == "driver":
            config.log_driver = value
        elif key.lower() == "path":
            config.log_path = os.path.abspath(value)
        elif key.lower() == "max-size":
            config.log_size_max = units.size(value, decimal=True)
        elif key.lower() == "tag":
            config.log_tag = value
    if config.log_driver not in _LOG_DRIVERS:
        raise InvalidArgument("running container create option: invalid log driver: invalid argument")
    if config.log_driver == "json-file":
        config.log_driver = "k8s-file"
    if config.log_tag and config.log_driver != "journald":
        raise InvalidArgument(
            f'log tags can only be used with the journald log driver but driver is "{config.log_driver}": '
            "invalid argument"
        )
    if config.log_driver == "passthrough" and any(os.isatty(fd) for fd in (0, 1, 2)):
        raise InvalidArgument(
            "the '--log-driver passthrough' option cannot be used on a TTY.  If you really want it, use '--log-driver "
            "passthrough-tty'"
        )


def _fill_cgroups(request: Request) -> None:
    options, config = request.options, request.config
    config.cgroups = options.cgroups or request.defaults.get("cgroups", "") or "enabled"
    if config.cgroups not in _CGROUP_MODES:
        raise InvalidArgument(
            f'running container create option: invalid cgroup mode "{config.cgroups}": invalid argument'
        )
    if config.cgroups == "split":
        raise Unsupported("--cgroups split is not supported yet")
    config.cgroup_parent = options.cgroup_parent or ""
    if config.cgroup_parent:
        _check_cgroup_parent(request, config.cgroup_parent)
    if config.cgroups == "disabled":
        if config.cgroup_parent:
            raise InvalidArgument("cannot set cgroup parent if not creating cgroups: invalid argument")
        if config.namespaces.get("pid") != "private":
            raise InvalidArgument(
                "containers not creating Cgroups must create a private PID namespace: invalid argument"
            )
        request.linux().pop("resources", None)


def _check_cgroup_parent(request: Request, parent: str) -> None:
    if request.settings.cgroup_manager == "systemd":
        if not parent.endswith(".slice"):
            raise InvalidArgument(
                "did not receive systemd slice as cgroup parent when using systemd to manage cgroups: invalid argument"
            )
        return
    if parent.endswith(".slice"):
        raise InvalidArgument("systemd slice received as cgroup parent when using cgroupfs: invalid argument")
    if not parent.startswith("/"):
        request.config.cgroup_parent = f"/{parent}"
    if ".." in parent.split("/"):
        raise InvalidArgument(f'cgroup parent "{parent}" leads out of the hierarchy: invalid argument')


# health


def _fill_health(request: Request) -> None:
    options, config = request.options, request.config
    if options.health_on_failure and options.health_on_failure not in _HEALTH_ACTIONS:
        raise InvalidArgument(
            f'invalid on-failure action "{options.health_on_failure}" for health check: supported actions are '
            "none,kill,restart,stop"
        )
    if options.health_cmd:
        if options.no_healthcheck:
            raise InvalidArgument("cannot specify both --no-healthcheck and --health-cmd")
        config.healthcheck = {"Test": health_command(options.health_cmd), **_health_timing(request, {})}
    elif options.no_healthcheck:
        config.healthcheck = {"Test": ["NONE"]}
    elif request.image.get("Healthcheck"):
        from_image: dict[str, Any] = dict(request.image["Healthcheck"])
        config.healthcheck = {**from_image, **_health_timing(request, from_image)}
    action = options.health_on_failure or "none"
    if action != "none":
        if not config.healthcheck:
            raise InvalidArgument(f"cannot set on-failure action to {action} without a health check")
        config.healthcheck["OnFailureAction"] = action
    if options.sdnotify == "healthy" and not config.healthcheck:
        raise InvalidArgument('invalid argument: sdnotify policy "healthy" requires a healthcheck to be set')


def health_command(text: str) -> list[str]:
    """Return the Test of a health check: NONE, CMD and arguments, or CMD-SHELL and a line."""
    from podling.engine.process_options import parse_command

    words = parse_command(text)
    is_array = text.lstrip().startswith("[") and words != [text]
    if not words:
        raise InvalidArgument("must define a healthcheck command for all healthchecks")
    first = (words[0] if is_array else text.split(" ", 1)[0]).upper()
    if first == "NONE":
        return ["NONE"]
    if first == "CMD":
        return words if is_array else text.split()
    if first == "CMD-SHELL":
        return words if is_array else text.split(" ", 1)
    return ["CMD", *words] if is_array and len(words) > 1 else ["CMD-SHELL", words[0]]


def _health_timing(request: Request, known: dict[str, Any]) -> dict[str, int]:
    options = request.options
    interval = "0" if options.health_interval == "disable" else options.health_interval
    retries = options.health_retries if options.health_retries is not None else known.get("Retries") or 3
    if retries < 1:
        raise InvalidArgument("healthcheck-retries must be greater than 0")
    timing = {
        "Interval": _duration("interval", interval, known.get("Interval") or 30 * _SECOND),
        "Timeout": _duration("timeout", options.health_timeout, known.get("Timeout") or 30 * _SECOND),
        "StartPeriod": _duration("start-period", options.health_start_period, known.get("StartPeriod") or 0),
        "Retries": retries,
    }
    if timing["Timeout"] < 1:
        raise InvalidArgument("healthcheck-timeout must be at least 1 second")
    if timing["StartPeriod"] < 0:
        raise InvalidArgument("healthcheck-start-period must be 0 seconds or greater")
    return timing


def _duration(name: str, given: str | None, otherwise: int) -> int:
    if given is None:
        return otherwise
    try:
        return units.duration(given)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid healthcheck-{name}: {error}") from None
