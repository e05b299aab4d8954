"""Real containers by real runc: terminals, memory running out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.monitor.conftest import OURS, RUNC, Caller, await_true


@pytest.fixture
def container(conmon: str, tmp_path: Path) -> Iterator[Caller]:
    caller = Caller(conmon, tmp_path, RUNC)
    yield caller
    caller.close()


def configure(caller: Caller, command: str, *, terminal: bool = False, memory: int = 0) -> None:
    """Write a bundle that runs a shell command on the host's /usr."""
    root = caller.bundle / "rootfs"
    for name in ("usr", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    devices = ["nosuid", "newinstance", "ptmxmode=0666", "mode=0620"]
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", command],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": devices},
        ],
        "linux": {
            "cgroupsPath": f"/{caller.id}",
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "resources": {"memory": {"limit": memory}} if memory else {},
        },
    }
    (caller.bundle / "config.json").write_text(json.dumps(config))


def start(caller: Caller) -> None:
    subprocess.run([RUNC, "start", caller.id], check=True, capture_output=True, timeout=20)


def read_until(client: Any, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        packet = client.recv(65536)
        assert packet[:1] == b"\2", (seen, packet)
        seen += packet[1:]
    return seen


@pytest.mark.parametrize("shrunk", [False, True])
def test_a_terminal(container: Caller, shrunk: bool) -> None:
    configure(container, "read a; echo got $a; read b; stty size; tty; exit 6", terminal=True)
    container.create("-t")
    client = container.attach()
    start(container)
    if shrunk and container.conmon == OURS:
        container.await_shrunk()
    with open(container.bundle / "ctl", "w") as control:
        if container.conmon == OURS:  # 2.1.6 has one buffer for both FIFOs, and mixes them up
            control.write("1 33 77\n1 3")
            control.flush()
            control.write("3 77\n1 0x1 9\n")
            control.flush()
        control.write("1 33 78\n")
    client.send(b"one\n")
    assert read_until(client, b"got one\r\n").endswith(b"one\r\ngot one\r\n")
    client.send(b"\n")
    assert read_until(client, b"/dev/").split(b"\r\n")[1] == b"33 78"
    assert container.exit_code() == 6
    assert "got one\r\n" in container.log.read_bytes().decode()


def test_a_detached_client_leaves_the_terminal_open(container: Caller) -> None:
    configure(container, "while read a; do echo got $a; done", terminal=True)
    container.create("-t")
    start(container)
    for text in (b"one", b"two"):
        client = container.attach()
        client.send(text + b"\n")
        read_until(client, b"got " + text)
        client.close()
    assert not container.has_ended()


@pytest.mark.parametrize("shrunk", [False, True])
def test_a_terminal_that_nobody_has_open(container: Caller, shrunk: bool) -> None:
    """The real one looks every tenth of a second; ours is told."""
    wait = "while [ ! -e /tmp/go ]; do sleep 0.05; done"
    configure(
        container, f"echo first; exec 3>/dev/null 0<&- 1<&- 2<&-; {wait} >&3 2>&3; exec 1>/dev/console; echo last"
    )
    config = json.loads((container.bundle / "config.json").read_text())
    config["process"]["terminal"] = True
    config["mounts"].append(
        {"destination": "/tmp", "type": "bind", "source": str(container.persist), "options": ["rbind"]}
    )
    (container.bundle / "config.json").write_text(json.dumps(config))
    container.create("-t")
    start(container)
    await_true(lambda: "first" in container.log.read_text())
    if shrunk and container.conmon == OURS:
        container.await_shrunk()
    (container.persist / "go").touch()
    assert container.exit_code() == 0
    assert container.text() == "first\r\nlast\r\n"


def test_a_flood_on_a_terminal(container: Caller) -> None:
    configure(container, "read a; seq 1 60000", terminal=True)
    container.create("-t")
    client = container.attach()
    start(container)
    client.send(b"\n")
    seen = b""
    while packet := client.recv(65536):
        assert len(packet) <= 8193
        seen += packet[1:]
    assert seen == b"\r\n" + b"".join(b"%d\r\n" % number for number in range(1, 60001))
    assert container.exit_code() == 0


@pytest.mark.parametrize("shrunk", [False, True])
def test_memory_running_out_leaves_a_marker(container: Caller, shrunk: bool) -> None:
    configure(container, "x=xxxxxxxx; while :; do x=$x$x; done", memory=16 << 20)
    container.create()
    if shrunk and container.conmon == OURS:
        container.await_shrunk()
    assert not (container.persist / "oom").exists()
    start(container)
    assert container.exit_code() == 137
    assert (container.persist / "oom").exists()
    if container.conmon == OURS:  # 2.1.6 leaves the second one in its working directory
        assert (container.bundle / "oom").exists()


def test_an_ordinary_end_leaves_none(container: Caller) -> None:
    configure(container, "true", memory=16 << 20)
    container.create()
    start(container)
    assert container.exit_code() == 0
    assert not (container.persist / "oom").exists()


def test_a_container_that_cannot_be_made(container: Caller) -> None:
    configure(container, "true")
    (container.bundle / "config.json").write_text("{}")
    container.run(*container.arguments())
    answer = container.answer()
    assert answer["data"] == -1
    assert answer["message"]
    container.wait()
    assert "attach" not in os.listdir(container.bundle) or container.conmon != OURS


@pytest.mark.parametrize("command", ["true", "exit 7"])
def test_exec_with_a_terminal(container: Caller, tmp_path: Path, command: str) -> None:
    configure(container, "exec sleep 1000")
    container.create()
    start(container)
    session = Caller(container.conmon, tmp_path / "session", RUNC)
    session.id = container.id
    spec = json.loads((container.bundle / "config.json").read_text())["process"]
    spec |= {"terminal": True, "args": ["/bin/sh", "-c", f"tty; {command}"]}
    (session.bundle / "command").write_text(json.dumps(spec))
    line = session.arguments("-t", "-e", "--exec-attach", log="none")
    session.run(*line, "--exec-process-spec", str(session.bundle / "command"), attach_pipe=True)
    assert session.attach_answer() == {"data": 0}
    client = session.attach()
    session.start.send(b"\0")
    assert session.answer()["data"] > 0
    assert read_until(client, b"\n").startswith(b"/dev/pts/")
    assert session.answer() == {"data": 7 if command == "exit 7" else 0}
    session.wait()
    session.runtime = ""
    session.close()
