"""Profiles compiled to BPF, and the cache beside it."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podling.errors import InvalidArgument
from podling.linux import seccomp

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"


def profile(*rules: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"defaultAction": ALLOW, "syscalls": list(rules), **values}


def returned(program: bytes) -> set[int]:
    """Return the constants that a program may return."""
    rows = struct.iter_unpack("=HBBI", program)
    return {value for operation, _, _, value in rows if operation == 0x06}


def test_actions_and_errnos_become_return_values() -> None:
    program = seccomp.compile_profile(
        profile(
            {"names": ["mkdir"], "action": ERRNO},
            {"names": ["rmdir"], "action": ERRNO, "errnoRet": 38},
            {"names": ["getpid"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
            {"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["getuid"], "action": "SCMP_ACT_LOG"},
            {"names": ["getgid"], "action": "SCMP_ACT_TRAP"},
            {"names": ["geteuid"], "action": "SCMP_ACT_NOTIFY"},
        )
    )
    wanted = {0x00050001, 0x00050026, 0x7FF00007, 0x80000000, 0x7FFC0000, 0x00030000, 0x7FC00000, 0x7FFF0000}
    assert wanted <= returned(program)


def test_default_errno() -> None:
    assert 0x00050026 in returned(seccomp.compile_profile({"defaultAction": ERRNO, "defaultErrnoRet": 38}))
    assert 0x00050001 in returned(seccomp.compile_profile({"defaultAction": ERRNO}))


def test_unknown_system_calls_are_skipped() -> None:
    plain = seccomp.compile_profile(profile({"names": ["mkdir"], "action": ERRNO}))
    assert seccomp.compile_profile(profile({"names": ["mkdir", "no_such_call"], "action": ERRNO})) == plain


def test_rules_that_say_the_default_are_skipped() -> None:
    assert seccomp.compile_profile(profile({"names": ["mkdir"], "action": ALLOW})) == seccomp.compile_profile(profile())


def test_conditions_on_the_same_argument_are_alternatives() -> None:
    def equal(value: int) -> dict[str, Any]:
        return {"index": 0, "value": value, "op": "SCMP_CMP_EQ"}

    one_rule = profile({"names": ["personality"], "action": ERRNO, "args": [equal(5), equal(6)]})
    two_rules = profile(*({"names": ["personality"], "action": ERRNO, "args": [equal(value)]} for value in (5, 6)))
    assert seccomp.compile_profile(one_rule) == seccomp.compile_profile(two_rules)


def test_architectures_are_added() -> None:
    rule = {"names": ["mkdir"], "action": ERRNO}
    native = seccomp.compile_profile(profile(rule))
    more = seccomp.compile_profile(profile(rule, architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]))
    assert len(more) > len(native)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"defaultAction": "SCMP_ACT_SMILE"}, "unknown seccomp action"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "cannot be used as the default action"),
        ({"defaultAction": ALLOW, "defaultErrnoRet": 1}, "takes no errno"),
        (profile(architectures=["SCMP_ARCH_PDP11"]), "unknown seccomp architecture"),
        (profile({"names": ["mkdir"], "action": "SCMP_ACT_SMILE"}), "unknown seccomp action"),
        (profile({"names": [""], "action": ERRNO}), "empty system call"),
        (profile({"names": ["write"], "action": "SCMP_ACT_NOTIFY"}), "cannot be used for the system call write"),
        (
            profile({"names": ["mkdir"], "action": ERRNO, "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}),
            "0 to 5",
        ),
        (profile({"names": ["mkdir"], "action": ERRNO, "args": [{"index": 0, "value": 0, "op": "EQ"}]}), "operator"),
    ],
)
def test_profiles_that_mean_nothing_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        seccomp.compile_profile(wrong)


def test_flags() -> None:
    assert seccomp.flags_of(profile()) == ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    assert seccomp.flags_of(profile(flags=[])) == []
    notifying = profile({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}, flags=["SECCOMP_FILTER_FLAG_LOG"])
    assert seccomp.flags_value(seccomp.flags_of(notifying)) == 2 | 8
    with pytest.raises(InvalidArgument, match="unknown seccomp flag"):
        seccomp.flags_value(["SECCOMP_FILTER_FLAG_FUN"])


def test_an_empty_object_asks_for_nothing() -> None:
    assert not seccomp.applies(None)
    assert not seccomp.applies({"architectures": ["SCMP_ARCH_X86_64"]})
    assert seccomp.applies({"defaultAction": ALLOW})


def loads_the_library(wanted: dict[str, Any], cache: str) -> bool:
    """Compile a profile in a process of its own, and tell whether libseccomp is in it afterwards."""
    script = (
        "import json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from podling.linux import seccomp\n"
        "seccomp.compile_profile(json.loads(sys.argv[2]), cache_directory=sys.argv[3])\n"
        "print('libseccomp' in open('/proc/self/maps').read())"
    )
    root = str(Path(seccomp.__file__).parents[2])
    command = [sys.executable, "-I", "-S", "-c", script, root, json.dumps(wanted), cache]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"


def test_a_hit_in_the_cache_does_not_load_the_library(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    wanted = profile({"names": ["mkdir"], "action": ERRNO})
    assert loads_the_library(wanted, str(cache))
    (entry,) = cache.iterdir()
    assert (entry.stat().st_mode & 0o777, cache.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not loads_the_library(wanted, str(cache))
    assert entry.read_bytes() == seccomp.compile_profile(wanted)


def test_a_cache_that_others_can_write_is_not_believed(tmp_path: Path) -> None:
    wanted = profile({"names": ["mkdir"], "action": ERRNO})
    program = seccomp.compile_profile(wanted, cache_directory=str(tmp_path / "cache"))
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(b"\x06\0\0\0\0\0\xff\x7f")  # returns allow, whatever is called
    entry.chmod(0o666)
    assert seccomp.compile_profile(wanted, cache_directory=str(tmp_path / "cache")) == program


def test_a_cut_or_linked_entry_is_compiled_again(tmp_path: Path) -> None:
    wanted = profile({"names": ["mkdir"], "action": ERRNO})
    program = seccomp.compile_profile(wanted, cache_directory=str(tmp_path / "cache"))
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(program[:-3])
    assert seccomp.compile_profile(wanted, cache_directory=str(tmp_path / "cache")) == program
    assert entry.read_bytes() == program
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    assert seccomp.compile_profile(wanted, cache_directory=str(tmp_path / "cache")) == program


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert seccomp.compile_profile(profile(), cache_directory=str(tmp_path / "file" / "below"))


def test_the_default_profile_compiles() -> None:
    path = Path(seccomp.__file__).parents[1] / "engine" / "seccomp_default.json"
    rules = [rule for rule in json.loads(path.read_text())["syscalls"] if not rule.get("excludes")]
    plain = [{key: rule[key] for key in ("names", "action", "args", "errnoRet") if key in rule} for rule in rules]
    unconditional = [rule for rule, whole in zip(plain, rules, strict=True) if not whole.get("includes")]
    program = seccomp.compile_profile({"defaultAction": ERRNO, "defaultErrnoRet": 38, "syscalls": unconditional})
    assert len(program) // 8 < 4096  # what the kernel takes
