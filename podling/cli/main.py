"""The front door: from argv to a verb, and from an error to a line and an exit code.

podling [global flags] VERB [flags] [arguments]
  │
  ├─ flags.FlagSet        the global flags, up to the first word that is none
  ├─ commands.TABLE       the longest path of words that names a verb; its module is imported, no other
  ├─ compatibility        the lab's two spellings
  ├─ flags.FlagSet        the verb's flags, and the global ones that may stand anywhere
  └─ verb.run(call)       the exit code; a PodlingError is one line on stderr and its class's code
"""

from __future__ import annotations

import os
import sys

from podling.cli import commands, compatibility
from podling.cli.flags import FlagSet, HelpRequested, UsageError
from podling.cli.global_flags import BEFORE_THE_VERB, PERSISTENT
from podling.cli.verb import Invocation
from podling.errors import PodlingError, Unsupported, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.verb import Verb

PROGRAM = "podling"
BROKEN_PIPE_STATUS = 141  # what a shell reports of a program that SIGPIPE ended


def main(argv: list[str], environment: dict[str, str]) -> int:
    """Run one command and return its exit code."""
    try:
        _open_streams()
        status = _dispatch(argv, environment)
        sys.stdout.flush()
        return status
    except PodlingError as error:
        _print_error(str(error) if isinstance(error, UsageError) else reason(error))
        return error.exit_code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE_STATUS
    except OSError as error:
        _print_error(reason(error))
        return PodlingError.exit_code
    except ImportError as error:  # a disk that fails under the interpreter's own files, or half an installation
        _print_error(f"cannot load a part of this program: {error}")
        return PodlingError.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _report_defect(error, argv)


def _report_defect(error: Exception, argv: list[str]) -> int:
    """Tell of an error that nobody foresaw; its traceback is for those who ask for it."""
    if "debug" in argv or "trace" in argv or "--log-level=debug" in argv:
        import traceback

        traceback.print_exception(error)
    _print_error(f"internal error: {type(error).__name__}: {error} (--log-level debug shows where)")
    return PodlingError.exit_code


def _open_streams() -> None:
    """Make descriptors 0 to 2 exist, so that no database is opened as one of them, and stdout take any file name."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(fd, "w", encoding="utf-8", errors="surrogateescape", closefd=False))
        else:
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _dispatch(argv: list[str], environment: dict[str, str]) -> int:
    global_flags = FlagSet((*PERSISTENT, *BEFORE_THE_VERB))
    try:
        words = global_flags.parse(argv[1:], interspersed=False)
    except HelpRequested:
        return _help("", environment)
    except UsageError as error:
        raise _pointing_to_help(error, PROGRAM) from None
    if global_flags.boolean("version"):
        words = ["version", "--format", f"{PROGRAM} version {{{{.Client.Version}}}}"]
    if global_flags.changed("out"):
        _redirect_stdout(global_flags.text("out"))
    _apply_environment_flags(global_flags, environment)
    path, arguments = _find(words, environment)
    if path in commands.GROUPS:
        return _group(path, arguments, environment)
    return _run(path, global_flags, arguments, argv, environment)


def _find(words: list[str], environment: dict[str, str]) -> tuple[str, list[str]]:
    """Return the path that the first words name, and the words after it; a group where they name no verb."""
    path, taken = "", 0
    for count, word in enumerate(words, 1):
        longer = f"{path} {word}" if path else word
        longer = commands.ALIASES.get(longer, longer)
        if longer not in commands.TABLE and longer not in commands.GROUPS:
            break
        path, taken = longer, count
        if path in commands.TABLE:
            break
    return path, words[taken:]


def _run(path: str, global_flags: FlagSet, arguments: list[str], argv: list[str], environment: dict[str, str]) -> int:
    module = commands.module(path)
    verb: Verb = module.VERB
    command = f"{PROGRAM} {path}"
    # only the persistent ones may follow the verb; values go to the one set
    persistent = FlagSet(PERSISTENT)
    persistent.given = global_flags.given
    flags = FlagSet(verb.flags, persistent)
    words, hints = compatibility.rewrite(path, flags, arguments, interspersed=verb.interspersed)
    try:
        rest = flags.parse(words, interspersed=verb.interspersed)
    except HelpRequested:
        return _help(path, environment)
    except UsageError as error:
        raise _pointing_to_help(error, command) from None
    if flags.boolean("help"):
        return _help(path, environment)
    for hint in hints:
        sys.stderr.write(f"{PROGRAM}: {hint}\n")
    call = Invocation(command, flags, rest, argv, environment)
    verb.arguments(call)
    status: int = module.run(call)
    return status


def _group(path: str, words: list[str], environment: dict[str, str]) -> int:
    command = f"{PROGRAM} {path}".rstrip()
    if words and words[0] == "help" and not path:
        return _help_about(words[1:], environment)
    flags = FlagSet(PERSISTENT)
    try:
        rest = flags.parse(words)
    except HelpRequested:
        return _help(path, environment)
    except UsageError as error:
        raise _pointing_to_help(error, command) from None
    if not rest:
        _help(path, environment)
        raise UsageError(f"missing command '{command} COMMAND'")
    from podling.cli import suggestions

    raise suggestions.unrecognized(command, path, rest[0])


def _help_about(words: list[str], environment: dict[str, str]) -> int:
    path, rest = _find(words, environment)
    if rest:
        from podling.cli import suggestions

        raise suggestions.unrecognized(f"{PROGRAM} {path}".rstrip(), path, rest[0])
    return _help(path, environment)


def _help(path: str, environment: dict[str, str]) -> int:
    from podling.cli import helptext

    sys.stdout.write(helptext.render(path))
    return 0


def _pointing_to_help(error: UsageError, command: str) -> UsageError:
    return UsageError(f"{error}\nSee '{command} --help'")


def _apply_environment_flags(flags: FlagSet, environment: dict[str, str]) -> None:
    if environment.get("CONTAINER_HOST") or environment.get("CONTAINER_CONNECTION"):
        raise Unsupported("CONTAINER_HOST and CONTAINER_CONNECTION name a remote service, which podling has not")
    if flags.changed("config"):
        environment["DOCKER_CONFIG"] = flags.text("config")


def _redirect_stdout(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    os.dup2(fd, 1)
    os.close(fd)


def _silence_stdout() -> None:
    """Point stdout to /dev/null, so that what is still buffered fails nobody."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)


def _print_error(message: str) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write(f"Error: {message}\n")
        sys.stderr.flush()
    except OSError:
        return  # nobody listens
