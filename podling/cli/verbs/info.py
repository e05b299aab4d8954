"""`podling info`: this engine on this host."""

from __future__ import annotations

import sys

from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb

VERB = Verb(
    "Display system information",
    usage="[options]",
    description="Display information pertaining to the host, current storage stats, and build of podling.\n\n"
    "Useful for the user and when reporting issues.",
    examples=("", "--format json", "--format {{.Store.GraphRoot}}"),
    flags=(
        Flag("debug", "bool", "Display additional debug information", short="D", hidden=True),
        Flag("format", "string", "Change the output format to JSON or a Go template", short="f"),
    ),
)


def run(call: Invocation) -> int:
    """Print the information, as YAML unless told otherwise."""
    from podling.cli import report
    from podling.engine import info
    from podling.oci import jsontext

    found = info.info(call.settings)
    template = call.flags.text("format")
    if report.is_json(template):
        sys.stdout.write(jsontext.dumps_indented(found, "  ") + "\n")
    elif template:
        import podling.cli.schemas.system  # noqa: F401 it declares the types
        from podling.cli.gotemplate import values

        sys.stdout.write(report.render_one("info", template, values.type_of("*define.Info"), found))
    else:
        from podling.cli import yamltext

        sys.stdout.write(yamltext.render(found))
    return 0
