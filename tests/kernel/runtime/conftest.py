"""Bundles and a runtime of the test's own.

runtime     the installed podling-runc with a private --root; what a test leaves in it is deleted and counted
rootfs      a root file system of a few host programs with their libraries, built once
bundle      a bundle on a copy-free overlay of it, with the configuration that Podman would write
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).parent / "podling-runc"
TOOLS = "sh cat ls id sleep true mount env hostname stat readlink grep tty stty touch kill mkdir rm ln ps"
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE"]
SET_CHILD_SUBREAPER = 36

_numbers = itertools.count()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root file system that is not to be changed."""
    root = tmp_path_factory.mktemp("image")
    for name in ("proc", "sys", "dev", "etc", "tmp", "root", "run", "usr/bin", "usr/lib", "usr/lib64", "full/deep"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for tool in TOOLS.split():
        path = shutil.which(tool, path="/usr/bin:/bin")
        assert path, tool
        shutil.copy(os.path.realpath(path), root / "usr/bin" / tool)
        for word in subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout.split():
            if word.startswith("/"):
                named = root / "usr" / word.removeprefix("/usr").removeprefix("/")
                named.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(os.path.realpath(word), named)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:12:13::/home/user:/bin/sh\n")
    (root / "full/deep/file").write_text("from the image\n")
    (root / "full").chmod(0o1755)
    return root


@pytest.fixture
def rootfs(image: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a writable root file system: an overlay on the image."""
    names = [tmp_path / name for name in ("upper", "work", "rootfs")]
    for name in names:
        name.mkdir()
    options = f"lowerdir={image},upperdir={names[0]},workdir={names[1]}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(names[2])], check=True)
    yield names[2]
    subprocess.run(["umount", str(names[2])], check=True)


class Bundle:
    """A directory with a config.json that is written when the runtime is about to read it."""

    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.directory = directory
        self.rootfs = rootfs
        self.config: dict[str, Any] = configuration(rootfs)

    @property
    def process(self) -> dict[str, Any]:
        return self.config["process"]  # type: ignore[no-any-return]

    @property
    def linux(self) -> dict[str, Any]:
        return self.config["linux"]  # type: ignore[no-any-return]

    def mount(self, destination: str, kind: str, source: str, *options: str) -> None:
        row = {"destination": destination, "type": kind, "source": source, "options": list(options)}
        self.config["mounts"].append(row)

    def write(self) -> Path:
        (self.directory / "config.json").write_text(json.dumps(self.config))
        return self.directory


def configuration(rootfs: Path) -> dict[str, Any]:
    """Return what Podman writes for a container with default options, its own mounts aside."""
    hardened = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2-dev",
        "process": {
            "user": {"uid": 0, "gid": 0, "umask": 18},
            "args": ["true"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm", "HOME=/root"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1000, "soft": 900}],
        },
        "root": {"path": str(rootfs)},
        "hostname": "inside",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": hardened},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"],
            },
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*hardened, "ro"]},
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": hardened},
        ],
        "annotations": {"org.example.note": "kept"},
        "linux": {
            "sysctl": {"net.ipv4.ping_group_range": "0 0"},
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 64}},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/acpi", "/sys/firmware", "/proc/scsi", "/nowhere"],
            "readonlyPaths": ["/proc/sys", "/proc/bus", "/nowhere"],
        },
    }


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Bundle:
    """Return a bundle whose configuration a test changes before the runtime reads it."""
    directory = tmp_path / "bundle"
    directory.mkdir()
    return Bundle(directory, rootfs)


class Runtime:
    """The program, its --root, and the containers that a test makes with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []

    def __call__(self, *words: str, ok: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the program to its end and return what it printed; `ok` False expects a failure."""
        command = [str(PROGRAM), "--root", str(self.root), *words]
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, **options)
        assert (done.returncode == 0) == ok, (words, done.returncode, done.stdout, done.stderr)
        return done

    def id(self) -> str:
        self.made.append(f"test-{os.getpid()}-{next(_numbers)}")
        return self.made[-1]

    def create(self, bundle: Bundle, *flags: str, output: Path | None = None) -> str:
        """Create a container whose streams are a file, and return its ID."""
        container = self.id()
        bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
        command = [str(PROGRAM), "--root", str(self.root), "create", "--bundle", str(bundle.write())]
        output = output or self.root.parent / f"{container}.output"  # no pipe: the container would hold it open
        with open(output, "w") as stream:
            done = subprocess.run(
                [*command, *flags, container], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, timeout=30
            )
        assert done.returncode == 0, output.read_text()
        return container

    def run(self, bundle: Bundle, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a fresh container and return what it printed."""
        container = self.id()
        bundle.process["args"] = list(arguments)
        bundle.linux["cgroupsPath"] = f"/podling-tests/{container}"
        return self("run", "--bundle", str(bundle.write()), container, ok=ok)

    def state(self, container: str) -> dict[str, Any]:
        return json.loads(self("state", container).stdout)  # type: ignore[no-any-return]

    def wait(self, pid: int) -> int:
        """Wait for a process that was orphaned to us and return its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Return the program with a private --root; orphans of it become children of the test."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made = Runtime(tmp_path / "root")
    yield made
    try:
        for container in made.made:
            made("delete", "--force", container)
    finally:
        reap()
        prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert [name for name in os.listdir(made.root) if name != ".seccomp"] == [] if made.root.exists() else True
    for controller in os.listdir("/sys/fs/cgroup"):
        path = f"/sys/fs/cgroup/{controller}/podling-tests"
        if os.path.isdir(path):
            os.rmdir(path)


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        pass
