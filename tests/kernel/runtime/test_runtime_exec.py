"""Further processes in a running container, and terminals."""

from __future__ import annotations

import array
import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Bundle, Runtime


@pytest.fixture
def running(runtime: Runtime, bundle: Bundle) -> Iterator[str]:
    """Return a running container."""
    bundle.process["args"] = ["sleep", "1000"]
    container = runtime.create(bundle)
    runtime("start", container)
    yield container


def test_it_is_in_all_namespaces_and_the_cgroup(runtime: Runtime, running: str) -> None:
    pid = runtime.state(running)["pid"]
    script = "for kind in pid net ipc uts mnt; do readlink /proc/self/ns/$kind; done; cat /proc/self/cgroup"
    lines = runtime("exec", running, "sh", "-c", script).stdout.splitlines()
    assert lines[:5] == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "net", "ipc", "uts", "mnt")]
    assert lines[5:] == Path(f"/proc/{pid}/cgroup").read_text().splitlines()


def test_flags(runtime: Runtime, running: str) -> None:
    script = "id -u; id -g; id -G; pwd; echo $NEW; grep CapInh /proc/self/status; exit 4"
    flags = ["--user", "5:6", "-g", "7", "-e", "NEW=b c", "--cwd", "/tmp", "--cap", "CAP_SYS_PTRACE"]
    done = runtime("exec", *flags, running, "sh", "-c", script, ok=False)
    assert done.returncode == 4
    assert done.stdout.splitlines() == ["5", "6", "6 7", "/tmp", "b c", f"CapInh:\t{0:016x}"]


@pytest.mark.parametrize("user", ["1x", ":5", "root", "4294967295", "1:2:3", "-1", ""])
def test_users_that_are_none(runtime: Runtime, running: str, user: str) -> None:
    assert "is not a user ID" in runtime("exec", "--user", user, running, "id", ok=False).stderr


def test_a_process_from_a_file(runtime: Runtime, running: str, tmp_path: Path) -> None:
    process = {"args": ["sh", "-c", "echo $A; id -u"], "cwd": "/", "env": ["A=1", "PATH=/bin"], "user": {"uid": 3}}
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = runtime("exec", "--process", str(tmp_path / "process.json"), running)
    assert done.stdout == "1\n3\n"


def test_a_detached_one_has_a_pid_file(runtime: Runtime, running: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    flags = ["--detach", "--pid-file", str(pid_file)]
    runtime("exec", *flags, running, "sh", "-c", "exit 6")
    assert runtime.wait(int(pid_file.read_text())) == 6
    pid_file.unlink()
    done = runtime("exec", *flags, running, "nosuch", ok=False)
    assert done.stderr == 'exec: "nosuch": executable file not found in $PATH\n' and not pid_file.exists()


def test_only_in_a_running_one(runtime: Runtime, running: str) -> None:
    runtime("kill", running, "9")
    os.wait()
    assert "container not running" in runtime("exec", running, "true", ok=False).stderr


def receive_terminal(listener: socket.socket) -> int:
    connection, _address = listener.accept()
    with connection:
        descriptors = array.array("i")
        data, rights, _flags, _from = connection.recvmsg(100, socket.CMSG_LEN(4))
        assert data and len(rights) == 1
        descriptors.frombytes(rights[0][2])
    return descriptors[0]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a console socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "console"))
        made.listen()
        made.settimeout(20.0)
        yield made


def read_until(fd: int, wanted: bytes) -> bytes:
    text = b""
    while wanted not in text:
        assert select.select([fd], [], [], 20.0)[0], text
        text += os.read(fd, 1000)
    return text


def test_a_terminal_over_the_console_socket(
    runtime: Runtime, bundle: Bundle, listener: socket.socket, tmp_path: Path
) -> None:
    bundle.process.update(terminal=True, consoleSize={"height": 33, "width": 77})
    bundle.process["args"] = ["sh", "-c", "tty; stty size; stat -c %t /dev/console; cat"]
    container = runtime.create(bundle, "--console-socket", str(tmp_path / "console"))
    master = receive_terminal(listener)
    runtime("start", container)
    pid = runtime.state(container)["pid"]
    assert read_until(master, b"88\r\n").split() == [b"/dev/pts/0", b"33", b"77", b"88"]
    os.write(master, b"typed\n\x04")
    assert read_until(master, b"typed\r\ntyped")
    assert runtime.wait(pid) == 0
    os.close(master)


def test_a_terminal_for_an_exec(runtime: Runtime, running: str, listener: socket.socket, tmp_path: Path) -> None:
    flags = ["-t", "-d", "--console-socket", str(tmp_path / "console"), "--pid-file", str(tmp_path / "pid")]
    runtime("exec", *flags, running, "sh", "-c", "tty; cat")
    master = receive_terminal(listener)
    assert read_until(master, b"\n") == b"/dev/pts/0\r\n"
    os.write(master, b"typed\n")
    read_until(master, b"typed\r\ntyped")  # cat runs: before that a shell may keep the interrupt to itself
    os.write(master, b"\x03")  # the interrupt character reaches the foreground process group
    assert runtime.wait(int((tmp_path / "pid").read_text())) in (-2, 130)
    os.close(master)


def test_a_terminal_in_the_foreground(runtime: Runtime, running: str) -> None:
    assert runtime("exec", "-t", running, "sh", "-c", "tty; exit 0").stdout == "/dev/pts/0\n"


def test_terminal_and_console_socket_go_together(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    words = ["create", "--bundle", str(bundle.write())]
    assert "--console-socket" in runtime(*words, runtime.id(), ok=False).stderr
    bundle.process["terminal"] = False
    assert "no terminal" in runtime(*words[:2], str(bundle.write()), "--console-socket=x", "y", ok=False).stderr
