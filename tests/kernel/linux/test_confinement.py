"""Capabilities and seccomp filters as the kernel then has them, each in a child of its own."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podling.linux import capabilities, seccomp, syscalls

Told = Callable[..., Any]
BOTH = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]


def status(*names: str) -> dict[str, str]:
    rows = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {name: rows[name].strip() for name in names}


def test_a_user_with_exactly_these_capabilities(told: Told) -> None:
    asked = dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), BOTH)
    sets, refused = capabilities.from_specification(asked)
    assert refused == []

    def act() -> dict[str, str]:
        capabilities.apply(sets, 1000, 1001, [50, 51])
        return status("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")

    mask = f"{capabilities.mask(BOTH):016x}"
    assert told(act) == {
        "Uid": "1000\t1000\t1000\t1000",
        "Gid": "1001\t1001\t1001\t1001",
        "Groups": "50 51",
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), mask),
    }


def test_ambient_capabilities_survive_an_exec_and_the_bounding_set_holds(told: Told) -> None:
    sets = capabilities.Sets(**dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), 1))
    read, write = os.pipe()

    def act() -> None:
        capabilities.apply(sets, 1000, 1000, [])
        os.dup2(write, 1)
        os.execv("/bin/sh", ["sh", "-c", "grep -E 'Cap(Eff|Bnd)' /proc/self/status"])

    told(act)
    os.close(write)
    with open(read) as pipe:
        assert pipe.read().split() == ["CapEff:", "0000000000000001", "CapBnd:", "0000000000000001"]


def test_root_keeps_no_more_than_it_is_given(told: Told) -> None:
    sets, _ = capabilities.from_specification(dict.fromkeys(("bounding", "permitted", "effective"), BOTH))

    def act() -> dict[str, Any]:
        capabilities.apply(sets, 0, 0, [])
        return {**status("CapEff", "CapAmb"), "current": capabilities.names(capabilities.permitted())}

    mask = f"{capabilities.mask(BOTH):016x}"
    assert told(act) == {"CapEff": mask, "CapAmb": "0" * 16, "current": sorted(BOTH)}


def profile(action: str, **rule: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": action, **rule}]}


def test_a_filter_holds_without_privileges(told: Told, tmp_path: Path) -> None:
    program = seccomp.compile_profile(profile("SCMP_ACT_ERRNO", errnoRet=38))

    def act() -> dict[str, Any]:
        capabilities.apply(capabilities.Sets(), 1000, 1000, [])
        try:
            seccomp.load(program, [])
            refused = False
        except PermissionError:
            refused = True
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.load(program, ["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"])
        try:
            os.mkdir(tmp_path / "x")
            number: int | None = 0
        except OSError as error:
            number = error.errno
        return {"refused": refused, "mkdir": number, **status("Seccomp")}

    assert told(act) == {"refused": True, "mkdir": 38, "Seccomp": "2"}


def test_a_listener_is_handed_out(told: Told) -> None:
    wanted = profile("SCMP_ACT_NOTIFY")
    program = seccomp.compile_profile(wanted)

    def act() -> str:
        return os.readlink(f"/proc/self/fd/{seccomp.load(program, seccomp.flags_of(wanted))}")

    assert told(act) == "anon_inode:seccomp notify"


@pytest.mark.parametrize(("value", "number"), [(5, 1), (6, 22)])
def test_arguments_are_compared(told: Told, value: int, number: int) -> None:
    rule = {"names": ["personality"], "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}
    other = {"names": ["personality"], "args": [{"index": 0, "value": 6, "op": "SCMP_CMP_EQ"}]}
    program = seccomp.compile_profile(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{**rule, "action": "SCMP_ACT_ERRNO"}, {**other, "action": "SCMP_ACT_ERRNO", "errnoRet": 22}],
        }
    )

    def act() -> int:
        seccomp.load(program, [])
        libc = ctypes.CDLL(None, use_errno=True)
        return ctypes.get_errno() if libc.personality(value) < 0 else 0

    assert told(act) == number
