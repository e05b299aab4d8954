"""The store of images, layers and the root file systems of containers.

    ROOT/images/        an OCI image layout; index.json is the one truth about images          (index.py)
    ROOT/layers/        unpacked layers, one directory per chain ID                            (layers.py)
    ROOT/containers/    what a container stands on, its own layer and its mount                (rootfs.py, overlay.py)
    ROOT/staging/       work in progress, each directory locked by its maker                   (staging.py)
    RUNROOT/locks/store the store's lock: exclusive to change or remove anything, shared to build upon an image

Reading takes no lock. A pull works in staging without the lock and holds it for the renames and the new index.json
alone; a removal rewrites index.json first. Whoever is killed in between leaves a staging directory without a holder,
and `sweep_staging` then removes it with everything that no index entry and no container names.
"""

from __future__ import annotations

import os

from podling.errors import InvalidArgument, NotFound, Unavailable
from podling.linux.locks import Lock
from podling.store import index, layers, names, rootfs
from podling.store.image import Image as Image
from podling.store.index import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from podling.store.idmap import IdMappings
    from podling.store.staging import Staging


class Gone(Unavailable):
    """What a pull counted on, because it was there, has been removed meanwhile."""


class Store:
    """The store under one root. Making one opens nothing; directories appear when something is put into them."""

    def __init__(self, root: str, runroot: str) -> None:
        self.root = root
        self.runroot = runroot
        self.images_path = f"{root}/images"

    # images

    def images(self) -> list[Image]:
        """Return all images, in the order of the index."""
        grouped: dict[str, list[Entry]] = {}
        for entry in index.read(self.images_path):
            grouped.setdefault(entry.image_id, []).append(entry)
        return [self._image(entries) for entries in grouped.values()]

    def find_image(self, name_or_id: str, prefer: names.Prefer | None = None) -> Image:
        """Return the image a user means: see names.py. Raise NotFound or InvalidArgument."""
        entries = index.read(self.images_path)
        chosen = names.select(entries, name_or_id, prefer)
        return self._image([entry for entry in entries if entry.image_id == chosen.image_id], chosen)

    def resolve_name(self, image: Image, name: str) -> str:
        """Return the full name by which a text means an image; empty where the text is an ID or a digest."""
        try:
            entry = names.select([entry for entry in self._entries(image.id) if entry.name], name)
        except (NotFound, InvalidArgument):
            return ""
        return "" if image.id.startswith(name.removeprefix("sha256:")) else entry.name

    def _image(self, entries: Sequence[Entry], chosen: Entry | None = None) -> Image:
        latest = chosen or entries[0]
        digests: dict[str, None] = {}
        for entry in entries:
            repository = names.repository_of(entry.name or entry.pinned)
            for digest in (entry.digest, entry.index_digest):
                if repository and digest:
                    digests[f"{repository}@{digest}"] = None
        return Image(
            id=latest.image_id,
            names=[entry.name for entry in entries if entry.name],
            digest=latest.digest,
            repo_digests=list(digests),
            created=latest.created,
            size=latest.image_size,
            layers=latest.layers,
            config_path=f"{self.images_path}/blobs/sha256/{latest.image_id}",
        )

    def _entries(self, image_id: str) -> list[Entry]:
        return [entry for entry in index.read(self.images_path) if entry.image_id == image_id]

    # changes of the index

    def add_image(self, staging: Staging, entry: Entry, blobs: Mapping[str, str], staged: Mapping[str, str]) -> Image:
        """Commit what a pull has staged, and its entry: `blobs` by digest, layers by chain ID, to their staged paths.

        Durable when it returns. What exists already is left as it is. The name is taken from the image that had it.
        Raise Gone, changing nothing, where a layer or blob that was there when the pull began is there no more.
        """
        staging.sync()
        with self.lock():
            self._refuse_gaps(entry, blobs, staged)
            try:
                self._put(blobs, staged)
                index.write(self.images_path, _with(index.read(self.images_path), entry))
            except BaseException:
                self._discard_unreferenced(staging)
                raise
        return self._image(self._entries(entry.image_id))

    def _put(self, blobs: Mapping[str, str], staged: Mapping[str, str]) -> None:
        """Rename blobs and layers into place, durably: the index names them next."""
        from podling.linux import files

        os.makedirs(f"{self.images_path}/blobs/sha256", mode=0o755, exist_ok=True)
        for digest, path in blobs.items():
            os.rename(path, self.blob_path(digest))
        for chain_id, path in staged.items():
            layers.put(self.root, path, chain_id)
        for directory in (f"{self.images_path}/blobs/sha256", f"{self.root}/layers"):
            if os.path.isdir(directory):
                files.sync_directory(directory)

    def _discard_unreferenced(self, staging: Staging) -> list[str]:
        """Move what nothing needs to the trash. Where that fails the staging directory stays, and is swept later."""
        from podling.store import garbage

        try:
            return garbage.discard_unreferenced(self, staging)
        except BaseException:
            staging.keep()
            raise

    def _refuse_gaps(self, entry: Entry, blobs: Mapping[str, str], staged: Mapping[str, str]) -> None:
        for chain_id in entry.layers:
            if chain_id not in staged and not self.has_layer(chain_id):
                raise Gone(f"layer {chain_id} was removed meanwhile")
        for digest in (entry.digest, "sha256:" + entry.image_id):
            if digest not in blobs and not self.has_blob(digest):
                raise Gone(f"blob {digest} was removed meanwhile")

    def tag(self, name_or_id: str, name: str) -> None:
        """Give an image one more name, which is normalized; another image that had it loses it."""
        with self.lock():
            entries = index.read(self.images_path)
            chosen = names.select(entries, name_or_id)
            index.write(self.images_path, _with(entries, chosen.with_changes(name=name, pinned="")))

    def untag(self, name: str) -> None:
        """Take a full name from its image, which stays, without a name if it has no other. Raise NotFound."""
        with self.lock():
            entries = index.read(self.images_path)
            if not any(entry.name == name for entry in entries):
                raise NotFound(f"{name}: tag not known")
            index.write(self.images_path, _without_name(entries, name))

    def remove_image(self, image_id: str, *, guard: Callable[[], None] | None = None) -> list[str]:
        """Remove an image under all its names, and what nothing needs any more; return what went of that.

        `guard` may refuse, by raising: it is called under the store's lock, while no container can be given a root on
        the image. The layers that a container stands on stay in any case. Raise NotFound.
        """
        from podling.store.staging import Staging

        with Staging(self.root) as staging, self.lock():
            entries = index.read(self.images_path)
            remaining = [entry for entry in entries if entry.image_id != image_id]
            if len(remaining) == len(entries):
                raise NotFound(f"{image_id}: image not known")
            if guard is not None:
                guard()
            index.write(self.images_path, remaining)
            return self._discard_unreferenced(staging)

    # blobs and layers

    def blob_path(self, digest: str) -> str:
        """Return where a blob is, or would be."""
        from podling.oci.digest import hex_of

        return f"{self.images_path}/blobs/sha256/{hex_of(digest)}"

    def has_blob(self, digest: str) -> bool:
        """Tell whether a blob is there."""
        return os.path.exists(self.blob_path(digest))

    def has_layer(self, chain_id: str) -> bool:
        """Tell whether a layer is there, unpacked."""
        return layers.find(self.root, chain_id) is not None

    def layer_size(self, chain_id: str) -> int:
        """Return the size of a layer's uncompressed archive, in bytes; 0 where it is not there."""
        layer = layers.find(self.root, chain_id)
        return layer.size if layer else 0

    # root file systems

    def prepare_rootfs(self, container_id: str, image_id: str) -> None:
        """Make the directories of a container's root; idempotent. Raise NotFound where the image is not there."""
        with self.lock(shared=True):
            entries = self._entries(image_id)
            if not entries:
                raise NotFound(f"{image_id}: image not known")
            rootfs.create(self.root, container_id, rootfs.Base(image=image_id, layers=entries[0].layers))

    def mount_rootfs(
        self,
        container_id: str,
        image_id: str,
        *,
        read_only: bool = False,
        userns: IdMappings | None = None,
        options: Iterable[str] = (),
    ) -> str:
        """Mount a container's root and return its directory; mounted already is fine.

        `userns` maps the owners of all files as the container's user namespace will. `options` are overlayfs's own
        (`volatile` for what need not survive a crash) and the mount's (`nodev`, `nosuid`, `noexec`).
        """
        from podling.store import overlay

        base = rootfs.base_of(self.root, container_id)
        return overlay.mount(self.root, container_id, base.layers, read_only=read_only, userns=userns, options=options)

    def unmount_rootfs(self, container_id: str) -> None:
        """Unmount a container's root; not mounted is fine."""
        from podling.store import overlay

        overlay.unmount(self.root, container_id)

    def remove_rootfs(self, container_id: str) -> None:
        """Unmount a container's root and remove everything in its directory; absent is fine."""
        from podling.linux import files
        from podling.store import overlay

        path = rootfs.directory(self.root, container_id)
        if os.path.isdir(path):
            overlay.unmount(self.root, container_id)
            files.remove_tree(path)

    # order

    def lock(self, *, shared: bool = False) -> Lock:
        """Return the store's lock."""
        directory = f"{self.runroot}/locks"
        if not os.path.isdir(directory):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        return Lock(f"{directory}/store", shared=shared)

    def sweep_staging(self) -> list[str]:
        """Remove what killed pulls and removals left; return the paths. One listdir where nobody was killed."""
        if not _has_entries(f"{self.root}/staging"):
            return []
        from podling.store import garbage

        return garbage.sweep_staging(self)

    def sweep(self, live_container_ids: Callable[[], set[str]]) -> list[str]:
        """Remove staging, blobs, layers and container directories that nothing alive owns; return what was removed.

        The IDs are asked for after the directories have been listed: a container's row goes before its directory, so
        one that is being made right now is among them.
        """
        from podling.store import garbage

        return garbage.sweep(self, live_container_ids)


def _with(entries: Sequence[Entry], added: Entry) -> list[Entry]:
    """Return the entries with one added, first; it replaces its own nameless self and takes its name from any other."""
    kept = _without_name(entries, added.name) if added.name else list(entries)
    return [
        added,
        *(
            entry
            for entry in kept
            if not (entry.digest == added.digest and not entry.name and entry.pinned in ("", added.pinned))
        ),
    ]


def _without_name(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Return the entries without a name; an image that had no other stays, nameless."""
    kept = []
    for entry in entries:
        if entry.name != name:
            kept.append(entry)
        elif not any(other.image_id == entry.image_id and other is not entry for other in entries):
            kept.append(entry.with_changes(name=""))
    return kept


def _has_entries(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False
