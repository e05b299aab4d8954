"""An OCI image layout on disk as a source of images: `oci:DIRECTORY[:NAME]`."""

from __future__ import annotations

import os

from podling.errors import Corrupt, InvalidArgument, NotFound
from podling.oci import digest as digests
from podling.oci import jsontext, manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """A layout, read as it lies. Raise NotFound and Corrupt as a registry's client would."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def close(self) -> None:
        """Nothing is held open."""

    def start_anew(self) -> None:
        """Nothing is shared with another process."""

    def manifest(self, reference: str) -> tuple[bytes, str]:
        """Return a manifest by digest, by its name in index.json, or the only one there is where no name is given."""
        if digests.is_digest(reference):
            return self._content(reference), ""
        descriptors = self._index()
        named = [item for item in descriptors if (item.get("annotations") or {}).get(REF_NAME) == reference]
        if not reference:
            named = descriptors
        if not named:
            raise NotFound(f'no descriptor found for reference "{reference}" in "{self.directory}"')
        if len(named) > 1:
            raise InvalidArgument(f'"{self.directory}" has more than one image: name one of them')
        return self._content(named[0]["digest"]), named[0].get("mediaType") or ""

    def blob(self, digest: str, offset: int = 0) -> Any:
        """Return an open file with a blob's bytes from an offset on."""
        try:
            file = open(f"{self.directory}/blobs/sha256/{digests.hex_of(digest)}", "rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f'blob {digest} is not in "{self.directory}"') from None
        file.seek(offset)
        return file

    def _content(self, digest: str) -> bytes:
        with self.blob(digest) as file:
            if os.fstat(file.fileno()).st_size > manifest.MANIFEST_SIZE_LIMIT:
                raise Corrupt(f"manifest {digest} is longer than {manifest.MANIFEST_SIZE_LIMIT} bytes")
            content: bytes = file.read()
        if digests.of(content) != digest:
            raise Corrupt(f"manifest {digest} has the digest {digests.of(content)}")
        return content

    def _index(self) -> list[dict[str, Any]]:
        try:
            with open(f"{self.directory}/index.json", "rb") as file:
                document = jsontext.loads(file.read())
        except OSError as error:
            raise NotFound(f'"{self.directory}" is not an OCI image layout') from error
        return document.get("manifests") or [] if isinstance(document, dict) else []
