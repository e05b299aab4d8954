"""Type the lab into real terminals and check every step: `make lab`.

    python3 -m lab [--registry real] [--port N] [--runtime PATH] [--conmon PATH] [--engine podman]

It works in a private world, which it leaves empty: it says so, and a failed check, an error or Ctrl-C end in the same
cleaning up. Exit status 0: all steps showed what they must. 1: one did not. 130: interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from lab import inventory, registry
from lab.registry import RegistryFailed
from lab.steps import CheckFailed, Lab
from lab.terminal import TimedOut
from lab.world import Failed, World


def say(text: str) -> None:
    """Print a line of the transcript."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print a line in the margin."""
    print(f"    │ {text}", flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python3 -m lab", description="Type the lab into real terminals and check it."
    )
    parser.add_argument("--registry", choices=("local", "real"), default="local", help="where fedora and centos are")
    parser.add_argument("--port", type=int, default=5000, help="the registry's port if it is free (default: 5000)")
    parser.add_argument("--runtime", default="", help="a foreign OCI runtime, by absolute path")
    parser.add_argument("--conmon", default="", help="a foreign monitor, by absolute path")
    parser.add_argument("--engine", default=None, help="the engine: podling, or podman to prove the harness")
    return parser.parse_args(arguments)


def open_registry(stack: ExitStack, options: argparse.Namespace) -> registry.Registry | None:
    """Start the registry on loopback, unless the internet's are to be used."""
    if options.registry == "real":
        return None
    scratch = Path(tempfile.mkdtemp(prefix="pl-registry-", dir="/var/tmp"))
    stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    storage = registry.ensure_storage(scratch)
    running = stack.enter_context(registry.Registry(scratch / "lab", storage, port=options.port))
    note(f"a registry with TLS listens on {running.host}")
    return running


def rehearse(options: argparse.Namespace) -> None:
    """Set the stage, type the page, leave the world as it was found."""
    with ExitStack() as stack:
        running = open_registry(stack, options)
        world = stack.enter_context(
            World(engine=options.engine, registry=running, runtime=options.runtime, conmon=options.conmon)
        )
        lab = Lab(world, say, note)
        stack.callback(lab.close)
        lab.run()
        lab.close()
        check_cleanup(world)


def check_cleanup(world: World) -> None:
    """Remove what the page itself leaves, with the engine, and check that nothing of it remains."""
    world.check("rm", "--all")
    world.check("rmi", "--all")
    deadline = time.monotonic() + inventory.SETTLE_SECONDS  # the network's collector outlives the verb by a moment
    rest = [pid for pid in world.processes() if not inventory.await_end(pid, deadline)]
    mounts = [line for line in inventory.mounts() if str(world.runroot) in line or str(world.root) in line]
    if rest or mounts:
        raise CheckFailed(f"left behind: {[inventory.process_line(pid) for pid in rest]} {mounts}")
    note("nothing is left: no process, no mount")


def main(arguments: list[str]) -> int:
    """Run the lab and return the exit status."""
    options = parse(arguments)
    started = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # they too end in the cleaning up
    try:
        rehearse(options)
    except (CheckFailed, TimedOut, RegistryFailed, Failed) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    say(f"The lab ran as it is printed: 11 steps in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
