"""OCI hooks that an administrator configures: which of them a container gets.

    /usr/share/containers/oci/hooks.d/*.json      a file of the same name in a later directory replaces it
    {"version": "1.0.0",
     "hook": {"path", "args", "env", "timeout"},
     "when": {"always", "annotations": {PATTERN: PATTERN}, "commands": [PATTERN], "hasBindMounts"},
     "stages": ["prestart", "createRuntime", …]}

All conditions of `when` must hold. Hooks run in the order of their files' names, in lower case. oci-hooks(5).
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def select(directories: Sequence[str], document: dict[str, Any], *, bind_mounts: bool) -> dict[str, Any]:
    """Return the `hooks` of a config.json. Raise InvalidArgument for a file that is malformed."""
    chosen: dict[str, Any] = dict(document.get("hooks") or {})
    for _, configured in sorted(_files(directories).items()):
        hook = _read(configured)
        if not _holds(hook["when"], document, bind_mounts, configured):
            continue
        for stage in hook["stages"]:
            chosen.setdefault(stage, []).append(hook["hook"])
    return chosen


def _files(directories: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for directory in directories:
        for name in os.listdir(directory):
            if name.endswith(".json"):
                found[name.lower()] = os.path.join(directory, name)
    return found


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            hook = jsontext.loads(file.read())
    except (OSError, PodlingError) as error:
        raise InvalidArgument(f'parsing hook "{path}"') from error
    if not isinstance(hook, dict) or hook.get("version") != "1.0.0":
        version = hook.get("version") if isinstance(hook, dict) else None
        raise InvalidArgument(f'parsing hook "{path}": unrecognized hook version: "{version or ""}"')
    definition = hook.get("hook")
    if not isinstance(definition, dict) or not isinstance(definition.get("path"), str):
        raise InvalidArgument(f'parsing hook "{path}": missing required property: hook.path')
    if not os.path.exists(definition["path"]):
        raise InvalidArgument(f'hook "{path}": stat {definition["path"]}: no such file or directory')
    stages = hook.get("stages")
    if not stages:
        raise InvalidArgument(f'hook "{path}": missing required property: stages')
    for stage in stages:
        if stage not in STAGES:
            raise InvalidArgument(f'hook "{path}": unknown stage "{stage}"')
    if not isinstance(hook.get("when"), dict) or not hook["when"]:
        raise InvalidArgument(f'hook "{path}": missing required property: when')
    return hook


def _holds(when: dict[str, Any], document: dict[str, Any], bind_mounts: bool, path: str) -> bool:
    """Tell whether all conditions hold; `always: false` alone never does."""
    results: list[bool] = []
    if when.get("always") is not None:
        results.append(bool(when["always"]))
    if when.get("hasBindMounts") is not None:
        results.append(bind_mounts if when["hasBindMounts"] else True)
    for key, value in (when.get("annotations") or {}).items():
        annotations = document.get("annotations", {}).items()
        results.append(any(_found(key, name, path) and _found(value, text, path) for name, text in annotations))
    if when.get("commands"):
        command = document["process"]["args"][:1]
        results.append(bool(command) and any(_found(pattern, command[0], path) for pattern in when["commands"]))
    return bool(results) and all(results)


def _found(pattern: str, text: str, path: str) -> bool:
    import re

    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise InvalidArgument(f'hook "{path}": invalid pattern "{pattern}": {error}') from None
