"""Cgroups on the kernel's own: made, limited, entered, frozen, killed and removed, in both versions."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podling.errors import InUse, InvalidArgument, PodlingError, Unsupported
from podling.linux import cgroups, cgroups_tree, cgroups_v1, cgroups_v2
from podling.runtime.events import OutOfMemory

Sleeper = Callable[..., int]
Told = Callable[..., Any]
DEFAULT = {"devices": [{"allow": False, "access": "rwm"}], "memory": {}, "cpu": {}, "pids": {"limit": 2048}}
PARENT = "/podling-test"

on_version_1 = pytest.mark.skipif(cgroups.layout() == "v2", reason="this host has cgroup version 2 alone")
on_unified = pytest.mark.skipif("" not in cgroups.hierarchies(), reason="this host has no unified hierarchy")


def parents() -> list[str]:
    return [cgroups.directory(name, PARENT) for name in cgroups.hierarchies()]


@pytest.fixture
def made() -> Iterator[Callable[[], Any]]:
    """Return a maker of a container's cgroups, as this host has them."""
    managers: list[Any] = []

    def make(name: str = "one", **options: Any) -> Any:
        manager = cgroups.manager(f"{PARENT}/{name}", name, systemd=False, **options)
        managers.append(manager)
        manager.create()
        return manager

    yield make
    for manager in managers:
        manager.kill(signal.SIGKILL)
        manager.remove()
    cgroups_tree.remove(parents())


@pytest.fixture
def unified() -> Iterator[cgroups_v2.V2]:
    """Return a cgroup of version 2, in the unified hierarchy that a hybrid host has too."""
    mountpoint = cgroups.hierarchies()[""][0]
    manager = cgroups_v2.V2(f"{mountpoint}{PARENT}/one", mountpoint)
    manager.create()
    yield manager
    manager.kill(signal.SIGKILL)
    manager.remove()
    cgroups_tree.remove([f"{mountpoint}{PARENT}"])


def read(manager: Any, controller: str, name: str) -> str:
    return Path(manager.paths()[controller], name).read_text().strip()


