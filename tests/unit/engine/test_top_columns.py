"""Columns of top that need no container: durations, terminals, names, and our own process through a listing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podling.engine import info, top, top_processes, top_ps
from podling.engine.container import Container, ContainerConfig, ContainerState
from podling.engine.options import Settings
from podling.errors import WrongState
from podling.linux import processes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (5, "5s"),
        (65, "1m5s"),
        (3600, "1h0m0s"),
        (4.002734155, "4.002734155s"),
        (0.25, "250ms"),
        (0.0000015, "1.5µs"),
        (61.5, "1m1.5s"),
        (-2.5, "-2.5s"),
    ],
)
def test_durations_are_gos(seconds: float, text: str) -> None:
    assert top.go_duration(seconds) == text


@pytest.mark.parametrize(
    ("device", "name"),
    [(0, "?"), (os.makedev(136, 5), "pts/5"), (os.makedev(137, 1), "pts/257"), (os.makedev(4, 1), "tty1")],
)
def test_terminals(device: int, name: str) -> None:
    assert top_processes.terminal(device) == name


def test_names_come_from_regular_files_of_the_root_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:\nbroken\nalice:x:1000:\nother:x:1000:\n")
    os.mkfifo(tmp_path / "etc/group")  # opening it for reading would wait for a writer
    names = top_processes.Names(str(tmp_path))
    assert [names.user(0), names.user(1000), names.user(7)] == ["root", "alice", "7"]
    assert names.group(0) == "0"


def test_a_link_out_of_the_root_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("spy:x:0:0::/:\n")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").symlink_to(tmp_path / "outside")
    assert top_processes.Names(str(tmp_path / "root")).user(0) == "0"


def container(pid: int, status: str = "running") -> Container:
    state = ContainerState(status=status, pid=pid, pid_started=processes.start_time(pid))
    return Container(config=ContainerConfig(id="a" * 64, name="a", created=0), state=state)


def test_every_descriptor_has_a_column() -> None:
    names = top.descriptors()
    rows = top.top(Settings(), container(os.getpid()), [",".join(names)])
    assert [len(row) for row in rows] == [len(names)] * len(rows)
    mine = dict(zip(names, next(row for row in rows[1:] if str(os.getpid()) in row), strict=True))
    assert mine["pid"] == mine["hpid"] == str(os.getpid())
    assert mine["pgid"] == str(os.getpgid(0))
    assert mine["uid"] == str(os.geteuid())
    assert mine["state"] == "R"
    assert mine["comm"] == processes.read_small("/proc/self/comm").strip()


def test_headers_and_codes_are_podmans() -> None:
    words = ["args", "user", "group", "pid", "hpid", "seccomp", "label"]
    assert top.top(Settings(), container(os.getpid()), words)[0] == [
        "COMMAND",
        "USER",
        "GROUP",
        "PID",
        "HPID",
        "SECCOMP",
        "LABEL",
    ]
    default = ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]
    assert top.top(Settings(), container(os.getpid()), [])[0] == default
    assert top.top(Settings(), container(os.getpid()), ["%p,%U", "%C"])[0] == ["PID", "USER", "%CPU"]


@pytest.mark.parametrize("status", ["created", "exited", "paused"])
def test_only_running_containers_have_processes(status: str) -> None:
    with pytest.raises(WrongState, match="top can only be used on running containers"):
        top.top(Settings(), container(os.getpid(), status), [])


def test_a_recycled_pid_is_not_the_container() -> None:
    other = container(os.getpid())
    other.state.pid_started += 1
    with pytest.raises(WrongState):
        top.top(Settings(), other, [])


def test_ps_does_not_show_itself() -> None:
    lines = ["  PID COMMAND", "    1 bash", "    7 ps", "   17 ps", "    8 x ps -o pid,comm"]
    assert top_ps.without_itself(lines, ["-o", "pid,comm"], "7") == ["  PID COMMAND", "    1 bash", "   17 ps"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "0h 0m 3.00s"), (2708, "0h 45m 8.00s"), (90061, "25h 1m 1.00s (Approximately 1.04 days)")],
)
def test_uptimes(seconds: float, text: str) -> None:
    assert info.uptime(seconds) == text


def test_utilization_is_a_share_of_what_is_counted() -> None:
    shares = info.cpu_utilization("cpu  10 5 30 60 9 9\ncpu0 …")
    assert shares == {"userPercent": 10.0, "systemPercent": 30.0, "idlePercent": 60.0}


def test_info_has_podmans_keys_and_makes_nothing(tmp_path: Path) -> None:
    script = (
        "import json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from podling.engine import info, options\n"
        "settings = options.Settings(root=sys.argv[2] + '/root', runroot=sys.argv[2] + '/run')\n"
        "print(json.dumps(info.info(settings)))"
    )
    command = [sys.executable, "-c", script, str(Path(info.__file__).parents[2]), str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert list(found) == ["host", "store", "registries", "plugins", "version"]
    assert found["store"]["containerStore"] == {"number": 0, "paused": 0, "running": 0, "stopped": 0}
    assert found["host"]["ociRuntime"]["version"].startswith("podling-runc version ")
    assert found["host"]["conmon"]["version"].startswith("conmon version ")
    assert not any(tmp_path.iterdir())
