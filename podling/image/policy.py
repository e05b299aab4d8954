"""policy.json: which images may be pulled at all. See containers-policy.json(5).

Known requirements are `insecureAcceptAnything` and `reject`. One that wants a signature is refused rather than passed
over: nothing here verifies signatures.
"""

from __future__ import annotations

from podling.errors import Corrupt, Denied, InvalidArgument, Unsupported
from podling.image.request import PullRequest
from podling.oci import jsontext
from podling.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def check(request: PullRequest, wanted: Reference) -> None:
    """Raise Denied where the policy rejects an image, Unsupported where it wants what cannot be verified here."""
    path = request.policy or request.configuration_file("policy.json")
    if path is None:
        return
    for requirement in _requirements(_read(path), wanted):
        kind = requirement.get("type")
        if kind == "reject":
            raise Denied(f"Source image rejected: Running image docker://{wanted} is rejected by policy.")
        if kind != "insecureAcceptAnything":
            raise Unsupported(f'policy "{path}" wants "{kind}" of {wanted}: signatures cannot be verified')


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = jsontext.loads(file.read())
    except (OSError, Corrupt) as error:
        raise InvalidArgument(f'loading policy "{path}"') from error
    if not isinstance(document, dict) or not document.get("default"):
        raise InvalidArgument(f'policy "{path}" has no default')
    return document


def _requirements(document: dict[str, Any], wanted: Reference) -> list[dict[str, Any]]:
    scopes = (document.get("transports") or {}).get("docker") or {}
    for scope in _scopes(wanted):
        if scope in scopes:
            found: list[dict[str, Any]] = scopes[scope]
            return found
    default: list[dict[str, Any]] = document["default"]
    return default


def _scopes(wanted: Reference) -> Iterator[str]:
    """Yield the scopes that speak of a name, the narrowest first."""
    yield str(wanted)
    name = wanted.repository
    while name:
        yield name
        name = name.rpartition("/")[0]
    host = wanted.registry.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""
