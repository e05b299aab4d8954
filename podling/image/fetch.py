"""From a manifest to an image in the store.

    manifest ─► platform ─► config ─► plan: which layers and blobs are not here yet
                                        │   one worker thread per blob, several at a time:
                                        │     fetch → check size and digest → write the blob
                                        │        └──► decompress → check the diff ID → unpack
                                        ▼
                              one commit: blobs, layers, index.json

Everything lands in a staging directory first; the commit is a few renames under the store's lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading

from podling.errors import Corrupt, PodlingError, Unavailable, reason
from podling.image.blobs import Blob, Cancelled
from podling.image.decompression import decompress
from podling.linux import files
from podling.oci import digest as digests
from podling.oci import image_config, manifest
from podling.oci.manifest import Descriptor, Index, Manifest, Platform
from podling.records import Record
from podling.store import layers, unpack
from podling.store.index import Entry
from podling.store.layers import Layer
from podling.store.staging import Staging
from podling.store.store import Gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from podling.image.progress import Progress
    from podling.store.image import Image
    from podling.store.store import Store

    class Source(Protocol):
        """Where an image comes from."""

        def manifest(self, reference: str) -> tuple[bytes, str]: ...
        def blob(self, digest: str, offset: int = 0) -> Any: ...


WORKERS = 6
ATTEMPTS = 3


class Naming(Record):
    """What the image is to be called: a full name, or `repository@digest`."""

    name: str = ""
    pinned: str = ""


class Remote(Record):
    """An image as its source describes it; the contents have been checked against their digests."""

    digest: str
    content: bytes
    index_digest: str
    manifest: Manifest
    config: bytes
    document: dict[str, Any]
    chain_ids: list[str]
    diff_ids: list[str]


class Work(Record):
    """One blob that is needed: to be fetched unless it is here, and unpacked as these layers, by number."""

    blob: Descriptor
    is_here: bool
    numbers: list[int]


class Fetched(Record):
    """What the workers made: blobs and layers by their staged paths; implied directories and sizes by layer number."""

    blobs: dict[str, str] = {}
    layers: dict[int, str] = {}
    implied: dict[int, list[str]] = {}
    sizes: dict[int, int] = {}


def fetch(
    store: Store, source: Source, content: bytes, content_type: str, naming: Naming, wanted: Platform, report: Progress
) -> Image:
    """Bring the image of a manifest into the store, under its name. Raise, leaving nothing visible."""
    remote = _describe(source, content, content_type, wanted, report)
    for _ in range(ATTEMPTS):
        try:
            with Staging(store.root) as staging:
                return _bring(store, source, remote, naming, staging, report)
        except Gone:
            continue  # a removal came between the plan and the commit: plan again
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unavailable(f"storing image {naming.name or naming.pinned}: {reason(error)}") from None
            raise
    raise Unavailable(f"storing image {naming.name or naming.pinned}: its layers are being removed at the same time")


def _describe(source: Source, content: bytes, content_type: str, wanted: Platform, report: Progress) -> Remote:
    """Read manifest and configuration, through the index where there is one, and check that they agree."""
    index_digest = ""
    parsed = manifest.parse(content, content_type)
    if isinstance(parsed, Index):
        index_digest = digests.of(content)
        chosen = manifest.choose(parsed, wanted)
        content, _ = source.manifest(chosen.digest)
        parsed = manifest.parse(content, chosen.media_type)
        if isinstance(parsed, Index):
            raise Corrupt(f"index {index_digest} leads to another index")
        if len(content) != chosen.size:
            raise Corrupt(f"manifest {chosen.digest} has {len(content)} bytes, and not {chosen.size}")
    for layer in parsed.layers:
        manifest.compression(layer)
    config = _small_blob(source, parsed.config)
    document = image_config.parse(config)
    diff_ids = image_config.diff_ids(document)
    if len(diff_ids) != len(parsed.layers):
        raise Corrupt(f"image has {len(parsed.layers)} layers, and {len(diff_ids)} in its configuration")
    _warn_of_platform(document, wanted, report)
    return Remote(
        digest=digests.of(content),
        content=content,
        index_digest=index_digest,
        manifest=parsed,
        config=config,
        document=document,
        chain_ids=digests.chain_ids(diff_ids),
        diff_ids=diff_ids,
    )


def _small_blob(source: Source, wanted: Descriptor) -> bytes:
    if wanted.size > manifest.CONFIG_SIZE_LIMIT:
        raise Corrupt(f"image configuration {wanted.digest} has {wanted.size} bytes")
    with Blob(source, wanted) as blob:
        pieces = []
        while piece := blob.read():
            pieces.append(piece)
    return b"".join(pieces)


def _warn_of_platform(document: dict[str, Any], wanted: Platform, report: Progress) -> None:
    found = Platform(os=str(document.get("os", "")), architecture=str(document.get("architecture", "")))
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        report.warning(
            f"image platform ({found.os}/{found.architecture}) does not match the expected platform "
            f"({wanted.os}/{wanted.architecture})"
        )


def _bring(store: Store, source: Source, remote: Remote, naming: Naming, staging: Staging, report: Progress) -> Image:
    work = _plan(store, remote, report)
    fetched = _Workers(store, source, remote, staging, report).run(work)
    for number in sorted(fetched.layers):
        _finish_layer(store, remote, fetched, number)
    report.config_started(remote.manifest.config.digest, len(remote.config))
    for digest, content in ((remote.digest, remote.content), (remote.manifest.config.digest, remote.config)):
        if not store.has_blob(digest):
            path = staging.blob(digests.hex_of(digest))
            files.write_atomically(path, content, durable=False)
            fetched.blobs[digest] = path
    sizes = [fetched.sizes.get(number) or store.layer_size(chain) for number, chain in enumerate(remote.chain_ids)]
    entry = Entry(
        media_type=remote.manifest.media_type,
        digest=remote.digest,
        size=len(remote.content),
        name=naming.name,
        pinned=naming.pinned,
        index_digest=remote.index_digest,
        image_id=digests.hex_of(remote.manifest.config.digest),
        created=image_config.created(remote.document),
        image_size=sum(sizes) + len(remote.config) + len(remote.content),
        layers=remote.chain_ids,
    )
    report.manifest_written()
    staged = {remote.chain_ids[number]: path for number, path in fetched.layers.items()}
    return store.add_image(staging, entry, fetched.blobs, staged)


def _plan(store: Store, remote: Remote, report: Progress) -> list[Work]:
    """Return the blobs that are to be fetched or unpacked, each once however many layers it makes."""
    found: dict[str, Work] = {}
    for number, layer in enumerate(remote.manifest.layers):
        is_here, is_unpacked = store.has_blob(layer.digest), store.has_layer(remote.chain_ids[number])
        if is_here and is_unpacked:
            report.blob_exists(layer.digest, layer.size)
            continue
        work = found.setdefault(layer.digest, Work(blob=layer, is_here=is_here, numbers=[]))
        if not is_unpacked:
            work.numbers.append(number)
    return list(found.values())


def _finish_layer(store: Store, remote: Remote, fetched: Fetched, number: int) -> None:
    """Complete an unpacked layer by what it takes over from those below it."""
    path = fetched.layers[number]
    below = [
        fetched.layers[lower] + "/diff" if lower in fetched.layers else layers.diff_directory(store.root, chain_id)
        for lower, chain_id in enumerate(remote.chain_ids[:number])
    ]
    unpack.inherit(f"{path}/diff", fetched.implied[number], below[::-1])
    chain_id, diff_id = remote.chain_ids[number], remote.diff_ids[number]
    layers.describe(path, Layer(chain_id=chain_id, diff_id=diff_id, size=fetched.sizes[number]))


class _Workers:
    """Threads that take work from one list until it is empty or one of them fails."""

    def __init__(self, store: Store, source: Source, remote: Remote, staging: Staging, report: Progress) -> None:
        self._store = store
        self._source = source
        self._remote = remote
        self._staging = staging
        self._report = report
        self._fetched = Fetched()
        self._cancelled = threading.Event()
        self._failures: list[BaseException] = []

    def run(self, work: list[Work]) -> Fetched:
        """Do all the work. Raise the first failure once every thread has ended."""
        queue = sorted(work, key=lambda item: item.blob.size)  # the largest is taken first: it takes longest
        threads = [threading.Thread(target=self._work, args=(queue,)) for _ in range(min(WORKERS, len(work)))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._cancelled.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        if self._failures:
            raise self._failures[0]
        return self._fetched

    def _work(self, queue: list[Work]) -> None:
        try:
            while queue and not self._cancelled.is_set():
                try:
                    item = queue.pop()
                except IndexError:
                    return
                self._do(item)
        except Cancelled:
            return
        except BaseException as error:
            self._failures.append(error)
            self._cancelled.set()

    def _do(self, work: Work) -> None:
        """Fetch a blob and unpack it on the way; more layers of the same blob are unpacked from its file."""
        digest = work.blob.digest
        numbers = list(work.numbers)
        path = self._store.blob_path(digest)
        self._report.blob_started(digest, work.blob.size)
        if not work.is_here:
            path = self._staging.blob(digests.hex_of(digest))
            with self._blob(self._source, work.blob, path) as blob:
                if numbers:
                    self._unpack(blob, numbers.pop(0))
                blob.finish()
            self._fetched.blobs[digest] = path
        for number in numbers:
            with self._blob(_File(path), work.blob) as blob:
                self._unpack(blob, number)
                blob.finish()
        self._report.blob_done(digest)

    def _blob(self, source: Any, wanted: Descriptor, path: str = "") -> Blob:
        def advanced(count: int) -> None:
            self._report.blob_advanced(wanted.digest, count)

        return Blob(source, wanted, path, advanced=advanced if path else None, cancelled=self._cancelled)

    def _unpack(self, blob: Blob, number: int) -> None:
        """Unpack a layer and check its diff ID."""
        path = self._staging.layer(str(number))
        os.makedirs(f"{path}/diff", mode=0o755)
        hashed = _Hashed(decompress(blob))
        try:
            self._fetched.implied[number] = unpack.unpack(hashed.pieces(), f"{path}/diff")
        except PodlingError as error:
            raise type(error)(f"layer {self._remote.manifest.layers[number].digest}: {reason(error)}") from None
        if hashed.digest() != self._remote.diff_ids[number]:
            raise Corrupt(
                f"layer {self._remote.manifest.layers[number].digest} unfolds to {hashed.digest()}, and not to "
                f"{self._remote.diff_ids[number]}"
            )
        self._fetched.sizes[number] = hashed.size
        self._fetched.layers[number] = path


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
        return f"sha256:{self._hash.hexdigest()}"


class _File:
    """A blob that is on disk already."""

    def __init__(self, path: str) -> None:
        self._path = path

    def blob(self, digest: str, offset: int = 0) -> Any:
        file = open(self._path, "rb", buffering=0)
        file.seek(offset)
        return file
