"""conmon: start a container's runtime, and stay for as long as the container lives.

caller                    conmon (first)          conmon (stays)                    runtime
  │ _OCI_STARTPIPE ─ \\0 ───►│                        │                                 │
  │                         ├─ fork ────────────────►│ setsid, subreaper               │
  │◄──────── exit ──────────┤ writes -P              │ attach, ctl, winsz, console     │
  │                                                  ├─ fork ─────────────────────────►│ create
  │ (exec) _OCI_ATTACHPIPE ◄─ {"data": 0} ───────────┤                                 │
  │ (exec) _OCI_STARTPIPE ── \\0 ──────────────────────────────────────────────────────►│
  │                                                  │◄──────────── exit ──────────────┤ leaves the container's
  │ _OCI_SYNCPIPE ◄── {"data": PID} ─────────────────┤ or {"data": -1, "message": …}     first process behind
  │                                                  │ resident.py
  │ (exec) _OCI_SYNCPIPE ◄── {"data": EXIT} ─────────┤ exit files, exit command
"""

from __future__ import annotations

import _signal
import os
import sys
import time

from podling.errors import InvalidArgument, PodlingError, Unavailable, reason
from podling.linux import syscalls
from podling.monitor import logdrivers, options, sockets
from podling.monitor.ending import wait_for, write_oom_score
from podling.monitor.loop import READ, SIGNALS
from podling.monitor.options import Options
from podling.monitor.report import LEVELS, WARNING, Report, answer
from podling.monitor.resident import Monitor
from podling.monitor.title import set_title

VERSION = "2.2.1"  # of conmon, whose command line and behaviour this is: callers compare it

PIPES = ("_OCI_STARTPIPE", "_OCI_SYNCPIPE", "_OCI_ATTACHPIPE")
OOM_SCORE = "-1000"
MESSAGE_MAX = 8191
SECONDS_BEFORE_SHRINKING = 1.0


def main(argv: list[str], environment: dict[str, str]) -> int:
    """Be conmon. Return its exit status: in the monitor that stays, the container's."""
    inherited = _open_descriptors()
    os.umask(0o022)
    try:
        given = options.parse(argv[1:])
        if given.help:
            return _print(options.help_text())
        if given.version:
            from podling import __version__

            return _print(f"conmon version {VERSION}\ncommit: podling-{__version__}\n")
        options.check(given)
    except InvalidArgument as error:
        os.write(2, f"conmon: {error}\n".encode("utf-8", "surrogateescape"))
        return 1
    level = LEVELS.get((given.log_level or "warning").lower())
    identity = f"{given.container_id}: {given.log_tag}" if given.log_tag is not None else given.container_id
    report = Report(level=WARNING if level is None else level, identity=identity, syslog=given.syslog)
    try:
        if level is None:
            raise InvalidArgument(f"No such log level {given.log_level}")
        return _Start(given, environment, report, inherited).run(argv[1:])
    except (PodlingError, OSError) as error:
        report.error(reason(error))
        return 1


