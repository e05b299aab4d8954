"""`run` as its users know it: output, exit codes, what is inside."""

from __future__ import annotations

import pytest

from lab.world import World


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["false"], 1),
        (["bash", "-c", "exit 42"], 42),
        (["bash", "-c", "sleep 100 & kill -9 $!; wait $!"], 137),
        (["/no/such/program"], 127),
        (["no-such-program"], 127),
        (["/etc"], 126),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_status(podling: World, command: list[str], status: int) -> None:
    assert podling.run("run", "--rm", "--network", "none", "fedora", *command).returncode == status
