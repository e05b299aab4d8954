"""What a container sees: mounts, devices, names, limits, identity."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import PROGRAM, Bundle, Runtime


def mounts_of(text: str) -> dict[str, list[str]]:
    """Return mount point to the fields of mountinfo."""
    return {line.split()[4]: line.split() for line in text.splitlines() if " - " in line}


def test_the_default_view(runtime: Runtime, bundle: Bundle) -> None:
    script = "hostname; cat /proc/sys/net/ipv4/ping_group_range /sys/class/net/lo/flags; ls -A /dev; ps -o pid,args"
    lines = runtime.run(bundle, "sh", "-c", script).stdout.splitlines()
    assert lines[:2] == ["inside", "0\t0"]
    assert int(lines[2], 16) & 1, "loopback is up"
    devices = set(lines[3 : lines.index("    PID COMMAND")])
    assert devices >= {"null", "zero", "full", "random", "urandom", "tty", "fd", "ptmx", "pts", "stdin", "mqueue"}
    assert len(lines[lines.index("    PID COMMAND") :]) <= 3


def test_nothing_of_the_host_is_mounted(runtime: Runtime, bundle: Bundle) -> None:
    mounts = mounts_of(runtime.run(bundle, "cat", "/proc/self/mountinfo").stdout)
    expected = {"/", "/proc", "/dev", "/sys", "/dev/pts", "/dev/mqueue", "/proc/sys", "/proc/bus"}
    assert mounts.keys() - {"/proc/kcore", "/proc/acpi", "/proc/scsi", "/sys/firmware"} == expected
    assert "ro" in mounts["/proc/sys"][5].split(",") and "ro" in mounts["/sys"][5].split(",")


def test_masked_paths(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["maskedPaths"] += ["/full", "/etc/passwd", "/root", "/proc/uptime"]
    script = "stat -c %t:%T /proc/uptime /etc/passwd; ls -A /full /root; touch /full/x; touch /proc/sys/x"
    done = runtime.run(bundle, "sh", "-c", script, ok=False)
    assert done.stdout == "1:3\n1:3\n/full:\n\n/root:\n"
    assert done.stderr.count("Read-only file system") >= 1


def test_bind_mounts(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("bound\n")
    bundle.mount("/mnt/new", "bind", str(source), "bind", "rprivate")
    bundle.mount("/mnt/ro", "bind", str(source), "rbind", "ro", "nosuid", "nodev", "noexec")
    bundle.mount("/etc/one", "bind", str(source / "file"), "bind", "ro")
    script = "cat /mnt/new/file /etc/one; touch /mnt/new/made; touch /mnt/ro/no; cat /proc/self/mountinfo"
    done = runtime.run(bundle, "sh", "-c", script)
    assert done.stdout.startswith("bound\nbound\n") and (source / "made").exists() and not (source / "no").exists()
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts_of(done.stdout)["/mnt/ro"][5].split(","))


def test_recursive_read_only(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/outer", "tmpfs", "tmpfs")
    bundle.mount("/rro", "bind", "/dev/shm", "rbind", "rro")
    done = runtime.run(bundle, "sh", "-c", "touch /outer/x && touch /rro/x", ok=False)
    assert "Read-only file system" in done.stderr


def test_a_dangling_symlink_is_followed_inside(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (bundle.rootfs / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    source = tmp_path / "resolv.conf"
    source.write_text("nameserver 127.0.0.1\n")
    bundle.mount("/etc/resolv.conf", "bind", str(source), "bind")
    assert runtime.run(bundle, "cat", "/etc/resolv.conf").stdout == "nameserver 127.0.0.1\n"
    assert (bundle.rootfs / "run/systemd/resolve/stub-resolv.conf").exists()


def test_tmpfs_with_copy_up(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/full", "tmpfs", "tmpfs", "tmpcopyup", "nosuid")
    script = "cat /full/deep/file; stat -c %a /full; touch /full/new; grep ' /full ' /proc/self/mountinfo"
    lines = runtime.run(bundle, "sh", "-c", script).stdout.splitlines()
    assert lines[:2] == ["from the image", "1755"] and " tmpfs " in lines[2]
    assert not (bundle.rootfs / "full/new").exists()


def test_overlay_with_long_options(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    for name in ("lower", "upper", "work"):
        (deep / name).mkdir(parents=True)
    (deep / "lower/file").write_text("lower\n")
    bundle.mount("/o", "overlay", "overlay", f"lowerdir={deep}/lower,upperdir={deep}/upper,workdir={deep}/work")
    bundle.config["mounts"][-1]["options"] = bundle.config["mounts"][-1]["options"][0].split(",")
    assert runtime.run(bundle, "sh", "-c", "cat /o/file; touch /o/new").stdout == "lower\n"
    assert (deep / "upper/new").exists()


def test_read_only_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    bundle.mount("/made/for/it", "tmpfs", "tmpfs")
    done = runtime.run(bundle, "sh", "-c", "touch /made/for/it/x && touch /x", ok=False)
    assert "cannot touch '/x': Read-only file system" in done.stderr


def test_cgroups_are_shown(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "cgroup"})
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    script = "cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"
    done = runtime.run(bundle, "sh", "-c", script)
    assert done.stdout.splitlines()[-1] == "64"
    assert all(line.endswith(":/") for line in done.stdout.splitlines()[:-1])


def test_device_nodes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 12, "gid": 13},
        {"path": "/dev/sub/fifo", "type": "p", "fileMode": 0o600},
    ]
    done = runtime.run(bundle, "stat", "-c", "%F %a %u:%g %t:%T", "/dev/fuse", "/dev/sub/fifo")
    assert done.stdout == "character special file 640 12:13 a:e5\nfifo 600 0:0 0:0\n"


def test_user_and_groups(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 12, "gid": 13, "additionalGids": [14, 15], "umask": 0o77}
    bundle.process["env"] = ["PATH=/bin"]
    script = "id -u; id -G; umask; echo $HOME; cat /proc/self/status"
    lines = runtime.run(bundle, "sh", "-c", script).stdout.splitlines()
    assert lines[:4] == ["12", "13 14 15", "0077", "/home/user"]
    status = dict(line.split(":\t", 1) for line in lines[4:] if ":\t" in line)
    assert int(status["CapEff"], 16) == 0 and int(status["CapInh"], 16) == 0 and int(status["CapBnd"], 16) == 0x4E3


def test_ambient_capabilities(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 12, "gid": 13}
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        bundle.process["capabilities"][kind] = ["CAP_NET_BIND_SERVICE"]
    status = runtime.run(bundle, "grep", "^Cap", "/proc/self/status").stdout
    assert {line.split("\t")[1] for line in status.splitlines()} == {f"{1 << 10:016x}"}


def test_limits_and_no_new_privileges(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["noNewPrivileges"] = True
    bundle.process["oomScoreAdj"] = 500
    script = "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status"
    assert runtime.run(bundle, "sh", "-c", script).stdout.split() == ["900", "1000", "500", "NoNewPrivs:", "1"]


def test_a_limit_that_the_host_refuses(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1 << 31, "soft": 1 << 31}]
    assert "cannot set RLIMIT_NOFILE to" in runtime.run(bundle, "true", ok=False).stderr


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_seccomp(runtime: Runtime, bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42}],
    }
    done = runtime.run(bundle, "sh", "-c", "grep Seccomp: /proc/self/status; mkdir /tmp/x", ok=False)
    assert done.stdout.split() == ["Seccomp:", "2"] and os.strerror(42) in done.stderr


def test_a_user_namespace(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "file").write_text("reached\n")
    bundle.linux["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mapping
    bundle.linux["sysctl"] = {}
    (bundle.rootfs / "file").touch()  # the mapped root may not make it: the image is not its own
    bundle.mount("/file", "bind", str(hidden / "file"), "bind", "ro")
    for path in [tmp_path, *tmp_path.parents[:2]]:  # the mapped root has to reach the root file system
        path.chmod(0o711)
    done = runtime.run(bundle, "sh", "-c", "cat /proc/self/uid_map; id -u; cat /file; echo x > /dev/null")
    assert done.stdout.split() == ["0", "100000", "1000", "0", "reached"]


def test_an_idmapped_mount(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "owned"
    source.mkdir()
    mapping = [{"containerID": 0, "hostID": 5000, "size": 10}]
    bundle.mount("/owned", "bind", str(source), "bind")
    bundle.config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    assert runtime.run(bundle, "stat", "-c", "%u:%g", "/owned").stdout == "5000:5000\n"


def test_joined_namespaces(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    first = runtime.create(bundle)
    runtime("start", first)
    pid = runtime.state(first)["pid"]
    files = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    bundle.linux["namespaces"] = [{"type": "mount"}] + [
        {"type": kind, "path": f"/proc/{pid}/ns/{file}"} for kind, file in files.items()
    ]
    bundle.linux["sysctl"] = {}
    del bundle.config["hostname"]
    done = runtime.run(bundle, "sh", "-c", "hostname; readlink /proc/1/ns/net /proc/self/ns/net; cat /proc/1/comm")
    lines = done.stdout.splitlines()
    assert lines[0] == "inside" and lines[1] == lines[2] and lines[3] == "sleep"


def test_a_wrong_namespace_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"][0]["path"] = "/proc/self/ns/net"
    assert "is not a pid namespace" in runtime.run(bundle, "true", ok=False).stderr


def test_preserved_descriptors(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    container, passed = runtime.id(), tmp_path / "passed"
    bundle.process["args"] = ["sh", "-c", "echo through >&3; ls /proc/self/fd"]
    bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
    words = ["run", "--preserve-fds", "1", "--bundle", str(bundle.write()), container]
    command = [str(PROGRAM), "--root", str(runtime.root), *words]
    with_third = ["sh", "-c", f'exec 3>{passed}; exec "$@"', "sh", *command]
    done = subprocess.run(with_third, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1", "2", "3", "4"]  # 4 is the directory that ls reads
    assert passed.read_text() == "through\n"
    assert "descriptor 3 is to be preserved and is not open" in runtime(*words[:-1], "x", ok=False).stderr


def test_no_pivot(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.id()
    bundle.process["args"] = ["sh", "-c", "ls -d /proc/1 /full; hostname"]
    bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
    done = runtime("run", "--no-pivot", "--bundle", str(bundle.write()), container)
    assert done.stdout == "/full\n/proc/1\ninside\n"
