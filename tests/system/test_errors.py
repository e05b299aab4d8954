"""Every error is one line and the right exit code, and changes nothing: the store before and after is the same."""

from __future__ import annotations

import _sqlite3
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import images, inventory
from lab.registry import Registry, make_certificate
from lab.world import World
from tests.system.lying_registry import LIES, LyingRegistry

RUN = ("run", "--rm")


def assert_error(world: World, arguments: tuple[str, ...], status: int, text: str = "") -> None:
    """Run a command that must fail: its exit status, one line on standard error, nothing on disk."""
    inventory.await_collectors()
    before = inventory.files(world.roots())
    done = world.run(*arguments)
    inventory.await_collectors()
    lines = [line for line in done.stderr.splitlines() if not is_progress(line)]
    assert done.returncode == status, (done.returncode, done.stderr)
    if not world.is_podman:  # whose errors may have several lines
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("Error: "), done.stderr
    assert text.lower() in done.stderr.lower()
    assert inventory.files(world.roots()) == before


def is_progress(line: str) -> bool:
    """Tell whether a line on standard error is no error: what is being done, or where to read more."""
    told = (
        "Resolved ",
        "Trying to pull ",
        "Getting image",
        "Copying ",
        "Writing manifest",
        "Did you mean",
        "Try '",
        "See '",
        "Did you mean",
    )
    return line.startswith(told) or not line.strip() or line.startswith("\t")


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("pull", "UPPER/case"), 125, "UPPER/case"),
        (("pull", "fedora:bad:tag"), 125, "invalid reference format"),
        (("pull", "fedora@sha256:123"), 125, "invalid reference format"),
        (("pull", ""), 125, ""),
        (("pull", "127.0.0.1:1/no/such"), 125, "connection refused"),
        (("pull", "--tls-verify=false", "127.0.0.1:1/no/such"), 125, "connection refused"),
        (("pull",), 125, ""),
        (("nosuchverb",), 125, "nosuchverb"),
        (("run", "--nope", "fedora"), 125, "unknown flag: --nope"),
        (("run", "-Z", "fedora"), 125, "unknown shorthand flag: 'Z' in -Z"),
        (("ps", "--filter", "nope=1"), 125, "nope"),
        (("ps", "-l", "-a", "--latest=maybe"), 125, "maybe"),
        (("--cgroup-manager", "loud", "run", "--rm", "fedora", "true"), 125, "cgroup manager"),
        (("--runtime", "/no/such/runtime", "run", "fedora", "true"), 125, "/no/such/runtime"),
        (("stop", "nosuch"), 125, "nosuch"),
        (("start", "nosuch"), 125, "nosuch"),
        (("exec", "nosuch", "true"), 125, "nosuch"),
        (("logs", "nosuch"), 125, "nosuch"),
        (("wait", "nosuch"), 125, "nosuch"),
        (("kill", "nosuch"), 125, "nosuch"),
        (("attach", "nosuch"), 125, "nosuch"),
        (("top", "nosuch"), 125, "nosuch"),
        (("rm", "nosuch"), 1, "nosuch"),
        (("rmi", "nosuch"), 1, "nosuch"),
        (("network", "rm", "nosuch"), 1, "nosuch"),
        (("network", "inspect", "nosuch"), 125, "nosuch"),
        (("network", "create", "bad/name"), 125, "bad/name"),
        ((*RUN, "--pull", "never", "nosuch", "true"), 125, "nosuch"),
        ((*RUN, "--pull", "sometimes", "fedora", "true"), 125, "sometimes"),
        ((*RUN, "--name", "bad name", "fedora", "true"), 125, "name"),
        ((*RUN, "--network", "nosuch", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "--network", "container:nosuch", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "--pid", "container:nosuch", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "-p", "99999:80", "fedora", "true"), 125, "99999"),
        ((*RUN, "-p", "80:http", "fedora", "true"), 125, "http"),
        ((*RUN, "--memory", "lots", "fedora", "true"), 125, "lots"),
        ((*RUN, "--ulimit", "nosuch=1", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "--cap-add", "nosuch", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "--security-opt", "seccomp=/no/such", "fedora", "true"), 125, "/no/such"),
        ((*RUN, "--device", "/dev/nosuch", "fedora", "true"), 125, "/dev/nosuch"),
        ((*RUN, "--mount", "type=nosuch,target=/x", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "--mount", "type=bind,source=/no/such,target=/x", "fedora", "true"), 125, "/no/such"),
        ((*RUN, "-v", "/no/such/dir:/x", "fedora", "true"), 125, "/no/such/dir"),
        ((*RUN, "--env-file", "/no/such/file", "fedora", "true"), 125, "/no/such/file"),
        ((*RUN, "--stop-signal", "NOSUCH", "fedora", "true"), 125, "NOSUCH"),
        (("run", "--restart", "sometimes", "fedora", "true"), 125, "sometimes"),
        ((*RUN, "--cidfile", "/etc/passwd", "fedora", "true"), 125, "/etc/passwd"),
        ((*RUN, "--umask", "999", "fedora", "true"), 125, "999"),
        ((*RUN, "--tz", "No/Such", "fedora", "true"), 125, "No/Such"),
        ((*RUN, "--sysctl", "kernel.nosuch=1", "fedora", "true"), 125, "nosuch"),
        ((*RUN, "-w", "/no/such", "fedora", "true"), 126, "/no/such"),
        ((*RUN, "-u", "nosuch", "fedora", "true"), 126, "nosuch"),
        ((*RUN, "fedora", "/no/such"), 127, "/no/such"),
        ((*RUN, "fedora", "/etc"), 126, "/etc"),
        (("images", "--sort", "nosuch"), 125, "nosuch"),
        (("inspect", "--format", "{{.Nope", "fedora"), 125, "template"),
    ],
)  # fmt: skip
def test_one_line_and_nothing_changed(podling: World, arguments: tuple[str, ...], status: int, text: str) -> None:
    assert_error(podling, arguments, status, text)


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_registry(world: Callable[..., World], tmp_path: Path, lie: str) -> None:
    with LyingRegistry(tmp_path / "registry", images.ensure(), "centos", lie) as registry:
        mine = world(registry=registry)
        reference = f"{registry.host}/lab/centos@{registry.digest}"
        registry.lie = "none"
        assert mine.check("rmi", mine.check("pull", "-q", reference))
        registry.lie, registry.served = lie, 0
        assert_error(mine, ("pull", reference), 125)
        assert registry.served > 1 or "manifest" in lie
        assert mine.check("images", "-q") == ""


