"""The database, claims and the transition table, on real files and real processes."""

import os
import signal
import threading
from pathlib import Path

import pytest

from podling.engine import claims, database, recover
from podling.engine.container import (
    TRANSITIONS,
    Container,
    ContainerConfig,
    ContainerState,
    NetworkAttachment,
    PortMapping,
    Status,
    check_transition,
)
from podling.engine.options import Settings
from podling.errors import AlreadyExists, NotFound, Unavailable, WrongState


def settings_in(directory: Path) -> Settings:
    return Settings(root=str(directory / "root"), runroot=str(directory / "run"))


def container_named(name: str, number: int = 1) -> Container:
    config = ContainerConfig(
        id=f"{number:064x}",
        name=name,
        created=number,
        networks={"podman": NetworkAttachment(aliases=["a"])},
        ports=[PortMapping(host_port=80, container_port=8080)],
    )
    return Container(config=config, state=ContainerState(status=Status.CREATED))


def test_a_reading_verb_creates_nothing(tmp_path: Path) -> None:
    with database.read(settings_in(tmp_path)) as db:
        assert db.containers() == []
    assert os.listdir(tmp_path) == []


def test_a_container_comes_back_as_it_was_written(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    container = container_named("one")
    with database.write(settings) as db:
        db.insert(container)
    with database.read(settings) as db:
        assert db.containers() == [container]
        assert db.lookup("one") == db.lookup("/one") == db.lookup(container.id) == [container]
        assert db.lookup("0000") == [container]
        assert db.lookup("00f") == db.lookup("on") == db.lookup("") == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with database.write(settings) as db:
        db.insert(container_named("one"))
    with pytest.raises(AlreadyExists, match='"one" is already in use by 0000'), database.write(settings) as db:
        db.insert(container_named("one", 2))
    with database.read(settings) as db:
        assert len(db.containers()) == 1


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(RuntimeError), database.write(settings) as db:
        db.insert(container_named("one"))
        raise RuntimeError
    with database.read(settings) as db:
        assert db.containers() == []


def test_two_processes_create_the_database_at_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    children = []
    for number in range(1, 9):
        pid = os.fork()
        if not pid:
            try:
                with database.write(settings) as db:
                    db.insert(container_named(f"c{number}", number))
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    with database.read(settings) as db:
        assert [container.name for container in db.containers()] == [f"c{number}" for number in range(1, 9)]


def _claimed_by_child(settings: Settings, container_id: str) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        claims.wait_for(settings, container_id, "start")
        os.write(writing, b"x")
        signal.pause()
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    return pid, os.pidfd_open(pid)


def test_a_claim_keeps_others_out_until_its_process_dies(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    container = container_named("one")
    with database.write(settings) as db:
        db.insert(container)
    pid, _ = _claimed_by_child(settings, container.id)
    with pytest.raises(Unavailable, match=f'"start" by process {pid}'):
        claims.wait_for(settings, container.id, "rm", timeout_seconds=0.05)
    killer = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
    killer.start()
    taken = claims.wait_for(settings, container.id, "rm")
    assert taken.state.claimed_by == os.getpid()
    os.waitpid(pid, 0)
    killer.join()
    claims.release(settings, taken)
    with database.read(settings) as db:
        assert db.container(container.id) == container


def test_a_dead_claimant_is_seen_and_a_living_one_left_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    container = container_named("one")
    with database.write(settings) as db:
        db.insert(container)
    pid, _ = _claimed_by_child(settings, container.id)
    with database.read(settings) as db:
        assert not recover.needs_settling(settings, db.container(container.id), "boot")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with database.read(settings) as db:
        assert recover.needs_settling(settings, db.container(container.id), "boot")


def test_releasing_a_claim_on_a_removed_container_does_not_bring_it_back(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    container = container_named("one")
    with database.write(settings) as db:
        db.insert(container)
    with claims.claimed(settings, container.id, "remove"), database.write(settings) as db:
        db.delete(container.id)
    with database.read(settings) as db, pytest.raises(NotFound):
        db.container(container.id)


def test_a_container_runs_only_after_its_chain_stands() -> None:
    for status, following in TRANSITIONS.items():
        if status not in (Status.INITIALIZED, Status.PAUSED, Status.STOPPING):
            assert Status.RUNNING not in following
            with pytest.raises(WrongState, match=f'"x" is {status}'):
                check_transition("x", status, Status.RUNNING)


def test_closing_leaves_a_small_log_and_folds_in_a_large_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    log = Path(settings.root, "podling.db-wal")
    sizes = []
    for number in range(1, 200):
        with database.write(settings) as db:
            db.insert(container_named(f"c{number}", number))
        sizes.append(log.stat().st_size if log.exists() else 0)
    assert 0 < sizes[5] < sizes[10], "a commit alone does not fold the log in"
    assert 0 in sizes, "a large log is folded in"
    with database.read(settings) as db:
        assert len(db.container_ids()) == 199
