"""From containers/common's profile format to linux.seccomp."""

import json
from pathlib import Path
from typing import Any

import pytest

from podling.engine import seccomp_profile
from podling.errors import InvalidArgument

PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "defaultErrno": "ENOSYS",
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["not_arm"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["arm64"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5.10"}},
        {
            "names": ["personality"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


def names(capabilities: list[str], machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> list[str]:
    found = seccomp_profile.translate(PROFILE, capabilities, machine, kernel)
    assert found is not None
    return [f"{rule['names'][0]}:{rule['action'][9:]}" for rule in found["syscalls"]]


def test_capabilities_decide() -> None:
    assert "mount:ERRNO" in names([])
    assert "mount:ALLOW" not in names([])
    assert "mount:ALLOW" in names(["CAP_SYS_ADMIN"])
    assert "mount:ERRNO" not in names(["CAP_SYS_ADMIN"])


def test_architectures_and_kernels_decide() -> None:
    assert {"not_arm:ALLOW", "new:ALLOW"} <= set(names([]))
    assert "arm:ALLOW" in names([], "aarch64")
    assert "new:ALLOW" not in names([], kernel=(5, 9))


def test_details() -> None:
    found = seccomp_profile.translate(PROFILE, [], "x86_64", (6, 1))
    assert found is not None
    assert found["defaultErrnoRet"] == 38
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert found["syscalls"][0] == {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    assert found["syscalls"][1]["errnoRet"] == 1
    assert found["syscalls"][-1]["args"] == [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]


def test_a_profile_that_filters_nothing() -> None:
    assert seccomp_profile.translate({}, [], "x86_64", (6, 1)) is None


@pytest.mark.parametrize(
    "profile",
    [
        {"defaultAction": "A", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "x"}]},
        {"defaultAction": "A", "syscalls": [{"name": "a", "names": ["b"], "action": "A"}]},
        {"defaultAction": "A", "defaultErrno": "ENOPE"},
    ],
)
def test_contradictions(profile: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        seccomp_profile.translate(profile, [], "x86_64", (6, 1))


def test_kernel_versions() -> None:
    assert seccomp_profile.kernel_version("6.1.0-13-amd64") == (6, 1)
    assert seccomp_profile.kernel_version("5.10rc1") == (5, 10)


def test_the_result_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, cache = tmp_path / "p.json", tmp_path / "cache"
    profile.write_text(json.dumps(PROFILE))
    first = seccomp_profile.load(str(profile), ["CAP_SYS_ADMIN"], str(cache))
    with monkeypatch.context() as patched:
        patched.setattr(seccomp_profile, "translate", None)  # a second translation would fail
        assert seccomp_profile.load(str(profile), ["CAP_SYS_ADMIN"], str(cache)) == first
    assert seccomp_profile.load(str(profile), [], str(cache)) != first
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
    assert seccomp_profile.load(str(profile), ["CAP_SYS_ADMIN"], str(cache)) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [],
    }


def test_a_name_that_two_keys_share_is_not_believed(tmp_path: Path) -> None:
    profile, cache = tmp_path / "p.json", tmp_path / "cache"
    profile.write_text(json.dumps(PROFILE))
    first = seccomp_profile.load(str(profile), [], str(cache))
    (entry,) = cache.iterdir()
    entry.write_text(json.dumps({"key": "another", "seccomp": None}))
    assert seccomp_profile.load(str(profile), [], str(cache)) == first


@pytest.mark.parametrize("content", ["{", '{"defaultAction": 1, "syscalls": [1]}', '{"syscalls": [{}]}'])
def test_unreadable(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(InvalidArgument, match="seccomp profile"):
        seccomp_profile.load(str(path), [], str(tmp_path / "cache"))
    with pytest.raises(InvalidArgument, match=r"^opening seccomp profile failed$"):
        seccomp_profile.load("/nope", [], str(tmp_path / "cache"))


def test_our_own_profile_translates() -> None:
    found = seccomp_profile.translate(json.loads(Path(seccomp_profile.OURS).read_text()), [], "x86_64", (6, 1))
    assert found is not None
    assert any("read" in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW" for rule in found["syscalls"])
