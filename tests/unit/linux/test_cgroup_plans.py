"""What `linux.resources` comes to on both versions of cgroups, and device rules as lines and as eBPF."""

import struct
from typing import Any

import pytest

from podling.errors import InvalidArgument, PodlingError, Unsupported
from podling.linux import cgroups, cgroups_bpf, cgroups_devices, cgroups_v1, cgroups_v2
from podling.linux.cgroups_statistics import numbers


def files(settings: list[Any]) -> dict[str, str]:
    return {alternatives[0][0]: alternatives[0][1] for _, alternatives in settings}


def test_podmans_default_is_one_file() -> None:
    resources = {"devices": [{"allow": False, "access": "rwm"}], "memory": {}, "cpu": {}, "pids": {"limit": 2048}}
    assert files(cgroups_v1.plan(resources)) == files(cgroups_v2.plan(resources)) == {"pids.max": "2048"}


@pytest.mark.parametrize(("limit", "text"), [(10, "10"), (0, "1"), (-1, "max")])
def test_pids(limit: int, text: str) -> None:
    assert files(cgroups_v1.plan({"pids": {"limit": limit}})) == {"pids.max": text}


def test_everything_on_version_1() -> None:
    plan = cgroups_v1.plan(
        {
            "cpu": {
                "shares": 512,
                "quota": -1,
                "period": 50000,
                "burst": 0,
                "realtimeRuntime": 95,
                "realtimePeriod": 100,
                "cpus": "0-1",
                "mems": "0",
                "idle": 1,
            },
            "memory": {"limit": 1000, "swap": 2000, "reservation": 500, "swappiness": 0, "disableOOMKiller": True},
            "blockIO": {
                "weight": 100,
                "leafWeight": 50,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 200, "leafWeight": 60}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}},
            "network": {"classID": 0x100001, "priorities": [{"name": "eth0", "priority": 5}]},
        }
    )
    assert files(plan) == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "50000",
        "cpu.cfs_quota_us": "-1",
        "cpu.rt_period_us": "100",
        "cpu.rt_runtime_us": "95",
        "cpu.cfs_burst_us": "0",
        "cpu.idle": "1",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
        "memory.limit_in_bytes": "1000",
        "memory.memsw.limit_in_bytes": "2000",
        "memory.soft_limit_in_bytes": "500",
        "memory.oom_control": "1",
        "memory.swappiness": "0",
        "blkio.weight": "100",
        "blkio.leaf_weight": "50",
        "blkio.weight_device": "8:0 200",
        "blkio.leaf_weight_device": "8:0 60",
        "blkio.throttle.read_bps_device": "8:0 1",
        "blkio.throttle.write_bps_device": "8:0 2",
        "blkio.throttle.read_iops_device": "8:0 3",
        "blkio.throttle.write_iops_device": "8:0 4",
        "hugetlb.2MB.limit_in_bytes": "0",
        "hugetlb.2MB.rsvd.limit_in_bytes": "0",
        "rdma.max": "mlx5_1 hca_handle=3 hca_object=4",
        "net_cls.classid": "1048577",
        "net_prio.ifpriomap": "eth0 5",
    }


def test_everything_on_version_2() -> None:
    plan = cgroups_v2.plan(
        {
            "cpu": {"shares": 1024, "quota": 20000, "burst": 0, "cpus": "0-1", "mems": "0", "idle": 0},
            "memory": {"limit": 1000, "swap": 3000, "reservation": 500},
            "blockIO": {
                "weight": 10,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 200}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4096}],
            "unified": {"memory.high": "900", "io.max": "8:0 rbps=1\n8:16 rbps=2"},
        }
    )
    rows = [alternatives[0] for _, alternatives in plan]
    assert rows == [
        ("cpu.idle", "0"),
        ("cpu.weight", "100"),
        ("cpu.max.burst", "0"),
        ("cpu.max", "20000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("memory.swap.max", "2000"),
        ("memory.max", "1000"),
        ("memory.low", "500"),
        ("io.bfq.weight", "10"),
        ("io.bfq.weight", "8:0 200"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:0 wiops=max"),
        ("hugetlb.2MB.max", "4096"),
        ("hugetlb.2MB.rsvd.max", "4096"),
        ("memory.high", "900"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 rbps=2"),
    ]


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000)])
def test_shares_meet_weights_at_minimum_default_and_maximum(shares: int, weight: int) -> None:
    assert cgroups_v2.weight_of_shares(shares) == weight


