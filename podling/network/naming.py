"""Starting and stopping a network's resolver.

    RUN_DIR/resolvers/NAME      a lock that the resolver holds while it lives; its content: "pid started"

Both happen under the network's lock.
"""

from __future__ import annotations

import _signal
import os
import select
import sys
from _socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET
from _socket import socket as _socket

from podling.errors import Unavailable
from podling.linux import files, processes
from podling.linux.locks import Lock
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.network.networks import Network, NetworkStore

PORT = 53
_BACKLOG = 16
_LOCK_FD = 3
_FIRST_SOCKET_FD = 4
_END_PATIENCE_MILLISECONDS = 5000
_CODE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from podling.network.resolver import main; main()"


def is_wanted(network: Network) -> bool:
    """Tell whether a network has a resolver while it has containers."""
    return network.dns_enabled and bool(network.gateways())


def ensure(networks: NetworkStore, network: Network) -> bool:
    """Start the network's resolver unless it runs; tell whether it was started. The bridge is up."""
    lock = Lock(_file(networks, network.name))
    if not lock.try_acquire():
        return False
    sockets: list[_socket] = []
    try:
        for gateway in network.gateways():
            sockets += [_listen(gateway, kind) for kind in (SOCK_DGRAM, SOCK_STREAM)]
        pid = _spawn(networks, network, [lock.fd, *(listener.fileno() for listener in sockets)])
        os.ftruncate(lock.fd, 0)
        files.write_all(lock.fd, f"{pid} {processes.start_time(pid)}\n".encode())
    finally:
        for listener in sockets:
            listener.close()
        lock.release()
    return True


def is_running(networks: NetworkStore, network_name: str) -> bool:
    """Tell whether a network's resolver runs."""
    process = _process(networks, network_name)
    return process is not None and processes.is_alive(*process)


def stop(networks: NetworkStore, network_name: str) -> None:
    """End a network's resolver and wait until it has ended; none is fine."""
    process = _process(networks, network_name)
    if process:
        _end(*process)
    files.unlink_if_there(_file(networks, network_name))


def _file(networks: NetworkStore, network_name: str) -> str:
    return f"{networks.run_dir}/resolvers/{network_name}"


def _process(networks: NetworkStore, network_name: str) -> tuple[int, int] | None:
    """Return the pid and start time of the resolver that was started last."""
    try:
        text = processes.read_small(_file(networks, network_name))
    except FileNotFoundError:
        return None
    if text:
        pid, started = text.split()
        return int(pid), int(started)
    return _unrecorded(networks, network_name)


def _unrecorded(networks: NetworkStore, network_name: str) -> tuple[int, int] | None:
    """Return a resolver whose starter was killed before it could write the pid down, found by its arguments."""
    mine = f"\0{networks.run_dir}\0{network_name}\0"
    for name in os.listdir("/proc"):
        try:
            arguments = processes.read_small(f"/proc/{name}/cmdline") if name.isdigit() else ""
            if mine in arguments and "podling.network.resolver" in arguments:
                return int(name), processes.start_time(int(name))
        except OSError:
            continue  # it has ended
    return None


def _listen(gateway: str, kind: int) -> _socket:
    listener = _socket(AF_INET6 if ":" in gateway else AF_INET, kind | SOCK_CLOEXEC, 0)
    try:
        if kind == SOCK_STREAM:
            listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind((gateway, PORT))
        if kind == SOCK_STREAM:
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {gateway} port {PORT} for the network's names") from error
    return listener


def _spawn(networks: NetworkStore, network: Network, descriptors: list[int]) -> int:
    import fcntl

    count = len(descriptors)
    beyond = _LOCK_FD + count
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, beyond) for fd in descriptors]
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, standard) for standard in (0, 1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, fd, _LOCK_FD + number) for number, fd in enumerate(lifted)]
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    options = jsontext.dumps({"internal": network.internal, "servers": network.network_dns_servers})
    sockets = [str(_FIRST_SOCKET_FD), str(count - 1)]
    arguments = ["-I", "-S", "-c", _CODE, package, networks.run_dir, network.name, *sockets, options]
    try:
        everything = range(1, _signal.NSIG)
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            {},
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[number for number in everything if number not in (_signal.SIGKILL, _signal.SIGSTOP, 32, 33)],
        )
    finally:
        for fd in (*lifted, null):
            os.close(fd)


def _end(pid: int, started: int) -> None:
    """Kill the process that had this pid and start time, and wait for its end."""
    from podling.linux import syscalls

    try:
        pidfd = syscalls.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if processes.is_alive(pid, started):
            syscalls.pidfd_send_signal(pidfd, _signal.SIGKILL)
            end = select.poll()
            end.register(pidfd, select.POLLIN)
            end.poll(_END_PATIENCE_MILLISECONDS)
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)  # in case it was started by this very process
    except (ProcessLookupError, ChildProcessError):
        pass
    finally:
        os.close(pidfd)
