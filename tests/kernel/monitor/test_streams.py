"""Output to logs and attach clients, input from them; before and after the monitor's exec."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.monitor.conftest import OURS, Caller, await_true

MANY = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); done"


def packets(client: socket.socket) -> Iterator[bytes]:
    """Yield packets until the monitor closes the connection."""
    while packet := client.recv(65536):
        yield packet


def streams(client: socket.socket) -> dict[int, bytes]:
    """Return everything that comes, by stream."""
    found = {2: b"", 3: b""}
    for packet in packets(client):
        assert len(packet) <= 8193
        found[packet[0]] += packet[1:]
    return found


def hold(caller: Caller, then: str) -> None:
    """Let the container wait for `go` before it does anything."""
    os.mkfifo(caller.directory / "fifo")
    caller.command(f"read line < fifo; {then}")


def await_accepted(caller: Caller, count: int) -> None:
    """Wait until the real one has its clients: it may read the container's output first. Ours never does."""
    if caller.conmon != OURS:
        directory = Path(f"/proc/{caller.monitor}/fd")
        await_true(lambda: len([fd for fd in directory.iterdir() if "socket:" in os.readlink(fd)]) == 2 + count)


def go(caller: Caller) -> None:
    (caller.directory / "fifo").write_text("go\n")


@pytest.mark.parametrize("shrunk", [False, True])
def test_attach_and_log_have_the_same(caller: Caller, shrunk: bool) -> None:
    hold(caller, MANY + "; echo err >&2; printf end")
    caller.create()
    one, two = caller.attach(), caller.attach()
    await_accepted(caller, 2)
    if shrunk and caller.conmon == OURS:
        caller.await_shrunk()
    go(caller)
    expected = {2: "".join(f"line {number}\n" for number in range(400)).encode() + b"end", 3: b"err\n"}
    assert streams(one) == streams(two) == expected
    assert caller.exit_code() == 0
    assert sorted(caller.text()) == sorted("".join(text.decode() for text in expected.values()))
    two.close()


def test_a_client_from_before_the_exec_stays(our_caller: Caller) -> None:
    caller = our_caller
    caller.command("read first; echo got $first; read second; echo got $second; read third || echo ended")
    caller.create("-i")
    client = caller.attach()
    client.send(b"one\n")
    assert client.recv(99) == b"\2got one\n"
    caller.await_shrunk()
    client.send(b"two\n")
    assert client.recv(99) == b"\2got two\n"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(99) == b"\2ended\n"
    assert client.recv(99) == b""
    assert caller.exit_code() == 0


def test_a_line_is_not_torn_by_the_exec(our_caller: Caller) -> None:
    caller = our_caller
    caller.command("n=0; while [ $n -lt 30 ]; do printf 'half '; sleep 0.05; echo line; n=$((n+1)); done")
    caller.create()
    caller.wait()
    assert caller.text() == "half line\n" * 30


@pytest.mark.parametrize("shrunk", [False, True])
def test_input_passes_whole(caller: Caller, shrunk: bool) -> None:
    caller.command("read line < fifo; md5sum")
    os.mkfifo(caller.directory / "fifo")
    caller.create("-i")
    if shrunk and caller.conmon == OURS:
        caller.await_shrunk()
    client = caller.attach()
    await_accepted(caller, 1)
    go(caller)
    digest = hashlib.md5()
    for number in range(200):
        block = os.urandom(number * 163 % 32768 + 1)
        digest.update(block)
        client.send(block)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(999) == b"\2" + digest.hexdigest().encode() + b"  -\n"
    assert caller.exit_code() == 0


def test_without_stdin_there_is_none(caller: Caller) -> None:
    caller.command("cat; echo done")
    caller.create()
    assert caller.exit_code() == 0
    assert caller.text() == "done\n"


def test_stdin_left_open(caller: Caller) -> None:
    caller.command("cat")
    caller.create("-i", "--leave-stdin-open")
    for text in (b"one\n", b"two\n"):
        client = caller.attach()
        client.send(text)
        assert client.recv(99) == b"\2" + text
        client.close()
    assert not caller.has_ended()


def test_long_lines_are_cut_at_8192(caller: Caller) -> None:
    caller.command("head -c 20000 /dev/zero | tr '\\0' x; echo")
    caller.create()
    caller.wait()
    rows = caller.lines()
    assert "".join(text for _, _, text in rows) == "x" * 20000
    assert max(len(text) for _, _, text in rows) <= 8192
    assert [kind for _, kind, _ in rows][-1] == "F"
    assert {kind for _, kind, _ in rows[:-1]} == {"P"}


def test_a_flood_arrives_whole(caller: Caller) -> None:
    caller.command("read line < fifo; seq 1 400000; seq 1 3 >&2")
    os.mkfifo(caller.directory / "fifo")
    caller.create()
    client = caller.attach()
    await_accepted(caller, 1)
    go(caller)
    found = streams(client)
    assert found[3] == b"1\n2\n3\n"
    assert hashlib.md5(found[2]).digest() == hashlib.md5(b"".join(b"%d\n" % n for n in range(1, 400001))).digest()
    caller.wait()
    out = [text + ("\n" if kind == "F" else "") for stream, kind, text in caller.lines() if stream == "stdout"]
    assert "".join(out).encode() == found[2]


