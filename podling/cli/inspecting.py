"""What all `inspect` verbs share: find objects of some kinds, print them as an array or by a template."""

from __future__ import annotations

import sys

from podling.errors import NotFound, PodlingError, reason
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Invocation

    Found = tuple[str, dict[str, Any]]

_INDENT = "     "


def inspect(call: Invocation, kinds: tuple[str, ...]) -> int:
    """Print what is found, then say what is not; the array is printed even where it is empty."""
    found: list[Found] = []
    errors: list[str] = []
    for name in call.arguments or [""]:
        try:
            found.append(_find(call, name, kinds))
        except NotFound as error:
            errors.append(reason(error) if len(kinds) == 1 else f'no such object: "{name}"')
    sys.stdout.write(_output(call, found, kinds))
    for message in errors[1:]:
        sys.stderr.write(message + "\n")
    if errors:
        raise NotFound(f"inspecting object: {errors[0]}")
    return 0


def nothing(call: Invocation) -> int:
    """Print what an empty list of objects looks like."""
    sys.stdout.write(_output(call, [], ("volume",)))
    return 0


def _output(call: Invocation, found: list[Found], kinds: tuple[str, ...]) -> str:
    template = call.flags.text("format")
    if template in ("", "json"):
        return jsontext.dumps_indented([data for _, data in found], _INDENT) + "\n"
    from podling.cli import report

    if report.is_json(template):
        return jsontext.dumps_indented([data for _, data in found], _INDENT) + "\n"
    from podling.cli.schemas import inspecting

    return inspecting.render(template, found, kinds)


def _find(call: Invocation, name: str, kinds: tuple[str, ...]) -> Found:
    """Return the first object of that name, and its kind. Raise NotFound."""
    failure: PodlingError | None = None
    for kind in kinds:
        try:
            return kind, _FINDERS[kind](call, name)
        except NotFound as error:
            failure = error
    assert failure is not None
    raise failure


def _container(call: Invocation, name: str) -> dict[str, Any]:
    from podling.engine import find, inspection

    container = find.find(call.settings, name.removeprefix("/")) if name else find.latest(call.settings)
    return inspection.inspect_container(call.settings, container, size=call.flags.boolean("size"))


def _image(call: Invocation, name: str) -> dict[str, Any]:
    from podling.engine import image_listing, inspection

    return inspection.inspect_image(call.settings, image_listing.find_image(call.settings, name))


def _volume(call: Invocation, name: str) -> dict[str, Any]:
    from podling.engine import inspection, volume_management

    return inspection.inspect_volume(call.settings, volume_management.find_volume(call.settings, name))


def _network(call: Invocation, name: str) -> dict[str, Any]:
    from podling.engine import networks

    return networks.inspect_network(call.settings, name)


_FINDERS = {"container": _container, "image": _image, "volume": _volume, "network": _network}