def _print(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0


def _open_descriptors() -> list[int]:
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    return [fd for fd in found if fd > 2 and os.path.lexists(f"/proc/self/fd/{fd}")]


class _Failed(PodlingError):
    """The runtime failed; the caller has been told."""


class _Start:
    """The start of one container or exec session, step by step."""

    def __init__(self, given: Options, environment: dict[str, str], report: Report, inherited: list[int]) -> None:
        self.options = given
        self.environment = environment
        self.report = report
        self.monitor = Monitor(report)
        self.inherited = inherited
        self.console = -1
        self.console_path: str | None = None
        self.container_ends: dict[int, int] = {}  # the container's ends of its pipes, by their number there
        self.start_pipe = self.attach_pipe = -1

    def run(self, arguments: list[str]) -> int:
        """Start the runtime, then stay. Return the exit status."""
        self._check()
        self.drivers = logdrivers.parse(self.options.log_paths)
        self.monitor.logs = logdrivers.open_logs(self.drivers, self.options, self.report)
        set_title(arguments)
        self.monitor.oom_score = write_oom_score(OOM_SCORE)
        self._await_start()
        if not self.options.sync and self._leave_to_child():
            return 0
        self._detach()
        self._make_streams()
        self._make_sockets()
        runtime = self._start_runtime()
        try:
            self._await_runtime(runtime)
            self._tell_pid()
            status = self._stay(arguments)
        except (PodlingError, OSError) as error:
            if not isinstance(error, _Failed):
                self.report.error(reason(error))
            status = 1
        return self._run_exit_command() or status

    # --- before the fork ---

    def _check(self) -> None:
        given = self.options
        if given.restore is not None and given.exec:
            raise InvalidArgument("Cannot use 'exec' and 'restore' at the same time")
        if given.exec_attach and not given.exec:
            raise InvalidArgument("Attach can only be specified with exec")
        if given.exec_attach and not given.api_version:
            raise InvalidArgument("Attach can only be specified for a non-legacy exec session")
        if given.uuid is None and (not given.exec or given.api_version):
            raise InvalidArgument("Container UUID not provided. Use --cuuid")
        if given.runtime is None:
            raise InvalidArgument("Runtime path not provided. Use --runtime")
        _check_program(given.runtime)
        if given.exec and given.exec_process_spec is None:
            raise InvalidArgument("Exec process spec path not provided. Use --exec-process-spec")
        if given.exit_delay_seconds < 0:
            raise InvalidArgument("Delay before invoking exit command must be greater than or equal to 0")
        if given.bundle is None and not given.exec:
            given.bundle = os.getcwd()
        if given.container_pidfile is None:
            given.container_pidfile = options.default_pidfile(given.container_id or "")

    def _await_start(self) -> None:
        """Wait until the caller has put us where we belong, such as a cgroup."""
        self.start_pipe = self._pipe("_OCI_STARTPIPE")
        if self.start_pipe < 0:
            return
        self._warm_up("exec" if self.options.exec else "create")
        os.read(self.start_pipe, 8192)
        if not self.options.exec_attach:
            os.close(self.start_pipe)
            self.start_pipe = -1

    def _pipe(self, name: str) -> int:
        text = self.environment.get(name)
        if text is None:
            return -1
        try:
            fd = int(text)
        except ValueError:
            raise InvalidArgument(f"unable to parse {name}") from None
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise InvalidArgument(f"unable to make {name} CLOEXEC") from error
        if fd in self.inherited:
            self.inherited.remove(fd)
        return fd

    def _leave_to_child(self) -> bool:
        """Fork; tell the first process that it is done, when it has written down who stays."""
        pid = os.fork()
        if pid and self.options.monitor_pidfile:
            from podling.linux.files import write_atomically

            write_atomically(self.options.monitor_pidfile, str(pid), durable=False)
        return pid > 0

    # --- in the process that stays ---

    def _detach(self) -> None:
        given, monitor = self.options, self.monitor
        if given.notify_socket:
            from podling.monitor.notify import Relay

            monitor.relay = Relay(self.report, sockets.notify_socket(given.bundle or "."), given.notify_socket)
        monitor.sync_fd = self._pipe("_OCI_SYNCPIPE")
        if given.exec_attach:
            self.attach_pipe = self._pipe("_OCI_ATTACHPIPE")
            if self.attach_pipe < 0:
                raise InvalidArgument("--attach specified but _OCI_ATTACHPIPE was not")
        monitor.inherited = self.inherited
        if not self.drivers.passthrough:
            _point_at_null((0, 1, 2))
        try:
            os.setsid()
        except PermissionError:
            pass  # a session leader already, under --sync
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._fill_in()

    def _fill_in(self) -> None:
        given, monitor = self.options, self.monitor
        monitor.container_id = given.container_id or ""
        monitor.is_exec = given.exec
        monitor.answer_key = "data" if given.api_version else "exit_code" if given.exec else "pid"
        monitor.terminal = given.terminal
        monitor.sync_logs = not given.no_sync_log
        monitor.persist_directory = _absolute(given.persist_directory)
        monitor.exit_directory = _absolute(given.exit_directory)
        monitor.exit_command = given.exit_command
        monitor.exit_arguments = given.exit_arguments
        monitor.exit_delay_seconds = given.exit_delay_seconds
        monitor.clients.end_stdin = given.stdin and not given.leave_stdin_open
        monitor.clients.is_tty = given.terminal

    def _make_streams(self) -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if self.drivers.passthrough:
            self.container_ends = {}
        else:
            self.container_ends = {0: null, 1: null, 2: null}
        if self.options.terminal:
            self.console, self.console_path = sockets.console_socket()
        else:
            if self.options.stdin:
                self.container_ends[0], self.monitor.clients.stdin = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(self.monitor.clients.stdin, False)
            self.monitor.stdout, self.container_ends[1] = os.pipe2(os.O_CLOEXEC)
        self.monitor.stderr, self.container_ends[2] = os.pipe2(os.O_CLOEXEC)
        for fd in (self.monitor.stdout, self.monitor.stderr):
            if fd >= 0:
                os.set_blocking(fd, False)
        if self.drivers.passthrough:
            self._drop_pipes()
            return
        for fd in self.container_ends.values():
            if fd != null:
                os.fchmod(fd, 0o777)  # so that whoever the container runs as may open /dev/stdout

    def _drop_pipes(self) -> None:
        """With passthrough the container has our own stdio; nothing is read from it."""
        for fd in set(self.container_ends.values()) | {self.monitor.stdout, self.monitor.stderr}:
            if fd >= 0:
                os.close(fd)
        self.container_ends = {}
        self.monitor.stdout = self.monitor.stderr = -1

    def _make_sockets(self) -> None:
        bundle = self.options.bundle
        if bundle is None or self.drivers.passthrough:
            return
        monitor = self.monitor
        directory = bundle
        if not self.options.full_attach:
            directory = sockets.link_to_bundle(bundle, self.options.socket_directory, self.options.uuid or "")
            monitor.remove_at_end.append(directory)
        monitor.clients.listener = sockets.attach_socket(directory)
        monitor.remove_at_end.insert(0, os.path.join(os.path.abspath(bundle), "attach"))
        control, control_writer = sockets.fifo(bundle, "ctl")
        window, window_writer = sockets.fifo(bundle, "winsz")
        monitor.control.control, monitor.control.window = control, window
        monitor.control.writers = (control_writer, window_writer)
        if self.attach_pipe >= 0:
            answer(self.attach_pipe, monitor.answer_key, 0)

    # --- the runtime ---

    def _start_runtime(self) -> int:
        from podling import programs
        from podling.monitor import runtime

        given = self.options
        self.pid = os.getpid()
        self.monitor.begin()
        descriptors = {fd: fd for fd in self.inherited} | self.container_ends
        pid = programs.start(
            given.runtime or "",
            runtime.arguments(given, self.console_path),
            self.environment,
            descriptors=descriptors,
            fork=self._fork_runtime,
        )
        for fd in set(self.container_ends.values()):
            os.close(fd)
        if self.drivers.passthrough:
            _point_at_null((0, 1, 2))
        for fd in (self.start_pipe, self.attach_pipe):
            if fd >= 0:
                os.close(fd)
        return pid

    def _fork_runtime(self) -> int:
        """Fork; the child dies with the monitor, and waits until the caller has attached."""
        pid = os.fork()
        if pid == 0:
            self._prepare_runtime()
        return pid

    def _prepare_runtime(self) -> None:
        _signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            _signal.signal(number, _signal.SIG_DFL)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)  # it died before we could say so
        listen_pid = self.environment.get("LISTEN_PID")
        if listen_pid is not None:
            if not listen_pid.isdigit() or int(listen_pid) <= 0:
                raise InvalidArgument(f"Invalid LISTEN_PID {listen_pid[:10]}")
            if self.options.replace_listen_pid or int(listen_pid) == os.getppid():
                self.environment["LISTEN_PID"] = str(os.getpid())
        if self.start_pipe >= 0:
            os.read(self.start_pipe, 8192)
        write_oom_score(self.monitor.oom_score)

    def _await_runtime(self, pid: int) -> None:
        if self.console >= 0:
            self.monitor.loop.watch(self.console, READ, lambda _fd, _events: self._take_console())
        status = self.monitor.wait(pid) or 0
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and not self.options.exec:
            self._fail(self._runtime_words(), f"Failed to create container: exit status {code}")
        if self.console >= 0:
            self._take_console_now()
        if self.options.terminal and self.monitor.stdout < 0:
            self._fail("Runtime did not set up terminal", "Runtime did not set up terminal")
        try:
            with open(self.options.container_pidfile or "", encoding="ascii") as file:
                self.monitor.container_pid = int(file.read().strip() or 0)
        except (OSError, ValueError) as error:
            text = f"Failed to read pidfile: {reason(error)}"
            self._fail(self._runtime_words() or reason(error), text)

    def _take_console(self) -> None:
        from podling.linux import pty

        connection = sockets.accept(self.console)
        self.monitor.loop.forget(self.console)
        os.close(self.console)
        self.console = -1
        os.unlink(self.console_path or "")
        tty = pty.receive_descriptor(connection)
        os.close(connection)
        pty.translate_newlines(tty)
        os.set_blocking(tty, False)
        self.monitor.stdout = self.monitor.control.tty = tty
        self.monitor.control.resize_request = pty.TIOCSWINSZ
        self.monitor.clients.stdin = os.dup(tty)

    def _take_console_now(self) -> None:
        """The runtime has ended: its connection is there, or never comes."""
        os.set_blocking(self.console, False)
        try:
            self._take_console()
        except BlockingIOError:
            pass

    def _runtime_words(self) -> str:
        try:
            words = os.read(self.monitor.stderr, MESSAGE_MAX).decode("utf-8", "surrogateescape")
        except OSError:
            return ""
        if words:
            self.report.warn(f"runtime stderr: {words}")
        return words

    def _fail(self, message: str, text: str) -> None:
        if self.monitor.sync_fd >= 0:
            answer(self.monitor.sync_fd, self.monitor.answer_key, -1, message)
        for path in self.monitor.remove_at_end:
            try:
                os.unlink(path)
            except OSError:
                continue
        if self.console_path is not None and self.console >= 0:
            os.unlink(self.console_path)
        self.report.error(text)
        raise _Failed(text)

    # --- the container ---

    def _tell_pid(self) -> None:
        given, monitor = self.options, self.monitor
        if monitor.sync_fd >= 0 and (given.api_version or not given.exec):
            answer(monitor.sync_fd, monitor.answer_key, monitor.container_pid)

    def _warm_up(self, verb: str) -> None:
        """Import what comes next, while the caller is busy on another core: with "delete" the exit command too."""
        from podling import programs

        programs.warm(self.options.runtime or "", verb)
        if verb == "delete" and self.options.exit_command and not self.options.exec:
            programs.warm(self.options.exit_command, "container cleanup")

    def _stay(self, arguments: list[str]) -> int:
        from podling.monitor.oomwatch import open_watch

        monitor = self.monitor
        monitor.oom.directories = [path for path in (monitor.persist_directory, _absolute(self.options.bundle)) if path]
        try:
            monitor.oom.__dict__.update(open_watch(monitor.container_pid))
        except OSError as error:
            self.report.warn(f"cannot watch for the memory running out: {reason(error)}")
        if self.options.timeout_seconds > 0:
            monitor.time_limit = time.monotonic() + self.options.timeout_seconds
        monitor.serve()
        self._warm_up("delete")
        status = monitor.wait(monitor.container_pid, time.monotonic() + SECONDS_BEFORE_SHRINKING)
        if status is None and not monitor.timed_out:
            from podling.monitor.shrink import shrink

            shrink(monitor, arguments)
            status = monitor.wait(monitor.container_pid)
        return monitor.finish(status)

    def _run_exit_command(self) -> int:
        command = self.options.exit_command
        if command is None:
            return 0
        from podling import programs

        time.sleep(self.options.exit_delay_seconds)
        pid = programs.start(
            command,
            self.options.exit_arguments,
            self.environment,
            descriptors={},
            fork=self._fork_exit_command,
        )
        return wait_for(pid)

    def _fork_exit_command(self) -> int:
        pid = os.fork()
        if pid == 0:
            write_oom_score(self.monitor.oom_score)
        return pid


def _point_at_null(numbers: tuple[int, ...]) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in numbers:
        os.dup2(null, number)
    if null not in numbers:
        os.close(null)


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path else None


def _check_program(path: str) -> None:
    from podling import programs

    if programs.ours(path) is None and not os.access(path, os.X_OK):
        raise Unavailable(f"Runtime path {path} is not valid No such file or directory")