def test_a_client_that_does_not_read_delays_no_other(our_caller: Caller) -> None:
    """The real one waits in a write to it, and everybody with it."""
    caller = our_caller
    hold(caller, "seq 1 100000; echo done >&2; read line < fifo")
    caller.create()
    stopped, reading = caller.attach(), caller.attach()
    go(caller)
    seen = b""
    while not seen.endswith(b"\3done\n"):
        seen = reading.recv(65536)
    go(caller)
    stopped.close()
    reading.close()
    assert caller.exit_code() == 0


def test_a_client_that_vanishes(caller: Caller) -> None:
    hold(caller, "seq 1 100000; echo done")
    caller.create()
    client = caller.attach()
    await_accepted(caller, 1)
    go(caller)
    client.recv(65536)
    client.close()
    assert caller.exit_code() == 0
    assert caller.text().endswith("100000\ndone\n")


def test_a_full_disk_loses_lines_and_nothing_else(caller: Caller) -> None:
    hold(caller, "seq 1 1000; exit 3")
    caller.create(log="k8s-file:/dev/full")
    client = caller.attach()
    await_accepted(caller, 1)
    go(caller)
    assert streams(client)[2] == b"".join(b"%d\n" % n for n in range(1, 1001))
    assert caller.exit_code() == 3


@pytest.mark.parametrize("shrunk", [False, True])
def test_logs_begin_anew_when_told_to(caller: Caller, shrunk: bool) -> None:
    hold(caller, "echo second; read line < fifo")
    caller.create()
    if shrunk and caller.conmon == OURS:
        caller.await_shrunk()
    caller.log.unlink()
    with open(caller.bundle / "ctl", "w") as control:
        control.write("2 1 1\n")
    await_true(caller.log.exists)
    go(caller)
    await_true(lambda: "second" in caller.log.read_text())
    go(caller)
    assert caller.exit_code() == 0
    assert caller.text() == "second\n"


def test_size_max(caller: Caller) -> None:
    caller.command("seq 1000 1099")
    caller.create("--log-size-max", "1000")
    caller.wait()
    assert caller.log.stat().st_size <= 1000
    assert caller.text().endswith("1098\n1099\n")


def test_no_log(caller: Caller) -> None:
    caller.command("echo out")
    caller.create(log="none")
    assert caller.exit_code() == 0
    assert not caller.log.exists()


def test_several_logs(our_caller: Caller) -> None:
    """The journal may be missing: that is no reason to lose the file."""
    caller = our_caller
    caller.command("echo out")
    caller.create("-l", "journald", "-l", "none")
    assert caller.exit_code() == 0
    assert caller.text() == "out\n"


def test_control_files(caller: Caller) -> None:
    caller.command("exec sleep 1000")
    caller.create()
    modes = {name: (caller.bundle / name).stat().st_mode & 0o777 for name in ("attach", "ctl", "winsz")}
    assert modes == {"attach": 0o700, "ctl": 0o640, "winsz": 0o640}
    with open(caller.bundle / "ctl", "w") as control:
        for line in ("1 2", "foo", "999 2 2", "1 -1 -1", "1 2 2", "1 2 2 " + "#" * 70000):
            control.write(line + "\n")
    with open(caller.bundle / "ctl", "w") as control:
        control.write("2 1 1\n")
    caller.attach()
    assert not caller.has_ended()


def test_notifications_are_relayed(caller: Caller) -> None:
    host = caller.socket(socket.SOCK_DGRAM)
    host.bind(str(caller.directory / "host"))
    (caller.bundle / "notify").mkdir()
    caller.command("exec sleep 1000")
    caller.create("--sdnotify-socket", str(caller.directory / "host"))
    if caller.conmon == OURS:
        caller.await_shrunk()
    container = caller.socket(socket.SOCK_DGRAM)
    container.sendto(b"MAINPID=1", str(caller.bundle / "notify" / "notify.sock"))
    container.sendto(b"MAINPID=1\nREADY=1", str(caller.bundle / "notify" / "notify.sock"))
    assert host.recv(999) == b"READY=1"


def test_idle_it_never_wakes_up(our_caller: Caller) -> None:
    caller = our_caller
    caller.command("exec sleep 1000")
    caller.create()
    caller.await_shrunk()

    def switches() -> int:
        status = Path(f"/proc/{caller.monitor}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)

    await_true(lambda: Path(f"/proc/{caller.monitor}/wchan").read_text() in ("ep_poll", "do_epoll_wait", "0", ""))
    time.sleep(0.2)
    before = switches()
    time.sleep(1.0)  # the time in which nothing may happen
    assert switches() == before
