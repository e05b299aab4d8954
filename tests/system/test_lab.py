"""The lab, verbatim, on real terminals: the test that the project exists for."""

from __future__ import annotations

import subprocess
import sys

from lab.steps import Lab
from lab.world import CHECKOUT, World


def test_the_lab(podling: World) -> None:
    """The eleven steps. On Podman, that it refuses five of them."""
    transcript: list[str] = []
    registry = podling.registry
    with World(registry=registry) as world:
        lab = Lab(world, transcript.append, transcript.append)
        try:
            lab.run()
        finally:
            lab.close()
    commands = [line for line in transcript if line.startswith(("$ ", "terminal 2$ "))]
    assert len(commands) == (15 if podling.is_podman else 11)


def test_an_interrupted_lab_leaves_nothing(podling: World) -> None:
    command = [sys.executable, "-m", "lab", "--port", "0", "--engine", podling.engine]
    with subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as lab:
        assert lab.stdout
        for line in lab.stdout:
            if "run -dt fedora bash" in line:
                lab.send_signal(2)
    assert lab.returncode == 130


def test_the_real_registries_are_named_in_the_error(podling: World) -> None:
    """Without a network `make lab REGISTRY=real` fails at its first step, and says whom it asked."""
    with World() as world:
        done = world.run("pull", "fedora")
    assert done.returncode == 125
    assert "registry.fedoraproject.org/fedora:latest" in done.stderr
