"""User namespaces that exist for their mappings alone: what an idmapped mount is given (mount_setattr(2))."""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, PodlingError
from podling.linux import namespaces, syscalls
from podling.runtime import handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def user_namespace(entry: dict[str, Any], config: dict[str, Any]) -> int:
    """Return a fd of a user namespace with a mount's mappings, or the container's own where it names none."""
    linux = config["linux"]
    uids = entry.get("uidMappings") or linux.get("uidMappings")
    gids = entry.get("gidMappings") or linux.get("gidMappings")
    if not uids or not gids:
        raise InvalidArgument(f'the idmapped mount at "{entry["destination"]}" has no mappings')
    here, there = handshake.pair()
    pid = os.fork()
    if pid == 0:
        _hold(here, there)
    there.close()
    try:
        here.receive()
        namespaces.write_mappings(pid, uids, gids)
        return namespaces.open_namespace("user", f"/proc/{pid}/ns/user")
    except OSError as error:
        raise PodlingError(f'cannot map the mount at "{entry["destination"]}"') from error
    finally:
        here.close()
        os.waitpid(pid, 0)


def _hold(here: handshake.Channel, there: handshake.Channel) -> None:
    """Make a user namespace and keep it until the other side hangs up."""
    try:
        here.close()
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        there.send(handshake.MAPPINGS_WANTED)
        there.receive()
    finally:
        os._exit(0)
