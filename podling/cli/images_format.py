"""`images --format`: JSON and templates."""

from __future__ import annotations

import time

from podling.cli import human, report
from podling.cli.gotemplate import values
from podling.cli.gotemplate.values import Method
from podling.cli.verbs.images import NONE, shown_id
from podling.engine import image_listing, inspection
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation
    from podling.cli.verbs.images import Row

values.declare(
    "types.ImageSummary",
    """
    ID string Id
    ParentId string
    RepoTags []string
    RepoDigests []string
    Created int64
    Size int64
    SharedSize int
    VirtualSize int64
    Labels map[string]string
    Containers int
    ReadOnly bool
    Dangling bool
    Arch string
    Digest string
    History []string
    IsManifestList *bool
    Names []string
    Os string
    """,
)
REPORTER = values.declare("images.imageReporter", "Repository string repository\nTag string tag\ntypes.ImageSummary")
_TEXTS = ("ID", "Created", "Size", "History", "CreatedAt", "CreatedSince", "CreatedTime")
HEADERS = {"ID": "IMAGE ID", "ReadOnly": "R/O", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED SINCE"}


def _method(key: str) -> Method:
    return Method(lambda data: data.get(key, ""), values.STRING)


REPORTER.methods |= {name: _method(f"_{name}") for name in _TEXTS}
REPORTER.methods["IsReadOnly"] = Method(lambda data: bool(data.get("ReadOnly")), values.BOOL)
REPORTER.methods["IsDangling"] = Method(lambda data: bool(data.get("Dangling")), values.BOOL)
REPORTER.methods["Id"] = Method(lambda data: data.get("Id", ""), values.STRING)


def output(call: Invocation, rows: list[Row]) -> str:
    """Return the list in the form that --format asks for."""
    template = call.flags.text("format")
    users = image_listing.users(call.settings)
    if report.is_json(template):
        return jsontext.dumps_indented([_for_json(row, users) for row in rows]) + "\n"
    data = [_for_template(call, row, users) for row in rows]
    heading = not call.flags.boolean("noheading")
    return report.render_rows("images", template, REPORTER, data, HEADERS, heading=heading)


def _summary(row: Row, users: dict[str, int]) -> dict[str, Any]:
    image = row[2]
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.names) or None,
        "RepoDigests": list(image.repo_digests),
        "Created": image.created // 1_000_000_000,
        "Size": image.size,
        "SharedSize": 0,
        "VirtualSize": image.size,
        "Labels": inspection.sorted_map(image.labels) or None,
        "Containers": users.get(image.id, 0),
        "ReadOnly": False,
        "Dangling": not image.names,
        "Arch": image.document.get("architecture") or "",
        "Digest": image.digest,
        "History": list(image.names),
        "IsManifestList": False,
        "Names": list(image.names),
        "Os": image.document.get("os") or "",
    }


def _for_json(row: Row, users: dict[str, int]) -> dict[str, Any]:
    summary = _summary(row, users)
    created = summary.pop("Created")
    summary["RepoTags"] = None
    for key in ("ReadOnly", "Dangling"):  # left out where false
        if not summary[key]:
            del summary[key]
    summary |= {"Created": created, "CreatedAt": human.rfc3339_utc(created * 1_000_000_000)}
    names = {"Repository": row[0], "Tag": row[1]}
    return summary | {key: name for key, name in names.items() if name != NONE}


def _for_template(call: Invocation, row: Row, users: dict[str, int]) -> dict[str, Any]:
    image = row[2]
    created = image.created // 1_000_000_000 * 1_000_000_000
    since = human.ago(image.created, time.time_ns())
    return {
        "repository": row[0],
        "tag": row[1],
        **_summary(row, users),
        "_ID": shown_id(call, image),
        "_Created": since,
        "_CreatedSince": since,
        "_CreatedAt": human.go_time_utc(created),
        "_CreatedTime": human.go_time_utc(created),
        "_Size": human.spaced_size(image.size),
        "_History": ", ".join(image.names),
    }
