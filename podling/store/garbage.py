"""Garbage: whatever no index entry and no container names, and staging directories whose maker is dead.

index.json ──► manifest ──► config, layer blobs          blobs/sha256/*   not reached: garbage
     └───────► chain IDs ─┐
containers/*/image ───────┴──► layers/*                  not reached: garbage; and so is the image's config
"""

from __future__ import annotations

import os

from podling.errors import Corrupt
from podling.linux import files
from podling.oci import jsontext
from podling.store import index, layers, rootfs, staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from podling.store.staging import Staging
    from podling.store.store import Store


def discard_unreferenced(store: Store, work: Staging) -> list[str]:
    """Move all garbage into a staging directory's trash; return the digests of the blobs and the paths of the layers.

    The store's lock is held, exclusively.
    """
    needed_blobs, needed_layers = _references(store)
    removed = []
    for name in _names(f"{store.images_path}/blobs/sha256"):
        if name not in needed_blobs:
            work.discard(f"{store.images_path}/blobs/sha256/{name}")
            removed.append(f"sha256:{name}")
    for name in layers.listed(store.root):
        if name not in needed_layers:
            work.discard(f"{store.root}/layers/{name}")
            removed.append(f"{store.root}/layers/{name}")
    return removed


def sweep_staging(store: Store) -> list[str]:
    """Remove the staging directories of the dead, and the garbage that they speak of."""
    found = staging.abandoned(store.root)
    if not found:
        return []
    removed = [path for path, _ in found]
    try:
        with staging.Staging(store.root) as work, store.lock():
            _remove_staged_files(store.images_path)
            removed += discard_unreferenced(store, work)
        for path, _ in found:
            files.remove_tree(path)
    finally:
        for _, fd in found:
            os.close(fd)
    return removed


def sweep(store: Store, live_container_ids: Callable[[], set[str]]) -> list[str]:
    """Remove everything in the store that nothing alive owns."""
    removed = sweep_staging(store)
    listed = rootfs.listed(store.root)
    live = live_container_ids()
    for container_id in listed:
        if container_id not in live:
            store.remove_rootfs(container_id)
            removed.append(rootfs.directory(store.root, container_id))
    with staging.Staging(store.root) as work, store.lock():
        removed += discard_unreferenced(store, work)
    return removed


def _references(store: Store) -> tuple[set[str], set[str]]:
    """Return the hex names of needed blobs and the short names of needed layers."""
    blobs: set[str] = set()
    chains: set[str] = set()
    for descriptor in index.descriptors(store.images_path):
        blobs |= set(_reached(store, descriptor["digest"]))
    for entry in index.read(store.images_path):
        blobs.add(entry.image_id)
        chains |= {layers.short(chain_id) for chain_id in entry.layers}
    for base in rootfs.bases(store.root):
        blobs.add(base.image)
        chains |= {layers.short(chain_id) for chain_id in base.layers}
    return blobs, chains


def _reached(store: Store, digest: str) -> Iterator[str]:
    """Yield the hex names of a manifest, and of what it and the manifests of an index name."""
    yield digest.removeprefix("sha256:")
    try:
        with open(store.blob_path(digest), "rb") as file:
            document: Any = jsontext.loads(file.read())
    except (FileNotFoundError, Corrupt):
        return
    for child in document.get("manifests") or []:
        yield from _reached(store, child["digest"])
    for child in [document.get("config"), *(document.get("layers") or [])]:
        if child:
            yield str(child["digest"]).removeprefix("sha256:")


def _remove_staged_files(images: str) -> None:
    """Remove what a killed write_atomically left beside index.json. The store's lock is held: nobody is writing."""
    for name in _names(images):
        if name.startswith(".staged-"):
            files.unlink_if_there(f"{images}/{name}")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
