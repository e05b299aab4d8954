"""The processes of a pull: each fetches and unpacks one blob after the other.

    pull ──fork──► worker     a message each, over a seqpacket socket:
                     ◄── {"take": 3}                       the number of a piece of work; the socket's end: no more
                     ──► {"started": DIGEST, "size": n}
                     ──► {"advanced": DIGEST, "count": n}  …
                     ──► {"done": DIGEST}                  blob and layers are staged, complete
                     ──► {"error": CLASS, "message": TEXT}

Threads would do, but for the interpreter's lock: unpacking is thousands of short system calls, and five threads took
twice the time of one. A worker dies with the pull (PR_SET_PDEATHSIG); what it staged is swept with the rest.
"""

from __future__ import annotations

import _signal
import hashlib
import os
import select
import socket

from podling.errors import Corrupt, PodlingError, Unavailable, reason
from podling.image import messages
from podling.image.blobs import Blob, FileSource
from podling.image.decompression import decompress
from podling.linux import files, syscalls
from podling.oci import digest as digests
from podling.oci import jsontext
from podling.records import Record
from podling.store import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

    from podling.image.blobs import Source
    from podling.image.progress import Progress
    from podling.oci.manifest import Descriptor

WORKERS = 4
_MESSAGE_LIMIT = 64 << 10
_ADVANCE_STEP = 256 << 10


class Target(Record):
    """A layer that a blob is to become: a directory to be filled, and what the archive must be."""

    path: str
    diff_id: str


class Work(Record):
    """A blob that is needed: fetched to `path` unless it is there already, and unpacked once per target."""

    blob: Descriptor
    path: str
    is_here: bool
    targets: list[Target] = []


class Unpacked(Record):
    """What became of a target: the directories its archive implied, and the archive's size in bytes."""

    implied: list[str]
    size: int


def run(work: Sequence[Work], source: Source, report: Progress) -> None:
    """Do all the work, the largest blobs first. Raise the first failure once every worker has ended."""
    queue = sorted(range(len(work)), key=lambda number: work[number].blob.size)
    crew = _Crew(work, source, report)
    try:
        for _ in range(min(WORKERS, len(work))):
            crew.hire()
        crew.lead(queue)
    finally:
        crew.dismiss()


def unpacked(target: Target) -> Unpacked:
    """Return what became of a target."""
    with open(f"{target.path}/unpacked.json", "rb") as file:
        found = Unpacked.from_json(jsontext.loads(file.read()))
    os.unlink(f"{target.path}/unpacked.json")
    return found


