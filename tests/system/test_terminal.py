"""Interactive containers, from a person's terminal: size, signals, detaching, and a client that is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import processes
from lab.terminal import Terminal, await_pid_exit
from lab.world import World

PROMPT = r"bash-[\d.]+# $"


@pytest.fixture
def terminal(podling: World) -> Iterator[Terminal]:
    """Return a terminal with `run -it --name it fedora bash` in it; the container is removed with the test."""
    command = [str(podling.program), "run", "-it", "--network", "none", "--name", "it", "fedora", "bash", "--noediting"]
    with Terminal(command, podling.environment, rows=33, columns=101) as running:
        running.expect(PROMPT)
        yield running
    podling.check("rm", "-f", "-t", "0", "it")


def enter(terminal: Terminal, line: str) -> None:
    """Type a line and pass over its echo."""
    terminal.type(f"{line}\r")
    terminal.expect(re.escape(line) + r"\r\n")


def attach(podling: World, *flags: str) -> Terminal:
    return Terminal([str(podling.program), "attach", *flags, "it"], podling.environment, rows=40, columns=120)


def pid_of(podling: World, name: str = "it") -> int:
    return int(podling.check("inspect", "--format", "{{.State.Pid}}", name))


def test_exit_status_is_the_shells(terminal: Terminal) -> None:
    enter(terminal, "exit 7")
    assert terminal.wait() == 7


def test_size_and_resize(terminal: Terminal) -> None:
    enter(terminal, "stty size")
    terminal.expect(r"33 101\r\n")
    terminal.resize(20, 60)
    enter(terminal, "until [[ $(stty size) == '20 60' ]]; do :; done; echo resized")
    terminal.expect(r"resized\r\n")


def test_job_control_and_interrupt(terminal: Terminal) -> None:
    enter(terminal, "bash -c 'echo sleep''ing; exec sleep 1000'")
    terminal.expect(r"sleeping\r\n")
    terminal.type("\x03")
    terminal.expect(PROMPT)
    enter(terminal, "echo $?; sleep 2000 & jobs")
    terminal.expect(r"130\r\n.*Running +sleep 2000")


def test_variables_of_a_terminal(terminal: Terminal) -> None:
    enter(terminal, "tty; echo $TERM $HOSTNAME $HOME")
    terminal.expect(r"/dev/(pts/0|console)\r\nxterm [0-9a-f]{12} /root\r\n")


def test_detach_and_attach_again(podling: World, terminal: Terminal) -> None:
    enter(terminal, "KEPT=yes")
    terminal.expect(PROMPT)
    terminal.press("\x10", "\x11")
    assert terminal.wait() == 0
    assert podling.check("inspect", "--format", "{{.State.Status}}", "it") == "running"
    with attach(podling) as again:
        enter(again, "until [[ $(stty size) == '40 120' ]]; do :; done; echo $KEPT")
        again.expect(r"yes\r\n")
        enter(again, "exit 3")
        assert again.wait() == 3 or podling.is_podman  # whose attach may lose the race for the exit file


def test_detach_keys_of_ones_own(podling: World, terminal: Terminal) -> None:
    with attach(podling, "--detach-keys", "ctrl-x,x") as second:
        enter(second, "echo here")
        second.expect(r"here\r\n")
        second.press("\x18", "x")
        assert second.wait() == 0
    assert podling.check("ps", "-q") != ""


def test_two_clients_see_the_same(podling: World, terminal: Terminal) -> None:
    with attach(podling) as second:
        enter(second, "echo $((6 * 7))")
        second.expect(r"42\r\n")
        terminal.expect(r"42\r\n")


def test_killed_client_leaves_the_container(podling: World, terminal: Terminal) -> None:
    enter(terminal, "KEPT=yes")
    terminal.expect(PROMPT)
    terminal.hang_up_client()
    assert podling.check("inspect", "--format", "{{.State.Status}}", "it") == "running"
    with attach(podling) as again:
        enter(again, "echo $KEPT")
        again.expect(r"yes\r\n")


def test_the_chain(podling: World, terminal: Terminal) -> None:
    bash = pid_of(podling)
    monitor = processes.parent(bash)
    assert processes.comm(monitor) == "conmon"
    assert processes.parent(monitor) == 1
    assert terminal.process.pid not in processes.ancestors(bash)
    assert podling.check("inspect", "--format", "{{.State.ConmonPid}}", "it") == str(monitor)
    enter(terminal, "exit")
    terminal.wait()
    await_pid_exit(monitor)


def test_terminal_without_a_terminal(podling: World) -> None:
    done = podling.run("run", "--rm", "-t", "--network", "none", "fedora", "bash", "-c", "test -t 1 && echo tty")
    assert (done.returncode, done.stdout) == (0, "tty\r\n")


def test_exec_on_a_terminal(podling: World, terminal: Terminal) -> None:
    command = [str(podling.program), "exec", "-it", "it", "bash"]
    with Terminal(command, podling.environment, rows=11, columns=77) as second:
        second.expect(PROMPT)
        enter(second, "stty size; tty")
        second.expect(r"11 77\r\n/dev/pts/\d+\r\n")
        enter(second, "exit 5")
        assert second.wait() == 5


def test_killed_exec_client_leaves_the_session(podling: World, terminal: Terminal) -> None:
    with Terminal([str(podling.program), "exec", "-it", "it", "bash"], podling.environment) as second:
        second.expect(PROMPT)
        enter(second, "exec sleep 12345")
        enter(terminal, "until grep -ls 12345 /proc/[0-9]*/cmdline; do :; done")
        terminal.expect(r"/proc/\d+/cmdline\r\n")
        second.hang_up_client()
    assert "sleep 12345" in podling.check("top", "it", "args")