@pytest.fixture
def guarded(private_registry: Callable[..., Registry]) -> Iterator[Registry]:
    """Return a registry that asks for a password."""
    yield private_registry(user="lab", password="right")


def test_passwords(world: Callable[..., World], guarded: Registry) -> None:
    mine = world(registry=guarded)
    mine.run("pull", "127.0.0.1:1/none")
    assert_error(mine, ("pull", "tiny"), 125, "unauthorized")
    assert_error(mine, ("pull", "--creds", "lab:wrong", "tiny"), 125, "unauthorized")
    assert mine.check("pull", "-q", "--creds", "lab:right", "tiny")


def test_a_certificate_of_someone_else(world: Callable[..., World], stage: Registry, tmp_path: Path) -> None:
    mine = world()
    mine.run("pull", "127.0.0.1:1/none")
    trusted = mine.home / ".config/containers/certs.d" / stage.host
    make_certificate(tmp_path)
    shutil.copy(tmp_path / "certs" / "ca.crt", trusted / "ca.crt")
    assert_error(mine, ("pull", "tiny"), 125, "certificate")
    shutil.rmtree(trusted)
    assert_error(mine, ("pull", "tiny"), 125, "certificate")
    assert mine.check("pull", "-q", "--tls-verify=false", "tiny")
    assert mine.check("pull", "-q", "--cert-dir", str(stage.certificates), "tiny")


def test_what_the_registry_does_not_have(podling: World, stage: Registry) -> None:
    assert_error(podling, ("pull", f"{stage.host}/lab/nosuch"), 125, "unknown")
    assert_error(podling, ("pull", f"{stage.host}/lab/fedora:nosuch"), 125, "unknown")
    assert_error(podling, ("run", f"{stage.host}/lab/fedora:nosuch", "true"), 125, "unknown")
    assert_error(podling, ("pull", "--arch", "nosuch", f"{stage.host}/lab/fedora"), 125, "nosuch")


def test_a_full_output_is_an_error(podling: World) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [str(podling.program), "images"], stdout=full, stderr=subprocess.PIPE, env=podling.environment
        )
    assert done.returncode != 0 or podling.is_podman


def test_a_disk_that_fails_under_the_interpreter_is_told_in_one_line(podling: World) -> None:
    command = ["strace", "-f", "-o", "/dev/null", "-e", "inject=openat:error=EIO", "-P"]
    command += [_sqlite3.__file__, str(podling.program), "run", "--rm", "fedora", "true"]
    done = subprocess.run(command, env=podling.environment, capture_output=True, text=True)
    assert done.returncode == 125
    assert done.stderr.startswith("Error: cannot load a part of this program: ")
    assert done.stderr.count("\n") == 1
