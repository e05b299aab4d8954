"""Whether a killed process may have left something of a network: the question that every mutating verb asks.

A few directory reads and no other module of this package, so that the answer "no" costs next to nothing. A "yes" may
be wrong, while a collector is still waiting: the sweep that follows finds out.
"""

from __future__ import annotations

import os

from podling.linux import processes


def suspected(run_dir: str) -> bool:
    """Tell whether a bridge has outlived its containers, or a resolver has not lived as long as they."""
    bridges = _names(f"{run_dir}/bridges")
    resolvers = _names(f"{run_dir}/resolvers")
    if not bridges and not resolvers:
        return False
    leased = {name.removesuffix(".json") for name in _names(f"{run_dir}/leases")}
    if not leased.issuperset(bridges) or not leased.issuperset(resolvers):
        return True
    return not all(_is_alive(f"{run_dir}/resolvers/{name}") for name in resolvers)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_alive(path: str) -> bool:
    try:
        pid, started = processes.read_small(path).split()
        return processes.is_alive(int(pid), int(started))
    except (FileNotFoundError, ValueError):
        return False
