"""`podling network ls`."""

from __future__ import annotations

import sys

from podling.cli import filters, tables
from podling.cli.common_flags import NO_TRUNC
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERB = Verb(
    "List networks",
    usage="[options]",
    examples=("", "--format '{{.Name}} {{.Driver}}'"),
    flags=(
        Flag("filter", "array", "Provide filter values (e.g. 'name=podman')", short="f"),
        Flag("format", "string", "Pretty-print networks to JSON or using a Go template"),
        NO_TRUNC,
        Flag("noheading", "bool", "Do not print headers", short="n"),
        Flag("quiet", "bool", "display only names", short="q"),
    ),
)


def run(call: Invocation) -> int:
    """Print the list."""
    from podling.engine import networks

    found = networks.list_networks(call.settings, filters.parse(call.flags.texts("filter")))
    sys.stdout.write(_output(call, found))
    return 0


def _output(call: Invocation, found: list[dict[str, Any]]) -> str:
    flags = call.flags
    if flags.boolean("quiet"):
        return "".join(network["name"] + "\n" for network in found)
    template = flags.text("format")
    if template:
        return _formatted(call, found, template)
    length = 64 if flags.boolean("no-trunc") else 12
    rows = [[network["id"][:length], network["name"], network["driver"]] for network in found]
    return tables.render(rows if flags.boolean("noheading") else [["NETWORK ID", "NAME", "DRIVER"], *rows])


def _formatted(call: Invocation, found: list[dict[str, Any]], template: str) -> str:
    from podling.cli import report

    if report.is_json(template):
        from podling.oci import jsontext

        return jsontext.dumps_indented(found, "  ") + "\n"
    from podling.cli.schemas import resources

    type_ = resources.network_reporter(64 if call.flags.boolean("no-trunc") else 12)
    headers = {"ID": "network id"}
    return report.render_rows("ls", template, type_, found, headers, heading=not call.flags.boolean("noheading"))
