"""Running one more process in a running container, under a monitor of its own that survives this command.

    bundle/exec/SESSION/    process.json  attach  ctl  winsz  exec_pid  exit/  oci-log

The order differs from create's: the monitor says on the attach pipe that its sockets stand, waits for a second start
byte, and sends two messages on the sync pipe, the process's pid and its exit status.
"""

from __future__ import annotations

import os

from podling.engine import attach, chain, database, paths, recover, start
from podling.engine.container import Status
from podling.errors import InvalidArgument, Unsupported, WrongState
from podling.linux import files, processes
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import Container
    from podling.engine.options import AttachStreams, ExecOptions, Settings


def execute(settings: Settings, container: Container, options: ExecOptions, streams: AttachStreams) -> int:
    """Run a process attached and return its exit code, 0 where the user detached."""
    session, monitor = _launch(settings, container, options)
    home = paths.exec_bundle(settings, container.id, session)
    try:
        try:
            monitor.receive(monitor.attach)
            client = attach.Session(
                attach.connect(home),
                home,
                streams.with_changes(stdin=streams.stdin and options.interactive),
                tty=options.tty,
                detach_keys=attach.detach_sequence(_detach_keys(settings, options)),
            )
            client.resize()
            monitor.release()
            pid = int(_answer(settings, home, monitor)["data"])
        except BaseException:
            _discard(home)
            raise
        attached = client.run()
        return _exit_code(settings, home, monitor) if attached and pid else 0
    finally:
        monitor.close()


def execute_detached(settings: Settings, container: Container, options: ExecOptions) -> str:
    """Start a process and return its session's ID; it goes on without us."""
    session, monitor = _launch(settings, container, options)
    home = paths.exec_bundle(settings, container.id, session)
    try:
        monitor.receive(monitor.attach)
        monitor.release()
        _answer(settings, home, monitor)
    except BaseException:
        _discard(home)
        raise
    finally:
        monitor.close()
    return session


def _discard(home: str) -> None:
    """Remove the directory of a session that did not come about; its monitor, if it lives, is doing the same."""
    try:
        files.remove_tree(home)
    except OSError:
        pass  # the monitor was faster; what is left goes with the container


def _launch(settings: Settings, container: Container, options: ExecOptions) -> tuple[str, chain.Monitor]:
    recover.recover(settings)
    if not options.command:
        raise InvalidArgument("must provide a non-empty command to start an exec session: invalid argument")
    if options.preserve_fd:
        raise Unsupported("--preserve-fd is not supported yet: --preserve-fds passes 3 to N+2")
    container = _running(settings, container)
    session = os.urandom(32).hex()
    home = paths.exec_bundle(settings, container.id, session)
    os.makedirs(home, mode=0o700)
    monitor: chain.Monitor | None = None
    try:
        monitor = chain.launch(
            settings,
            _arguments(settings, container, session, options),
            extra_descriptors={number: number for number in range(3, 3 + options.preserve_fds)},
            preserved=options.preserve_fds,
            with_attach_pipe=True,
            fork=start.monitor_fork(settings, container, first=False),
            working_directory=home,
        )
        process = _process(settings, container, options)  # the monitor imports what it needs meanwhile
        files.write_atomically(f"{home}/process.json", jsontext.dumps(process), mode=0o600, durable=False)
        monitor.release()
        monitor.wait_for_fork()
    except BaseException:
        if monitor is not None:
            monitor.abandon()
        files.remove_tree(home)
        raise
    return session, monitor


def _running(settings: Settings, container: Container) -> Container:
    with database.read(settings) as db:
        container = db.container(container.id)
    state = container.state
    if state.status != Status.RUNNING or not processes.is_alive(state.pid, state.pid_started):
        raise WrongState("can only create exec sessions on running containers: container state improper")
    return container


def _arguments(settings: Settings, container: Container, session: str, options: ExecOptions) -> list[str]:
    arguments = [*chain.common_arguments(settings, container, session), "-l", "none"]
    if options.preserve_fds:
        arguments += ["--runtime-opt", "--preserve-fds", "--runtime-opt", str(options.preserve_fds)]
    if options.tty:
        arguments.append("-t")
    if options.interactive:
        arguments.append("-i")
    home = paths.exec_bundle(settings, container.id, session)
    arguments += ["-e", "--exec-attach", "--exec-process-spec", f"{home}/process.json"]
    return arguments + chain.exit_command(settings, "container", "cleanup", "--exec", session, container.id)


def _process(settings: Settings, container: Container, options: ExecOptions) -> dict[str, Any]:
    """Return the runtime specification's `process`: the container's own, with what the user changed."""
    from podling.engine import environment

    specification = jsontext.loads(read_small_file(f"{paths.bundle(settings, container.id)}/config.json"))
    process: dict[str, Any] = specification["process"]
    process["args"] = list(options.command)
    process["terminal"] = options.tty
    process.pop("consoleSize", None)
    if options.workdir is not None:
        process["cwd"] = options.workdir
    variables = environment.parse(process.get("env", []), {})
    if options.tty:
        variables.setdefault("TERM", "xterm")
    for path in options.env_file:
        variables.update(environment.read_file(path, dict(os.environ)))
    variables.update(environment.parse(options.env, dict(os.environ)))
    process["env"] = [f"{name}={value}" for name, value in variables.items()]
    if options.user is not None:
        _change_user(container, process, options.user)
    if options.privileged:
        _give_everything(process)
    return process


def read_small_file(path: str) -> str:
    """Return a file of any size as text."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _change_user(container: Container, process: dict[str, Any], user: str) -> None:
    from podling.engine.users import Accounts

    account = Accounts(f"/proc/{container.state.pid}/root").find(user)
    before = process["user"]
    process["user"] = {"uid": account.uid, "gid": account.gid, "umask": before.get("umask", 0o022)}
    groups = sorted({*account.supplementary, *(before.get("additionalGids") or [])} - {account.gid})
    if account.supplementary:
        groups = sorted(set(account.supplementary))
    process["user"]["additionalGids"] = groups
    process["env"] = [entry for entry in process["env"] if not entry.startswith("HOME=")] + [f"HOME={account.home}"]
    capabilities = process.get("capabilities") or {}
    if account.uid:
        for kind in ("effective", "permitted", "ambient", "inheritable"):
            capabilities[kind] = []
    else:
        capabilities["effective"] = capabilities["permitted"] = list(capabilities.get("bounding") or [])


def _give_everything(process: dict[str, Any]) -> None:
    from podling.linux import capabilities

    everything = sorted(capabilities.BY_NAME)
    process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), everything)
    process["noNewPrivileges"] = False


def _detach_keys(settings: Settings, options: ExecOptions) -> str:
    if options.detach_keys is not None:
        return options.detach_keys
    return str(settings.engine.get("detach_keys", attach.DEFAULT_DETACH_KEYS))


def _answer(settings: Settings, home: str, monitor: chain.Monitor) -> dict[str, Any]:
    message = monitor.receive(monitor.sync)
    if message["data"] < 0:
        failure = chain.runtime_failure(settings, home, str(message.get("message", "")))
        raise failure
    return message


def _exit_code(settings: Settings, home: str, monitor: chain.Monitor) -> int:
    message = monitor.receive(monitor.sync)
    if message["data"] < 0:
        raise chain.runtime_failure(settings, home, str(message.get("message", "")))
    return int(message["data"])


def exec_sessions(settings: Settings, container_id: str) -> list[str]:
    """Return the IDs of a container's exec sessions."""
    try:
        return sorted(os.listdir(f"{paths.bundle(settings, container_id)}/exec"))
    except FileNotFoundError:
        return []
