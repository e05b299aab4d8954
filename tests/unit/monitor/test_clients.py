"""Attach clients and standard input, over real sockets and pipes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from podling.monitor import clients as module
from podling.monitor.clients import QUEUE_MAX, Clients
from podling.monitor.loop import Loop
from podling.monitor.report import ERROR, Report


class Stage:
    """A container's stdin, and an attach socket."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.loop.deadlines["never"] = 0.0  # a turn takes what is there and does not wait
        self.stdin, there = os.pipe()
        os.set_blocking(there, False)
        os.set_blocking(self.stdin, False)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind("")
        self.listener.listen()
        self.listener.setblocking(False)
        self.clients = Clients(
            self.loop, Report(level=ERROR), listener=os.dup(self.listener.fileno()), stdin=there, end_stdin=True
        )
        self.clients.watch()
        self.opened: list[socket.socket] = []

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(self.listener.getsockname())
        client.setblocking(False)
        self.opened.append(client)
        self.turn()
        return client

    def turn(self, times: int = 4) -> None:
        for _ in range(times):
            self.loop.turn()

    def input(self) -> bytes | None:
        """Return what the container could read now; None where nothing is there."""
        try:
            return os.read(self.stdin, 1 << 20)
        except BlockingIOError:
            return None

    def count(self) -> int:
        return len(self.clients.handover()["clients"])

    def close(self) -> None:
        for client in (*self.opened, self.listener):
            client.close()
        self.clients.close()
        if self.clients.stdin >= 0:
            os.close(self.clients.stdin)
        os.close(self.stdin)
        self.loop.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def received(client: socket.socket) -> list[bytes]:
    packets = []
    try:
        while packet := client.recv(99999):
            packets.append(packet)
    except BlockingIOError:
        pass
    return packets


def test_everyone_gets_everything(stage: Stage) -> None:
    one, two = stage.connect(), stage.connect()
    stage.clients.distribute(2, [b"out", b"more"])
    stage.clients.distribute(3, [b"err"])
    assert received(one) == received(two) == [b"\2out", b"\2more", b"\3err"]


def test_a_slow_client_holds_up_nobody_until_it_is_far_behind(stage: Stage) -> None:
    slow, fast = stage.connect(), stage.connect()
    sent, got = 0, 0
    while sent == 0 or not stage.clients.clogged:
        stage.clients.distribute(2, [b"x" * 8192])
        sent += 1
        got += len(received(fast))
    assert sent * 8193 > QUEUE_MAX
    assert got == sent
    assert "stall" in stage.loop.deadlines
    late = 0
    while late < sent:
        packets = received(slow)
        assert set(packets) <= {b"\2" + b"x" * 8192}
        late += len(packets)
        stage.turn(1)
    assert (stage.clients.clogged, stage.count()) == (False, 2)


def test_a_client_that_takes_nothing_is_let_go(stage: Stage) -> None:
    stopped = stage.connect()
    while not stage.clients.clogged:
        stage.clients.distribute(2, [b"x" * 8192])
    stage.clients.drop_stalled()
    assert (stage.clients.clogged, stage.count()) == (False, 0)
    assert len(received(stopped)) > 0


def test_a_vanished_client_is_forgotten(stage: Stage) -> None:
    one, two = stage.connect(), stage.connect()
    one.close()
    stage.turn()
    assert stage.count() == 1
    stage.clients.distribute(2, [b"out"])
    assert received(two) == [b"\2out"]


def test_one_that_only_stops_sending_still_receives(stage: Stage) -> None:
    client = stage.connect()
    client.shutdown(socket.SHUT_WR)
    stage.turn()
    assert stage.input() == b""  # the container's stdin has ended
    stage.clients.distribute(2, [b"out"])
    assert received(client) == [b"\2out"]
    client.close()
    stage.turn()
    assert stage.count() == 0


def test_input_waits_for_the_container(stage: Stage) -> None:
    client = stage.connect()
    sent = b""
    number = 0
    try:
        while True:
            block = b"%07d\n" % number * 512
            client.send(block)
            sent += block
            number += 1
            stage.turn(1)
    except BlockingIOError:
        pass
    client.close()
    got = b""
    for _ in range(10_000):
        block = stage.input() or b""
        got += block
        stage.turn(1)
        if not block and stage.clients.stdin < 0:
            break
    assert got == sent
    assert len(sent) > 65536
    assert stage.count() == 0


def test_what_nobody_reads_is_dropped(stage: Stage) -> None:
    client = stage.connect()
    reader, stage.stdin = stage.stdin, os.dup(stage.stdin)
    os.close(reader)
    os.close(stage.stdin)
    client.send(b"too late")
    stage.turn()
    assert stage.clients.stdin == -1
    client.send(b"later still")
    stage.turn()
    stage.clients.distribute(2, [b"out"])
    assert received(client) == [b"\2out"]
    stage.stdin = os.open(os.devnull, os.O_RDONLY)


def test_stdin_can_be_left_open(stage: Stage) -> None:
    stage.clients.end_stdin = False
    first = stage.connect()
    first.send(b"one ")
    first.close()
    stage.turn()
    second = stage.connect()
    second.send(b"two")
    stage.turn()
    assert stage.input() == b"one two"
    assert stage.input() is None


def test_a_handover_keeps_queues_and_pending_input(stage: Stage) -> None:
    client = stage.connect()
    count = 0
    while not stage.clients.handover()["clients"][0][1]:
        stage.clients.distribute(2, [b"%d" % count])
        count += 1
    for _ in range(3):
        client.send(b"i" * 32768)
        stage.turn(1)
    state = stage.clients.handover()
    assert state["clients"][0][2], "input is pending"
    stage.loop.close()
    stage.loop = Loop()
    stage.loop.deadlines["never"] = 0.0
    stage.clients = module.Clients(stage.loop, Report(), **state)
    stage.clients.watch()
    packets: list[bytes] = []
    entered = 0
    for _ in range(2000):
        packets += received(client)
        entered += len(stage.input() or b"")
        stage.turn(1)
        if len(packets) == count and entered == 3 * 32768:
            break
    assert packets == [b"\2%d" % number for number in range(count)]
    assert entered == 3 * 32768


def test_the_done_are_closed_first(stage: Stage) -> None:
    slow = stage.connect()
    sent = 0
    while not any(row[1] for row in stage.clients.handover()["clients"]):
        stage.clients.distribute(2, [b"x" * 8192])
        sent += 1
    done = stage.connect()
    assert stage.clients.close_those_done() == 1
    assert done.recv(9) == b""
    got = 0
    while stage.clients.close_those_done():
        got += len(received(slow))
        stage.turn(1)
    assert got + len(received(slow)) == sent
