"""The eleven steps: what is typed, and what a person must see.

Every step types its command into a terminal, waits for the shell's next prompt, and checks the exit status (it is in
the prompt), the text, and the processes. Podman refuses five of the commands; run on it, the lab checks that it does.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from lab import images, processes
from lab.screen import render
from lab.terminal import Terminal
from lab.world import World

HEX_ID = r"[0-9a-f]{64}"
GRACE_SECONDS = 10.0
INPUTRC = "set enable-bracketed-paste off\nset bell-style none\n"
CONTAINER_PROMPT = r"bash-[\d.]+# $"
NAMESPACES = {"cgroup", "ipc", "mnt", "net", "pid", "uts"}


class CheckFailed(AssertionError):
    """A step did not show what it must."""


def check(condition: object, message: str) -> None:
    """Raise CheckFailed unless a condition holds."""
    if not condition:
        raise CheckFailed(message)


class Shell:
    """A person's shell on a terminal of its own. The prompt tells the last exit status."""

    def __init__(self, world: World, number: int) -> None:
        self.prompt = f"terminal {number}"
        inputrc = world.home / ".inputrc"
        inputrc.write_text(INPUTRC)
        environment = {**world.environment, "PS1": f"[$?] {self.prompt}$ ", "INPUTRC": str(inputrc), "LC_ALL": "C"}
        self.terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], environment, columns=200, rows=50)
        self.ready()

    def ready(self) -> int:
        """Wait for the prompt and return the exit status in it."""
        return int(self.terminal.expect(rf"\[(\d+)\] {self.prompt}\$ $").group(1))

    def type(self, command: str) -> None:
        """Type a command and wait for its echo."""
        self.terminal.type(f"{command}\r")
        self.terminal.expect(re.escape(command) + r"\r\n")

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; return its exit status and what it showed."""
        self.type(command)
        start = self.terminal.position
        status = self.ready()
        shown = render(bytes(self.terminal.seen[start:]))
        return status, shown.rpartition("[")[0].rstrip("\n")


class Lab:
    """One run through the page. `say` prints a line of the transcript, `note` one in its margin."""

    def __init__(self, world: World, say: Callable[[str], None], note: Callable[[str], None]) -> None:
        self.world, self.say, self.note = world, say, note
        self.one = Shell(world, 1)
        self.two: Shell | None = None
        self.image_id = ""
        self.container_id = ""

    def run(self) -> None:
        """Type the page from top to bottom."""
        self.pull()
        self.images()
        self.run_and_exit()
        self.list_all()
        self.run_detached()
        self.top()
        self.stop_all()
        self.delete_all()
        self.remove_images()
        self.run_top()
        self.process_tree()
        self.leave_top()

    def close(self) -> None:
        """Hang up both terminals."""
        for shell in (self.one, self.two):
            if shell is not None:
                shell.terminal.close()

    def command(self, line: str, wanted: int = 0) -> str:
        """Type a command into terminal 1, print it with what it showed, check its exit status."""
        self.say(f"$ {line}")
        status, shown = self.one.run(line)
        if shown:
            self.say(shown)
        check(status == wanted, f"{line}: exit status {status}, not {wanted}")
        return shown

    def beyond_podman(self, line: str, form: str) -> str:
        """Type a command that Podman refuses; there, check that it does, and type the form it knows."""
        if not self.world.is_podman:
            return self.command(line)
        self.command(line, 125)
        return self.command(form)

    def pull(self) -> None:
        """1: the alias is named, the ID stands alone on the last line."""
        shown = self.command("podling pull fedora")
        check('Resolved "fedora" as an alias' in shown, "pull does not name the alias it followed")
        match = re.search(rf"^({HEX_ID})$", shown.splitlines()[-1])
        check(match, "pull does not end with an image ID")
        self.image_id = shown.splitlines()[-1]
        self.note("the registry is on loopback; the short name was resolved in registries.conf")

    def images(self) -> None:
        """2: the columns, and the image in them."""
        header, *rows = self.command("podling images").splitlines()
        check(re.split(r" {2,}", header) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], "columns of images")
        check(any("fedora" in row and self.image_id[:12] in row for row in rows), "fedora is not among the images")

    def run_and_exit(self) -> None:
        """3: an interactive shell; while it runs, who is whose parent."""
        self.say("$ podling run -it fedora bash")
        self.one.type("podling run -it fedora bash")
        self.one.terminal.expect(CONTAINER_PROMPT)
        self.check_chain("bash")
        self.say("bash# exit")
        self.one.terminal.type("exit\r")
        check(self.one.ready() == 0, "exit: the exit status is not bash's")

    def list_all(self) -> None:
        """4: -ef lists the exited container, untruncated."""
        shown = self.beyond_podman("podling ps -ef", "podling ps -a --no-trunc")
        header = next((line for line in shown.splitlines() if line.startswith("CONTAINER ID")), "")
        columns = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
        check(re.split(r" {2,}", header) == columns, "columns of ps")
        check(re.search(rf"^{HEX_ID} .*fedora.* bash .*Exited \(0\)", shown, re.MULTILINE), "the exited container")

    def run_detached(self) -> None:
        """5: the ID alone; bash stays."""
        shown = self.command("podling run -dt fedora bash")
        check(re.fullmatch(HEX_ID, shown), "run -d does not print the ID alone")
        self.container_id = shown
        self.check_chain("bash")

    def top(self) -> None:
        """6: the descriptors' columns, read from the host's /proc."""
        shown = self.command("podling top -l args user group pid hpid seccomp label")
        header, *rows = [line.split() for line in shown.splitlines()]
        check(header == ["COMMAND", "USER", "GROUP", "PID", "HPID", "SECCOMP", "LABEL"], "columns of top")
        check(len(rows) == 1 and rows[0][:4] == ["bash", "root", "root", "1"], "bash is not the container's process 1")
        host_pid = int(rows[0][4])
        check(rows[0][5] == "filter", "no seccomp filter")
        check(host_pid == self.container_process("bash"), f"HPID {host_pid} is not bash on the host")

    def stop_all(self) -> None:
        """7: bash on a terminal ignores SIGTERM, so the whole grace passes."""
        self.note("bash on a terminal ignores SIGTERM: ten seconds of grace, then SIGKILL")
        started = time.monotonic()
        shown = self.beyond_podman("podling stop -all", "podling stop --all")
        took = time.monotonic() - started
        check(GRACE_SECONDS <= took < GRACE_SECONDS + 5, f"stop took {took:.1f} s, not the grace of {GRACE_SECONDS} s")
        check("failed to stop container" in shown and "resorting to SIGKILL" in shown, "stop does not warn of SIGKILL")
        check(self.container_id in shown, "stop does not print the ID")
        self.note(f"it took {took:.1f} s")

    def delete_all(self) -> None:
        """8: both containers go."""
        shown = self.beyond_podman("podling delete -all", "podling rm --all")
        check(len(re.findall(rf"^{HEX_ID}$", shown, re.MULTILINE)) == 2, "delete does not print two IDs")

    def remove_images(self) -> None:
        """9: the image goes."""
        shown = self.beyond_podman("podling rmi -all", "podling rmi --all")
        check("Untagged: " in shown and f"Deleted: {self.image_id}" in shown, "rmi does not tell what it removed")

    def run_top(self) -> None:
        """10: a full-screen program in terminal 2, of an image that is pulled on the way."""
        self.two = Shell(self.world, 2)
        self.say("terminal 2$ podling run -it centos top")
        start = self.two.terminal.position
        self.two.type("podling run -it centos top")
        self.two.terminal.expect(r"PID USER .*COMMAND.* 1 root .*top")
        lines = render(bytes(self.two.terminal.seen[start:])).splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith("top - "))
        self.say("\n".join(lines[first : first + 8]))
        self.check_chain("top")

    def process_tree(self) -> None:
        """11: the picture that the lab is about."""
        self.say("terminal 1:")
        shown = self.command_showing("pstree -Slnc", r"conmon(?:---|───)top")
        match = re.search(r"conmon(?:---|───)top\(([a-z,]+)\)", shown)
        check(match, "pstree does not show conmon as top's parent")
        assert match
        found = match.group(1).split(",")
        check(found == sorted(NAMESPACES - ({"cgroup"} if "cgroup" not in found else set())), f"namespaces {found}")
        check("cgroup" in found or not os.path.exists("/sys/fs/cgroup/cgroup.controllers"), "no cgroup namespace on v2")

    def command_showing(self, line: str, pattern: str) -> str:
        """Type a command and print only such lines of what it showed as match: the rest is the host's own."""
        self.say(f"$ {line}")
        status, shown = self.one.run(line)
        check(status == 0, f"{line}: exit status {status}")
        for row in shown.splitlines():
            if re.search(pattern, row):
                self.say(row.strip())
        return shown

    def leave_top(self) -> None:
        """End top as a person would."""
        assert self.two
        self.two.terminal.type("q")
        check(self.two.ready() == 0, "top does not exit with status 0")

    def container_process(self, name: str) -> int:
        """Return the host's pid of the container's first process: the child of a monitor of ours."""
        for pid in self.world.processes():
            if processes.comm(pid) == "conmon":
                for child in processes.children(pid):
                    if processes.comm(child) == name:
                        return child
        raise CheckFailed(f"no process {name} under a conmon")

    def check_chain(self, name: str) -> None:
        """Check the lesson: the monitor is the parent, init or the nearest subreaper the monitor's, and say so."""
        process = self.container_process(name)
        monitor = processes.parent(process)
        adopter = processes.parent(monitor)
        check(
            adopter == 1 or adopter in processes.ancestors(os.getpid()), f"conmon's parent is {processes.comm(adopter)}"
        )
        check(processes.status(monitor)["NSpid"].split()[0] == str(monitor), "the monitor is in another pid namespace")
        check(os.getsid(monitor) == monitor, "the monitor is not a session leader")
        check(processes.status(process)["NSpid"].split()[-1] == "1", f"{name} is not process 1 of its namespace")
        self.note(processes.lineage(process))
        self.check_programs(monitor)

    def check_programs(self, monitor: int) -> None:
        """Prove which monitor runs, and which runtime it was told to run."""
        executable, line = processes.executable(monitor), processes.arguments(monitor)
        if self.world.conmon:
            check(executable == os.path.realpath(self.world.conmon), f"the monitor is {executable}")
            runtime = line[line.index("-r") + 1]
            check(
                os.path.basename(runtime) == os.path.basename(self.world.runtime or "podling-runc"),
                f"runtime {runtime}",
            )
            self.note(f"the monitor is {executable}, its runtime {runtime}")
        elif not self.world.is_podman:
            check("python" in executable, f"the monitor is {executable}, not ours")


def needs_registry() -> tuple[str, ...]:
    """Return the short names that the page pulls."""
    return tuple(name for name in images.NAMES if name in ("fedora", "centos"))
