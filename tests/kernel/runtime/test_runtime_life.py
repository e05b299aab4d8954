"""A container's life by the runtime's verbs: what each leaves behind, and what a kill in between leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import PROGRAM, Bundle, Runtime


def test_create_start_state_delete(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["args"] = ["sh", "-c", "echo hello; exit 3"]
    pid_file, output = tmp_path / "pid", tmp_path / "output"
    container = runtime.create(bundle, "--pid-file", str(pid_file), output=output)
    state = runtime.state(container)
    assert state["status"] == "created" and state["pid"] == int(pid_file.read_text())
    assert state["bundle"] == str(bundle.directory) and state["annotations"] == {"org.example.note": "kept"}
    assert output.read_text() == ""
    runtime("start", container)
    assert runtime.wait(state["pid"]) == 3
    assert output.read_text() == "hello\n"
    assert runtime.state(container)["status"] == "stopped" and runtime.state(container)["pid"] == 0
    assert "stopped" in runtime("start", container, ok=False).stderr
    runtime("delete", container)
    assert runtime("state", container, ok=False).stderr == f'container "{container}" does not exist\n'


def test_run_gives_output_and_status(runtime: Runtime, bundle: Bundle) -> None:
    done = runtime.run(bundle, "sh", "-c", "echo out; echo err >&2; exit 9", ok=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")
    assert runtime("list", "-q").stdout == ""


def test_run_passes_signals_on(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.id()
    bundle.process["args"] = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done"]
    bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
    command = [str(PROGRAM), "--root", str(runtime.root), "run", "--bundle", str(bundle.write()), container]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 5


def test_pause_kill_and_delete(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    container = runtime.create(bundle)
    runtime("start", container)
    state = runtime.state(container)
    assert state["status"] == "running"
    assert "not stopped: running" in runtime("delete", container, ok=False).stderr
    runtime("pause", container)
    assert runtime.state(container)["status"] == "paused"
    assert "paused" in runtime("exec", container, "true", ok=False).stderr
    runtime("kill", container, "KILL")
    assert runtime.wait(state["pid"]) == -9
    assert runtime("kill", container, "15", ok=False).stderr == "container not running\n"
    runtime("kill", "--all", container, "9")
    runtime("delete", container)


def test_a_signal_ends_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create(bundle)
    pid = runtime.state(container)["pid"]
    runtime("kill", container)
    assert runtime.wait(pid) == 128 + 15


def test_an_id_is_taken_once(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create(bundle)
    done = runtime("create", "--bundle", str(bundle.directory), container, ok=False)
    assert done.stderr == f'container with ID "{container}" already exists\n'
    assert runtime.state(container)["status"] == "created"


@pytest.mark.parametrize("name", ["..", "a/b", "", "a b", "ä"])
def test_bad_ids_are_refused(runtime: Runtime, bundle: Bundle, name: str) -> None:
    bundle.write()
    done = runtime("create", "--bundle", str(bundle.directory), name, ok=False)
    assert "invalid container ID" in done.stderr and not runtime.root.exists()


def test_a_failed_create_leaves_nothing(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    container = runtime.id()
    bundle.process["args"] = ["/nosuch"]
    bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
    words = ["--log", str(log), "--log-format=json", "create", "--bundle", str(bundle.write()), container]
    done = runtime(*words, ok=False)
    assert done.returncode == 1
    assert done.stderr == 'exec: "/nosuch": stat /nosuch: no such file or directory\n'
    record = json.loads(log.read_text())
    assert record["level"] == "error" and record["msg"] + "\n" == done.stderr and record["time"]
    assert runtime("list", "-q").stdout == ""
    assert not any(path.name == container for path in Path("/sys/fs/cgroup").glob("*/podling-tests/*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["/etc"], "permission denied"),
    ],
)
def test_commands_that_cannot_be(runtime: Runtime, bundle: Bundle, arguments: list[str], said: str) -> None:
    assert said in runtime.run(bundle, *arguments, ok=False).stderr


def test_start_tells_why_the_exec_failed(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["/tmp/garbage"]
    (bundle.rootfs / "tmp/garbage").write_bytes(b"\0\1\2\3" * 40)
    (bundle.rootfs / "tmp/garbage").chmod(0o755)
    container = runtime.create(bundle)
    assert "exec format error" in runtime("start", container, ok=False).stderr
    runtime("delete", container)


CHANGING = ("mkdir", "rename", "mknod", "chmod", "unshare", "clone3", "setns", "write")


def traced_create(runtime: Runtime, bundle: Bundle, output: str, *strace: str) -> tuple[str, int]:
    """Create a container under strace, with its errors in `said`; return its ID and the exit code."""
    container = runtime.id()
    bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
    command = [str(PROGRAM), "--root", str(runtime.root), "create", "--bundle", str(bundle.write()), container]
    trace = ["strace", "-qq", "-o", output, "-e", f"trace={','.join(CHANGING)}", *strace]
    with open(bundle.directory / "said", "wb") as said:  # no pipe: the container would hold it open
        done = subprocess.run([*trace, *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=30)
    return container, done.returncode


def occurrences(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> list[tuple[str, int]]:
    """Return the state-changing system calls of a create, each by name and which of that name it is."""
    bundle.process["args"] = ["sleep", "1000"]
    for _time in range(2):  # the second finds what only the first has to make
        container, code = traced_create(runtime, bundle, str(tmp_path / "trace"))
        assert code == 0, (bundle.directory / "said").read_text()
        runtime("delete", container)
    names = [line.partition("(")[0] for line in (tmp_path / "trace").read_text().splitlines()]
    return [(name, number) for name in CHANGING for number in range(1, names.count(name) + 1)]


def left_of(runtime: Runtime, container: str) -> list[Path]:
    """Return the directories that a container still has, under the runtime's root and in the cgroups."""
    cgroups = [path for path in Path("/sys/fs/cgroup").glob(f"*/podling-tests/{container}") if path.is_dir()]
    return cgroups + [path for path in [runtime.root / container] if path.exists()]


