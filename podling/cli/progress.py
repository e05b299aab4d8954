"""How a pull shows itself: bars on a terminal, Podman's plain lines elsewhere; always on stderr.

rich is imported at the first bar: by then the process that pulls is on its own, and bytes are on their way.
"""

from __future__ import annotations

import sys

from podling.image.progress import PlainProgress, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def choose(*, quiet: bool) -> Progress:
    """Return the listener that suits stderr."""
    if quiet:
        return Progress()
    return Bars() if sys.stderr.isatty() else PlainProgress(sys.stderr)


class Bars(PlainProgress):
    """A bar per layer, below the lines that say what happens."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def _say(self, line: str) -> None:
        if self._bars is None:
            super()._say(line)
        else:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def blob_exists(self, digest: str, size: int) -> None:
        self._say(f"Copying blob {_short(digest)} skipped: already exists")

    def blob_started(self, digest: str, size: int) -> None:
        bars = self._started()
        self._tasks[digest] = bars.add_task(f"Copying blob {_short(digest)}", total=size or None)

    def blob_advanced(self, digest: str, count: int) -> None:
        if digest in self._tasks:
            self._bars.update(self._tasks[digest], advance=count)

    def blob_done(self, digest: str) -> None:
        if digest in self._tasks:
            task = self._tasks[digest]
            known = self._bars.tasks[task].total
            self._bars.update(task, total=known or 1, completed=known or 1)

    def config_started(self, digest: str, size: int) -> None:
        self._say(f"Copying config {_short(digest)} done")

    def manifest_written(self) -> None:
        self.close()
        self._say("Writing manifest to image destination")

    def close(self) -> None:
        """Leave the bars as they are."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def _started(self) -> Any:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bars = RichProgress(*columns, console=Console(stderr=True))
            self._bars.start()
        return self._bars


def show_cursor() -> None:
    """Show the cursor again, which bars hide."""
    if sys.stderr.isatty():
        sys.stderr.write("\033[?25h")
        sys.stderr.flush()


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
