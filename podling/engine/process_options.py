"""The container's process: command, environment, user, directory, signals; and the metadata beside it."""

from __future__ import annotations

import os

from podling.engine import environment, units
from podling.errors import Corrupt, InvalidArgument, Unsupported, reason
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.request import Request

_SYSTEMD = ("/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init")
_HELPER_DIRECTORIES = ("/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman")
_DEFAULT_STOP_SIGNAL = 15
_SYSTEMD_STOP_SIGNAL = 37  # SIGRTMIN+3: halt
_UNIT_VARIABLE = "PODMAN_SYSTEMD_UNIT"


def fill(request: Request) -> None:
    """Fill in what runs in the container, as whom and where."""
    options, config, image, defaults = request.options, request.config, request.image, request.defaults
    _choose_command(request)
    config.environment = environment.resolve(options, image.get("Env") or (), defaults, request.environment)
    config.user = options.user if options.user else image.get("User") or ""
    config.tty = options.tty
    config.interactive = options.interactive
    _choose_working_directory(request)
    config.systemd = _runs_systemd(request)
    config.stop_signal = _stop_signal(request)
    config.stop_timeout_seconds = _stop_timeout(request)
    config.timeout_seconds = options.timeout
    config.umask = _umask(options.umask or defaults.get("umask", config.umask))
    config.timezone = _timezone(options.tz or defaults.get("tz", ""))
    config.preserve_fds = options.preserve_fds
    if options.preserve_fd:
        raise Unsupported("--preserve-fd is not supported yet: --preserve-fds passes 3 to N+2")
    _choose_init(request)
    _choose_groups(request)
    config.passwd = options.passwd
    config.passwd_entry = options.passwd_entry or ""
    config.group_entry = options.group_entry or ""
    config.host_users = list(options.hostuser)
    config.labels = labels(request)
    config.annotations = _annotations(request)
    _fill_fragment(request)


def _choose_command(request: Request) -> None:
    options, config, image = request.options, request.config, request.image
    entrypoint = image.get("Entrypoint") or []
    if options.entrypoint is not None:
        entrypoint = parse_command(options.entrypoint)
    config.entrypoint = [] if entrypoint == [""] else list(entrypoint)
    config.command = list(options.command)
    if not config.command and not (options.entrypoint is not None and entrypoint):
        config.command = list(image.get("Cmd") or [])


def parse_command(text: str) -> list[str]:
    """Return a command written as a JSON array of strings, or as one word."""
    if text.lstrip().startswith("["):
        try:
            value = jsontext.loads(text)
        except Corrupt:
            return [text]
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return value
    return [text]


def _choose_working_directory(request: Request) -> None:
    config = request.config
    chosen = request.options.workdir or request.defaults.get("workdir", "")
    if chosen:
        if not chosen.startswith("/"):
            raise InvalidArgument(f'the working directory "{chosen}" is invalid, it needs to be an absolute path')
        config.working_directory = chosen
        return
    from_image = request.image.get("WorkingDir") or ""
    config.working_directory = "/" + from_image.lstrip("/")
    config.create_working_directory = bool(from_image)


def _runs_systemd(request: Request) -> bool:
    mode = (request.options.systemd or "true").lower()
    if mode not in ("true", "false", "always"):
        raise InvalidArgument(
            'invalid config provided: --systemd values must be one of "true, false, always": invalid configuration'
        )
    if mode != "true":
        return mode == "always"
    line = [*request.config.entrypoint, *request.config.command]
    if line[:2] == ["/bin/sh", "-c"] and len(line) > 2:
        line = line[2:]
    return bool(line) and (line[0] in _SYSTEMD or line[0].rpartition("/")[2] == "systemd")


def _stop_signal(request: Request) -> int:
    if request.options.stop_signal:
        return units.signal(request.options.stop_signal.removeprefix("-"))
    wanted = request.image.get("StopSignal")
    if wanted:
        return units.signal(wanted)
    return _SYSTEMD_STOP_SIGNAL if request.config.systemd else _DEFAULT_STOP_SIGNAL


def _stop_timeout(request: Request) -> int:
    if request.options.stop_timeout is not None:
        return request.options.stop_timeout
    return int(request.settings.engine.get("stop_timeout", request.config.stop_timeout_seconds))


def _umask(text: str) -> str:
    if not (1 <= len(text) <= 4 and not text.strip("01234567")):
        raise InvalidArgument(f"running container create option: invalid umask string {text}: invalid argument")
    return text


