"""Our monitor under the real Podman, with the real runc; each case passes on the real conmon first."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = str(Path(sys.executable).parent / "podling-conmon")
REAL = "/usr/bin/conmon"
LIMITS = ("--ulimit", "nproc=1000:1000", "--ulimit", "nofile=1000:1000", "--network", "none", "-v", "/usr:/usr:ro")


class Podman:
    """A Podman with a store and a conmon of its own."""

    def __init__(self, directory: Path, conmon: str) -> None:
        self.conmon = conmon
        self.rootfs = directory / "rootfs"
        for name in ("usr", "proc", "sys", "dev", "tmp", "etc", "run", "root", "var"):
            (self.rootfs / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.rootfs / name).symlink_to(f"usr/{name}")
        self.line = ["podman", "--root", str(directory / "root"), "--runroot", str(directory / "runroot")]
        self.line += ["--tmpdir", str(directory / "tmpdir"), "--cgroup-manager", "cgroupfs"]
        self.line += ["--runtime", "/usr/sbin/runc", "--conmon", conmon]

    def __call__(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        line = [*self.line, *arguments]
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=60)

    def out(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def container(self, *options: str, command: str) -> tuple[str, ...]:
        """Return the rest of a command line that runs a shell command."""
        return (*LIMITS, "--log-driver", "k8s-file", *options, "--rootfs", str(self.rootfs), "sh", "-c", command)

    def state(self, name: str, field: str) -> str:
        return self.out("inspect", "--format", "{{.State." + field + "}}", name)


@pytest.fixture(params=["real", "ours"])
def podman(request: pytest.FixtureRequest) -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="peer-") as name:  # Podman wants a short runroot
        podman = Podman(Path(name), REAL if request.param == "real" else OURS)
        yield podman
        podman("rm", "--force", "--time", "0", "--all")
        end_processes_of(name)
        for mount in ("root/overlay", "root"):
            subprocess.run(["umount", f"{name}/{mount}"], capture_output=True)


def end_processes_of(directory: str) -> None:
    """End the monitors of detached exec sessions: they wait five minutes with the exit command."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if directory.encode() not in path.read_bytes():
                continue
            pid = int(path.parent.name)
            pidfd = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], 20)[0]
        os.close(pidfd)


def on_a_terminal(line: list[str], keys: bytes = b"", after: bytes = b"ready") -> tuple[int, bytes]:
    """Run a command on a pseudo-terminal, type when it has said something, and return its status and output."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(line[0], line)
    seen = b""
    if not after:
        os.write(master, keys)
        keys = b""
    try:
        while select.select([master], [], [], 20)[0]:
            seen += os.read(master, 65536)
            if keys and after in seen:
                type_keys(master, keys)
                keys = b""
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # EIO: it has ended
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), seen


def type_keys(master: int, keys: bytes) -> None:
    """Type one key at a time: Podman sees its detach keys only so, and nothing tells when it has read one."""
    for key in keys:
        os.write(master, bytes((key,)))
        time.sleep(0.1)


def test_run(podman: Podman) -> None:
    done = podman("run", "--rm", *podman.container(command="echo out; echo err >&2; exit 5"))
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert podman.out("ps", "--all", "--quiet") == ""


def test_run_with_input(podman: Podman) -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    done = podman("run", "--rm", "--interactive", *podman.container(command="cat; exit 3"), text=text)
    assert (done.returncode, done.stdout) == (3, text)


def test_run_on_a_terminal(podman: Podman) -> None:
    options = podman.container("-it", command="echo ready; read a; echo got $a; stty size; tty; exit 4")
    code, seen = on_a_terminal([*podman.line, "run", "--rm", *options], b"hello\r")
    assert code == 4
    assert b"got hello\r\n" in seen
    assert b"/dev/pts/0" in seen


def test_detach_and_attach_again(podman: Podman) -> None:
    options = podman.container("-it", "--name", "c", command="echo ready; read a; echo ready $a; read b; exit 6")
    code, _ = on_a_terminal([*podman.line, "run", *options], b"\x10\x11")
    assert code == 0
    assert podman.state("c", "Status") == "running"
    code, seen = on_a_terminal([*podman.line, "attach", "c"], b"again\r\r", b"")
    assert (code, b"ready again" in seen) == (0, True)  # 4.3.1 does not tell the exit code here
    assert podman.out("wait", "c") == "6"


def test_a_life_in_the_background(podman: Podman) -> None:
    wait = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    podman.out("run", "--detach", "--name", "c", *podman.container(command=wait))
    assert podman.out("exec", "c", "sh", "-c", "echo from exec") == "from exec"
    assert podman("exec", "c", "sh", "-c", "exit 8").returncode == 8
    assert podman("exec", "--interactive", "c", "cat", text="in\n").stdout == "in\n"
    code, seen = on_a_terminal([*podman.line, "exec", "-it", "c", "sh", "-c", "tty; exit 7"])
    assert (code, b"/dev/pts/" in seen) == (7, True)
    assert podman("exec", "c", "/no/such/command").returncode == 127
    conmon = Path(f"/proc/{podman.state('c', 'ConmonPid')}")
    assert (conmon / "comm").read_text() == "conmon\n"
    podman.out("stop", "c")
    assert podman.state("c", "ExitCode") == "9"
    assert podman.out("logs", "c") == "ready\nbye"


def test_a_detached_exec(podman: Podman) -> None:
    podman.out("run", "--detach", "--name", "c", *podman.container(command="exec sleep 1000"))
    session = podman.out("exec", "--detach", "c", "sh", "-c", "echo hello > /tmp/said")
    assert len(session) == 64
    podman.out("exec", "c", "sh", "-c", "while [ ! -s /tmp/said ]; do sleep 0.05; done")
    assert (podman.rootfs / "tmp" / "said").read_text() == "hello\n"


def test_a_command_that_does_not_exist(podman: Podman) -> None:
    options = [*LIMITS, "--log-driver", "k8s-file", "--rootfs", str(podman.rootfs), "/no/such/command"]
    done = podman("run", "--rm", *options)
    assert done.returncode == 127
    assert "no such file or directory" in done.stderr


def test_start_again_and_restart(podman: Podman) -> None:
    podman.out("create", "--name", "c", *podman.container(command="echo once; exit 2"))
    for _ in range(2):
        assert podman("start", "--attach", "c").returncode == 2
    assert podman.out("logs", "c") == "once\nonce"


def test_cleanup_runs_when_a_container_ends_by_itself(podman: Podman) -> None:
    """Podman's own cleanup, as the exit command, unmounts and writes the end into its database."""
    podman.out("run", "--detach", "--name", "c", *podman.container(command="sleep 1.5; exit 3"))
    assert podman.out("wait", "c") == "3"
    inspected = json.loads(podman.out("inspect", "c"))[0]
    assert (inspected["State"]["Status"], inspected["State"]["ExitCode"]) == ("exited", 3)


def test_what_podman_reads_of_its_version(podman: Podman) -> None:
    host = json.loads(podman.out("info", "--format", "json"))["host"]
    assert host["conmon"]["path"] == podman.conmon
    assert host["conmon"]["version"].startswith("conmon version 2.")