def test_delete_force_after_a_kill_anywhere(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    walk = occurrences(runtime, bundle, tmp_path)
    assert {name for name, _number in walk} >= {"mkdir", "rename", "unshare", "clone3", "setns", "write"}
    for name, number in walk:
        kill = f"inject={name}:signal=KILL:when={number}"
        container, code = traced_create(runtime, bundle, os.devnull, "-e", kill)
        assert code == -9, (name, number, code)
        runtime("delete", "--force", container)
        assert left_of(runtime, container) == [], (name, number)


def test_a_create_that_fails_anywhere_undoes_itself(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    for name, number in occurrences(runtime, bundle, tmp_path):
        fault = f"inject={name}:error=ENOSPC:when={number}"
        container, code = traced_create(runtime, bundle, os.devnull, "-e", fault)
        if code == 0:
            assert runtime.state(container)["status"] == "created", (name, number)
            runtime("delete", container)
        assert left_of(runtime, container) == [], (name, number, code)


def test_hooks_run_in_order_with_the_state(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "record"
    points = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    script = f'state=$(cat); echo "$1 $state" >> {record}'
    bundle.config["hooks"] = {
        point: [{"path": "/bin/sh", "args": ["sh", "-c", script, "sh", point], "env": ["PATH=/usr/bin:/bin"]}]
        for point in points
    }
    bundle.config["hooks"]["startContainer"] = [
        {"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/started"], "env": ["PATH=/bin"]}
    ]
    assert runtime.run(bundle, "cat", "/tmp/started").stdout.startswith('{"ociVersion"')
    rows = [line.split(" ", 1) for line in record.read_text().splitlines()]
    assert [row[0] for row in rows] == list(points)
    states = {point: json.loads(text) for point, text in rows}
    assert states["createRuntime"]["status"] == "creating" and states["createRuntime"]["pid"] > 1
    assert states["poststop"]["status"] == "stopped"


def test_a_failing_hook_undoes_the_create(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}],
    }
    done = runtime.run(bundle, "true", ok=False)
    assert done.stderr == 'createRuntime hook #0 "/bin/sh": exit status 3: because\n'
    assert runtime("list", "-q").stdout == ""


def test_a_hook_has_its_time(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}
    assert "timed out after 1 s" in runtime.run(bundle, "true", ok=False).stderr


def test_list_and_ps(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    container = runtime.create(bundle)
    runtime("start", container)
    pid = runtime.state(container)["pid"]
    rows = json.loads(runtime("list", "--format", "json").stdout)
    assert [(row["id"], row["pid"], row["status"]) for row in rows] == [(container, pid, "running")]
    assert json.loads(runtime("ps", "--format=json", container).stdout) == [pid]
    table = runtime("ps", container, "-o", "pid,args").stdout.splitlines()
    assert table[0].split() == ["PID", "COMMAND"] and table[1].split() == [str(pid), "sleep", "1000"]
