"""The one table of commands: what may be typed after `podling`, and the module in `verbs/` that does it.

An alias is a second path to the same module, so that `podling delete`, `podling rm` and `podling container rm` cannot
drift apart.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.verb import Verb

# group → what its help says
GROUPS = {
    "": "Manage pods, containers and images",
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "system": "Manage podling",
    "volume": "Manage volumes",
}

# path → module
TABLE = {
    "attach": "attach",
    "create": "create",
    "exec": "exec",
    "images": "images",
    "info": "info",
    "inspect": "inspect",
    "kill": "kill",
    "logs": "logs",
    "pause": "pause",
    "port": "port",
    "ps": "ps",
    "pull": "pull",
    "rename": "rename",
    "restart": "restart",
    "rm": "rm",
    "rmi": "rmi",
    "run": "run",
    "start": "start",
    "stop": "stop",
    "top": "top",
    "unpause": "unpause",
    "version": "version",
    "wait": "wait",
    "container attach": "attach",
    "container cleanup": "container_cleanup",
    "container create": "create",
    "container exec": "exec",
    "container exists": "container_exists",
    "container inspect": "container_inspect",
    "container kill": "kill",
    "container logs": "logs",
    "container ls": "ps",
    "container pause": "pause",
    "container port": "port",
    "container rename": "rename",
    "container restart": "restart",
    "container rm": "rm",
    "container run": "run",
    "container start": "start",
    "container stop": "stop",
    "container top": "top",
    "container unpause": "unpause",
    "container wait": "wait",
    "image exists": "image_exists",
    "image inspect": "image_inspect",
    "image ls": "images",
    "image pull": "pull",
    "image rm": "rmi",
    "network create": "network_create",
    "network exists": "network_exists",
    "network inspect": "network_inspect",
    "network ls": "network_ls",
    "network rm": "network_rm",
    "system alias": "system_alias",
    "system info": "info",
    "volume create": "volume_create",
    "volume exists": "volume_exists",
    "volume inspect": "volume_inspect",
    "volume ls": "volume_ls",
    "volume rm": "volume_rm",
}

# alias → path
ALIASES = {
    "delete": "rm",
    "container delete": "container rm",
    "container list": "container ls",
    "container ps": "container ls",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}


def module(path: str) -> Any:
    """Return the module of a path's verb, importing it and no other verb's."""
    name = f"podling.cli.verbs.{TABLE[path]}"
    __import__(name)
    return sys.modules[name]


def verb(path: str) -> Verb:
    """Return the verb of a path."""
    found: Verb = module(path).VERB
    return found


def aliases_of(path: str) -> list[str]:
    """Return the other last words of a path."""
    return [alias.rpartition(" ")[2] for alias, target in ALIASES.items() if target == path]


def members(group: str) -> list[str]:
    """Return the last words of the verbs and groups directly below a group, sorted, aliases apart."""
    prefix = f"{group} " if group else ""
    depth = prefix.count(" ")
    paths = [path for path in (*TABLE, *GROUPS) if path and path.startswith(prefix) and path.count(" ") == depth]
    return sorted({path[len(prefix) :] for path in paths})
