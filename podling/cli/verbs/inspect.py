"""`podling inspect`: all that is known of a container, an image, a volume or a network."""

from __future__ import annotations

from podling.cli.common_flags import INSPECT_FORMAT, LATEST, SIZE
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, any_arguments
from podling.errors import InvalidArgument

KINDS = ("container", "image", "volume", "network")
VERB = Verb(
    "Display the configuration of object denoted by ID",
    usage="[options] {CONTAINER|IMAGE|NETWORK|VOLUME} [...]",
    description="Displays the low-level information on an object identified by name or ID.\n"
    "For more inspection options, see:\n\n    podling container inspect\n    podling image inspect\n"
    "    podling network inspect\n    podling volume inspect",
    examples=(
        "fedora",
        "--type image fedora",
        "CtrID ImgID",
        '--format "imageId: {{.Id}} size: {{.Size}}" fedora',
    ),
    flags=(
        INSPECT_FORMAT,
        LATEST,
        SIZE,
        Flag("type", "string", "Specify inspect-object type", short="t", default="all"),
    ),
    arguments=any_arguments,
)


def run(call: Invocation) -> int:
    """Print the objects as an array, or each by a template."""
    from podling.cli import inspecting

    flags = call.flags
    kind = flags.text("type")
    if kind not in ("all", *KINDS):
        choices = ", ".join(f'"{each}"' for each in KINDS)
        raise InvalidArgument(f'invalid type "{kind}": must be {choices}, or "all"')
    if kind == "image" and (flags.boolean("latest") or flags.boolean("size")):
        word = "latest" if flags.boolean("latest") else "size"
        raise InvalidArgument(f'{word} is not supported for type "image"')
    if not call.arguments and not flags.boolean("latest"):
        raise UsageError("no names or ids specified")
    if call.arguments and flags.boolean("latest"):
        raise UsageError("--latest and arguments cannot be used together")
    return inspecting.inspect(call, KINDS if kind == "all" else (kind,))
