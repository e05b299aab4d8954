"""The command line of the runtime: global flags, one verb, one error.

    podling-runc [global flags] VERB [flags] [ID [words]]

A verb is a module of its name with

    SYNOPSIS   what follows the verb in its usage line
    OPTIONS    rows of `arguments.parse`
    run(context, options, words) -> int

and only that module is imported. An error is one line on stderr, one line in the --log file (JSON or text) and exit
status 1; callers match on its words: "permission denied", "executable file not found in $PATH", "no such file or
directory", "container not running", "container does not exist".
"""

from __future__ import annotations

import os
import sys

from podling.errors import InvalidArgument, PodlingError, reason
from podling.records import Record
from podling.runtime import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERBS = {
    "create": "create a container",
    "delete": "delete any resources held by the container",
    "events": "display container events such as OOM notifications and resource usage",
    "exec": "execute a new process inside the container",
    "features": "show the features that are enabled",
    "kill": "send a signal to the container's init process",
    "list": "list containers started by this runtime with the given root",
    "pause": "suspend all processes inside the container",
    "ps": "display the processes running inside a container",
    "resume": "resume all processes that have been paused",
    "run": "create and run a container",
    "spec": "create a new specification file",
    "start": "execute the user-defined process in a created container",
    "state": "output the state of a container",
    "update": "update container resource constraints",
}

OPTIONS = (
    "root=DIR",
    "log=FILE",
    "log-format=text|json",
    "log-level=LEVEL",
    "debug",
    "systemd-cgroup",
    "cgroup-manager=cgroupfs|systemd|disabled",
    "rootless=auto|true|false",
    "criu=PATH",
    "version,v",
    "help,h",
)

SPECIFICATION_VERSION = "1.2.0"


class Context(Record):
    """The global flags, as every verb needs them."""

    root: str
    log: str = ""
    log_format: str = "text"
    debug: bool = False
    systemd_cgroup: bool = False
    cgroups_disabled: bool = False
    environment: dict[str, str] = {}
    program: str = "podling-runc"


def main(argv: list[str], environment: dict[str, str]) -> int:
    """Run the runtime's command line and return its exit status."""
    context = Context(root=default_root(environment), environment=environment, program=os.path.basename(argv[0]))
    try:
        flags, words = arguments.parse(OPTIONS, argv[1:], interspersed=False)
        _apply(context, flags)
        if flags["version"]:
            return _print_version(context.program)
        if flags["help"] or not words or words[0] in ("help", "h"):
            return _print_usage(context.program)
        return _run_verb(context, words[0], words[1:])
    except (PodlingError, OSError) as error:
        report(context, reason(error))
        return 1


def default_root(environment: dict[str, str]) -> str:
    """Return where containers are remembered unless --root says otherwise: a tmpfs, so that a reboot forgets them."""
    if os.geteuid() != 0 and environment.get("XDG_RUNTIME_DIR"):
        return os.path.join(environment["XDG_RUNTIME_DIR"], "podling-runc")
    return "/run/podling-runc"


def _apply(context: Context, flags: dict[str, Any]) -> None:
    if flags["log-format"] not in (None, "text", "json"):
        raise InvalidArgument(f'unknown log-format "{flags["log-format"]}"')
    if flags["cgroup-manager"] not in (None, "cgroupfs", "systemd", "disabled"):
        raise InvalidArgument(f'unknown cgroup manager "{flags["cgroup-manager"]}"')
    context.log = os.path.abspath(flags["log"]) if flags["log"] else ""
    context.log_format = flags["log-format"] or "text"
    context.root = os.path.abspath(flags["root"] or context.root)
    context.debug = flags["debug"]
    context.systemd_cgroup = flags["systemd-cgroup"] or flags["cgroup-manager"] == "systemd"
    context.cgroups_disabled = flags["cgroup-manager"] == "disabled"


def _run_verb(context: Context, verb: str, words: list[str]) -> int:
    if verb not in VERBS:
        raise InvalidArgument(f'no such command "{verb}"')
    module = _module(verb)
    options, rest = arguments.parse((*module.OPTIONS, "help,h"), words, interspersed=module.INTERSPERSED)
    if options["help"]:
        sys.stdout.write(arguments.usage(f"{context.program} {verb}", module.SYNOPSIS, VERBS[verb], module.OPTIONS))
        return 0
    status: int = module.run(context, options, rest)
    return status


def _module(verb: str) -> Any:
    module: Any = __import__(f"podling.runtime.{verb}", fromlist=["run"])
    if not hasattr(module, "INTERSPERSED"):
        module.INTERSPERSED = True
    return module


def _print_version(program: str) -> int:
    from podling import __version__

    sys.stdout.write(f"{program} version {__version__}\nspec: {SPECIFICATION_VERSION}\n")
    return 0


def _print_usage(program: str) -> int:
    rows = "".join(f"   {verb:<12}{purpose}\n" for verb, purpose in VERBS.items())
    sys.stdout.write(f"USAGE:\n   {program} [global options] command [command options] [arguments...]\n\n")
    sys.stdout.write(f"COMMANDS:\n{rows}\nGLOBAL OPTIONS:\n{arguments.rows(OPTIONS)}")
    return 0


def report(context: Context, message: str, level: str = "error") -> None:
    """Tell an error or a warning: a line on stderr and, with --log, a line in the log."""
    line = " ".join(message.splitlines())
    _write(2, f"{line}\n" if level == "error" else f"{context.program}: {level}: {line}\n")
    if not context.log:
        return
    try:
        fd = os.open(context.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        _write(2, f'{context.program}: cannot open log "{context.log}": {reason(error)}\n')
        return
    _write(fd, _log_line(context.log_format, level, line))
    os.close(fd)


def _log_line(form: str, level: str, message: str) -> str:
    import time

    from podling.oci.jsontext import dumps

    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if form == "json":
        return dumps({"level": level, "msg": message, "time": now}) + "\n"
    return f'time="{now}" level={level} msg={dumps(message)}\n'


def _write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode("utf-8", "replace"))
    except OSError:
        pass  # the reader has gone; the exit status still tells
