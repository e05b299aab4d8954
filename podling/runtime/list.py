"""`list`: the containers under --root."""

from __future__ import annotations

import sys

from podling.errors import InvalidArgument
from podling.oci.jsontext import dumps
from podling.runtime import container
from podling.runtime.state import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.container import Container
    from podling.runtime.main import Context

SYNOPSIS = ""
OPTIONS = ("format,f=table|json", "quiet,q")

_COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def run(context: Context, options: dict[str, Any], words: list[str]) -> int:
    """Print all containers, as a table, as JSON, or their IDs alone."""
    if words:
        raise InvalidArgument(f'unexpected argument "{words[0]}"')
    if options["format"] not in (None, "table", "json"):
        raise InvalidArgument(f'invalid format option "{options["format"]}"')
    found = container.load_all(context.root)
    if options["quiet"]:
        sys.stdout.write("".join(f"{each.id}\n" for each in found))
    elif options["format"] == "json":
        rows = [_row(each) for each in found]
        sys.stdout.write((dumps(rows) if rows else "null") + "\n")
    else:
        _print_table([_row(each) for each in found])
    return 0


def _row(each: Container) -> dict[str, Any]:
    described = describe(each)
    return {**described, "rootfs": each.state.rootfs, "created": each.state.created, "owner": _owner(each.state.owner)}


def _owner(uid: int) -> str:
    """Return a user's name by the host's passwd file; "#N" where it has none."""
    with open("/etc/passwd", encoding="utf-8", errors="replace") as rows:
        for row in rows:
            fields = row.split(":")
            if len(fields) > 2 and fields[2] == str(uid):
                return fields[0]
    return f"#{uid}"


def _print_table(rows: list[dict[str, Any]]) -> None:
    lines = [[str(row[name.lower()]) for name in _COLUMNS] for row in rows]
    table = [list(_COLUMNS), *lines]
    widths = [max(12, *(len(line[index]) + 2 for line in table)) for index in range(len(_COLUMNS))]
    for line in table:
        text = "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")
