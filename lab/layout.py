"""OCI image layouts: layers, configs, manifests and indexes, written as files.

    DIRECTORY/
      oci-layout   index.json      one entry per image, named by org.opencontainers.image.ref.name
      blobs/sha256/HEX

A layer is a list of `Entry` in the order of its tar archive, packed with gzip or zstd, or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEDIA_TYPES = {
    "none": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EPOCH = 1767225600  # 2026-01-01: equal content gives equal digests


@dataclass(frozen=True)
class Entry:
    """One member of a layer: a path without its leading slash, and what is there."""

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    content: bytes | Path = b""
    target: str = ""  # of a symbolic or hard link
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)
    attributes: dict[str, str] = field(default_factory=dict)  # extended attributes

    def header(self) -> tarfile.TarInfo:
        """Return the member's header, without its size."""
        header = tarfile.TarInfo(self.path)
        header.type, header.mode, header.mtime = self.kind, self.mode, EPOCH
        header.uid, header.gid, header.linkname = self.uid, self.gid, self.target
        header.devmajor, header.devminor = self.device
        header.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in self.attributes.items()}
        return header


def directory(path: str, mode: int = 0o755) -> Entry:
    """Return a directory."""
    return Entry(path, tarfile.DIRTYPE, mode)


def symlink(path: str, target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(path, tarfile.SYMTYPE, 0o777, target=target)


def hardlink(path: str, target: str) -> Entry:
    """Return a hard link to a member that comes earlier."""
    return Entry(path, tarfile.LNKTYPE, target=target)


def whiteout(path: str) -> Entry:
    """Return the marker that removes what lower layers have at a path."""
    parent, _, name = path.rpartition("/")
    return Entry(f"{parent}/.wh.{name}" if parent else f".wh.{name}", mode=0)


def opaque(path: str) -> Entry:
    """Return the marker that hides what lower layers have in a directory."""
    return Entry(f"{path}/.wh..wh..opq", mode=0)


def archive(entries: list[Entry]) -> bytes:
    """Return the tar archive of a layer."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            header = entry.header()
            if isinstance(entry.content, Path):
                header.size = entry.content.stat().st_size
                with entry.content.open("rb") as content:
                    tar.addfile(header, content)
            else:
                header.size = len(entry.content)
                tar.addfile(header, io.BytesIO(entry.content))
    return stream.getvalue()


def pack(data: bytes, compression: str) -> bytes:
    """Compress a layer."""
    if compression == "gzip":
        return gzip.compress(data, compresslevel=3, mtime=0)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(data)
    return data


def digest_of(data: bytes) -> str:
    """Return the sha256 digest in the form sha256:HEX."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI image layout being written. Blobs go to disk at once, index.json at `save`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs" / "sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests: list[dict[str, Any]] = []

    def add_blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Write a blob and return its descriptor."""
        digest = digest_of(data)
        (self.blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_json(self, value: dict[str, Any], media_type: str) -> dict[str, Any]:
        """Write a JSON blob and return its descriptor."""
        return self.add_blob(json.dumps(value).encode(), media_type)

    def add_layer(self, entries: list[Entry], compression: str) -> tuple[dict[str, Any], str]:
        """Write a layer; return its descriptor and its diff ID."""
        data = archive(entries)
        return self.add_blob(pack(data, compression), MEDIA_TYPES[compression]), digest_of(data)

    def add_image(
        self, layers: list[tuple[dict[str, Any], str]], config: dict[str, Any], architecture: str = "amd64"
    ) -> dict[str, Any]:
        """Write config and manifest of an image; return the manifest's descriptor, with its platform."""
        platform = {"architecture": architecture, "os": "linux"}
        created = "2026-01-01T00:00:00Z"
        history = [{"created": created, "created_by": f"lab: layer {number}"} for number in range(len(layers))]
        body = {
            **platform,
            "created": created,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": history,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add_json(body, CONFIG),
            "layers": [descriptor for descriptor, _ in layers],
        }
        return {**self.add_json(manifest, MANIFEST), "platform": platform}

    def add_index(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        """Write an index of platforms and return its descriptor."""
        return self.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)

    def name(self, name: str, descriptor: dict[str, Any]) -> None:
        """Name a manifest or an index in index.json."""
        named = {key: value for key, value in descriptor.items() if key != "platform"}
        self.manifests.append({**named, "annotations": {"org.opencontainers.image.ref.name": name}})

    def save(self) -> None:
        """Write index.json: the last act, the layout is complete with it."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        (self.path / "index.json").write_text(json.dumps(index))
