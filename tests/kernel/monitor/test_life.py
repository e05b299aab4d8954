"""A container's life under the monitor: pid, log, exit files, exit command; the real conmon first, then ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.kernel.monitor.conftest import OURS, Caller, await_true

SHELL = ("--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg")


def test_a_short_container(caller: Caller) -> None:
    caller.command("echo out; echo err >&2; printf part; exit 3")
    more = ("--exit-command-arg", "", "--exit-command-arg=two words")
    caller.create(*SHELL, 'echo "<$0><$1>" > cleaned', *more)
    assert caller.exit_code() == 3
    assert (caller.persist / "exit").read_text() == "3"
    assert sorted(caller.lines()) == [("stderr", "F", "err"), ("stdout", "F", "out"), ("stdout", "P", "part")]
    assert (caller.directory / "cleaned").read_text() == "<><two words>\n"


def test_a_container_that_outlives_the_first_second(caller: Caller) -> None:
    caller.command("echo before; read line < fifo; echo after $line; exit 4")
    os.mkfifo(caller.directory / "fifo")
    caller.create(*SHELL, "echo hi > cleaned")
    if caller.conmon == OURS:
        caller.await_shrunk()
    assert Path(f"/proc/{caller.monitor}/comm").read_text() == "conmon\n"
    words = Path(f"/proc/{caller.monitor}/cmdline").read_bytes().split(b"\0")
    assert words[0].rpartition(b"/")[2] == b"conmon"
    assert words[1:5] == [b"--api-version", b"1", b"-c", caller.id.encode()]
    (caller.directory / "fifo").write_text("that\n")
    assert caller.exit_code() == 4
    assert caller.text() == "before\nafter that\n"
    assert (caller.directory / "cleaned").read_text() == "hi\n"


def test_its_place_among_processes(caller: Caller) -> None:
    caller.command("exec sleep 1000")
    caller.create()
    stat = Path(f"/proc/{caller.monitor}/stat").read_text().rpartition(")")[2].split()
    parent, group, session = (int(field) for field in stat[1:4])
    assert parent in (1, int(Path("/proc/self/stat").read_text().split()[3]))
    assert (group, session) == (caller.monitor, caller.monitor)
    container = Path(f"/proc/{caller.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(container[1]) == caller.monitor
    names = [os.readlink(f"/proc/{caller.monitor}/fd/{number}") for number in (0, 1, 2)]
    assert names == ["/dev/null"] * 3
    os.kill(caller.pid, signal.SIGKILL)
    assert caller.exit_code() == 137


def test_signals_are_passed_on(caller: Caller) -> None:
    caller.command("trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    caller.create()
    await_true(lambda: "ready" in caller.log.read_text())
    os.kill(caller.monitor, signal.SIGTERM)
    assert caller.exit_code() == 7
    assert caller.text() == "ready\nterm\n"


def test_orphans_are_reaped_while_it_lives(caller: Caller) -> None:
    caller.command("(sh -c 'sleep 0.01 & echo $!' > orphan); echo ready; exec sleep 1000")
    caller.create()
    await_true(lambda: caller.log.exists() and "ready" in caller.log.read_text())
    orphan = (caller.directory / "orphan").read_text().strip()
    await_true(lambda: not Path(f"/proc/{orphan}").exists())
    assert not caller.has_ended()


def test_time_limit(caller: Caller) -> None:
    caller.command("echo before; exec sleep 1000")
    caller.create("--timeout", "1")
    assert caller.exit_code() == -1
    await_true(lambda: not Path(f"/proc/{caller.pid}").exists())
    assert caller.text() == "before\n"


def test_a_runtime_that_fails(caller: Caller) -> None:
    done = caller.run(*caller.arguments(*SHELL, "echo hi > cleaned"))
    assert done.returncode == 0
    assert caller.answer() == {"data": -1, "message": f"no command for {caller.id}\n"}
    caller.wait()
    assert (caller.directory / "cleaned").read_text() == "hi\n"
    assert not list(caller.exits.iterdir())


def test_a_runtime_that_says_nothing(caller: Caller) -> None:
    caller.runtime = "/bin/false"
    assert caller.run(*caller.arguments()).returncode == 0
    if caller.conmon == OURS:  # 2.1.6 says nothing then
        assert caller.answer() == {"data": -1}
    caller.wait()


def test_a_runtime_without_a_pid_file(caller: Caller) -> None:
    caller.runtime = "/bin/true"
    assert caller.run(*caller.arguments()).returncode == 0
    if caller.conmon == OURS:  # 2.1.6 says nothing then
        answer = caller.answer()
        assert answer["data"] == -1 and "no such file" in answer["message"]
    caller.wait()


def test_the_exit_status_of_the_exit_command_is_the_monitors(our_caller: Caller) -> None:
    caller = our_caller
    caller.command("exit 3")
    done = caller.run(*caller.arguments("--sync", *SHELL, "sleep 0.2; exit 9"))
    assert done.returncode == 9


def test_the_containers_status_is_the_monitors(caller: Caller) -> None:
    caller.command("exit 3")
    done = caller.run(*caller.arguments("--sync"))
    assert done.returncode == 3


def test_the_exit_command_waits(caller: Caller) -> None:
    caller.command("echo out")
    caller.create("--exit-delay", "1", *SHELL, f"cat exits/{caller.id} > cleaned")
    await_true(lambda: (caller.exits / caller.id).exists())
    assert not (caller.directory / "cleaned").exists()
    caller.wait()
    assert (caller.directory / "cleaned").read_text() == "0"


def test_deleted_directories_do_not_stop_the_end(our_caller: Caller) -> None:
    caller = our_caller
    caller.command("read line < fifo")
    os.mkfifo(caller.directory / "fifo")
    caller.create(*SHELL, "echo hi > cleaned")
    caller.await_shrunk()
    for path in (*caller.bundle.iterdir(), caller.bundle):
        path.unlink() if path != caller.bundle else path.rmdir()
    caller.persist.rmdir()
    (caller.directory / "fifo").write_text("go\n")
    assert caller.exit_code() == 0
    assert (caller.directory / "cleaned").read_text() == "hi\n"


def test_leaked_descriptors_are_held_until_the_end(caller: Caller) -> None:
    """Podman leaves sockets of published ports open, so that nobody else takes them."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    caller.extra.append(writer)
    caller.command("read line < fifo")
    os.mkfifo(caller.directory / "fifo")
    caller.create()
    os.close(writer)
    os.set_blocking(reader, False)
    if caller.conmon == OURS:
        caller.await_shrunk()
    held = os.path.samestat(os.stat(f"/proc/{caller.monitor}/fd/{writer}"), os.fstat(reader))
    assert held
    (caller.directory / "fifo").write_text("go\n")
    caller.wait()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_killed_with_the_runtime(caller: Caller, tmp_path: Path) -> None:
    runtime = tmp_path / "slow-runtime"
    runtime.write_text("#!/bin/sh\necho $$ > runtime.pid\nexec sleep 1000\n")
    runtime.chmod(0o755)
    caller.runtime = str(runtime)
    caller.run(*caller.arguments())
    pid_file = tmp_path / "runtime.pid"
    await_true(lambda: pid_file.exists() and bool(pid_file.read_text()))
    pidfd = os.pidfd_open(int(pid_file.read_text()))
    os.kill(caller.monitor, signal.SIGKILL)
    caller.wait_for(pidfd)
    os.close(pidfd)


