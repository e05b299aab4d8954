"""The resolver of one network: a process that answers for the names of its containers, and forwards the rest.

    container ──► GATEWAY:53 ──► podling-dns ──┬── a name in the lease files: answered here
                                               └── anything else: the --dns servers of the container, those of the
                                                   network, or the host's, one after another

It is started with the first container of a network and killed with the last (`naming.py`), in an interpreter of its
own with as few modules as can be: it is memory that stays. Its sockets are bound by whoever starts it, so that a name
can be asked for as soon as `run` has returned. One thread; an exchange over TCP, which is rare, is a forked child.
An internal network's resolver forwards nothing.
"""

from __future__ import annotations

import os
import select
import sys
import time
from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_STREAM
from _socket import socket as _socket

from podling.network import dnsmessage
from podling.network.dnsmessage import Query
from podling.network.nametable import DOMAIN, NameTable
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Address = tuple[Any, ...]

PROCESS_NAME = "podling-dns"
RESOLV_CONF = "/etc/resolv.conf"
PORT = 53
PATIENCE_SECONDS = 2.5  # per server
TCP_PATIENCE_SECONDS = 10.0
MAX_PENDING = 512
MAX_TCP_CHILDREN = 16


class Forwarded:
    """A query on its way to the servers of the world."""

    def __init__(self, query: bytes, client: Address, listener: _socket, servers: list[str]) -> None:
        self.query = query
        self.client = client
        self.listener = listener
        self.servers = servers
        self.identifier = int.from_bytes(os.urandom(2), "big")
        self.socket: _socket | None = None
        self.deadline = 0.0

    def ask_next(self) -> bool:
        """Send the query to the next server that can be reached; tell whether there was one."""
        self.close()
        while self.servers:
            server = self.servers.pop(0)
            family = AF_INET6 if ":" in server else AF_INET
            upstream = _socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)
            try:
                upstream.connect((server, PORT))
                upstream.send(dnsmessage.with_identifier(self.query, self.identifier))
            except OSError:
                upstream.close()
                continue
            self.socket = upstream
            self.deadline = time.monotonic() + PATIENCE_SECONDS
            return True
        return False

    def close(self) -> None:
        """Give up waiting."""
        if self.socket:
            self.socket.close()
            self.socket = None


