"""The runtime's command line, as conmon makes it.

    RUNTIME [--systemd-cgroup] ARGUMENTS create --bundle B --pid-file P [--no-pivot] [--no-new-keyring] OPTIONS ID
    RUNTIME [--systemd-cgroup] ARGUMENTS restore … the same … --detach --image-path R --work-path B OPTIONS ID
    RUNTIME ARGUMENTS exec --pid-file P --process SPEC --detach OPTIONS ID

with `--console-socket S` before the ID where there is a terminal.
"""

from __future__ import annotations

from podling.monitor.options import Options


def arguments(options: Options, console_path: str | None) -> list[str]:
    """Return the arguments behind the runtime's name."""
    line = ["--systemd-cgroup"] if options.systemd_cgroup and not options.exec else []
    line += options.runtime_arguments
    line += _exec(options) if options.exec else _create(options)
    line += options.runtime_options
    if console_path is not None:
        line += ["--console-socket", console_path]
    return [*line, options.container_id or ""]


def _exec(options: Options) -> list[str]:
    spec = options.exec_process_spec or ""
    return ["exec", "--pid-file", options.container_pidfile or "", "--process", spec, "--detach"]


def _create(options: Options) -> list[str]:
    bundle = options.bundle or ""
    line = ["restore" if options.restore else "create", "--bundle", bundle]
    line += ["--pid-file", options.container_pidfile or ""]
    line += ["--no-pivot"] if options.no_pivot else []
    line += ["--no-new-keyring"] if options.no_new_keyring else []
    if options.restore:
        line += ["--detach", "--image-path", options.restore, "--work-path", bundle]
    return line
