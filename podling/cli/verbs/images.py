"""`podling images`."""

from __future__ import annotations

import sys
import time

from podling.cli import filters, human, tables
from podling.cli.common_flags import NO_TRUNC
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb, at_most
from podling.engine import image_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.image_listing import Image

    Row = tuple[str, str, Image]

SORTS = ("created", "id", "repository", "size", "tag")
VERB = Verb(
    "List images in local storage",
    usage="[options] [IMAGE]",
    description="Lists images previously pulled to the system or created on the system.",
    examples=(
        "--format json",
        '--sort repository --format "table {{.ID}} {{.Repository}} {{.Tag}}"',
        "--filter dangling=true",
    ),
    flags=(
        Flag("all", "bool", "Show all images (there are no intermediate ones to hide)", short="a"),
        Flag("digests", "bool", "Show digests"),
        Flag("filter", "array", "Filter output based on conditions provided", short="f"),
        Flag("format", "string", "Change the output format to JSON or a Go template"),
        Flag("history", "bool", "Display the image name history"),
        NO_TRUNC,
        Flag("noheading", "bool", "Do not print column headings", short="n"),
        Flag("quiet", "bool", "Display only image IDs", short="q"),
        Flag("sort", "string", f"Sort by {', '.join(SORTS)}", default="created", choices=SORTS),
    ),
    arguments=at_most(1),
)
NONE = "<none>"


def run(call: Invocation) -> int:
    """Print the list, a line per name."""
    flags = call.flags
    if flags.changed("filter") and call.arguments:
        raise UsageError("cannot specify an image and a filter(s)")
    wanted = filters.parse(flags.texts("filter"))
    if call.arguments:
        wanted = {"reference": call.arguments}
    rows = [row for image in image_listing.list_images(call.settings, wanted) for row in _rows(image)]
    rows.sort(key=_SORT_KEYS[flags.text("sort")])
    sys.stdout.write(_output(call, rows))
    return 0


def _rows(image: Image) -> list[Row]:
    if not image.names:
        return [(_only_repository(image), NONE, image)]
    return [(name.rpartition(":")[0], name.rpartition(":")[2], image) for name in image.names]


def _only_repository(image: Image) -> str:
    return image.repo_digests[0].partition("@")[0] if image.repo_digests else NONE


_SORT_KEYS = {
    "created": lambda row: -row[2].created,
    "id": lambda row: row[2].id,
    "repository": lambda row: row[:2],
    "size": lambda row: row[2].size,
    "tag": lambda row: row[1],
}


def _output(call: Invocation, rows: list[Row]) -> str:
    flags = call.flags
    template = flags.text("format")
    if template:
        from podling.cli import images_format

        return images_format.output(call, rows)
    if flags.boolean("quiet"):
        return "".join(f"{identifier}\n" for identifier in dict.fromkeys(shown_id(call, row[2]) for row in rows))
    now = time.time_ns()
    table = [_columns(call, row, now) for row in rows]
    if not flags.boolean("noheading"):
        table.insert(0, _header(call))
    return tables.render(table)


def _header(call: Invocation) -> list[str]:
    digest = ["DIGEST"] if call.flags.boolean("digests") else []
    history = ["HISTORY"] if call.flags.boolean("history") else []
    return ["REPOSITORY", "TAG", *digest, "IMAGE ID", "CREATED", "SIZE", *history]


def _columns(call: Invocation, row: Row, now: int) -> list[str]:
    repository, tag, image = row
    digest = [image.digest] if call.flags.boolean("digests") else []
    history = [", ".join(image.names) or NONE] if call.flags.boolean("history") else []
    created = human.ago(image.created, now)
    return [repository, tag, *digest, shown_id(call, image), created, human.spaced_size(image.size), *history]


def shown_id(call: Invocation, image: Image) -> str:
    """Return an image's ID as the list shows it."""
    return "sha256:" + image.id if call.flags.boolean("no-trunc") else image.id[:12]
