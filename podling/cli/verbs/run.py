"""`podling run`: create, start, and stay attached unless told otherwise."""

from __future__ import annotations

import os
import sys

from podling.cli import create_options
from podling.cli.create_flags import RUN
from podling.cli.flags import UsageError
from podling.cli.verb import Invocation, Verb, at_least
from podling.errors import InUse, InvalidArgument, Unsupported, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.clock import Clock
    from podling.engine.options import AttachStreams, CreateOptions

VERB = Verb(
    "Run a command in a new container",
    usage="[options] IMAGE [COMMAND [ARG...]]",
    description="Runs a command in a new container from the given image",
    examples=(
        "imageID ls -alF /etc",
        "--network=host imageID dnf -y install java",
        "--volume /var/hostdir:/var/ctrdir -i -t fedora /bin/bash",
    ),
    flags=RUN,
    arguments=at_least(1),
    interspersed=False,
)


def run(call: Invocation) -> int:
    """Run the container: detached, print its ID; attached, return its exit code."""
    from podling.engine import run as engine_run
    from podling.engine.clock import Clock

    flags = call.flags
    if flags.boolean("rmi") and flags.changed("rm") and not flags.boolean("rm"):
        raise UsageError("the --rmi option does not work without --rm")
    if flags.boolean("rmi") and flags.boolean("detach"):
        raise Unsupported("--rmi: it is this command that removes the image, and with --detach it has gone by then")
    options = create_options.options(call)
    options.rm = options.rm or options.rmi
    streams = _streams(call)
    _warn_without_terminal(options)
    clock = Clock()
    if flags.boolean("detach"):
        container = engine_run.run_detached(call.settings, options, clock)
        create_options.print_warnings(container)
        sys.stdout.write(container.id + "\n")
        status = 0
    else:
        status = engine_run.run_attached(call.settings, options, streams, clock, create_options.print_warnings)
    if options.rmi:
        _remove_image(call, options)
    if flags.boolean("timings"):
        print_timings(clock)
    return status


def _remove_image(call: Invocation, options: CreateOptions) -> None:
    from podling.cli import selection
    from podling.engine import images

    for failure in images.remove_images(call.settings, [options.image], ignore=True).failures:
        if not isinstance(failure, InUse):
            selection.warn(f"Failed to remove image: {reason(failure)}")


def _streams(call: Invocation) -> AttachStreams:
    from podling.engine.options import AttachStreams

    flags = call.flags
    streams = AttachStreams(
        stdin=flags.boolean("interactive"),
        detach_keys=flags.optional("detach-keys"),
        sig_proxy=flags.boolean("sig-proxy"),
    )
    if flags.changed("attach"):
        chosen = [name.lower() for name in flags.texts("attach")]
        for name in chosen:
            if name not in ("stdin", "stdout", "stderr"):
                raise InvalidArgument(
                    f'invalid stream "{name}" for --attach - must be one of stdin, stdout, or stderr: invalid argument'
                )
        streams.stdin = streams.stdin or "stdin" in chosen
        streams.stdout, streams.stderr = "stdout" in chosen, "stderr" in chosen
    return streams


def _warn_without_terminal(options: CreateOptions) -> None:
    if options.tty and options.interactive and not os.isatty(0):
        from podling.cli import selection

        selection.warn("The input device is not a TTY. The --tty and --interactive flags might not work properly")


def print_timings(clock: Clock) -> None:
    """Print where the time went, a line per step."""
    total = sum(taken for _, taken in clock.steps)
    for step, taken in (*clock.steps, ("total", total)):
        sys.stderr.write(f"{taken / 1e6:9.2f} ms  {step}\n")
