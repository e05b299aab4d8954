"""The Container Device Interface: devices by the names that a vendor describes in files.

    --device nvidia.com/gpu=0      VENDOR/CLASS=NAME
    /etc/cdi/*.json|yaml           overridden by /var/run/cdi/*: {"cdiVersion", "kind": VENDOR/CLASS, "containerEdits",
                                   "devices": [{"name", "containerEdits"}]}

An edit is environment, device nodes, mounts, hooks and groups to add to config.json.
github.com/cncf-tags/container-device-interface, SPEC.md.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
_HOOKS = {
    "prestart": "prestart",
    "createRuntime": "createRuntime",
    "createContainer": "createContainer",
    "startContainer": "startContainer",
    "poststart": "poststart",
    "poststop": "poststop",
}


def is_qualified(name: str) -> bool:
    """Tell whether a device is named VENDOR/CLASS=NAME."""
    kind, separator, device = name.partition("=")
    vendor, slash, device_class = kind.partition("/")
    words = (vendor.replace(".", "").replace("-", "").replace("_", ""), device_class.replace("-", "").replace("_", ""))
    return bool(separator and slash and device and vendor[:1].isalpha() and all(word.isalnum() for word in words))


def check(names: Sequence[str], directories: Sequence[str] | None) -> None:
    """Raise InvalidArgument unless all devices are described."""
    _edits(names, directories or DIRECTORIES)


def inject(document: dict[str, Any], names: Sequence[str], directories: Sequence[str] | None) -> None:
    """Apply the devices' edits to a config.json. Raise InvalidArgument."""
    for edit in _edits(names, directories or DIRECTORIES):
        _apply(document, edit)
    document["mounts"].sort(key=lambda mount: mount["destination"].rstrip("/").count("/"))


def _edits(names: Sequence[str], directories: Sequence[str]) -> list[dict[str, Any]]:
    known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for specification in _specifications(directories):
        for device in specification.get("devices") or []:
            known[f"{specification['kind']}={device['name']}"] = (specification, device)
    missing = [name for name in names if name not in known]
    if missing:
        raise InvalidArgument(f"setting up CDI devices: unresolvable CDI devices {', '.join(missing)}")
    edits: list[dict[str, Any]] = []
    common: list[int] = []
    for name in names:
        specification, device = known[name]
        if id(specification) not in common:
            common.append(id(specification))
            edits.append(specification.get("containerEdits") or {})
        edits.append(device.get("containerEdits") or {})
    return edits


def _specifications(directories: Sequence[str]) -> Iterator[dict[str, Any]]:
    for directory in directories:
        if not os.path.isdir(directory):
            continue
        for name in sorted(os.listdir(directory)):
            if name.endswith((".json", ".yaml", ".yml")):
                found = _read(os.path.join(directory, name))
                if isinstance(found, dict) and isinstance(found.get("kind"), str):
                    yield found


def _read(path: str) -> Any:
    """Return a file's content; None for one that is malformed, which a vendor's other devices must not suffer from."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        if path.endswith(".json"):
            return jsontext.loads(content)
        from podling.oci import yamltext

        return yamltext.loads(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError, PodlingError):
        return None


def _apply(document: dict[str, Any], edit: dict[str, Any]) -> None:
    process = document["process"]
    for entry in edit.get("env") or []:
        name = entry.partition("=")[0]
        process["env"] = [known for known in process["env"] if known.partition("=")[0] != name] + [entry]
    for node in edit.get("deviceNodes") or []:
        _add_device(document, node)
    for mount in edit.get("mounts") or []:
        _add_mount(document, mount)
    for hook in edit.get("hooks") or []:
        _add_hook(document, hook)
    groups = [gid for gid in edit.get("additionalGids") or [] if gid]
    if groups:
        known = process["user"].setdefault("additionalGids", [])
        known += [gid for gid in groups if gid not in known]


def _add_device(document: dict[str, Any], node: dict[str, Any]) -> None:
    from podling.engine import devices

    access = node.get("permissions", "rwm")
    try:
        device = devices.describe(node.get("hostPath") or node["path"], node["path"], access)
    except OSError as error:
        raise InvalidArgument(f'setting up CDI devices: device "{node["path"]}"') from error
    device.update({key: node[key] for key in ("type", "major", "minor", "fileMode", "uid", "gid") if node.get(key)})
    device.pop("source")
    device.pop("access")
    linux = document["linux"]
    others = [known for known in linux.get("devices", []) if known["path"] != device["path"]]
    linux["devices"] = [*others, device]
    rule = {"allow": True, "type": device["type"], "major": device["major"], "minor": device["minor"], "access": access}
    linux.setdefault("resources", {}).setdefault("devices", []).append(rule)


def _add_mount(document: dict[str, Any], mount: dict[str, Any]) -> None:
    made = {
        "destination": mount["containerPath"],
        "type": mount.get("type") or "bind",
        "source": mount["hostPath"],
        "options": list(mount.get("options") or ["bind", "ro"]),
    }
    others = [known for known in document["mounts"] if known["destination"] != made["destination"]]
    document["mounts"] = [*others, made]


def _add_hook(document: dict[str, Any], hook: dict[str, Any]) -> None:
    stage = _HOOKS.get(hook.get("hookName", ""))
    if stage is None:
        raise InvalidArgument(f'setting up CDI devices: unknown hook name "{hook.get("hookName")}"')
    made = {key: hook[key] for key in ("path", "args", "env", "timeout") if hook.get(key)}
    document.setdefault("hooks", {}).setdefault(stage, []).append(made)
