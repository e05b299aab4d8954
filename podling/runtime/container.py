"""A container as this runtime remembers it.

    ROOT/ID/                 made first: it claims the ID
      state.json             replaced whole, by rename
      config.json            the configuration it was created from, for exec and for the hooks of delete
      seccomp.bpf            the compiled filter, where there is one: exec loads the same
      exec.fifo              from create until start: the process waits for a reader

    creating ──► created ──► running ⇄ paused ──► stopped

Only `creating` is written down; the rest is read from the process, the fifo and the cgroup's freezer, so that it
cannot be out of date. A process is recorded as pid and start time, and before it is recorded it is in the cgroup:
whoever finds the directory of a killed `create` finds all of its processes.
"""

from __future__ import annotations

import os

from podling.errors import AlreadyExists, InvalidArgument, NotFound, PodlingError
from podling.linux import processes
from podling.linux.files import remove_tree, write_atomically
from podling.oci.jsontext import dumps, loads
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"

INIT_NAME = "podling:[init]"  # comm of the process between create and start; the exec changes it

SECCOMP_CACHE = ".seccomp"  # beside the containers: filters compiled for whichever of them

_ID_PUNCTUATION = "_+-."


class State(Record):
    """What state.json holds. `cgroup` is what `linux.cgroups.from_paths` takes."""

    oci_version: str = ""
    id: str
    bundle: str = ""
    rootfs: str = ""
    annotations: dict[str, str] = {}
    creating: bool = True
    created: str = ""  # RFC 3339, UTC
    owner: int = 0  # the user ID of the creator
    pid: int = 0
    started: int = 0  # clock ticks after boot: with pid, the identity of the process
    cgroup: dict[str, str] = {}
    systemd_cgroup: bool = False
    cgroups_disabled: bool = False
    no_new_keyring: bool = False
    own_pid_namespace: bool = True
    hook_points: list[str] = []  # at which the configuration has hooks, so that it is read only when it has
    intel_rdt: str = ""


class Container:
    """A directory under --root, and the state in it."""

    def __init__(self, root: str, container_id: str, state: State) -> None:
        self.root = root
        self.id = container_id
        self.state = state

    @property
    def directory(self) -> str:
        """Return the directory of this container."""
        return os.path.join(self.root, self.id)

    @property
    def fifo(self) -> str:
        """Return the path of the fifo between create and start."""
        return os.path.join(self.directory, "exec.fifo")

    def save(self) -> None:
        """Write the state down."""
        write_atomically(os.path.join(self.directory, "state.json"), dumps(self.state.to_json()), durable=False)

    def save_config(self, text: str | bytes, program: bytes) -> None:
        """Keep the configuration and the compiled seccomp filter."""
        write_atomically(os.path.join(self.directory, "config.json"), text, durable=False)
        if program:
            write_atomically(os.path.join(self.directory, "seccomp.bpf"), program, durable=False)

    def config(self) -> dict[str, Any]:
        """Return the configuration that the container was created from, with its bundle and absolute root path."""
        config: dict[str, Any] = loads(_read(os.path.join(self.directory, "config.json")))
        config.setdefault("linux", {})
        config["bundle"], config["root"]["path"] = self.state.bundle, self.state.rootfs
        return config

    def seccomp_program(self) -> bytes:
        """Return the compiled filter, empty where there is none."""
        try:
            return _read(os.path.join(self.directory, "seccomp.bpf"))
        except FileNotFoundError:
            return b""

    def cgroup(self) -> Any:
        """Return the container's cgroup (see linux/cgroups.py)."""
        from podling.linux import cgroups

        return cgroups.from_paths(self.state.cgroup, systemd=self.state.systemd_cgroup)

    def is_alive(self) -> bool:
        """Tell whether the container's first process still runs; a zombie does not."""
        return processes.is_alive(self.state.pid, self.state.started)

    def status(self) -> str:
        """Return where the container is in its life."""
        if not self.is_alive():
            return STOPPED if self.state.pid or not self.state.creating else CREATING
        if self.state.creating:
            return CREATING
        if self.waits_for_start():
            return CREATED
        return PAUSED if self.is_frozen() else RUNNING

    def waits_for_start(self) -> bool:
        """Tell whether the process is still ours: the fifo is there, and the process bears the name we gave it."""
        if not os.path.exists(self.fifo):
            return False
        try:
            return processes.read_small(f"/proc/{self.state.pid}/comm").rstrip("\n") == INIT_NAME
        except (FileNotFoundError, ProcessLookupError):
            return False

    def is_frozen(self) -> bool:
        """Tell whether the container's cgroup is frozen."""
        return bool(self.state.cgroup) and bool(self.cgroup().frozen())

    def signal(self, number: int) -> None:
        """Send a signal to the first process, which a recycled pid is not. Raise WrongState when it has ended."""
        from podling.errors import WrongState
        from podling.linux import syscalls

        try:
            pidfd = syscalls.pidfd_open(self.state.pid) if self.state.pid > 0 else -1
        except ProcessLookupError:
            pidfd = -1
        if pidfd < 0 or not self.is_alive():
            raise WrongState("container not running")
        try:
            syscalls.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            raise WrongState("container not running") from None
        finally:
            os.close(pidfd)

    def forget(self) -> None:
        """Remove the directory, after everything that is found through it."""
        remove_tree(self.directory)


def check_id(container_id: str) -> str:
    """Return an ID that is fit to be a name in a directory. Raise InvalidArgument for another."""
    fine = all((part.isalnum() and part.isascii()) or part in _ID_PUNCTUATION for part in container_id)
    if not container_id or not fine or container_id in (".", "..") or len(container_id) > 1024:
        raise InvalidArgument(f'invalid container ID "{container_id}"')
    return container_id


def claim(root: str, container_id: str) -> Container:
    """Take an ID by making its directory. Raise AlreadyExists where it is taken."""
    check_id(container_id)
    os.makedirs(root, 0o700, exist_ok=True)
    try:
        os.mkdir(os.path.join(root, container_id), 0o711)
    except FileExistsError:
        raise AlreadyExists(f'container with ID "{container_id}" already exists') from None
    return Container(root, container_id, State(id=container_id))


def load(root: str, container_id: str) -> Container:
    """Return a container that was claimed, whatever became of it. Raise NotFound where there is none."""
    directory = os.path.join(root, check_id(container_id))
    try:
        state = State.from_json(loads(_read(os.path.join(directory, "state.json"))))
    except FileNotFoundError:
        if not os.path.isdir(directory):
            raise NotFound(f'container "{container_id}" does not exist') from None
        state = State(id=container_id)  # its maker was killed, or is at work, before it had made anything else
    except PodlingError as error:
        raise type(error)(f'cannot read the state of container "{container_id}"') from error
    return Container(root, container_id, state)


def load_all(root: str) -> list[Container]:
    """Return all containers, by ID."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name == SECCOMP_CACHE:
            continue
        try:
            found.append(load(root, name))
        except (NotFound, InvalidArgument):
            continue  # deleted meanwhile, or a directory that is none of ours
    return found


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size + 1)
    finally:
        os.close(fd)