def _timezone(name: str) -> str:
    if name in ("", "local"):
        return name
    if name.startswith("/") or ".." in name.split("/") or not os.path.isfile(f"/usr/share/zoneinfo/{name}"):
        raise InvalidArgument(f"running container create option: finding timezone: unknown time zone {name}")
    return name


def _choose_init(request: Request) -> None:
    options, config, defaults = request.options, request.config, request.defaults
    config.init = options.init or bool(defaults.get("init", False))
    if not config.init:
        return
    config.init_path = options.init_path or defaults.get("init_path", "") or _find_catatonit(request)
    if config.systemd and options.systemd == "always":
        raise InvalidArgument("cannot use container-init binary with systemd=always")
    if not os.path.exists(config.init_path):
        raise InvalidArgument(
            f"container-init binary not found on the host: stat {config.init_path}: no such file or directory"
        )


def _find_catatonit(request: Request) -> str:
    configured = request.settings.engine.get("helper_binaries_dir")
    directories = [*(configured or _HELPER_DIRECTORIES), *request.environment.get("PATH", "").split(":")]
    for directory in directories:
        path = os.path.join(directory, "catatonit")
        if os.path.isabs(directory) and os.access(path, os.X_OK):
            return path
    listed = " ".join(configured or _HELPER_DIRECTORIES)
    raise InvalidArgument(
        f'lookup init binary: could not find "catatonit" in one of [{listed}].  To resolve this error, set the '
        "helper_binaries_dir key in the `[engine]` section of containers.conf to the directory containing your helper "
        "binaries."
    )


def _choose_groups(request: Request) -> None:
    groups = list(request.options.group_add)
    if "keep-groups" in groups:
        if len(groups) > 1:
            raise InvalidArgument(
                "the '--group-add keep-groups' option is not allowed with any other --group-add options"
            )
        request.config.annotations["run.oci.keep_original_groups"] = "1"
        groups = []
    request.config.groups = groups


def labels(request: Request) -> dict[str, str]:
    """Return the labels: the image's, below those of files and flags. Raise InvalidArgument."""
    found: dict[str, str] = dict(request.image.get("Labels") or {})
    for path in request.options.label_file:
        found.update(_read_labels(path))
    for label in request.options.label:
        name, _, value = label.partition("=")
        if not name:
            raise InvalidArgument(f'unable to process labels: invalid label format: "{label}"')
        found[name] = value
    if _UNIT_VARIABLE in request.environment:
        found[_UNIT_VARIABLE] = request.environment[_UNIT_VARIABLE]
    return found


def _read_labels(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.lstrip(" \t") for line in file.read().splitlines()]
    except OSError as error:
        raise InvalidArgument(f"unable to process labels: open {reason(error)}") from None
    found = {}
    for line in lines:
        if not line or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not name:
            raise InvalidArgument(f'unable to process labels: invalid environment variable: "{line}"')
        if any(space in name for space in " \t"):
            raise InvalidArgument(f'unable to process labels: name "{name}" has white spaces, poorly formatted name')
        if separator:
            found[name] = value
    return found


def _annotations(request: Request) -> dict[str, str]:
    options = request.options
    found: dict[str, str] = dict(request.config.annotations)
    for entry in request.defaults.get("annotations", ()):
        name, _, value = entry.partition("=")
        found[name] = value
    for entry in options.annotation:
        name, separator, value = entry.partition("=")
        if not separator:
            raise InvalidArgument("annotations must be formatted KEY=VALUE")
        found[name] = value
    noted = {
        "userns": options.userns,
        "pids-limit": None if options.pids_limit is None else str(options.pids_limit),
        "cpuset": options.cpuset_cpus,
        "memory-nodes": options.cpuset_mems,
        "cid-file": options.cidfile,
        "publish-all": "TRUE" if options.publish_all else None,
        "volumes-from": ";".join(options.volumes_from),
    }
    found.update({f"io.podman.annotations.{name}": value for name, value in noted.items() if value})
    return found


def _fill_fragment(request: Request) -> None:
    options = request.options
    adjustment = options.oom_score_adj
    if adjustment is None:
        adjustment = request.defaults.get("oom_score_adj")
    if adjustment is not None:
        if not -1000 <= adjustment <= 1000:
            raise InvalidArgument(f"invalid value for oom-score-adj: {adjustment} is not between -1000 and 1000")
        request.process()["oomScoreAdj"] = adjustment
    if options.personality:
        if options.personality not in ("LINUX", "LINUX32"):
            raise InvalidArgument(f'invalid personality "{options.personality}": must be LINUX or LINUX32')
        request.linux()["personality"] = {"domain": options.personality}
    if options.rdt_class:
        request.linux()["intelRdt"] = {"closID": options.rdt_class}
