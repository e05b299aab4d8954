"""Containers without engines: a network namespace each, in which test code runs in a forked child."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podling.linux import syscalls
from podling.network import attachment, collector, firewall, namespaces
from podling.network.attachment import AttachmentRequest
from podling.network.networks import Network, NetworkStore


class Container:
    """A namespace that is connected to networks as a container's would be."""

    def __init__(self, lab: Lab, name: str, number: int) -> None:
        self.lab = lab
        self.name = name
        self.id = f"{number:08x}" + os.urandom(28).hex()
        self.path = str(lab.directory / f"ns-{name}")
        self.status: dict[str, dict[str, Any]] = {}
        namespaces.create(self.path)

    def connect(self, *networks: str, **options: Any) -> dict[str, dict[str, Any]]:
        """Set the container up on networks; options are those of one network, or ports, hostname, dns_servers."""
        common = {key: options.pop(key) for key in ("ports", "hostname", "dns_servers") if key in options}
        request = AttachmentRequest(
            container_id=self.id,
            container_name=self.name,
            namespace_path=self.path,
            networks=dict.fromkeys(networks or ("podman",), options),
            **common,
        )
        self.status = attachment.set_up(self.lab.networks, request)
        return self.status

    def addresses(self, network: str = "podman") -> list[str]:
        """Return the container's addresses on a network."""
        return [
            subnet["ipnet"].partition("/")[0]
            for interface in self.status[network]["interfaces"].values()
            for subnet in interface["subnets"]
        ]

    @property
    def address(self) -> str:
        """Return the container's first address."""
        return self.addresses(next(iter(self.status)))[0]

    def disconnect(self) -> None:
        """Tear down what the container has, and let its namespace go, as the engine does."""
        attachment.tear_down(self.lab.networks, self.id, background=False)
        namespaces.remove(self.path)

    def run(self, act: Callable[[], Any]) -> Any:
        """Run a function inside and return its result."""
        return run_inside(self.path, act)

    def serve(self, port: int, *, kind: int = socket.SOCK_STREAM, address: str = "0.0.0.0") -> None:
        """Answer on a port with the peer's address, until the test ends."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        descriptor = os.open(self.path, os.O_RDONLY)
        with namespaces.Visit(descriptor):
            listener = socket.socket(family, kind)
        os.close(descriptor)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        self.lab.answer(listener, self.name)


class Lab:
    """A NetworkStore of its own, with containers on its networks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.networks = NetworkStore(
            str(directory / "config"), str(directory / "run" / "networks"), "podman", "10.86.0.0/16"
        )
        self._containers: list[Container] = []
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def network(self, name: str, **fields: Any) -> Network:
        """Create a network."""
        return self.networks.create(Network(name=name, **{"dns_enabled": True, **fields}))

    def container(self, name: str) -> Container:
        """Return a container that is on no network yet."""
        container = Container(self, name, len(self._containers) + 1)
        self._containers.append(container)
        return container

    def answer(self, listener: socket.socket, name: str) -> None:
        """Serve a socket in a thread: NAME and who asked."""
        if listener.type == socket.SOCK_STREAM:
            listener.listen()
        self._listeners.append(listener)
        thread = threading.Thread(target=_answer, args=(listener, name))
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Take everything down."""
        for listener in self._listeners:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # a UDP socket is woken by it all the same
        for thread in self._threads:
            thread.join()
        for listener in self._listeners:
            listener.close()
        for container in self._containers:
            container.disconnect()
        collector.collect(self.networks)


def _answer(listener: socket.socket, name: str) -> None:
    while True:
        try:
            if listener.type == socket.SOCK_STREAM:
                connection, peer = listener.accept()
                with connection:
                    connection.sendall(f"{name} {peer[0]}".encode())
            else:
                message, peer = listener.recvfrom(100)
                if not peer:
                    return
                listener.sendto(f"{name} {peer[0]} {message.decode()}".encode(), peer)
        except OSError:
            return


def run_inside(path: str, act: Callable[[], Any]) -> Any:
    """Run a function in a namespace, in a forked child, and return its result or raise what it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            descriptor = os.open(path, os.O_RDONLY)
            syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
            result = (True, act())
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            result = (False, error)
        with open(writer, "wb") as stream:
            pickle.dump(result, stream)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        worked, result = pickle.load(stream)
    os.waitpid(pid, 0)
    if not worked:
        raise result
    return result


def ask(address: str, port: int, *, kind: int = socket.SOCK_STREAM, timeout: float = 2.0) -> str:
    """Return what a server of the lab says."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as client:
        client.settimeout(timeout)
        client.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            client.send(b"hello")
        return client.recv(100).decode()


@pytest.fixture(scope="session", autouse=True)
def table() -> None:
    """Write the firewall's table, which stays when it has been written once."""
    firewall.write_table()


@pytest.fixture
def lab(tmp_path: Path, nothing_left: None) -> Iterator[Lab]:
    """Return a lab, closed with the test."""
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture
def world_outside(nothing_left: None, tmp_path: Path) -> Iterator[str]:
    """Return the path of a namespace that is the world behind the host: 198.51.100.2, with the host at .1."""
    path = str(tmp_path / "outside")
    namespaces.create(path)

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def inside(*arguments: str) -> None:
        subprocess.run(["nsenter", f"--net={path}", "ip", *arguments], check=True)

    pid = os.fork()
    if not pid:
        descriptor = os.open(path, os.O_RDONLY)
        syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
        subprocess.run(
            ["ip", "link", "add", "up0", "type", "veth", "peer", "name", "uplink", "netns", str(os.getppid())]
        )
        os._exit(0)
    os.waitpid(pid, 0)
    inside("address", "add", "198.51.100.2/24", "dev", "up0")
    inside("address", "add", "2001:db8::2/64", "dev", "up0", "nodad")
    inside("link", "set", "up0", "up")
    ip("address", "add", "198.51.100.1/24", "dev", "uplink")
    ip("address", "add", "2001:db8::1/64", "dev", "uplink", "nodad")
    ip("link", "set", "uplink", "up")
    try:
        yield path
    finally:
        ip("link", "delete", "uplink")
        namespaces.remove(path)
