"""`run` as its users know it: exit codes, streams, and what is inside the container."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.world import World

RUN = ("run", "--rm", "--network", "none")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["false"], 1),
        (["bash", "-c", "exit 42"], 42),
        (["bash", "-c", "sleep 100 & kill -9 $!; wait $!"], 137),
        (["/no/such/program"], 127),
        (["no-such-program"], 127),
        (["/etc"], 126),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_status(podling: World, command: list[str], status: int) -> None:
    assert podling.run(*RUN, "fedora", *command).returncode == status


def test_streams_are_apart(podling: World) -> None:
    done = podling.run(*RUN, "fedora", "bash", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_standard_input_only_with_interactive(podling: World) -> None:
    assert podling.check(*RUN, "-i", "fedora", "cat", stdin="through a pipe") == "through a pipe"
    assert podling.check(*RUN, "fedora", "cat", stdin="not for the container") == ""


def test_large_input_and_output_arrive_whole(podling: World) -> None:
    data = bytes(range(32, 127)) * 40_000
    assert podling.check(*RUN, "-i", "fedora", "cat", stdin=data) == data.decode()


def test_output_is_whole_when_the_process_ends_at_once(podling: World) -> None:
    counted = podling.check(*RUN, "fedora", "bash", "-c", "seq 1 200000").splitlines()
    assert (len(counted), counted[-1]) == (200000, "200000")


@pytest.mark.parametrize(
    ("flags", "command", "shown"),
    [
        (["-e", "A=1", "--env", "B=two words"], 'echo "$A $B $container"', "1 two words oci"),
        (["-w", "/tmp"], "pwd", "/tmp"),
        (["-u", "1000"], "id -u; id -g", "1000\n1000"),
        (["-u", "lab"], "id; echo $HOME", "uid=1000(lab) gid=1000(lab) groups=1000(lab),10(wheel)\n/home/lab"),
        (["-u", "123:456"], "id -u; id -g", "123\n456"),
        (["--group-add", "mail", "-u", "1000"], "id -G", "1000 10 12"),
        (["-h", "named"], "hostname; cat /etc/hostname", "named\nnamed"),
        (["--entrypoint", "/usr/bin/printf"], None, "echo"),
        (["--tmpfs", "/mnt:size=1m"], "stat -f -c %T /mnt; df -k /mnt | tail -1 | mawk '{print $2}'", "tmpfs\n1024"),
        (["--read-only"], "touch /x 2>/dev/null; echo $?; touch /tmp/x && echo ok", "1\nok"),
        (["--shm-size", "2m"], "df -k /dev/shm | tail -1 | mawk '{print $2}'", "2048"),
        (["--cap-drop", "all"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
        (["--cap-drop", "all", "--cap-add", "chown"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000001"),
        (["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
        (["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", "Seccomp:\t0"),
        ([], "grep Seccomp: /proc/self/status", "Seccomp:\t2"),
        (["--ulimit", "nproc=99:99", "--ulimit", "nofile=99:100"], "ulimit -n; ulimit -Hn", "99\n100"),
        (["--umask", "0077"], "umask", "0077"),
        (["--add-host", "there:10.1.2.3"], "getent hosts there | mawk '{print $1}'", "10.1.2.3"),
        (["--tz", "UTC"], "date +%Z", "UTC"),
        (["--init"], "cat /proc/1/comm | grep -c bash || true", "0"),
        (["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
        (["--device", "/dev/null:/dev/nothing"], "test -c /dev/nothing && echo device", "device"),
        ([], "test -e /run/.containerenv; test -c /dev/null && echo ok", "ok"),
        ([], "ls -A /sys/firmware; head -c1 /proc/kcore | wc -c; test -w /proc/sys/kernel/domainname; echo $?", "0\n1"),
        (["--privileged"], "test -w /proc/sys/kernel/domainname; echo $?", "0"),
    ],
)  # fmt: skip
def test_flag_takes_effect(podling: World, flags: list[str], command: str | None, shown: str) -> None:
    words = ["bash", "-c", command] if command is not None else ["echo"]
    if "--entrypoint" in flags:
        words = ["%s", "echo"]
    found = podling.check(*RUN, *flags, "fedora", *words)
    assert found == shown


def test_limits_are_the_cgroups(podling: World) -> None:
    limits = ("--memory", "64m", "--pids-limit", "33", "--cpus", "0.5")
    container = podling.check("run", "-d", "--network", "none", *limits, "fedora", "sleep", "1000")
    pid = int(podling.check("inspect", "--format", "{{.State.Pid}}", container))
    values = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        base = f"/sys/fs/cgroup/{controllers}{path}" if controllers else f"/sys/fs/cgroup{path}"
        for name in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max"):
            if Path(base, name).exists():
                values[name] = Path(base, name).read_text().split()[0]
    assert values.get("memory.limit_in_bytes", values.get("memory.max")) == str(64 << 20)
    assert values["pids.max"] == "33"
    assert values.get("cpu.cfs_quota_us", values.get("cpu.max")) == "50000"
    podling.check("rm", "-f", "-t", "0", container)


def test_bind_mounts_and_volumes(podling: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host's\n")
    shown = podling.check(*RUN, "-v", f"{tmp_path}:/mnt", "fedora", "bash", "-c", "cat /mnt/file; echo new >/mnt/made")
    assert (shown, (tmp_path / "made").read_text()) == ("host's", "new\n")
    assert podling.run(*RUN, "-v", f"{tmp_path}:/mnt:ro", "fedora", "touch", "/mnt/x").returncode == 1
    mount = f"type=bind,source={tmp_path},target=/mnt,readonly"
    assert podling.run(*RUN, "--mount", mount, "fedora", "touch", "/mnt/x").returncode == 1


def test_image_configuration_takes_effect(podling: World) -> None:
    assert podling.check("pull", "-q", "variants")
    shown = podling.check(
        *RUN, "--entrypoint", "", "variants", "bash", "-c", "id -un; pwd; grep -c /var/data /proc/mounts"
    )
    assert shown.splitlines() == ["lab", "/srv/work", "1"]
    assert podling.check(*RUN, "variants") == "entrypoint command"
    assert podling.check(*RUN, "variants", "other") == "entrypoint other"
    podling.check("rmi", "variants")


def test_cidfile_and_name(podling: World, tmp_path: Path) -> None:
    container = podling.check(
        "run", "-d", "--stop-timeout", "0", "--name", "one", "--cidfile", str(tmp_path / "id"), "fedora", "sleep", "99"
    )
    assert (tmp_path / "id").read_text() == container
    assert re.fullmatch("[0-9a-f]{64}", container)
    taken = podling.run("run", "--name", "one", "fedora", "true")
    assert taken.returncode == 125 and "one" in taken.stderr
    replaced = podling.check("run", "-d", "--name", "one", "--replace", "fedora", "sleep", "99").splitlines()[-1]
    assert podling.check("ps", "-a", "--no-trunc", "--format", "{{.ID}}") == replaced
    podling.check("rm", "-f", "-t", "0", "one")


def test_namespaces_are_the_containers_own(podling: World) -> None:
    kinds = ("ipc", "mnt", "net", "pid", "uts")
    inside = podling.check(
        *RUN, "fedora", "bash", "-c", f"for k in {' '.join(kinds)}; do readlink /proc/self/ns/$k; done"
    )
    outside = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds]
    assert not set(inside.splitlines()) & set(outside)
    shared = podling.check(
        "run", "--rm", "--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host", "fedora", "bash", "-c",
        "for k in ipc net pid uts; do readlink /proc/self/ns/$k; done",
    )  # fmt: skip
    assert shared.splitlines() == [line for line in outside if not line.startswith("mnt")]


def test_nothing_of_the_hosts_descriptors_or_environment_is_inside(podling: World) -> None:
    listed = podling.run(*RUN, "fedora", "bash", "-c", "ls -l /proc/self/fd /proc/1/fd; env", SECRET="of the host")
    assert listed.returncode == 0
    assert "SECRET" not in listed.stdout
    targets = re.findall(r"\d+ -> (\S+)", listed.stdout)
    assert all(target.startswith(("pipe:", "/dev/null", "/proc/", "/usr/")) for target in targets), targets
