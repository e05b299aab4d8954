"""Settings from flags and files, in Podman's order; and the cache that spares the parsing."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from podling.engine import configuration, settings
from podling.engine.configuration import Places
from podling.engine.options import Settings
from podling.errors import InvalidArgument


class Files:
    """A vendor's and an administrator's directory, and a cache."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.vendor = top / "vendor"
        self.system = top / "system"
        (self.system / "containers.conf.d").mkdir(parents=True)
        self.vendor.mkdir()
        self.cache = top / "run" / "configuration.json"
        self.environment: dict[str, str] = {}

    def write(self, name: str, text: str) -> str:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        past = time.time_ns() - 10**10
        os.utime(path, ns=(past, past))
        return str(path)

    def load(self, *modules: str, uid: int = 0) -> dict[str, Any]:
        directories = {"vendor": str(self.vendor), "system": str(self.system)}
        places = Places(self.environment, modules, effective_uid=uid, **directories)
        return configuration.load(places, str(self.cache))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_nothing_there(files: Files) -> None:
    assert files.load() == {"storage": {}}


def test_order(files: Files) -> None:
    files.write("vendor/containers.conf", '[containers]\na="vendor"\nb="vendor"\nc="vendor"\nd="vendor"\n')
    files.write("system/containers.conf", '[containers]\nb="system"\nc="system"\nd="system"\n')
    files.write("system/containers.conf.d/20.conf", '[containers]\nc="20"\nd="20"\n')
    files.write("system/containers.conf.d/10.conf", '[containers]\nc="10"\n')
    files.write("system/containers.conf.d/ignored.txt", '[containers]\nc="txt"\n')
    files.environment["CONTAINERS_CONF_OVERRIDE"] = files.write("over", '[containers]\nd="over"\n')
    assert files.load()["containers"] == {"a": "vendor", "b": "system", "c": "20", "d": "over"}


def test_one_file_instead_of_all(files: Files) -> None:
    files.write("system/containers.conf", "[containers]\na=1\n")
    files.environment["CONTAINERS_CONF"] = files.write("only", "[containers]\nb=2\n")
    assert files.load()["containers"] == {"b": 2}
    files.environment["CONTAINERS_CONF"] = "/nope"
    with pytest.raises(InvalidArgument, match="CONTAINERS_CONF file: stat /nope: no such file or directory"):
        files.load()


def test_arrays_are_replaced_or_added_to(files: Files) -> None:
    files.write("vendor/containers.conf", '[containers]\nenv=["A=1"]\nvolumes=["a"]\n')
    files.write("system/containers.conf", '[containers]\nenv=["B=2", {append=true}]\nvolumes=["b"]\n')
    files.write("system/containers.conf.d/1.conf", '[containers]\nenv=["C=3"]\n')
    assert files.load()["containers"] == {"env": ["A=1", "B=2", "C=3"], "volumes": ["b"]}


def test_modules(files: Files) -> None:
    files.write("system/containers.conf.modules/m.conf", "[containers]\na=1\n")
    absolute = files.write("elsewhere", "[containers]\nb=2\n")
    assert files.load("m.conf", absolute)["containers"] == {"a": 1, "b": 2}
    with pytest.raises(InvalidArgument, match='could not resolve module "nope"'):
        files.load("nope")


def test_a_user_has_files_of_their_own(files: Files) -> None:
    files.environment["HOME"] = str(files.top)
    files.write(".config/containers/containers.conf", "[containers]\na=1\n")
    assert "containers" not in files.load()
    assert files.load(uid=1000)["containers"] == {"a": 1}


def test_the_vendor_does_not_choose_programs(files: Files) -> None:
    files.write("vendor/containers.conf", '[engine]\nruntime="crun"\nstop_timeout=3\n')
    assert files.load()["engine"] == {"stop_timeout": 3}
    files.write("system/containers.conf", '[engine]\nruntime="crun"\n')
    assert files.load()["engine"]["runtime"] == "crun"


def test_comments_alone_need_no_parser() -> None:
    assert configuration.parse("# a\n\n   # [b]\n", "x") == {}


def test_malformed(files: Files) -> None:
    files.write("system/containers.conf", "[containers\n")
    with pytest.raises(InvalidArgument, match=r"^decode configuration \".*system/containers.conf\": "):
        files.load()