def test_passthrough(caller: Caller) -> None:
    caller.command("echo out; echo err >&2")
    done = caller.run(*caller.arguments(log="passthrough"))
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert caller.answer()["data"] > 0
    assert caller.exit_code() == 0
    assert not (caller.bundle / "attach").exists()


def test_listen_pid_becomes_the_runtimes(caller: Caller, tmp_path: Path) -> None:
    runtime = tmp_path / "telling-runtime"
    runtime.write_text("#!/bin/sh\necho $LISTEN_PID $$ > told\nexit 1\n")
    runtime.chmod(0o755)
    caller.runtime = str(runtime)
    caller.run(*caller.arguments("--replace-listen-pid"), environment={"LISTEN_PID": "1"})
    caller.wait()
    first, second = (tmp_path / "told").read_text().split()
    assert first == second


def test_the_legacy_answers(caller: Caller) -> None:
    caller.command("exit 3")
    line = caller.arguments()[2:]
    assert caller.run(*line).returncode == 0
    assert list(caller.answer()) == ["pid"]
    assert caller.exit_code() == 3


def test_a_socket_directory(caller: Caller) -> None:
    sockets = caller.directory / "sockets"
    sockets.mkdir()
    caller.command("read line < fifo")
    os.mkfifo(caller.directory / "fifo")
    line = [word for word in caller.arguments("--socket-dir-path", str(sockets)) if word != "--full-attach"]
    caller.run(*line)
    assert caller.answer()["data"] > 0
    assert os.readlink(sockets / caller.id) == str(caller.bundle)
    assert (sockets / caller.id / "attach").is_socket()
    (caller.directory / "fifo").write_text("go\n")
    caller.wait()
    if caller.conmon == OURS:  # 2.1.6 leaves the link behind
        assert not list(sockets.iterdir())
