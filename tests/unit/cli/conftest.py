"""The command line in this process, on a private root."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podling.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command and returns its exit code, output and error output."""
    monkeypatch.setattr("podling.cli.main._open_streams", lambda: None)  # pytest's streams are not the process's

    def call(*words: str, **environment: str) -> tuple[int, str, str]:
        places = ("--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"))
        networks = ("--network-config-dir", str(tmp_path / "networks"))
        status = main(["podling", *places, *networks, *words], {"CONTAINERS_CONF": "/dev/null", **environment})
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call
