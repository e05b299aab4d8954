"""From the flags of `run` and `create` to the engine's `CreateOptions`: every flag is a field of the same name."""

from __future__ import annotations

from podling.engine.options import CreateOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation

# used by the verb itself, or without any effect by the definition of Docker's flag
NOT_FIELDS = ("attach", "detach", "detach-keys", "disable-content-trust", "rootfs", "sig-proxy", "timings")


def options(call: Invocation) -> CreateOptions:
    """Return what the user asked for."""
    given = call.flags.given
    values: dict[str, Any] = {name.replace("-", "_"): value for name, value in given.items() if name not in NOT_FIELDS}
    subject, *command = call.arguments
    if call.flags.boolean("rootfs"):
        values["rootfs"] = subject
    else:
        values["image"] = subject
    return CreateOptions(**values, command=command, create_command=call.argv)
