"""`podling version`."""

from __future__ import annotations

import sys

from podling.cli import tables
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb

VERB = Verb(
    "Display the version information",
    usage="[options]",
    flags=(Flag("format", "string", "Change the output format to JSON or a Go template", short="f"),),
)


def run(call: Invocation) -> int:
    """Print the version."""
    from podling.engine import info

    found = info.version(call.settings)
    template = call.flags.text("format")
    if template:
        sys.stdout.write(_formatted(found, template))
        return 0
    client = found["Client"]
    rows = [
        ["Client:", "Podling Engine"],
        ["Version:", client["Version"]],
        ["API Version:", client["APIVersion"]],
        ["Python Version:", client["GoVersion"].removeprefix("python")],
        ["Built:", client["BuiltTime"]],
        ["OS/Arch:", client["OsArch"]],
    ]
    sys.stdout.write(tables.render(rows))
    return 0


def _formatted(found: dict[str, dict[str, str]], template: str) -> str:
    from podling.cli import report

    if report.is_json(template):
        from podling.oci import jsontext

        return jsontext.dumps(found) + "\n"
    import podling.cli.schemas.system  # noqa: F401 it declares the types
    from podling.cli.gotemplate import values
    from podling.cli.gotemplate.lexer import TemplateError

    try:
        return report.render_one("version", template, values.type_of("*types.SystemVersionReport"), found)
    except TemplateError:
        # scripts for older versions name the client's fields, or the server's, which is none other
        template = template.replace(".Server.", ".")
        return report.render_one("version", template, values.type_of("*define.Version"), found["Client"])
