"""Where the time of a command goes: what `run --timings` and `make bench` print."""

from __future__ import annotations

import time


class Clock:
    """Marks in nanoseconds; each is the time since the one before."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic_ns()
        self.steps: list[tuple[str, int]] = []

    def mark(self, step: str) -> None:
        """End a step."""
        now = time.monotonic_ns()
        self.steps.append((step, now - self._last))
        self._last = now
