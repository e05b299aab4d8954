"""`kill`: send a signal to a container's first process, or to all of its processes."""

from __future__ import annotations

import _signal

from podling.errors import InvalidArgument, WrongState
from podling.runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID [SIGNAL]"
OPTIONS = ("all,a", "regex,r")


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Signal a container, by name or number; SIGTERM by default."""
    if not words or len(words) > 2:
        raise InvalidArgument("kill needs a container ID and at most one signal")
    number = signal_number(words[1] if len(words) > 1 else "SIGTERM")
    found = container.load(context.root, words[0])
    if options["all"] or not found.state.own_pid_namespace:
        _signal_all(found, number, insist=not options["all"])
    else:
        found.signal(number)
        _thaw_to_die(found, number)
    return 0


def _signal_all(found: Container, number: int, *, insist: bool) -> None:
    """Signal every process; without a pid namespace of its own a container's processes outlive the first.

    With `insist` a container that is not running is an error; --all has always been content with nothing.
    """
    if number == _signal.SIGKILL or not insist:
        if insist and not found.is_alive() and not found.cgroup().processes():
            raise WrongState("container not running")
        found.cgroup().kill(number)
        if found.is_alive() and found.state.cgroups_disabled:
            found.signal(number)
        return
    found.signal(number)


def _thaw_to_die(found: Container, number: int) -> None:
    """Let a frozen container receive its SIGKILL: on cgroups version 1 nothing frozen can die."""
    if number == _signal.SIGKILL and found.is_frozen():
        found.cgroup().thaw()


def signal_number(name: str) -> int:
    """Return a signal's number from "9", "KILL", "SIGKILL", "RTMIN+3". Raise InvalidArgument for no such signal."""
    if name.isascii() and name.isdigit():
        if 0 < int(name) < _signal.NSIG:
            return int(name)
        raise InvalidArgument(f'unknown signal "{name}"')
    bare = name.upper().removeprefix("SIG")
    base, plus, offset = bare.partition("+")
    number = getattr(_signal, f"SIG{base}", None) if base.isalnum() else None
    if number is None:
        base, minus, offset = bare.partition("-")
        number = getattr(_signal, f"SIG{base}", None) if minus and base == "RTMAX" else None
        plus, offset = minus, f"-{offset}"
    if number is None or (plus and not offset.removeprefix("-").isdigit()):
        raise InvalidArgument(f'unknown signal "{name}"')
    return int(number) + (int(offset) if plus else 0)
