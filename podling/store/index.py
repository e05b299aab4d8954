"""index.json of an OCI image layout: the one truth about images.

    images/
      oci-layout       {"imageLayoutVersion": "1.0.0"}
      index.json       one descriptor per name of an image, one without a name where an image has none left
      blobs/sha256/    manifests, configurations, compressed layers

What a listing needs stands in annotations of the descriptor, so that `images` opens one file. A reader takes no lock:
the file is replaced by a rename. A writer holds the store's lock from reading to writing.
"""

from __future__ import annotations

import os

from podling.errors import Corrupt
from podling.linux import files
from podling.oci import jsontext
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REF_NAME = "org.opencontainers.image.ref.name"
_PREFIX = "io.podling.image."


class Entry(Record):
    """A descriptor of index.json: a manifest, under a name or under none.

    `pinned` is `repository@digest` where the image was pulled by digest and so has no tag.
    """

    media_type: str
    digest: str
    size: int
    name: str = ""
    pinned: str = ""
    index_digest: str = ""
    image_id: str
    created: int = 0
    image_size: int = 0
    layers: list[str] = []

    def descriptor(self) -> dict[str, Any]:
        """Return the entry in the layout's words."""
        own = {
            "id": self.image_id,
            "created": str(self.created),
            "size": str(self.image_size),
            "layers": " ".join(layer[7:] for layer in self.layers),
            "pinned": self.pinned,
            "index": self.index_digest,
        }
        annotations = {REF_NAME: self.name} if self.name else {}
        annotations |= {_PREFIX + key: value for key, value in own.items() if value}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, "annotations": annotations}


def entry_of(descriptor: dict[str, Any]) -> Entry | None:
    """Return the entry of a descriptor; None for one that this program did not write, whose layers nobody unpacked."""
    annotations = descriptor.get("annotations") or {}
    image_id = annotations.get(_PREFIX + "id")
    if not image_id:
        return None
    return Entry(
        media_type=descriptor["mediaType"],
        digest=descriptor["digest"],
        size=descriptor["size"],
        name=annotations.get(REF_NAME, ""),
        pinned=annotations.get(_PREFIX + "pinned", ""),
        index_digest=annotations.get(_PREFIX + "index", ""),
        image_id=image_id,
        created=int(annotations.get(_PREFIX + "created", 0)),
        image_size=int(annotations.get(_PREFIX + "size", 0)),
        layers=["sha256:" + layer for layer in annotations.get(_PREFIX + "layers", "").split()],
    )


def read(images: str) -> list[Entry]:
    """Return the entries of a layout; none where there is no layout yet. Raise Corrupt."""
    entries = [entry_of(descriptor) for descriptor in descriptors(images)]
    return [entry for entry in entries if entry is not None]


def write(images: str, entries: list[Entry]) -> None:
    """Replace the entries, leaving alone the descriptors that others wrote; on failure the index is as it was.

    The store's lock is held.
    """
    from podling.oci.manifest import OCI_INDEX

    foreign = [descriptor for descriptor in descriptors(images) if entry_of(descriptor) is None]
    manifests = [entry.descriptor() for entry in entries] + foreign
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    os.makedirs(f"{images}/blobs/sha256", mode=0o755, exist_ok=True)
    if not os.path.exists(f"{images}/oci-layout"):
        files.write_atomically(f"{images}/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
    path = f"{images}/index.json"
    before = _content(path)
    try:
        files.write_atomically(path, jsontext.dumps(document))
    except OSError:
        if before and _content(path) != before:  # the rename was made, and could not be made durable
            files.write_atomically(path, before, durable=False)
        elif not before:
            files.unlink_if_there(path)
        raise


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def descriptors(images: str) -> list[dict[str, Any]]:
    """Return all descriptors of a layout, those of others included. Raise Corrupt."""
    path = f"{images}/index.json"
    content = _content(path)
    if not content:
        return []
    try:
        document = jsontext.loads(content)
    except Corrupt as error:
        raise Corrupt(f'image index "{path}"') from error
    manifests = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(manifests, list):
        raise Corrupt(f'image index "{path}" has no list of manifests')
    return manifests
