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
_PROCESS_NAME = "podling-dns"
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
        _spawn(networks, network, lock, sockets)
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


def _spawn(networks: NetworkStore, network: Network, lock: Lock, sockets: list[_socket]) -> None:
    """Start the resolver with the lock and the sockets; its pid is written into the lock's file."""
    from podling.network import background

    os.ftruncate(lock.fd, 0)
    descriptors = [lock.fd, *(listener.fileno() for listener in sockets)]
    if not background.fork_detached(_PROCESS_NAME, descriptors, record=lock.fd):
        return
    try:
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        options = jsontext.dumps({"internal": network.internal, "servers": network.network_dns_servers})
        numbers = [str(background.FIRST_DESCRIPTOR + 1), str(len(sockets))]
        interpreter = [sys.executable, "-I", "-S", "-c", _CODE, package]
        os.execve(sys.executable, [*interpreter, networks.run_dir, network.name, *numbers, options], {})
    finally:
        os._exit(127)


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
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)
