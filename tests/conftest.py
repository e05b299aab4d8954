"""The stage the tests stand on.

    tests/unit                          no root, no machine: as any process
    tests/kernel system peers walks     as root, in a machine of their own (lab/machine.py): whatever a test starts,
                                        mounts or connects is seen by the inventory and ends with the run

    stage     a registry that holds the lab's images                      one per run
    podling   the engine in a private world, `fedora` pulled and warm     one per run
    world     makes further private worlds, removed with the test

Every test outside tests/unit begins and ends with the same inventory. PODLING=podman runs the engine's tests on the
real Podman: a harness is proved there before it judges ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests use lab/, which is not installed

from lab import inventory, machine, registry  # noqa: E402
from lab.world import World  # noqa: E402

UNIT = ROOT / "tests" / "unit"


def pytest_configure(config: pytest.Config) -> None:
    """Continue in a machine of one's own, unless only unit tests were asked for."""
    if machine.inside() or hasattr(config, "workerinput") or config.option.collectonly or only_unit_tests(config):
        return
    if os.geteuid() != 0:
        raise pytest.UsageError("only tests/unit can run without root")
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()  # gives back standard output and error before the exec
    arguments = [sys.executable, "-m", "pytest", *config.invocation_params.args]
    os.chdir(config.invocation_params.dir)
    os.environ["PYTHONPATH"] = str(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "lab.machine", *arguments])


def only_unit_tests(config: pytest.Config) -> bool:
    """Tell whether all paths on the command line are below tests/unit."""
    paths = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    return all(path.is_relative_to(UNIT) for path in paths)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registry.Registry]:
    """Return a running registry that holds the lab's images below lab/."""
    scratch = tmp_path_factory.mktemp("registry")
    with registry.Registry(scratch, registry.ensure_storage(scratch)) as running:
        yield running


@pytest.fixture(scope="session")
def podling(stage: registry.Registry) -> Iterator[World]:
    """Return the engine in a private world, with `fedora` pulled, where everything made on first use is made."""
    with World(registry=stage) as world:
        world.check("pull", "fedora")
        container = world.check("run", "-d", "-v", "/volume", "fedora", "sleep", "1000")
        world.check("exec", container, "true")
        world.check("rm", "-f", "-v", "-t", "0", container)
        yield world


@pytest.fixture
def world(stage: registry.Registry) -> Iterator[Callable[..., World]]:
    """Return a maker of private worlds, which are removed when the test ends."""
    made: list[World] = []

    def make(**options: object) -> World:
        made.append(World(**{"registry": stage, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in reversed(made):
        each.destroy()


@pytest.fixture
def private_registry(tmp_path: Path, stage: registry.Registry) -> Iterator[Callable[..., registry.Registry]]:
    """Return a maker of further registries with the lab's images and storage of their own, stopped with the test."""
    running: list[registry.Registry] = []

    def make(**options: object) -> registry.Registry:
        directory = tmp_path / f"registry{len(running)}"
        shutil.copytree(stage.storage, directory / "storage", copy_function=os.link)
        running.append(registry.Registry(directory, directory / "storage", **options))  # type: ignore[arg-type]
        running[-1].start()
        return running[-1]

    yield make
    for each in running:
        each.stop()


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare what there is before and after a test. The engine's own roots count where the test uses `podling`."""
    if request.path.is_relative_to(UNIT):
        yield
        return
    roots = request.getfixturevalue("podling").roots() if "podling" in request.fixturenames else []
    before = inventory.take(roots)
    yield
    rest = inventory.settled(before, roots)
    if rest and roots:  # or every later test fails of it too
        containers = set(re.findall(r"\b[0-9a-f]{64}\b", " ".join(rest)))
        with suppress(subprocess.TimeoutExpired):
            request.getfixturevalue("podling").run("rm", "-f", "-i", "-t", "0", *containers, timeout_seconds=15)
    assert not rest, f"left behind {len(rest)}:\n" + "\n".join(line[:200] for line in rest[:30])
