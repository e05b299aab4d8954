"""What the walks share: a report of what was walked, at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.registry import Registry
from tests.walks.walk import Ground, Walk

_reports = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def ground(stage: Registry) -> Iterator[Ground]:
    """Return the world that walks are done in."""
    made = Ground(stage)
    yield made
    made.end()


@pytest.fixture
def walk(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], Walk]]:
    """Return a maker of walks; what they walked is told at the end of the run."""
    made: list[Walk] = []

    def make(verb: str, role: str) -> Walk:
        made.append(Walk(ground, verb, role))
        return made[-1]

    yield make
    for each in made:
        line = f"{request.node.name}: {each.walked} points walked, {each.reached} struck"
        request.config.stash.setdefault(_reports, []).append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was walked."""
    for line in config.stash.get(_reports, []):
        terminalreporter.write_line(line)