class _Crew:
    """The pull's side: who works, and who waits for what."""

    def __init__(self, work: Sequence[Work], source: Source, report: Progress) -> None:
        self._work = work
        self._source = source
        self._report = report
        self._workers: dict[int, tuple[int, socket.socket]] = {}  # by the socket's fd

    def hire(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for _, sibling in self._workers.values():
                sibling.close()
            _Worker(theirs, self._work, self._source).live(parent)
        theirs.close()
        self._workers[ours.fileno()] = (pid, ours)

    def lead(self, queue: list[int]) -> None:
        """Hand out the queue from its end and listen until all is done. Raise a worker's failure."""
        poll = select.poll()
        for fd, (_, worker) in self._workers.items():
            poll.register(fd, select.POLLIN)
            _send(worker, {"take": queue.pop()})
        busy = len(self._workers)
        while busy:
            for fd, _ in poll.poll():
                pid, worker = self._workers[fd]
                message = _receive(worker)
                if message is None:
                    raise Unavailable(f"process {pid}, which was unpacking a layer, has ended")
                self._tell(message)
                if "done" not in message:
                    continue
                if queue:
                    _send(worker, {"take": queue.pop()})
                else:
                    poll.unregister(fd)
                    busy -= 1

    def dismiss(self) -> None:
        """End all workers, idle or not, and wait for them."""
        for pid, worker in self._workers.values():
            worker.close()
            os.kill(pid, _signal.SIGKILL)  # not yet waited for: the pid is still its own
        for pid, _ in self._workers.values():
            os.waitpid(pid, 0)

    def _tell(self, message: dict[str, Any]) -> None:
        if "error" in message:
            raise messages.revive(message)
        if "started" in message:
            self._report.blob_started(message["started"], message["size"])
        elif "advanced" in message:
            self._report.blob_advanced(message["advanced"], message["count"])
        elif "done" in message:
            self._report.blob_done(message["done"])


class _Worker:
    """The worker's side."""

    def __init__(self, channel: socket.socket, work: Sequence[Work], source: Source) -> None:
        self._channel = channel
        self._work = work
        self._source = source

    def live(self, parent: int) -> NoReturn:
        status = 1
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
            if os.getppid() == parent:
                self._source.start_anew()
                self._serve()
                status = 0
        except KeyboardInterrupt:
            status = 130  # the pull has it too
        except ConnectionError:
            pass  # the pull is gone
        finally:
            os._exit(status)

    def _serve(self) -> None:
        while (message := _receive(self._channel)) is not None:
            work = self._work[message["take"]]
            try:
                self._do(work)
            except Exception as error:
                _send(self._channel, messages.tell(error, f"storing blob {work.blob.digest}"))
                return
            _send(self._channel, {"done": work.blob.digest})

    def _do(self, work: Work) -> None:
        """Fetch a blob and unpack it on the way; more layers of the same blob are unpacked from its file."""
        _send(self._channel, {"started": work.blob.digest, "size": work.blob.size})
        targets = list(work.targets)
        if not work.is_here:
            advance = _Advance(self._channel, work.blob.digest)
            with Blob(self._source, work.blob, work.path, advanced=advance) as blob:
                if targets:
                    _unpack(blob, work.blob, targets.pop(0))
                blob.finish()
            advance.flush()
        for target in targets:
            with Blob(FileSource(work.path), work.blob) as blob:
                _unpack(blob, work.blob, target)
                blob.finish()


class _Advance:
    """Tells how many bytes have come, not too often."""

    def __init__(self, channel: socket.socket, digest: str) -> None:
        self._channel = channel
        self._digest = digest
        self._count = 0

    def __call__(self, count: int) -> None:
        self._count += count
        if self._count >= _ADVANCE_STEP:
            self.flush()

    def flush(self) -> None:
        if self._count:
            _send(self._channel, {"advanced": self._digest, "count": self._count})
            self._count = 0


def _unpack(blob: Blob, described: Descriptor, target: Target) -> None:
    """Unpack a layer and check its diff ID."""
    os.makedirs(f"{target.path}/diff", mode=0o755)
    hashed = _Hashed(decompress(blob))
    try:
        implied = unpack.unpack(hashed.pieces(), f"{target.path}/diff")
    except PodlingError as error:
        raise type(error)(f"layer {described.digest}: {reason(error)}") from None
    if hashed.digest() != target.diff_id:
        raise Corrupt(f"layer {described.digest} unfolds to {hashed.digest()}, and not to {target.diff_id}")
    result = Unpacked(implied=implied, size=hashed.size)
    files.write_atomically(f"{target.path}/unpacked.json", jsontext.dumps(result.to_json()), durable=False)


class _Hashed:
    """A stream whose digest and size are known at its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._pieces = pieces

    def pieces(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            self.size += len(piece)
            yield piece

    def digest(self) -> str:
        return digests.PREFIX + self._hash.hexdigest()


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.send(jsontext.dumps(message).encode("utf-8", "backslashreplace"))


def _receive(channel: socket.socket) -> dict[str, Any] | None:
    """Return the next message, None at the end."""
    try:
        content = channel.recv(_MESSAGE_LIMIT)
    except ConnectionResetError:
        return None
    message: dict[str, Any] | None = jsontext.loads(content) if content else None
    return message
