"""A container's life after `run`: start, stop, kill, wait, logs, exec, rm, and what ps and inspect say of it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.world import World

OBEDIENT = "trap 'exit 33' TERM; echo ready; while :; do sleep 0.1 & wait $!; done"


@pytest.fixture
def run(podling: World) -> Iterator[Callable[..., str]]:
    """Return a maker of detached containers, which are removed with the test."""
    made: list[str] = []

    def make(*arguments: str, verb: tuple[str, ...] = ("run", "-d")) -> str:
        made.append(podling.check(*verb, "--network", "none", *arguments))
        return made[-1]

    yield make
    podling.check("rm", "--force", "--ignore", "--time", "0", *made)


def state(podling: World, container: str) -> dict[str, object]:
    found = json.loads(podling.check("inspect", container))[0]["State"]
    return {name: found[name] for name in ("Status", "Running", "ExitCode", "Pid")}


def await_ready(podling: World, container: str) -> None:
    """Return once the container has written its first line."""
    command = [str(podling.program), "logs", "--follow", container]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=podling.environment) as following:
        assert following.stdout
        assert following.stdout.readline()
        following.kill()


def test_create_start_wait(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "bash", "-c", "echo said; exit 3", verb=("create",))
    assert state(podling, container) == {"Status": "created", "Running": False, "ExitCode": 0, "Pid": 0}
    assert podling.check("start", container) == container
    assert podling.check("wait", container) == "3"
    assert state(podling, container) == {"Status": "exited", "Running": False, "ExitCode": 3, "Pid": 0}
    assert podling.check("logs", container) == "said"
    again = podling.run("start", "--attach", container)
    assert (again.returncode, again.stdout) == (3, "said\n")
    assert podling.check("logs", container) == "said\nsaid"


def test_stop_within_the_grace(podling: World, run: Callable[..., str]) -> None:
    container = run("--name", "obedient", "fedora", "bash", "-c", OBEDIENT)
    await_ready(podling, container)
    started = time.monotonic()
    assert podling.check("stop", "obedient") == "obedient"
    assert time.monotonic() - started < 5
    assert state(podling, container)["ExitCode"] == 33


def test_stop_after_the_grace(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "sleep", "1000")
    done = podling.run("stop", "--time", "1", container)
    assert (done.returncode, done.stdout) == (0, f"{container}\n")
    assert "StopSignal SIGTERM failed to stop container" in done.stderr
    assert "in 1 seconds, resorting to SIGKILL" in done.stderr
    assert state(podling, container)["ExitCode"] == 137
    assert podling.check("stop", container) == container


def test_kill_with_a_signal(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "bash", "-c", OBEDIENT.replace("TERM", "USR1"))
    await_ready(podling, container)
    assert podling.check("kill", "--signal", "USR1", container) == container
    assert podling.check("wait", container) == "33"
    refused = podling.run("kill", container)
    assert refused.returncode == 125
    assert podling.run("kill", "--signal", "NOSUCH", container).returncode == 125


def test_remove_refuses_what_runs(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "sleep", "1000")
    refused = podling.run("rm", container)
    assert refused.returncode == 2
    assert "without force" in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
    assert podling.check("rm", "--force", "--time", "0", container) == container
    assert podling.run("rm", container).returncode == 1
    assert podling.run("rm", "--force", container).returncode == 0


def test_rm_when_it_exits(podling: World) -> None:
    container = podling.check("run", "-d", "--rm", "--network", "none", "fedora", "sleep", "1000")
    podling.check("kill", container)
    podling.run("wait", container)
    assert podling.run("wait", container).returncode == 125
    podling.check("stop", "--all")  # any mutating verb sweeps the cgroup that the monitor could not leave


def test_ps_columns_and_filters(podling: World, run: Callable[..., str]) -> None:
    first = run("--name", "alpha", "--label", "kind=a", "fedora", "sleep", "1000")
    second = run("--name", "beta", "--label", "kind=b", "fedora", "true")
    podling.check("wait", second)
    header, row = podling.check("ps").splitlines()
    assert re.split(r" {2,}", header.strip()) == [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert row.startswith(first[:12]) and row.endswith("alpha")
    assert podling.check("ps", "-q", "--no-trunc") == first
    assert podling.check("ps", "-a", "--filter", "label=kind=b", "--format", "{{.Names}}") == "beta"
    assert podling.check("ps", "-a", "--filter", "status=exited", "--filter", "name=^beta$", "-q") == second[:12]
    listed = json.loads(podling.check("ps", "-a", "--format", "json"))
    assert {item["Id"]: item["State"] for item in listed} == {first: "running", second: "exited"}
    assert podling.run("ps", "--filter", "nope=1").returncode == 125
    assert podling.check("ps", "--latest", "--format", "{{.Names}}") == "beta"


def test_logs(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "bash", "-c", "echo one; echo two >&2; echo three")
    podling.check("wait", container)
    done = podling.run("logs", container)
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ one$", podling.check("logs", "-t", container).splitlines()[0])


def test_the_last_lines_of_a_log(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "seq", "100")
    podling.check("wait", container)
    assert podling.check("logs", "--tail", "2", container) == "99\n100"
    assert podling.check("logs", "--tail", "0", container) == ""


def test_logs_follow_to_the_end(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "bash", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    assert podling.check("logs", "--follow", container) == "1\n2\n3"


@pytest.mark.parametrize(
    ("arguments", "status", "shown"),
    [
        (["true"], 0, ""),
        (["bash", "-c", "exit 9"], 9, ""),
        (["/no/such"], 127, ""),
        (["/etc"], 126, ""),
        (["bash", "-c", "kill -TERM $$"], 143, ""),
        (["pwd"], 0, "/\n"),
        (["-w", "/tmp", "pwd"], 0, "/tmp\n"),
        (["-u", "lab", "id", "-un"], 0, "lab\n"),
        (["-e", "A=b", "bash", "-c", "echo $A $FROM"], 0, "b run\n"),
        (["-i", "cat"], 0, "input"),
    ],
)
def test_exec(podling: World, sleeper: str, arguments: list[str], status: int, shown: str) -> None:
    flags = 2 if arguments[0] in ("-w", "-u", "-e") else 1 if arguments[0] == "-i" else 0
    done = podling.run("exec", *arguments[:flags], sleeper, *arguments[flags:], stdin="input")
    assert (done.returncode, done.stdout) == (status, shown), done.stderr


@pytest.fixture(scope="module")
def sleeper(podling: World) -> Iterator[str]:
    """Return a container that stays."""
    container = podling.check("run", "-d", "--network", "none", "-e", "FROM=run", "fedora", "sleep", "1000")
    podling.check("exec", container, "true")  # the first one makes the directory of exec sessions
    yield container
    podling.check("rm", "--force", "--time", "0", container)


def test_exec_detached(podling: World, sleeper: str) -> None:
    session = podling.check("exec", "-d", sleeper, "bash", "-c", "echo done >/tmp/mark")
    assert re.fullmatch("[0-9a-f]{64}", session)
    podling.check("exec", sleeper, "bash", "-c", "until [ -s /tmp/mark ]; do :; done")


def test_exec_in_what_does_not_run(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "true", verb=("create",))
    assert podling.run("exec", container, "true").returncode == 255
    assert podling.run("exec", "nosuch", "true").returncode == 125


def test_names_ids_and_prefixes(podling: World, run: Callable[..., str]) -> None:
    container = run("--name", "named", "fedora", "sleep", "1000")
    for reference in (container, container[:12], container[:4], "named"):
        assert podling.check("inspect", "--format", "{{.Id}}", reference) == container


def test_restart_on_failure(podling: World, run: Callable[..., str], tmp_path: Path) -> None:
    script = "echo x >>/mnt/count; exit 1"
    (tmp_path / "count").touch()
    container = run("--restart", "on-failure:2", "-v", f"{tmp_path}:/mnt", "fedora", "bash", "-c", script)
    deadline = time.monotonic() + 20
    while (tmp_path / "count").read_text().count("x") < 3 and time.monotonic() < deadline:
        podling.run("wait", container)
    assert (tmp_path / "count").read_text().count("x") == 3


def test_pause_and_unpause(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "sleep", "1000")
    podling.check("pause", container)
    assert state(podling, container)["Status"] == "paused"
    assert podling.run("exec", container, "true").returncode != 0
    podling.check("unpause", container)
    assert state(podling, container)["Status"] == "running"


def test_image_in_use_is_refused(podling: World, run: Callable[..., str]) -> None:
    run("fedora", "sleep", "1000")
    refused = podling.run("rmi", "fedora")
    assert refused.returncode == 2
    assert podling.run("rmi", "nosuch").returncode == 1
    assert podling.run("image", "exists", "fedora").returncode == 0


def test_info_and_version(podling: World) -> None:
    assert podling.check("version", "--format", "{{.Client.Version}}")
    info = json.loads(podling.check("info", "--format", "json"))
    assert info["store"]["graphRoot"].startswith(str(podling.root))


def test_a_killed_stop_leaves_a_running_container(podling: World, run: Callable[..., str]) -> None:
    container = run("fedora", "bash", "-c", "trap '' TERM; echo up; sleep 1000")
    while "up" not in podling.check("logs", container):
        continue
    command = [str(podling.program), "stop", "--time", "600", container]
    stopper = subprocess.Popen(command, env=podling.environment, stdout=subprocess.DEVNULL)
    while podling.check("inspect", "--format", "{{.State.Status}}", container) != "stopping":
        assert stopper.poll() is None
    stopper.kill()
    stopper.wait()
    podling.check("stop", "--all", "--filter", "name=nosuch")  # a mutating verb
    assert podling.check("inspect", "--format", "{{.State.Status}}", container) == "running"
    assert podling.check("exec", container, "echo", "still") == "still"