def test_a_container_from_cradle_to_grave(made: Callable[..., Any], sleeper: Sleeper) -> None:
    manager = made()
    manager.apply(DEFAULT)
    pid = sleeper()
    manager.add(pid)
    assert manager.processes() == [pid]
    assert all(path.endswith(f"{PARENT}/one") for path in cgroups.membership(pid).values())
    assert cgroups.from_paths(manager.paths()).processes() == [pid]
    statistics = manager.statistics()
    assert statistics["pids"]["current"] in (0, 1)
    assert statistics["cpu"]["usage"]["total"] >= 0
    manager.kill(signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    manager.remove()
    assert not any(os.path.exists(path) for path in manager.paths().values())
    manager.remove()  # absent is fine


def test_a_child_is_born_in_its_cgroups(made: Callable[..., Any], sleeper: Sleeper, told: Told) -> None:
    manager = made()
    seen = told(lambda: cgroups.membership(), manager.fork)
    assert set(seen.values()) == {next(iter(seen.values()))}
    assert next(iter(seen.values())).endswith(f"{PARENT}/one")
    pid = sleeper(manager.fork)
    assert manager.processes() == [pid]


def test_a_process_moves_itself(made: Callable[..., Any], told: Told) -> None:
    manager = made()
    other = f"{PARENT}/monitor/of-one"

    def act() -> list[dict[str, str]]:
        manager.join()
        first = cgroups.membership()
        cgroups.place(0, other)
        return [first, cgroups.membership()]

    first, second = told(act)
    assert all(path.endswith("/one") for path in first.values())
    assert all(path.endswith("/monitor/of-one") for path in second.values())
    cgroups_tree.remove(cgroups.directory(name, f"{PARENT}/monitor") for name in cgroups.hierarchies())


def test_another_process_is_placed(made: Callable[..., Any], sleeper: Sleeper) -> None:
    made()
    pid = sleeper()
    cgroups.place(pid, f"{PARENT}/beside")
    assert all(path.endswith("/beside") for path in cgroups.membership(pid).values())
    os.kill(pid, signal.SIGKILL)
    cgroups_tree.remove(cgroups.directory(name, f"{PARENT}/beside") for name in cgroups.hierarchies())


def test_a_cgroup_in_use_is_refused_and_stays(made: Callable[..., Any], sleeper: Sleeper) -> None:
    manager = made()
    pid = sleeper(manager.fork)
    again = cgroups.manager(f"{PARENT}/one", "one", systemd=False)
    with pytest.raises(InUse, match=f"not empty: it has process {pid}"):
        again.create()
    assert manager.processes() == [pid]
    with pytest.raises(InUse, match=f"still has process {pid}"):
        manager.remove(timeout_seconds=0.05)


def test_a_failed_creation_leaves_nothing(made: Callable[..., Any], sleeper: Sleeper) -> None:
    made("other")
    paths = {name: cgroups.directory(name, f"{PARENT}/half") for name in cgroups.hierarchies()}
    *_, last = paths.values()
    os.mkdir(last)
    pid = sleeper()
    if last == paths.get("cpuset"):
        cgroups_v1.inherit_cpuset(last)
    cgroups_tree.write(f"{last}/cgroup.procs", str(pid))
    with pytest.raises(InUse):
        cgroups.at_paths(paths).create()
    assert [path for path in paths.values() if os.path.exists(path)] == [last]
    os.kill(pid, signal.SIGKILL)
    cgroups_tree.remove([last])


def test_removal_waits_for_the_dying_and_takes_what_they_made(made: Callable[..., Any], sleeper: Sleeper) -> None:
    manager = made()
    for path in manager.paths().values():
        os.makedirs(f"{path}/inner/most")
    pid = sleeper(manager.fork)
    os.kill(pid, signal.SIGKILL)
    manager.remove()
    assert not any(os.path.exists(path) for path in manager.paths().values())


def test_frozen_processes_stand_still(made: Callable[..., Any]) -> None:
    manager = made()
    read_end, write_end = os.pipe()
    pid = manager.fork()
    if pid == 0:
        while True:
            os.write(write_end, b".")
            time.sleep(0.001)
    os.read(read_end, 1)
    manager.freeze()
    assert manager.frozen()
    while select.select([read_end], [], [], 0)[0]:
        os.read(read_end, 65536)
    assert not select.select([read_end], [], [], 0.05)[0]
    manager.thaw()
    assert not manager.frozen()
    assert select.select([read_end], [], [], 5)[0]
    manager.freeze()
    manager.kill(signal.SIGKILL)  # frozen ones die as well
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert not manager.frozen()


def test_none_escapes_by_forking(made: Callable[..., Any]) -> None:
    manager = made()
    pid = manager.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", "f() { sleep 0.01; f & f & }; ulimit -u 300; f; wait"])
    while len(manager.processes()) < 20:
        select.select([], [], [], 0.001)
    manager.kill(signal.SIGKILL)
    os.waitpid(pid, 0)
    manager.remove()  # raises where one is left


def test_another_signal_reaches_all(made: Callable[..., Any], sleeper: Sleeper) -> None:
    manager = made()
    pids = [sleeper(manager.fork) for _ in range(3)]
    manager.kill(signal.SIGTERM)
    assert {os.WTERMSIG(os.waitpid(pid, 0)[1]) for pid in pids} == {signal.SIGTERM}


def test_only_listed_devices_open(made: Callable[..., Any], tmp_path: Path, told: Told) -> None:
    manager = made()
    manager.apply(DEFAULT)
    node = str(tmp_path / "mem")

    def act() -> dict[str, Any]:
        manager.join()
        os.close(os.open("/dev/null", os.O_RDWR))
        os.mknod(node, 0o20600, os.makedev(1, 2))  # kmem: making is allowed, opening is not
        return {"opened": os.open(node, os.O_RDONLY)}

    assert told(act) == {"errno": 1}


@on_unified
def test_only_listed_devices_open_on_version_2(unified: cgroups_v2.V2, tmp_path: Path, told: Told) -> None:
    from podling.linux import cgroups_bpf

    unified.apply({"devices": [{"allow": False, "access": "rwm"}]})
    unified.apply({"devices": [{"allow": False, "access": "rwm"}]})
    directory = os.open(unified.paths()[""], os.O_RDONLY)
    assert len(cgroups_bpf.attached(directory)) == 1  # the second replaced the first
    os.close(directory)
    node = str(tmp_path / "mem")

    def act() -> dict[str, Any]:
        unified.join()
        os.close(os.open("/dev/null", os.O_RDWR))
        os.mknod(node, 0o20600, os.makedev(1, 2))
        return {"opened": os.open(node, os.O_RDONLY)}

    assert told(act) == {"errno": 1}


@on_unified
def test_version_2_freezes_and_kills_by_itself(unified: cgroups_v2.V2, sleeper: Sleeper) -> None:
    pids = [sleeper(unified.fork) for _ in range(2)]
    assert unified.processes() == sorted(pids)
    unified.freeze()
    assert unified.frozen()
    unified.kill(signal.SIGKILL)
    assert {os.WTERMSIG(os.waitpid(pid, 0)[1]) for pid in pids} == {signal.SIGKILL}
    assert unified.statistics()["cpu"]["usage"]["total"] >= 0
    assert unified.oom_kills() == 0
    unified.remove()
    assert not unified.frozen()


@on_unified
def test_a_controller_that_is_not_there_is_refused_not_passed_over(unified: cgroups_v2.V2) -> None:
    have = Path(unified.paths()[""], "cgroup.controllers").read_text().split()
    for controller, resources in (
        ("memory", {"memory": {"limit": 1 << 30}}),
        ("pids", {"pids": {"limit": 5}}),
        ("io", {"unified": {"io.weight": "5"}}),
    ):
        if controller not in have:
            with pytest.raises(Unsupported, match=f"has no {controller} controller"):
                unified.apply(resources, devices=False)


@on_version_1
def test_a_limit_without_controller_is_refused_on_version_1(made: Callable[..., Any]) -> None:
    paths = {name: path for name, path in made().paths().items() if name not in ("memory", "pids")}
    with pytest.raises(Unsupported, match="this host has no memory controller"):
        cgroups_v1.V1(paths).apply({"memory": {"limit": 1 << 30}}, devices=False)


@on_version_1
def test_memory_limits_go_up_and_down_in_any_order(made: Callable[..., Any]) -> None:
    manager = made()
    for limit, swap in ((64, 128), (256, 512), (32, 32), (-1, -1), (16, 64), (-1, None)):
        memory = {"limit": limit * (1 << 20) if limit > 0 else limit}
        if swap is not None:
            memory["swap"] = swap * (1 << 20) if swap > 0 else swap
        manager.apply({"memory": memory}, devices=False)
        shown = int(read(manager, "memory", "memory.limit_in_bytes"))
        assert shown == memory["limit"] or (limit == -1 and shown > 1 << 60)


@on_version_1
def test_cpu_quota_and_period_change_together(made: Callable[..., Any]) -> None:
    manager = made()
    for quota, period in ((50000, 100000), (2000, 2000), (900000, 1000000), (-1, 100000)):
        manager.apply({"cpu": {"quota": quota, "period": period, "shares": 512}}, devices=False)
        assert read(manager, "cpu", "cpu.cfs_quota_us") == str(quota)
        assert read(manager, "cpu", "cpu.cfs_period_us") == str(period)


@on_version_1
def test_what_the_kernel_refuses_is_told_in_one_line(made: Callable[..., Any]) -> None:
    manager = made()
    with pytest.raises(InvalidArgument, match=r"cannot set cpuset.cpus to 4000"):
        manager.apply({"cpu": {"cpus": "4000"}}, devices=False)
    with pytest.raises(Unsupported, match="this kernel has no such limit"):
        manager.apply({"blockIO": {"leafWeight": 10}}, devices=False)


@on_version_1
def test_cpusets_are_inherited_all_the_way_down(made: Callable[..., Any]) -> None:
    manager = made("a/b/c")
    cpus = Path(cgroups.hierarchies()["cpuset"][0], "cpuset.cpus").read_text()
    assert read(manager, "cpuset", "cpuset.cpus") == cpus.strip()
    assert read(manager, "cpuset", "cpuset.mems")
    cgroups_tree.remove(cgroups.directory(name, f"{PARENT}/a") for name in cgroups.hierarchies())


@on_version_1
def test_the_pids_limit_holds(made: Callable[..., Any], told: Told) -> None:
    manager = made()
    manager.apply({"pids": {"limit": 1}}, devices=False)
    assert told(os.fork, manager.fork) == {"errno": 11}


@on_version_1
def test_running_out_of_memory_is_an_event(made: Callable[..., Any]) -> None:
    manager = made()
    manager.apply({"memory": {"limit": 8 << 20, "swap": 8 << 20}}, devices=False)
    memory, poll = OutOfMemory(manager.paths()), select.poll()
    memory.register(poll)
    assert not poll.poll(0)
    pid = manager.fork()
    if pid == 0:
        block = bytearray(64 << 20)
        os._exit(len(block) & 1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert poll.poll(5000) and memory.happened()
    assert manager.oom_kills() == 1
    os.close(memory.fd)


@on_version_1
def test_relative_paths_start_at_ones_own_cgroup(made: Callable[..., Any], told: Told) -> None:
    made("outer")

    def act() -> str:
        cgroups.place(0, f"{PARENT}/outer")
        return cgroups.manager("", "inner", systemd=False).paths()["pids"]

    own = told(act)
    assert own == cgroups.directory("pids", f"{PARENT}/outer/inner")


def test_systemd_is_refused_where_it_does_not_run(sleeper: Sleeper) -> None:
    if os.path.exists("/run/systemd/private"):
        pytest.skip("systemd runs here")
    manager = cgroups.manager("machine.slice:podling-test:abc", "abc", systemd=True)
    manager.create()
    manager.apply(DEFAULT)
    with pytest.raises(PodlingError, match="systemd does not run here"):
        manager.fork()
