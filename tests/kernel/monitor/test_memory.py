"""What an idle container costs: the proportional set size of its monitor, twenty of them side by side."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.monitor.conftest import OURS, Caller

COUNT = 20
MOST_KB = 3000


def pss_kb(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def test_twenty_idle_monitors(tmp_path: Path, script_runtime: str) -> None:
    callers = []
    try:
        for number in range(COUNT):
            caller = Caller(OURS, tmp_path / str(number), script_runtime)
            callers.append(caller)
            caller.command("echo ready; exec sleep 1000")
            caller.create("--exit-command", "/bin/true")
        for caller in callers:
            caller.await_shrunk()
        sizes = [pss_kb(caller.monitor) for caller in callers]
    finally:
        for caller in callers:
            caller.close()
    print(f"{COUNT} idle monitors: {sum(sizes) / COUNT:.0f} kB each")
    assert sum(sizes) / COUNT <= MOST_KB, sizes
