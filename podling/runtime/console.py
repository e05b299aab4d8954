"""The pseudo-terminal of a container: made in its own devpts, its master handed to whoever asked for it.

    init ── open ptmx in the container's devpts ── TIOCGPTPEER ──► slave
      ├── sendmsg(console socket, SCM_RIGHTS: master) ──► the monitor
      ├── a clone of the slave over /dev/console
      └── setsid, TIOCSCTTY, the slave becomes 0, 1 and 2

The slave is taken from the master and not by name, and both ends are checked, so a devpts or a /dev/console that
somebody swaps under our feet leads nowhere.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import stat
import struct

from podling.errors import PodlingError
from podling.linux import mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.runtime.root import Root

TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
TIOCSCTTY = 0x540E
TIOCSWINSZ = 0x5414


def connect(path: str) -> int:
    """Return a fd connected to the console socket; a long path is reached through its directory."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    except OSError as error:
        raise PodlingError(f'cannot connect to console socket "{path}"') from error
    finally:
        os.close(directory)
    return connection.detach()


def open_pair(root: int, devpts: int, process: dict[str, Any]) -> tuple[int, int]:
    """Return the master and slave of a new terminal in a devpts, or in the one at the /dev/pts of a root fd."""
    flags = os.O_RDWR | os.O_NOCTTY
    if devpts >= 0:
        master = syscalls.openat2(devpts, "ptmx", flags, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS)
    else:
        master = syscalls.open_in_root(root, "/dev/pts/ptmx", flags)
    if syscalls.filesystem_type(master) != syscalls.DEVPTS_SUPER_MAGIC:
        raise PodlingError("/dev/pts of the container is not a devpts")
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, flags | os.O_CLOEXEC)
    size = process.get("consoleSize") or {}
    if size.get("height") or size.get("width"):
        fcntl.ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", size.get("height", 0), size.get("width", 0), 0, 0))
    user = process.get("user") or {}
    os.fchown(slave, user.get("uid", 0), -1)
    return master, slave


def send_master(connection: int, master: int) -> None:
    """Send the master to the other end of the console socket, and close both here."""
    sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, connection)
    try:
        sender.sendmsg([b"/dev/ptmx"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", master))])
    except OSError as error:
        raise PodlingError("cannot send the terminal over the console socket") from error
    finally:
        sender.close()
        os.close(master)


def cover_dev_console(root: Root, slave: int) -> None:
    """Bind the slave over the container's /dev/console, which may not be a symlink."""
    directory = root.directory("/dev")
    try:
        try:
            os.mknod("console", stat.S_IFREG | 0o600, dir_fd=directory)
        except FileExistsError:
            pass
        beneath = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        target = syscalls.openat2(directory, "console", os.O_PATH | os.O_NOFOLLOW, beneath)
        if stat.S_ISLNK(os.fstat(target).st_mode):
            raise PodlingError('"/dev/console" of the container is a symlink')
        tree = mounts.clone(slave, "", recursive=False)
        mounts.attach(tree, target)
        os.close(tree)
        os.close(target)
    except OSError as error:
        raise PodlingError('cannot put the terminal at "/dev/console"') from error
    finally:
        os.close(directory)


def become_controlling(slave: int) -> None:
    """Make the slave the controlling terminal of this session leader, and its standard streams."""
    fcntl.ioctl(slave, TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)
    if slave > 2:
        os.close(slave)
