"""Children that do one thing somewhere else and tell how it went."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def told() -> Callable[..., Any]:
    """Return a function that runs an act in a forked child and returns what it returned, an OSError as its number."""
    return _tell


def _tell(act: Callable[[], Any], fork: Callable[[], int] = os.fork) -> Any:
    read, write = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            answer = act()
        except OSError as error:
            answer = {"errno": error.errno}
        except BaseException as error:
            answer = {"error": repr(error)}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else None


@pytest.fixture
def sleeper() -> Iterator[Callable[..., int]]:
    """Return a starter of processes that do nothing until the test ends."""
    started: list[int] = []

    def start(fork: Callable[[], int] = os.fork) -> int:
        pid = fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                signal.pause()
        started.append(pid)
        return pid

    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue
