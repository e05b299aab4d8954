"""The log drivers of `--log-path`, which may be given several times.

PATH  :PATH  k8s-file:PATH  json-file:PATH      a file, one for all of these: the last one wins
journald  journald:ANYTHING                     the journal
none  off  null                                 nothing: beside another driver, that one still logs
passthrough                                     the monitor's own stdio is the container's
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument
from podling.monitor.options import Options
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.monitor.journald import Journal
    from podling.monitor.logfile import LogFile
    from podling.monitor.report import Report

    Log = LogFile | Journal

FILES = ("k8s-file", "json-file")
NOTHING = ("none", "off", "null")


class Drivers(Record):
    """Which drivers were asked for."""

    path: str | None = None
    journald: bool = False
    passthrough: bool = False


def parse(log_paths: list[str]) -> Drivers:
    """Read the values of --log-path. Raise InvalidArgument with conmon's words."""
    if not log_paths:
        raise InvalidArgument("Log driver not provided. Use --log-path")
    drivers = Drivers()
    for value in log_paths:
        _add(drivers, value)
    return drivers


def _add(drivers: Drivers, value: str) -> None:
    driver, colon, path = value.partition(":")
    path = path.strip(":")
    if not driver and not path:
        raise InvalidArgument("log-path must not be empty")
    if driver in NOTHING:
        return
    if driver == "passthrough":
        drivers.passthrough = True
    elif driver == "journald":
        drivers.journald = True
    elif driver in FILES or not driver:
        if not path:
            raise InvalidArgument("k8s-file requires a filename")
        drivers.path = path
    elif not colon:
        drivers.path = value
    else:
        raise InvalidArgument(f"No such log driver {driver}")


def open_logs(drivers: Drivers, options: Options, report: Report) -> list[Log]:
    """Open what was asked for. Raise InvalidArgument with conmon's words."""
    logs: list[Log] = []
    if drivers.path is not None:
        logs.append(_open_file(drivers, options, report, drivers.path))
    if drivers.journald:
        logs.append(_open_journal(options, report))
    if options.no_partial_message and not drivers.journald:
        report.warn("--no-container-partial-message has no effect without journald log driver")
    return logs


def _open_file(drivers: Drivers, options: Options, report: Report, path: str) -> Log:
    from podling.monitor.logfile import LogFile

    log = LogFile(
        report,
        path=os.path.abspath(path),
        size_max=options.log_size_max,
        global_size_max=options.log_global_size_max,
        rotate=options.log_rotate and _is_allowed(path, options.log_allowlist),
        max_files=options.log_max_files,
    )
    try:
        log.open()
    except OSError as error:
        raise InvalidArgument("Failed to open log file") from error
    if not drivers.journald:
        for given, flag in ((options.log_tag, "--log-tag"), (options.log_labels, "--log-label")):
            if given is not None and given != []:
                raise InvalidArgument(f"k8s-file doesn't support {flag}")
    return log


def _is_allowed(path: str, allowlist: list[str]) -> bool:
    """Rotation renames files: it only does so below the directories that were named, if any were."""
    directory = os.path.realpath(os.path.dirname(path) or ".")
    roots = [os.path.realpath(root) for root in allowlist if root]
    return not allowlist or any(directory == root or directory.startswith(root.rstrip("/") + "/") for root in roots)


def _open_journal(options: Options, report: Report) -> Log:
    from podling.monitor.journald import Journal, fields

    if options.uuid is None:
        raise InvalidArgument("Container ID must be provided and of the correct length")
    if len(options.uuid) <= 12:
        raise InvalidArgument("Container ID must be longer than 12 characters")
    for label in options.log_labels:
        _check_label(label)
    constant = fields(options.uuid, options.name, options.log_tag, options.log_labels)
    return Journal(report, fields=constant, say_partial=not options.no_partial_message)


def _check_label(label: str) -> None:
    must = "Container labels must be in format LABEL=VALUE"
    if label.startswith("="):
        raise InvalidArgument(f"{must} (no LABEL present in '{label}')")
    if label.count("=") != 1:
        raise InvalidArgument(f"{must} (none or more than one '=' present in '{label}')")
    name = label.partition("=")[0]
    if not all((c.isascii() and (c.isupper() or c.isdigit())) or c == "_" for c in name):
        raise InvalidArgument(
            f"Container label names must contain only uppercase letters, numbers and underscore (in '{label}')"
        )