@pytest.mark.parametrize(
    ("limit", "swap", "alone"),
    [(-1, 0, -1), (0, 0, None), (100, 0, None), (100, -1, -1), (-1, 50, 50), (100, 100, 0), (100, 150, 50)],
)
def test_swap_alone(limit: int, swap: int, alone: int | None) -> None:
    assert cgroups_v2.swap_alone(limit, swap) == alone


@pytest.mark.parametrize(
    ("plan", "resources", "error", "words"),
    [
        (cgroups_v1.plan, {"unified": {"pids.max": "1"}}, Unsupported, "has cgroup version 1"),
        (cgroups_v1.plan, {"cpu": {"shares": 1}}, InvalidArgument, "2 to 262144"),
        (cgroups_v1.plan, {"memory": {"limit": 200, "swap": 100}}, InvalidArgument, "less than memory alone"),
        (cgroups_v1.plan, {"memory": {"swappiness": 101}}, InvalidArgument, "0 to 100"),
        (cgroups_v2.plan, {"memory": {"swap": 100}}, InvalidArgument, "without a limit on memory"),
        (cgroups_v2.plan, {"memory": {"limit": 200, "swap": 100}}, InvalidArgument, "less than memory alone"),
        (cgroups_v2.plan, {"memory": {"swappiness": 10}}, Unsupported, "version 2 does not have them"),
        (cgroups_v2.plan, {"memory": {"disableOOMKiller": True}}, Unsupported, "OOM killer"),
        (cgroups_v2.plan, {"cpu": {"realtimeRuntime": 5}}, Unsupported, "real-time"),
        (cgroups_v2.plan, {"network": {"classID": 5}}, Unsupported, "network classes"),
        (cgroups_v2.plan, {"unified": {"../x": "1"}}, InvalidArgument, "not CONTROLLER.PARAMETER"),
        (cgroups_v2.plan, {"hugepageLimits": [{"pageSize": "2MB/../x", "limit": 1}]}, InvalidArgument, "page size"),
    ],
)
def test_what_cannot_be_is_refused(plan: Any, resources: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(resources)


def test_podmans_device_rules_end_in_a_list_of_what_is_allowed() -> None:
    policy = cgroups_devices.policy(
        [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "m"},
        ]
    )
    lines = cgroups_devices.lines(policy)
    assert lines[0] == ("devices.deny", "a")
    assert ("devices.allow", "c 10:229 rwm") in lines
    assert ("devices.allow", "c *:* m") in lines
    assert ("devices.allow", "c 136:* rwm") in lines
    assert len(lines) == 1 + 1 + len(cgroups_devices.DEFAULTS)


def test_privileged_allows_everything() -> None:
    assert cgroups_devices.lines(cgroups_devices.policy([{"allow": True, "access": "rwm"}])) == [("devices.allow", "a")]


