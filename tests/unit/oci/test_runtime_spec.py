"""What is refused in a config.json, and what is not."""

import copy
from typing import Any

import pytest

from podling.errors import InvalidArgument
from podling.oci import runtime_spec
from podling.runtime.spec import example


@pytest.mark.parametrize("rootless", [False, True])
def test_the_example_is_valid(rootless: bool) -> None:
    config = example(rootless=rootless)
    assert runtime_spec.check(copy.deepcopy(config)) == config


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.3.0"])
def test_versions(version: str) -> None:
    runtime_spec.check({**example(rootless=False), "ociVersion": version})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ociVersion", "2.0", "not supported"),
        ("process", None, "process must be an object"),
        ("process.args", [], "must name a program"),
        ("process.args", ["a\0"], "null byte"),
        ("process.cwd", "relative", "absolute"),
        ("process.rlimits", [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}], "unknown rlimit"),
        ("process.rlimits", [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}], "above the hard"),
        ("process.user", {"uid": 4294967295}, "not a user or group ID"),
        ("process.user", {"uid": 0, "additionalGids": [-1]}, "not a user or group ID"),
        ("root", {}, "root.path"),
        ("mounts", [{"type": "tmpfs"}], "destination is missing"),
        ("hooks", {"poststop": [{"path": "relative"}]}, "absolute"),
        ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "above 0"),
        ("linux.namespaces", [{"type": "pid"}, {"type": "pid"}], "given twice"),
        ("linux.namespaces", [{"type": "nope"}], "unknown namespace"),
        ("linux.namespaces", [{"type": "mount"}], "uts namespace"),
        ("linux.sysctl", {"kernel.panic": "1"}, "change the host"),
        ("linux.sysctl", {"net/../kernel/panic": "1"}, "malformed"),
        ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "without a user namespace"),
        ("linux.devices", [{"path": "/dev/x", "type": "z"}], "unknown type"),
        ("linux.devices", [{"path": "/dev/x", "type": "c"}], "no number"),
    ],
)
def test_what_is_refused(path: str, value: Any, message: str) -> None:
    config = example(rootless=False)
    *above, last = path.split(".")
    place: Any = config
    for name in above:
        place = place[name]
    place[last] = value
    with pytest.raises(InvalidArgument, match=message):
        runtime_spec.check(config)
