"""What a container's monitor listens on, made before the runtime is started.

BUNDLE/attach               SOCK_SEQPACKET 0700, with --full-attach
SOCKETDIR/CUUID ─► BUNDLE   without: a link whose path is short enough for a socket's 108 bytes
BUNDLE/ctl  winsz           FIFOs 0660
BUNDLE/notify/notify.sock   SOCK_DGRAM 0777, with --sdnotify-socket
$TMPDIR/conmon-term.XXXXXX  SOCK_STREAM 0700, with --terminal: the runtime sends the pty's master here
"""

from __future__ import annotations

import _socket
import os

PATH_MAX = 107  # bytes of sun_path before its NUL
BACKLOG = 128


def bind_in(directory: str, name: str, kind: int, mode: int) -> int:
    """Bind a unix socket `directory/name`, however long the path, and return its fd. Raise OSError.

    A socket of that name is replaced. Bound through /proc/self/fd: only the last part has to fit into an address.
    """
    parent = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{parent}/{name}"
        socket = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        os.fchmod(socket.fileno(), mode & 0o700)  # the mode that bind makes the file with
        socket.bind(path)
        os.chmod(path, mode)
        return socket.detach()
    finally:
        os.close(parent)


def listen(fd: int) -> None:
    """listen(2)."""
    socket = _socket.socket(fileno=fd)
    try:
        socket.listen(BACKLOG)
    finally:
        socket.detach()


def accept(fd: int) -> int:
    """Accept one connection; close-on-exec."""
    socket = _socket.socket(fileno=fd)
    try:
        accepted, _address = socket._accept()  # type: ignore[attr-defined]
    finally:
        socket.detach()
    os.set_inheritable(accepted, False)
    return int(accepted)


def link_to_bundle(bundle: str, socket_directory: str, uuid: str) -> str:
    """Make the link under which clients without --full-attach look for the bundle, and return its path."""
    path = os.path.join(socket_directory, uuid)
    if len(os.fsencode(path)) == PATH_MAX:
        path = path[:-1]  # then its clients, too, would leave out the last character
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.symlink(bundle, path)
    return path


def attach_socket(directory: str) -> int:
    """Make and return the attach socket, listening and never blocking in accept."""
    fd = bind_in(directory, "attach", _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK, 0o700)
    listen(fd)
    return fd


def notify_socket(bundle: str) -> int:
    """Make and return the socket that the container reports its readiness to."""
    return bind_in(bundle, "notify/notify.sock", _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK, 0o777)


def console_socket() -> tuple[int, str]:
    """Make the socket that the runtime sends the pty's master to; return its fd and path."""
    directory = os.environ.get("TMPDIR") or "/tmp"
    while True:
        name = f"conmon-term.{os.urandom(6).hex()}"
        if not os.path.lexists(os.path.join(directory, name)):
            break
    fd = bind_in(directory, name, _socket.SOCK_STREAM, 0o700)
    listen(fd)
    return fd, os.path.join(directory, name)


def fifo(bundle: str, name: str) -> tuple[int, int]:
    """Make a FIFO; return its reading end, which never blocks, and a writer that keeps it from reading as ended."""
    path = os.path.join(bundle, name)
    try:
        os.mkfifo(path, 0o660)
    except FileExistsError:
        os.unlink(path)
        os.mkfifo(path, 0o660)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return reader, os.open(path, os.O_WRONLY | os.O_CLOEXEC)
