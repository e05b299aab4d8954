"""What hostile images and configurations do not get: the classes of known escapes, one test each."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Bundle, Runtime


def test_no_descriptor_of_ours_is_left(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.run(bundle, "ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]
    bundle.process["args"] = ["sleep", "1000"]
    container = runtime.create(bundle)
    runtime("start", container)
    assert runtime("exec", container, "ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]
    assert sorted(os.listdir(f"/proc/{runtime.state(container)['pid']}/fd")) == ["0", "1", "2"]


@pytest.mark.parametrize("number", [3, 5, 7, 8, 9, 10])
def test_the_working_directory_is_no_magic_link(runtime: Runtime, bundle: Bundle, number: int) -> None:
    bundle.process["cwd"] = f"/proc/self/fd/{number}"
    assert "cannot change to working directory" in runtime.run(bundle, "ls", ok=False).stderr


def test_the_interpreter_is_not_executed(runtime: Runtime, bundle: Bundle) -> None:
    interpreter = Path(os.path.realpath(sys.executable))
    before = hashlib.sha256(interpreter.read_bytes()).hexdigest()
    (bundle.rootfs / "tmp/script").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "tmp/script").chmod(0o755)
    (bundle.rootfs / "tmp/twice").write_text("#!/tmp/script\n")
    (bundle.rootfs / "tmp/twice").chmod(0o755)
    (bundle.rootfs / "tmp/link").symlink_to("/proc/self/exe")
    for path in ("/proc/self/exe", "/tmp/script", "/tmp/twice", "/tmp/link", "/proc/1/exe"):
        assert "permission denied" in runtime.run(bundle, path, ok=False).stderr
    assert hashlib.sha256(interpreter.read_bytes()).hexdigest() == before


def test_proc_as_a_symlink_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("tmp")
    assert "ordinary directory" in runtime.run(bundle, "true", ok=False).stderr


@pytest.mark.parametrize("destination", ["/proc", "/proc/sys", "/proc/self/attr", "/tmp/link"])
def test_nothing_is_mounted_over_proc(runtime: Runtime, bundle: Bundle, tmp_path: Path, destination: str) -> None:
    (bundle.rootfs / "tmp/link").symlink_to("/proc")
    (tmp_path / "lie").mkdir()
    bundle.mount(destination, "bind", str(tmp_path / "lie"), "bind")
    assert "/proc" in runtime.run(bundle, "true", ok=False).stderr


def test_dev_as_a_symlink_stays_inside(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(outside)
    bundle.config["mounts"] = [row for row in bundle.config["mounts"] if not row["destination"].startswith("/dev")]
    runtime.run(bundle, "true")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("target", ["../../../../../../../outside", "/outside/../../outside"])
def test_mount_points_are_made_inside(runtime: Runtime, bundle: Bundle, tmp_path: Path, target: str) -> None:
    (bundle.rootfs / "escape").symlink_to(target)
    bundle.mount("/escape/made", "tmpfs", "tmpfs")
    runtime.run(bundle, "ls", "/escape/made")
    assert (bundle.rootfs / "outside/made").is_dir() and not Path("/outside").exists()


def test_console_as_a_symlink_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"] = [row for row in bundle.config["mounts"] if row["destination"] != "/dev"]
    (bundle.rootfs / "dev/console").symlink_to("/etc/passwd")
    bundle.process["terminal"] = True
    done = runtime.run(bundle, "true", ok=False)
    assert "/dev/console" in done.stderr


def test_passwd_as_a_fifo_is_not_waited_for(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").unlink()
    os.mkfifo(bundle.rootfs / "etc/passwd")
    bundle.process["env"] = ["PATH=/bin"]
    assert runtime.run(bundle, "sh", "-c", "echo $HOME").stdout == "/\n"


def test_modules_are_not_imported_from_the_container(runtime: Runtime, bundle: Bundle) -> None:
    """A root that offers our interpreter's own library path full of traps springs none of them."""
    for directory in [path for path in sys.path if path.startswith("/") and not path.endswith(".zip")]:
        inside = bundle.rootfs / directory.removeprefix("/")
        inside.mkdir(parents=True, exist_ok=True)
        for name in ("traceback", "socket", "signal", "linecache", "warnings", "json", "re"):
            (inside / f"{name}.py").write_text("open('/tmp/sprung', 'w')\n")
    for arguments in (["true"], ["nosuch"]):
        runtime.run(bundle, *arguments, ok=arguments == ["true"])
    assert not (bundle.rootfs / "tmp/sprung").exists()


def test_init_cannot_be_looked_into(runtime: Runtime, bundle: Bundle) -> None:
    container = runtime.create(bundle)
    pid = runtime.state(container)["pid"]
    look = ["setpriv", "--reuid=0", "--bounding-set=-all", "--inh-caps=-all", "ls", "-l", f"/proc/{pid}/exe"]
    done = subprocess.run(look, capture_output=True, text=True)
    assert "Permission denied" in done.stderr, done


@pytest.mark.parametrize("sysctl", ["kernel.panic", "vm.swappiness", "net/../kernel/panic", "kernel.hostname"])
def test_the_hosts_sysctls_are_out_of_reach(runtime: Runtime, bundle: Bundle, sysctl: str) -> None:
    bundle.linux["sysctl"] = {sysctl: "1"}
    assert "sysctl" in runtime.run(bundle, "true", ok=False).stderr


def test_too_long_mappings_are_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "user"})
    rows = [{"containerID": number, "hostID": 100000 + number, "size": 1} for number in range(5000)]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = rows
    assert "5000 rows" in runtime.run(bundle, "true", ok=False).stderr
