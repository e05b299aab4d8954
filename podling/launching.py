"""The start of a program: from the launcher script to its `main`.

    bin/podling          #!/bin/sh, which execs  python3 -I -S  on the same file
      └─ launching.run   finds `main`, calls it, ends in os._exit

A wrapper made by pip starts in 28 ms: it imports site, then re. The launchers in `bin/` are shell and Python at once
and start in about 3 ms more than bare Python. `-I` is also a matter of safety: PYTHONPATH must not reach a root
process. `-S` leaves site-packages out, so the launcher puts this package's own directory on the path.
"""

from __future__ import annotations

import os
import sys


def run(name: str) -> None:
    """Run one of the three programs on sys.argv and end the process with its status."""
    import gc

    from podling import codecache

    cache = codecache.install()
    sys.argv[0] = os.path.realpath(sys.argv[0])  # programs that change directory find their siblings by it
    gc.disable()  # a verb lives for milliseconds; the monitor turns it on again
    from podling.programs import main_of

    status = 1
    try:
        status = main_of(name)(sys.argv, dict(os.environ))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        status = 130
    codecache.refresh(cache)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or 1
    os._exit(status & 0xFF)  # no finalisation: it costs 3 ms and everything is closed by the kernel


def directory() -> str:
    """Return the directory of the launchers: that of the running one, else the interpreter's."""
    directory, name = os.path.split(sys.argv[0])
    if name.startswith("podling") and directory.startswith("/"):
        return directory
    return os.path.join(sys.prefix, "bin")