class Resolver:
    """The loop over listening sockets and forwarded queries."""

    def __init__(self, table: NameTable, listeners: list[_socket], *, internal: bool, servers: list[str]) -> None:
        self._table = table
        self._internal = internal
        self._servers = servers
        self._host_servers: tuple[int, list[str]] = (0, [])
        self._udp = {sock.fileno(): sock for sock in listeners if sock.type == SOCK_DGRAM}
        self._tcp = {sock.fileno(): sock for sock in listeners if sock.type == SOCK_STREAM}
        self._pending: dict[int, Forwarded] = {}
        self._children = 0
        self._poll = select.poll()
        for fd in (*self._udp, *self._tcp):
            self._poll.register(fd, select.POLLIN)

    def run(self) -> None:
        """Answer until killed."""
        while True:
            for fd, _event in self._poll.poll(self._milliseconds_to_wait()):
                if fd in self._udp:
                    self._take_query(self._udp[fd])
                elif fd in self._tcp:
                    self._take_connection(self._tcp[fd])
                elif fd in self._pending:
                    self._take_answer(fd)
            self._retry_overdue()
            self._reap_children()

    def _milliseconds_to_wait(self) -> int | None:
        if self._children:
            return 1000
        if not self._pending:
            return None
        nearest = min(forwarded.deadline for forwarded in self._pending.values())
        return max(0, int((nearest - time.monotonic()) * 1000) + 1)

    def _take_query(self, listener: _socket) -> None:
        try:
            message, client = listener.recvfrom(4096)
        except OSError:
            return  # an ICMP error of an earlier answer
        response, servers = self.respond(message, client[0], over_tcp=False)
        if response:
            _send(listener, response, client)
        elif servers:
            if len(self._pending) < MAX_PENDING:
                self._advance(Forwarded(message, client, listener, servers))
            else:
                _send(listener, dnsmessage.failure(message, dnsmessage.SERVFAIL), client)

    def respond(self, message: bytes, client: str, *, over_tcp: bool) -> tuple[bytes, list[str]]:
        """Return the response, or b"" and the servers to ask instead; b"" and none for what deserves no answer."""
        try:
            query = Query(message)
        except ValueError:
            short = len(message) < dnsmessage.HEADER_SIZE or message[2] & 0x80
            return b"" if short else dnsmessage.failure(message, dnsmessage.FORMERR), []
        if not query.supported:
            return query.answer(dnsmessage.NOTIMP, []), []
        container_id, lease = self._table.requester(client)
        records = self._local(query, container_id)
        if records is not None:
            return query.answer(dnsmessage.NOERROR, records, over_tcp=over_tcp), []
        if self._internal or query.name.endswith(f".{DOMAIN}"):
            return query.answer(dnsmessage.NXDOMAIN, []), []
        servers = lease.get("dns_servers") or self._servers or self._servers_of_host()
        if not servers:
            return query.answer(dnsmessage.SERVFAIL, []), []
        return b"", list(servers)

    def _local(self, query: Query, container_id: str) -> list[tuple[int, bytes]] | None:
        """Return the records for a name that is ours, which may be none of the type asked for; None for another's."""
        address = dnsmessage.reversed_address(query.name)
        if address is not None:
            names = self._table.names_of(address, container_id)
            if not names:
                return None
            return [(dnsmessage.TYPE_PTR, dnsmessage.write_name(name)) for name in names]
        found = self._table.find(query.name, container_id)
        if not found:
            return None
        sizes = {dnsmessage.TYPE_A: 4, dnsmessage.TYPE_AAAA: 16}
        return [(query.kind, item) for item in found if len(item) == sizes.get(query.kind)]

    def _servers_of_host(self) -> list[str]:
        try:
            changed = os.stat(RESOLV_CONF).st_mtime_ns
            if changed != self._host_servers[0]:
                with open(RESOLV_CONF, encoding="utf-8", errors="replace") as file:
                    rows = [row.split() for row in file]
                servers = [row[1].partition("%")[0] for row in rows if len(row) > 1 and row[0] == "nameserver"]
                self._host_servers = (changed, servers)
        except OSError:
            return []
        return self._host_servers[1]

    def _advance(self, forwarded: Forwarded) -> None:
        if forwarded.ask_next() and forwarded.socket:
            fd = forwarded.socket.fileno()
            self._pending[fd] = forwarded
            self._poll.register(fd, select.POLLIN)
        else:
            failure = dnsmessage.failure(forwarded.query, dnsmessage.SERVFAIL)
            _send(forwarded.listener, failure, forwarded.client)

    def _take_answer(self, fd: int) -> None:
        forwarded = self._pending[fd]
        try:
            answer = forwarded.socket.recv(65535) if forwarded.socket else b""
        except OSError:
            self._forget(fd)
            self._advance(forwarded)  # nobody listens there
            return
        if dnsmessage.is_response_to(answer, forwarded.identifier):
            self._forget(fd)
            forwarded.close()
            identifier = int.from_bytes(forwarded.query[:2], "big")
            _send(forwarded.listener, dnsmessage.with_identifier(answer, identifier), forwarded.client)

    def _forget(self, fd: int) -> None:
        del self._pending[fd]
        self._poll.unregister(fd)

    def _retry_overdue(self) -> None:
        now = time.monotonic()
        for fd, forwarded in list(self._pending.items()):
            if forwarded.deadline <= now:
                self._forget(fd)
                self._advance(forwarded)

    def _take_connection(self, listener: _socket) -> None:
        try:
            fd, client = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        if self._children >= MAX_TCP_CHILDREN or os.fork():
            self._children += self._children < MAX_TCP_CHILDREN
            os.close(fd)
            return
        try:
            os.closerange(3, fd)
            os.closerange(fd + 1, fd + 4096)
            self._serve_tcp(_socket(fileno=fd), client[0])
        finally:
            os._exit(0)

    def _serve_tcp(self, connection: _socket, client: str) -> None:
        connection.settimeout(TCP_PATIENCE_SECONDS)
        while message := _receive_framed(connection):
            response, servers = self.respond(message, client, over_tcp=True)
            if not response:
                response = _ask_over_tcp(message, servers)
            connection.sendall(len(response).to_bytes(2, "big") + response)

    def _reap_children(self) -> None:
        while self._children:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = 0
                return
            if not pid:
                return
            self._children -= 1


def _send(listener: _socket, message: bytes, client: Address) -> None:
    try:
        listener.sendto(message, client)
    except OSError:
        pass  # the container has gone


def _ask_over_tcp(message: bytes, servers: list[str]) -> bytes:
    for server in servers:
        upstream = _socket(AF_INET6 if ":" in server else AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
        upstream.settimeout(PATIENCE_SECONDS)
        try:
            upstream.connect((server, PORT))
            upstream.sendall(len(message).to_bytes(2, "big") + message)
            answer = _receive_framed(upstream)
        except OSError:
            continue
        finally:
            upstream.close()
        if answer:
            return answer
    return dnsmessage.failure(message, dnsmessage.SERVFAIL)


def _receive_framed(connection: _socket) -> bytes:
    """Return one message with its length before it; b"" at the end."""
    length = _receive(connection, 2)
    return _receive(connection, int.from_bytes(length, "big")) if len(length) == 2 else b""


def _receive(connection: _socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


def main() -> None:
    """Run as a process: RUN_DIR NETWORK FIRST_FD COUNT OPTIONS, the sockets at those descriptors."""
    run_dir, network_name, first, count, options = sys.argv[1:6]
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write(PROCESS_NAME)
    listeners = [_socket(fileno=fd) for fd in range(int(first), int(first) + int(count))]
    chosen = jsontext.loads(options)
    table = NameTable(run_dir, network_name)
    Resolver(table, listeners, internal=chosen["internal"], servers=chosen["servers"]).run()
