"""`podling volume ls`."""

from __future__ import annotations

import sys

from podling.cli import filters, tables
from podling.cli.flags import Flag, UsageError
from podling.cli.verb import Invocation, Verb
from podling.engine import volume_management

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.engine.volumes import Volume

VERB = Verb(
    "List volumes",
    usage="[options]",
    description="List all available volumes. The output of the volumes can be filtered\nand the output format can be "
    "changed to JSON or a user specified Go template.",
    examples=("", "--filter label=a=b", "--format '{{.Name}} {{.Mountpoint}}'"),
    flags=(
        Flag("filter", "array", "Filter volume output", short="f"),
        Flag("format", "string", "Format volume output using Go template"),
        Flag("noheading", "bool", "Do not print headers", short="n"),
        Flag("quiet", "bool", "Print volume output in quiet mode", short="q"),
    ),
)


def run(call: Invocation) -> int:
    """Print the list."""
    flags = call.flags
    if flags.boolean("quiet") and flags.changed("format"):
        raise UsageError("quiet and format flags cannot be used together")
    found = volume_management.list_volumes(call.settings, filters.parse(flags.texts("filter")))
    sys.stdout.write(_output(call, found))
    return 0


def _output(call: Invocation, found: list[Volume]) -> str:
    flags = call.flags
    if flags.boolean("quiet"):
        return "".join(volume.name + "\n" for volume in found)
    template = flags.text("format")
    if template:
        return _formatted(call, found, template)
    if not found:
        return ""
    rows = [[volume.driver, volume.name] for volume in found]
    return tables.render(rows if flags.boolean("noheading") else [["DRIVER", "VOLUME NAME"], *rows])


def _formatted(call: Invocation, found: list[Volume], template: str) -> str:
    from podling.cli import report
    from podling.engine import inspection

    rows = [inspection.inspect_volume(call.settings, volume) for volume in found]
    if report.is_json(template):
        from podling.oci import jsontext

        return jsontext.dumps_indented(rows, "  ") + "\n"
    from podling.cli.schemas import resources

    headers = {"Name": "VOLUME NAME"}
    heading = not call.flags.boolean("noheading")
    return report.render_rows("ls", template, resources.volume_reporter(), rows, headers, heading=heading)