def test_access_can_be_taken_back() -> None:
    disk = {"type": "b", "major": 8, "minor": 0}
    policy = cgroups_devices.policy([{"allow": True, "access": "rwm", **disk}, {"allow": False, "access": "w", **disk}])
    assert policy.exceptions[("b", 8, 0)] == "rm"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"allow": True, "type": "x", "access": "r"}], "unknown device type"),
        ([{"allow": True, "type": "c", "major": 1, "minor": 1}], "is not made of r, w and m"),
        ([{"allow": True, "type": "c", "major": 1, "minor": 1, "access": "rx"}], "is not made of r, w and m"),
        (
            [
                {"allow": True, "type": "c", "major": 10, "access": "rwm"},
                {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
            ],
            "cannot cut a hole",
        ),
    ],
)
def test_device_rules_that_would_not_hold_are_refused(rules: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        cgroups_devices.policy(rules)


def allowed(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Run a device program the way that the kernel would."""
    modes = sum({"m": 1, "r": 2, "w": 4}[mode] for mode in access)
    context = {0: {"b": 1, "c": 2}[kind] | modes << 16, 4: major, 8: minor}
    registers = [0] * 11
    rows = list(struct.iter_unpack("=BBhi", program))
    position = 0
    while True:
        operation, pair, offset, immediate = rows[position]
        target, source, value = pair & 15, pair >> 4, immediate & 0xFFFFFFFF
        position += 1
        if operation == 0x61:
            registers[target] = context[offset]
        elif operation == 0x54:
            registers[target] &= value
        elif operation == 0x74:
            registers[target] >>= value
        elif operation == 0xB4:
            registers[target] = value
        elif operation == 0xBC:
            registers[target] = registers[source]
        elif operation == 0x95:
            return bool(registers[0])
        else:
            jump = {0x55: registers[target] != value, 0x5D: registers[target] != registers[source]}
            jump[0x15] = registers[target] == value
            position += offset if jump[operation] else 0


def test_the_device_program_allows_what_is_listed_and_no_more() -> None:
    program = cgroups_bpf.program(
        cgroups_devices.policy([{"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"}])
    )
    assert allowed(program, "c", 1, 3, "rw")
    assert allowed(program, "c", 136, 99, "rwm")
    assert allowed(program, "b", 7, 7, "m")
    assert not allowed(program, "b", 7, 7, "rm")
    assert allowed(program, "b", 8, 0, "r")
    assert not allowed(program, "b", 8, 0, "rw")
    assert not allowed(program, "c", 8, 0, "r")
    assert not allowed(program, "b", 8, 1, "r")


def test_the_device_program_denies_what_is_listed_and_no_more() -> None:
    rules = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "w"},
        {"allow": False, "type": "c", "major": 4000000000, "access": "rwm"},
    ]
    program = cgroups_bpf.program(cgroups_devices.policy(rules))
    assert allowed(program, "b", 8, 0, "r")
    assert not allowed(program, "b", 8, 0, "rw")
    assert not allowed(program, "c", 4000000000, 1, "m")
    assert allowed(program, "c", 10, 200, "rwm")


def test_mounts_are_found_by_controller() -> None:
    mountinfo = "\n".join(
        [
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755",
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
            "33 31 0:30 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
            "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
            "35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate",
            "36 31 0:30 / /elsewhere/pids rw - cgroup cgroup rw,pids",
        ]
    )
    assert cgroups.parse_mounts(mountinfo) == {
        "cpu": ("/sys/fs/cgroup/cpu,cpuacct", "/"),
        "cpuacct": ("/sys/fs/cgroup/cpu,cpuacct", "/"),
        "pids": ("/sys/fs/cgroup/pids", "/docker/abc"),
        "name=systemd": ("/sys/fs/cgroup/systemd", "/"),
        "": ("/sys/fs/cgroup/unified", "/"),
    }


def test_controllers_mounted_together_are_one_directory() -> None:
    both = cgroups_v1.V1({"cpu": "/x/cpu,cpuacct/c", "cpuacct": "/x/cpu,cpuacct/c"})
    assert both._directories == ["/x/cpu,cpuacct/c"]


@pytest.mark.parametrize("path", ["/", "..", "/..", "../x", "a/../.."])
def test_paths_that_leave_the_tree_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgument, match="does not name a cgroup"):
        cgroups.manager(path, "id", systemd=False)


def test_a_path_for_systemd_needs_systemd() -> None:
    with pytest.raises(InvalidArgument, match="--systemd-cgroup"):
        cgroups.manager("machine.slice:libpod:abc", "abc", systemd=False)


def test_without_cgroups_limits_are_refused() -> None:
    disabled = cgroups.manager("/x", "x", systemd=False, disabled=True)
    disabled.create()
    disabled.apply({"devices": [{"allow": False}], "pids": {"limit": 0}, "memory": {}})
    with pytest.raises(PodlingError, match="no cgroup"):
        disabled.apply({"memory": {"limit": 1000}})
    assert disabled.paths() == {}
    assert type(cgroups.from_paths({})) is type(disabled)


def test_ranges() -> None:
    assert numbers("0-2,4\n") == [0, 1, 2, 4]
    assert numbers("") == []
