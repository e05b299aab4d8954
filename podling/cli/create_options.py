"""From the flags of `run` and `create` to the engine's `CreateOptions`: every flag is a field of the same name."""

from __future__ import annotations

import sys

from podling.engine.options import CreateOptions
from podling.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation
    from podling.engine.container import Container

# used by the verb itself, or without any effect by the definition of Docker's flag
NOT_FIELDS = ("attach", "detach", "detach-keys", "disable-content-trust", "rootfs", "sig-proxy", "timings")


def options(call: Invocation) -> CreateOptions:
    """Return what the user asked for."""
    given = call.flags.given
    values: dict[str, Any] = {name.replace("-", "_"): value for name, value in given.items() if name not in NOT_FIELDS}
    subject, *command = call.arguments
    values["rootfs" if call.flags.boolean("rootfs") else "image"] = subject
    made = CreateOptions(**values, command=command, create_command=call.argv)
    if made.image and sys.stderr.isatty():
        _pull_with_bars(call, made)
    return made


def _pull_with_bars(call: Invocation, options: CreateOptions) -> None:
    """Pull what is missing where the user can watch; elsewhere the engine does, with plain lines."""
    from podling.engine import image_listing

    policy = options.pull.lower()
    if policy in ("never", "false"):
        return
    if policy in ("missing", "ifnotpresent", "true", "") and not options.platform and not options.arch:
        try:
            image_listing.find_image(call.settings, options.image)
            return
        except NotFound:
            pass
    from podling.cli import progress
    from podling.engine import images

    try:
        images.ensure(call.settings, options.image, options, progress.choose(quiet=options.quiet))
    finally:
        progress.show_cursor()  # the child that drew bars may have been interrupted
    options.pull = "never"


def print_warnings(container: Container) -> None:
    """Tell the user what the engine noticed while it resolved the options."""
    if container.config.warnings:
        from podling.cli import selection

        for warning in container.config.warnings:
            selection.warn(warning)