def test_the_cache_is_used_and_noticed_to_be_old(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_SETTLED_NANOSECONDS", 0)
    files.write("system/containers.conf", "[containers]\na=1\n")
    first = files.load()
    assert files.cache.exists()
    monkeypatch.setattr(configuration, "parse", None)  # a second parsing would fail
    assert files.load() == first
    monkeypatch.undo()
    files.write("system/containers.conf", "[containers]\na=2\n")
    assert files.load()["containers"] == {"a": 2}
    files.write("system/containers.conf.d/new.conf", "[containers]\nb=3\n")
    assert files.load()["containers"] == {"a": 2, "b": 3}
    (files.system / "containers.conf").unlink()
    assert files.load()["containers"] == {"b": 3}


def test_a_file_just_written_is_not_cached(files: Files) -> None:
    path = files.system / "containers.conf"
    path.write_text("[containers]\na=1\n")
    files.load()
    assert not files.cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": "", "watched": [], "merged": 1}'])
def test_a_broken_cache_is_passed_over(files: Files, content: str) -> None:
    files.write("system/containers.conf", "[containers]\na=1\n")
    files.cache.parent.mkdir()
    files.cache.write_text(content)
    assert files.load()["containers"] == {"a": 1}


def merge(found: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **given: Any) -> Settings:
    return settings.merge(given, found or {}, environment or {})


def test_directories() -> None:
    assert (merge().root, merge().runroot, merge().tmpdir) == ("/var/lib/podling", "/run/podling", "/run/podling/tmp")
    private = merge(root="/r", runroot="/rr")
    assert (private.root, private.runroot, private.tmpdir) == ("/r", "/rr", "/rr/tmp")
    assert private.network_config_dir == "/r/networks"
    assert merge(root="/r", network_config_dir="/n").network_config_dir == "/n"


def test_storage_conf_moves_us_beside_podman() -> None:
    moved = merge({"storage": {"graphroot": "/big/store", "runroot": "/run/other"}})
    assert (moved.root, moved.runroot) == ("/big/store/podling", "/run/other/podling")
    usual = {"graphroot": "/var/lib/containers/storage", "runroot": "/run/containers/storage", "driver": "vfs"}
    assert merge({"storage": usual}).root == "/var/lib/podling"


def test_programs(tmp_path: Path) -> None:
    program = tmp_path / "myrunc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert (merge().runtime, merge().conmon) == ("podling-runc", "podling-conmon")
    assert merge(runtime=str(program)).runtime == str(program)
    table = {"engine": {"runtimes": {"mine": ["/nope", str(program)]}}}
    assert merge(table, runtime="mine").runtime == str(program)
    assert merge(table, runtime="mine").runtime_name == "mine"
    assert merge(environment={"PATH": str(tmp_path)}, runtime="myrunc").runtime == str(program)
    assert merge({"engine": {"conmon_path": ["/nope", str(program)]}}).conmon == str(program)
    assert merge(runtime_flag=["log=/x", "--debug"]).runtime_flags == ["--log=/x", "--debug"]
    with pytest.raises(InvalidArgument, match=r'^default OCI runtime "nope" not found: invalid argument$'):
        merge(runtime="nope")


def test_cgroups() -> None:
    assert merge(cgroup_manager="systemd").cgroup_parent == "machine.slice"
    assert merge({"engine": {"cgroup_manager": "cgroupfs"}}).cgroup_parent == "/libpod_parent"
    with pytest.raises(InvalidArgument):
        merge(cgroup_manager="foo")


def test_flags_that_have_a_key() -> None:
    found = merge(hooks_dir=["/h"], cdi_spec_dir=["/c"], volumepath="/v").engine
    assert (found["hooks_dir"], found["cdi_spec_dirs"], found["volume_path"]) == (["/h"], ["/c"], "/v")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"log_level": "loud"}, {}),
        ({"storage_driver": "vfs"}, {}),
        ({}, {"containers": {"env": "A=1"}}),
        ({}, {"engine": {"stop_timeout": True}}),
        ({}, {"containers": []}),
    ],
)
def test_refusals(given: dict[str, Any], found: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        settings.merge(given, found, {})
