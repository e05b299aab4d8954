"""The monitor as one value, to go through an exec, and its life on the other side.

    the monitor that was started            the small interpreter
    ────────────────────────────            ─────────────────────
    pack ─► marshal ─► memfd ─── exec ───►  main ─► unpack ─► serve, wait, finish ─► exit command

Signals are blocked on the way, children are found again by waitpid, and every descriptor keeps its number.

Part of the resident monitor: it imports nothing but built-in modules.
"""

import _signal
import marshal
import posix
import sys
import time

from podling.monitor.clients import Clients
from podling.monitor.control import Control
from podling.monitor.ending import wait_for, write_oom_score
from podling.monitor.loop import SIGNALS
from podling.monitor.oom import Oom
from podling.monitor.report import Report
from podling.monitor.resident import Monitor
from podling.monitor.title import set_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def pack(monitor: Monitor) -> bytes:
    """Return the whole monitor as one value."""
    relay = monitor.relay
    state = {
        "values": monitor.plain_values(),
        "report": dict(monitor.report.__dict__),
        "logs": [(log.kind, log.handover()) for log in monitor.logs],
        "clients": monitor.clients.handover(),
        "control": monitor.control.handover(),
        "oom": monitor.oom.handover(),
        "relay": (relay.socket, relay.target) if relay else None,
    }
    return marshal.dumps(state)


def unpack(content: bytes) -> Monitor:
    """Return the monitor that was packed, with its descriptors close-on-exec again."""
    state = marshal.loads(content)
    report = Report(**state["report"])
    monitor = Monitor(report, **state["values"])
    monitor.clients = Clients(monitor.loop, report, **state["clients"])
    monitor.control = Control(report, monitor.reopen_logs, **state["control"])
    monitor.oom = Oom(report, **state["oom"])
    for kind, values in state["logs"]:
        monitor.logs.append(_log(kind, report, values))
    if state["relay"]:
        from podling.monitor.notify import Relay

        monitor.relay = Relay(report, *state["relay"])
    for fd in monitor.descriptors():
        if fd not in monitor.inherited:
            posix.set_inheritable(fd, False)
    return monitor


def _log(kind: str, report: Report, values: "dict[str, Any]") -> "Any":
    if kind == "journald":
        from podling.monitor.journald import Journal

        return Journal(report, **values)
    from podling.monitor.logfile import LogFile

    return LogFile(report, **values)


def main() -> None:
    """Live on in the small interpreter: argv[1] is the memfd with the state, the rest the command line to show."""
    fd = int(sys.argv[1])
    content = posix.pread(fd, posix.fstat(fd).st_size, 0)
    posix.close(fd)
    set_title(sys.argv[2:])
    del sys.argv[:], sys.orig_argv[:]
    monitor = unpack(content)
    del content
    posix._exit(_live(monitor) & 0xFF)


def _live(monitor: Monitor) -> int:
    monitor.begin()
    monitor.serve()
    code = monitor.finish(monitor.wait(monitor.container_pid))
    if monitor.exit_command is None:
        return code
    return wait_for(_exec_exit_command(monitor, monitor.exit_command)) or code


def _exec_exit_command(monitor: Monitor, path: str) -> int:
    pid = posix.fork()
    if pid:
        return pid
    try:
        time.sleep(monitor.exit_delay_seconds)
        write_oom_score(monitor.oom_score)
        for number in (*SIGNALS, _signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        posix.execve(path, [path, *monitor.exit_arguments], posix.environ)
    finally:
        posix._exit(1)
