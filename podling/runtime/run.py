"""`run`: create, start, and unless detached wait for the end and delete."""

from __future__ import annotations

from podling.runtime import arguments, create, delete, launch
from podling.runtime.start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = "CONTAINER-ID"
OPTIONS = (*create.OPTIONS, "keep")


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Run a container; return the exit status of its process, or 0 at once with --detach."""
    container_id = arguments.only_id(words)
    launch.check_preserved(options["preserve-fds"])
    if options["detach"]:
        made, _birth = create.create(context, options, container_id)
        _start_or_delete(context, made)
        return 0
    from podling.runtime import foreground

    terminal = bool(create.load_config(options)[0]["process"].get("terminal"))
    with foreground.Session(options, terminal=terminal) as session:
        made, birth = create.create(context, session.options, container_id)
        session.attach()
        _start_or_delete(context, made)
        status = session.wait(birth.pid)
    if not options["keep"]:
        delete.delete(context, made, force=True)
    return status


def _start_or_delete(context: Context, made: Container) -> None:
    try:
        start(context, made)
    except BaseException:
        delete.delete(context, made, force=True)
        raise
