"""`inspect --format`: a list of objects of several types."""

from __future__ import annotations

import re

from podling.cli import report
from podling.cli.gotemplate import values
from podling.cli.schemas import inspect, resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TYPES = {
    "container": "*define.InspectContainerData",
    "image": "*libimage.ImageData",
    "volume": "*define.InspectVolumeData",
    "network": "types.NetworkInspectReport",
}
__all__ = ["TYPES", "inspect", "render", "resources"]


def render(template: str, found: list[tuple[str, dict[str, Any]]], kinds: tuple[str, ...]) -> str:
    """Return the objects by a template, to which each is an interface of its own type."""
    rows = [values.Value(values.type_of(TYPES[kind]), data) for kind, data in found]
    return report.render_rows("inspect", _normalized(template, kinds), values.ANY, rows, check=False)


def _normalized(template: str, kinds: tuple[str, ...]) -> str:
    """Replace names that older versions and Docker had."""
    template = re.sub(r"\{\{\s*\.Id\s*\}\}", "{{.ID}}", template)
    for old, new in ((".Src", ".Source"), (".Dst", ".Destination"), (".ImageID", ".Image")):
        template = template.replace(old, new)
    return template.replace(".Config.Healthcheck", ".HealthCheck") if kinds == ("image",) else template
