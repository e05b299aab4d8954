"""The command line of conmon, as GLib's option parser reads it.

    conmon --api-version 1 -c CID -u CUUID -r RUNTIME -b BUNDLE -p PIDFILE -l k8s-file:PATH …

GLib's ways, which callers rely on: `--api-version` takes no value, so the `1` behind it is a stray positional, and
positionals are passed over wherever they stand; `--long value` and `--long=value`; a flag's `=value` means nothing;
short flags bundle (`-ti`) and one of a bundle may take the next argument; `-cVALUE` and abbreviations of long options
are errors; the last of a repeated option wins, unless it is one that collects.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument
from podling.records import Record

FLAG, TEXT, LIST, NUMBER, LONG_NUMBER = "flag", "text", "list", "number", "long number"

INT_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
DEFAULT_SOCKET_DIRECTORY = "/var/run/crio"

# long, short, kind, field of Options, help ("" hides it from the help text)
# fmt: off
TABLE: tuple[tuple[str, str, str, str, str], ...] = (
    ("api-version", "", FLAG, "api_version", "Conmon API version to use"),
    ("bundle", "b", TEXT, "bundle", "Location of the OCI Bundle path"),
    ("cid", "c", TEXT, "container_id", "Identification of Container"),
    ("conmon-pidfile", "P", TEXT, "monitor_pidfile", "PID file for the conmon process"),
    ("container-pidfile", "p", TEXT, "container_pidfile", "PID file for the initial pid inside of container"),
    ("cuuid", "u", TEXT, "uuid", "Container UUID"),
    ("exec", "e", FLAG, "exec", "Exec a command into a running container"),
    ("exec-attach", "", FLAG, "exec_attach", "Attach to an exec session"),
    ("exec-process-spec", "", TEXT, "exec_process_spec", "Path to the process spec for execution"),
    ("exit-command", "", TEXT, "exit_command",
     "Path to the program to execute when the container terminates its execution"),
    ("exit-command-arg", "", LIST, "exit_arguments",
     "Additional arg to pass to the exit command.  Can be specified multiple times"),
    ("exit-delay", "", NUMBER, "exit_delay_seconds", "Delay before invoking the exit command (in seconds)"),
    ("exit-dir", "", TEXT, "exit_directory", "Path to the directory where exit files are written"),
    ("leave-stdin-open", "", FLAG, "leave_stdin_open", "Leave stdin open when attached client disconnects"),
    ("log-level", "", TEXT, "log_level", "Print debug logs based on log level"),
    ("log-path", "l", LIST, "log_paths", "Log file path"),
    ("log-size-max", "", LONG_NUMBER, "log_size_max", "Maximum size of log file"),
    ("log-global-size-max", "", LONG_NUMBER, "log_global_size_max", "Maximum size of all log files"),
    ("log-tag", "", TEXT, "log_tag", "Additional tag to use for logging"),
    ("log-label", "", LIST, "log_labels",
     "Additional label to include in logs. Can be specified multiple times"),
    ("no-container-partial-message", "", FLAG, "no_partial_message",
     "Do not set CONTAINER_PARTIAL_MESSAGE=true for partial lines in journald logs (journald driver only)"),
    ("name", "n", TEXT, "name", "Container name"),
    ("no-new-keyring", "", FLAG, "no_new_keyring", "Do not create a new session keyring for the container"),
    ("no-pivot", "", FLAG, "no_pivot", "Do not use pivot_root"),
    ("no-sync-log", "", FLAG, "no_sync_log", "Do not manually call sync on logs after container shutdown"),
    ("persist-dir", "0", TEXT, "persist_directory",
     "Persistent directory for a container that can be used for storing container data"),
    ("pidfile", "", TEXT, "container_pidfile", ""),
    ("replace-listen-pid", "", FLAG, "replace_listen_pid", "Replace listen pid if set for oci-runtime pid"),
    ("restore", "", TEXT, "restore", "Restore a container from a checkpoint"),
    ("restore-arg", "", LIST, "runtime_options", ""),
    ("runtime", "r", TEXT, "runtime", "Path to store runtime data for the container"),
    ("runtime-arg", "", LIST, "runtime_arguments",
     "Additional arg to pass to the runtime. Can be specified multiple times"),
    ("runtime-opt", "", LIST, "runtime_options",
     "Additional opts to pass to the restore or exec command. Can be specified multiple times"),
    ("sdnotify-socket", "", TEXT, "notify_socket", "Path to the host's sd-notify socket to relay messages to"),
    ("socket-dir-path", "", TEXT, "socket_directory", "Location of container attach sockets"),
    ("stdin", "i", FLAG, "stdin", "Open up a pipe to pass stdin to the container"),
    ("sync", "", FLAG, "sync", "Keep the main conmon process as its child by only forking once"),
    ("syslog", "", FLAG, "syslog", "Log to syslog (use with cgroupfs cgroup manager)"),
    ("systemd-cgroup", "s", FLAG, "systemd_cgroup",
     "Enable systemd cgroup manager, rather then use the cgroupfs directly"),
    ("terminal", "t", FLAG, "terminal", "Allocate a pseudo-TTY. The default is false"),
    ("timeout", "T", NUMBER, "timeout_seconds", "Kill container after specified timeout in seconds."),
    ("version", "", FLAG, "version", "Print the version and exit"),
    ("full-attach", "", FLAG, "full_attach",
     "Don't truncate the path to the attach socket. This option causes conmon to ignore --socket-dir-path"),
    ("log-rotate", "", FLAG, "log_rotate",
     "Enable log rotation instead of truncation when log-size-max is reached"),
    ("log-max-files", "", NUMBER, "log_max_files", "Number of backup log files to keep (default: 1)"),
    ("log-allowlist-dir", "", LIST, "log_allowlist", "Allowed log directory"),
)
# fmt: on


class Options(Record):
    """What the command line said; None is an option that was not given."""

    api_version: bool = False
    bundle: str | None = None
    container_id: str | None = None
    monitor_pidfile: str | None = None
    container_pidfile: str | None = None
    uuid: str | None = None
    exec: bool = False
    exec_attach: bool = False
    exec_process_spec: str | None = None
    exit_command: str | None = None
    exit_arguments: list[str] = []
    exit_delay_seconds: int = 0
    exit_directory: str | None = None
    leave_stdin_open: bool = False
    log_level: str | None = None
    log_paths: list[str] = []
    log_size_max: int = -1
    log_global_size_max: int = -1
    log_tag: str | None = None
    log_labels: list[str] = []
    no_partial_message: bool = False
    name: str | None = None
    no_new_keyring: bool = False
    no_pivot: bool = False
    no_sync_log: bool = False
    persist_directory: str | None = None
    replace_listen_pid: bool = False
    restore: str | None = None
    runtime: str | None = None
    runtime_arguments: list[str] = []
    runtime_options: list[str] = []
    notify_socket: str | None = None
    socket_directory: str = DEFAULT_SOCKET_DIRECTORY
    stdin: bool = False
    sync: bool = False
    syslog: bool = False
    systemd_cgroup: bool = False
    terminal: bool = False
    timeout_seconds: int = 0
    version: bool = False
    full_attach: bool = False
    log_rotate: bool = False
    log_max_files: int = 1
    log_allowlist: list[str] = []
    help: bool = False


def parse(arguments: list[str]) -> Options:
    """Read the arguments behind the program's name. Raise InvalidArgument with GLib's words.

    `--help` ends the reading at once, as GLib prints it while it parses.
    """
    options = Options()
    position = 0
    while position < len(arguments) and not options.help:
        argument = arguments[position]
        position += 1
        if argument == "--":
            break
        if argument.startswith("--"):
            position = _long_option(options, arguments, position)
        elif argument.startswith("-") and argument != "-":
            position = _short_options(options, arguments, position)
    return options


def check(options: Options) -> None:
    """Refuse what conmon refuses before it has a voice of its own. Raise InvalidArgument."""
    most = options.log_max_files
    if most < 0:
        raise InvalidArgument(f"log-max-files must be non-negative, got {most}")
    if options.log_rotate and most == 0:
        raise InvalidArgument(f"log-max-files must be at least 1 when log-rotate is enabled, got {most}")
    if options.container_id is None:
        raise InvalidArgument("Container ID not provided. Use --cid")


def _long_option(options: Options, arguments: list[str], position: int) -> int:
    given = arguments[position - 1]
    name, equals, value = given[2:].partition("=")
    if name == "help" and not equals:
        options.help = True
        return position
    for long_name, _, kind, field, _ in TABLE:
        if long_name != name:
            continue
        if kind == FLAG:  # with a value, too: GLib passes over it
            setattr(options, field, True)
            return position
        if not equals:
            value = _next(arguments, position, f"--{name}")
            position += 1
        _store(options, kind, field, value, f"--{name}")
        return position
    raise InvalidArgument(f"option parsing failed: Unknown option {given}")


def _short_options(options: Options, arguments: list[str], position: int) -> int:
    given = arguments[position - 1]
    end = position
    for letter in given[1:]:
        if letter in "h?":
            options.help = True
            return end
        row = next((row for row in TABLE if row[1] == letter), None)
        if row is None:
            raise InvalidArgument(f"option parsing failed: Unknown option {given}")
        _, _, kind, field, _ = row
        if kind == FLAG:
            setattr(options, field, True)
            continue
        if end > position:
            raise InvalidArgument(f"option parsing failed: Error parsing option -{letter}")
        _store(options, kind, field, _next(arguments, position, f"-{letter}"), f"-{letter}")
        end = position + 1
    return end


def _next(arguments: list[str], position: int, name: str) -> str:
    if position >= len(arguments):
        raise InvalidArgument(f"option parsing failed: Missing argument for {name}")
    return arguments[position]


def _store(options: Options, kind: str, field: str, text: str, name: str) -> None:
    if kind == LIST:
        getattr(options, field).append(text)
        return
    setattr(options, field, text if kind == TEXT else _number(kind, text, name))


def _number(kind: str, text: str, name: str) -> int:
    largest = INT_MAX if kind == NUMBER else INT64_MAX
    value = _strtol(text)
    if value is None:
        raise InvalidArgument(f"option parsing failed: Cannot parse integer value “{text}” for {name}")
    if not -largest - 1 <= value <= largest:
        raise InvalidArgument(f"option parsing failed: Integer value “{text}” for {name} out of range")
    return value


def _strtol(text: str) -> int | None:
    """Read an integer as strtol(3) with base 0: 0x1f, 037, 31; None where it is not one."""
    body = text.lstrip()
    digits = body.lstrip("+-").lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    if "_" in body or body != body.rstrip():
        return None
    try:
        return int(body, base)
    except ValueError:
        return None


def help_text() -> str:
    """Return GLib's rendering of the table."""
    rows = [(f"{f'-{short}, ' if short else ''}--{long}", text) for long, short, _, _, text in TABLE if text]
    width = 27
    lines = ["Usage:", "  conmon [OPTION…] - conmon utility", ""]
    lines += ["Help Options:", f"  {'-h, --help':<{width}}  Show help options", "", "Application Options:"]
    lines += [f"  {flags:<{width}}  {text}" for flags, text in rows]
    return "\n".join(lines) + "\n\n"


def default_pidfile(container_id: str) -> str:
    """Return where the container's pid goes when --container-pidfile does not say."""
    return os.path.join(os.getcwd(), f"pidfile-{container_id}")
