"""`podling exec`: another process in a container that runs."""

from __future__ import annotations

import sys

from podling.cli.common_flags import DETACH_KEYS, LATEST
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.errors import InvalidArgument, WrongState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.container import Container

VERB = Verb(
    "Run a process in a running container",
    usage="[options] CONTAINER [COMMAND [ARG...]]",
    description="Execute the specified command inside a running container.",
    examples=("-it ctrID ls", "-it -w /tmp myCtr pwd", "--user root ctrID ls"),
    flags=(
        Flag("cidfile", "string", "File to read the container ID from"),
        Flag("detach", "bool", "Run the exec session in detached mode (backgrounded)", short="d"),
        DETACH_KEYS,
        Flag("env", "array", "Set environment variables", short="e"),
        Flag("env-file", "array", "Read in a file of environment variables"),
        Flag("interactive", "bool", "Make STDIN available to the contained process", short="i"),
        LATEST,
        Flag("no-session", "bool", "Do not create a database session for the exec process (podling never does)"),
        Flag("preserve-fd", "slice", "Pass a list of additional file descriptors to the container"),
        Flag("preserve-fds", "uint", "Pass N additional file descriptors to the container"),
        Flag("privileged", "bool", "Give the process extended Linux capabilities inside the container"),
        Flag("tty", "bool", "Allocate a pseudo-TTY. The default is false", short="t"),
        Flag("user", "string", "Sets the username or UID used and optionally the groupname or GID", short="u"),
        Flag("workdir", "string", "Working directory inside the container", short="w"),
    ),
    arguments=any_arguments,
    interspersed=False,
)
NOT_RUNNING_STATUS = 255  # Podman's, for a container in which nothing can be started
_OPTIONS = (
    "detach",
    "env",
    "env-file",
    "interactive",
    "preserve-fd",
    "preserve-fds",
    "privileged",
    "tty",
    "user",
    "workdir",
)


def run(call: Invocation) -> int:
    """Run the process: detached, print the session's ID; attached, return the exit code."""
    from podling.engine import exec as engine_exec
    from podling.engine.options import AttachStreams, ExecOptions

    flags = call.flags
    if flags.boolean("no-session") and (flags.boolean("detach") or flags.changed("detach-keys")):
        raise UsageError("--no-session cannot be used with --detach or --detach-keys")
    container, command = _target(call)
    if not command:
        raise UsageError("must provide a non-empty command to start an exec session: invalid argument")
    values = {name.replace("-", "_"): flags.given[name] for name in _OPTIONS if name in flags.given}
    options = ExecOptions(**values, command=command, detach_keys=flags.optional("detach-keys"))
    streams = AttachStreams(stdin=options.interactive, detach_keys=options.detach_keys, sig_proxy=False)
    try:
        if options.detach:
            sys.stdout.write(engine_exec.execute_detached(call.settings, container, options) + "\n")
            return 0
        return engine_exec.execute(call.settings, container, options, streams)
    except WrongState as error:
        error.exit_code = NOT_RUNNING_STATUS
        raise


def _target(call: Invocation) -> tuple[Container, list[str]]:
    from podling.engine import find

    latest, cidfile = call.flags.boolean("latest"), call.flags.text("cidfile")
    if latest and cidfile:
        raise UsageError("--latest and --cidfile can not be used together")
    if latest:
        return find.latest(call.settings), call.arguments
    if cidfile:
        try:
            with open(cidfile, encoding="utf-8", errors="surrogateescape") as file:
                return find.find(call.settings, file.read().split("\n")[0]), call.arguments
        except OSError as error:
            raise InvalidArgument("reading CIDFile") from error
    if not call.arguments:
        raise UsageError("exec requires the name or ID of a container or the --latest or --cidfile flag")
    name, *command = call.arguments
    return find.find(call.settings, name.removeprefix("/")), command
