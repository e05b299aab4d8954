"""Credentials for a registry: where they are kept, and which are meant for a repository. See containers-auth.json(5).

--creds USER:PASSWORD
--authfile, REGISTRY_AUTH_FILE                              alone, when given
${XDG_RUNTIME_DIR}/containers/auth.json  (root: /run/containers/0/auth.json)
~/.config/containers/auth.json   ~/.docker/config.json      the first that knows the repository
"""

from __future__ import annotations

import base64
import binascii
import os

from podling.errors import Corrupt, InvalidArgument
from podling.image.request import PullRequest
from podling.oci import jsontext
from podling.oci.reference import DEFAULT_REGISTRY, Reference
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Credentials(Record):
    """A user and a password, or a token that buys tokens."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"  # a traceback must not tell the rest

    def basic(self) -> str:
        """Return the value of a basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def find(request: PullRequest, wanted: Reference) -> Credentials | None:
    """Return the credentials for a repository, or None. Raise InvalidArgument where a file is malformed."""
    if request.creds:
        user, colon, password = request.creds.partition(":")
        if not user:
            raise InvalidArgument("credentials can't be empty")
        return Credentials(user=user, password=password if colon else "")
    for path in _files(request):
        document = _read(path)
        for key in _keys(wanted):
            found = _from_file(document, key)
            if found is not None:
                return found
    return None


def _files(request: PullRequest) -> list[str]:
    named = request.authfile or request.environment.get("REGISTRY_AUTH_FILE")
    if named:
        if not os.path.exists(named):
            raise InvalidArgument(f"checking authfile: stat {named}: no such file or directory")
        return [named]
    runtime = request.environment.get("XDG_RUNTIME_DIR")
    places = [f"{runtime}/containers/auth.json"] if runtime else []
    places.append(f"/run/containers/{os.geteuid()}/auth.json")
    if request.home:
        places += [f"{request.home}/.config/containers/auth.json", f"{request.home}/.docker/config.json"]
    return [path for path in places if os.path.exists(path)]


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = jsontext.loads(file.read() or b"{}")
    except (OSError, Corrupt) as error:
        raise InvalidArgument(f'reading credentials "{path}"') from error
    if not isinstance(document, dict):
        raise InvalidArgument(f'reading credentials "{path}": not a JSON object')
    return document


def _keys(wanted: Reference) -> list[str]:
    """Return the keys that speak of a repository, the narrowest first."""
    keys, name = [], wanted.repository
    while name:
        keys.append(name)
        name = name.rpartition("/")[0]
    return [*keys, "index.docker.io", "registry-1.docker.io"] if wanted.registry == DEFAULT_REGISTRY else keys


def _from_file(document: dict[str, Any], key: str) -> Credentials | None:
    helper = (document.get("credHelpers") or {}).get(key)
    if helper:
        return _from_helper(helper, key)
    for name, entry in (document.get("auths") or {}).items():
        if _normalized(name) == key and isinstance(entry, dict):
            if entry.get("auth") or entry.get("identitytoken"):
                return _decoded(entry, name)
            if document.get("credsStore"):
                return _from_helper(document["credsStore"], name)
    return None


def _normalized(name: str) -> str:
    """Return a key without the scheme and version that Docker once wrote: https://index.docker.io/v1/."""
    for scheme in ("https://", "http://"):
        if name.startswith(scheme):
            return name.removeprefix(scheme).partition("/")[0]
    return name


def _decoded(entry: dict[str, Any], name: str) -> Credentials:
    try:
        text = base64.b64decode(entry.get("auth") or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidArgument(f'credentials for "{name}" are malformed') from error
    user, _, password = text.partition(":")
    return Credentials(user=user, password=password.rstrip("\0"), identity_token=entry.get("identitytoken") or "")


def _from_helper(helper: str, key: str) -> Credentials | None:
    """Ask a docker-credential program."""
    import subprocess

    if "/" in helper:
        raise InvalidArgument(f'credential helper "{helper}" is not a plain name')
    try:
        answer = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=key.encode(), capture_output=True, check=False
        )
    except OSError as error:
        raise InvalidArgument(f'credential helper "{helper}"') from error
    if answer.returncode:
        return None
    found = jsontext.loads(answer.stdout)
    if found.get("Username") == "<token>":
        return Credentials(identity_token=found.get("Secret", ""))
    return Credentials(user=found.get("Username", ""), password=found.get("Secret", ""))
