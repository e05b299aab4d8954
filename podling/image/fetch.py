"""From a manifest to an image in the store.

    manifest ─► platform ─► config ─► plan: which layers and blobs are not here yet
                                        │   worker processes, a blob each at a time:
                                        │     fetch → check size and digest → write the blob
                                        │        └──► decompress → check the diff ID → unpack
                                        ▼
                              one commit: blobs, layers, index.json

Everything lands in a staging directory first; the commit is a few renames under the store's lock.
"""

from __future__ import annotations

from podling.errors import Corrupt, Unavailable
from podling.image import messages, workers
from podling.image.blobs import Blob
from podling.image.workers import Target, Work
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
    from typing import Any, Protocol

    from podling.image import blobs
    from podling.image.progress import Progress
    from podling.store.image import Image
    from podling.store.store import Store

    class Source(blobs.Source, Protocol):
        """Where an image comes from."""

        def manifest(self, reference: str) -> tuple[bytes, str]: ...


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


class Plan(Record):
    """What is not here yet: blobs, and the layers they become, by number."""

    work: list[Work]
    targets: dict[int, Target]


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
            raise messages.revive(messages.tell(error, f"storing image {naming.name or naming.pinned}")) from error
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
    plan = _plan(store, remote, staging, report)
    if plan.work:
        workers.run(plan.work, source, report)
    sizes = [
        _finish_layer(store, remote, plan, number) if number in plan.targets else store.layer_size(chain_id)
        for number, chain_id in enumerate(remote.chain_ids)
    ]
    blobs = {work.blob.digest: work.path for work in plan.work if not work.is_here}
    report.config_started(remote.manifest.config.digest, len(remote.config))
    for digest, content in ((remote.digest, remote.content), (remote.manifest.config.digest, remote.config)):
        if not store.has_blob(digest):
            blobs[digest] = staging.blob(digests.hex_of(digest))
            files.write_atomically(blobs[digest], content, durable=False)
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
    staged = {remote.chain_ids[number]: target.path for number, target in plan.targets.items()}
    return store.add_image(staging, entry, blobs, staged)


def _plan(store: Store, remote: Remote, staging: Staging, report: Progress) -> Plan:
    """Return the blobs that are to be fetched or unpacked, each once however many layers it makes."""
    work: dict[str, Work] = {}
    targets: dict[int, Target] = {}
    for number, layer in enumerate(remote.manifest.layers):
        is_here, is_unpacked = store.has_blob(layer.digest), store.has_layer(remote.chain_ids[number])
        if is_here and is_unpacked:
            report.blob_exists(layer.digest, layer.size)
            continue
        path = store.blob_path(layer.digest) if is_here else staging.blob(digests.hex_of(layer.digest))
        item = work.setdefault(layer.digest, Work(blob=layer, path=path, is_here=is_here))
        if not is_unpacked:
            targets[number] = Target(path=staging.layer(str(number)), diff_id=remote.diff_ids[number])
            item.targets.append(targets[number])
    return Plan(work=list(work.values()), targets=targets)


def _finish_layer(store: Store, remote: Remote, plan: Plan, number: int) -> int:
    """Complete an unpacked layer by what it takes over from those below it; return its archive's size."""
    target, chain_id = plan.targets[number], remote.chain_ids[number]
    below = [
        f"{plan.targets[lower].path}/diff" if lower in plan.targets else layers.diff_directory(store.root, lower_id)
        for lower, lower_id in enumerate(remote.chain_ids[:number])
    ]
    result = workers.unpacked(target)
    unpack.inherit(f"{target.path}/diff", result.implied, below[::-1])
    layers.describe(target.path, Layer(chain_id=chain_id, diff_id=target.diff_id, size=result.size))
    return result.size
