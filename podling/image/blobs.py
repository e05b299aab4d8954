"""A blob as one stream: fetched, written to a file, its size and digest checked, at most once over the wire."""

from __future__ import annotations

import hashlib
import os

from podling.errors import Corrupt, Unavailable
from podling.oci.manifest import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Source(Protocol):
        """Where blobs come from: a registry's client, or a layout on disk."""

        def blob(self, digest: str, offset: int = 0) -> Any: ...
        def start_anew(self) -> None: ...


RESUME_LIMIT = 5


class Blob:
    """A blob being read; `position` bytes of it have come. Written to `path` on the way unless that is empty.

    A connection that breaks is taken up again where it broke. At the end of the stream, size and digest have been
    checked: whoever reads to the end has the right content. Raise Corrupt or Unavailable.
    """

    def __init__(
        self,
        source: Source,
        wanted: Descriptor,
        path: str = "",
        *,
        advanced: Callable[[int], None] | None = None,
    ) -> None:
        self.position = 0
        self._source = source
        self._wanted = wanted
        self._hash = hashlib.sha256()
        self._advanced = advanced
        self._resumed = 0
        self._is_verified = False
        self._response = source.blob(wanted.digest)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644) if path else -1

    def __enter__(self) -> Blob:
        return self

    def __exit__(self, *_error: object) -> None:
        self._response.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if self._is_verified:
            return b""
        piece = self._next_piece(size if size > 0 else 64 << 10)
        if not piece:
            self._verify()
            return b""
        self.position += len(piece)
        if self.position > self._wanted.size:
            raise Corrupt(f"blob {self._wanted.digest} is longer than the {self._wanted.size} bytes of its manifest")
        self._hash.update(piece)
        if self._fd >= 0:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
        if self._advanced is not None:
            self._advanced(len(piece))
        return piece

    def finish(self) -> None:
        """Read what is left, so that size and digest are checked."""
        while self.read():
            pass

    def _next_piece(self, size: int) -> bytes:
        while True:
            try:
                piece: bytes = self._response.read(size)
                if piece or self.position >= self._wanted.size:
                    return piece
                failure: Exception = Corrupt(f"it ends after {self.position} of {self._wanted.size} bytes")
            except Exception as error:
                from urllib3.exceptions import HTTPError

                if not isinstance(error, HTTPError | OSError):
                    raise
                failure = error
            self._resume(failure)

    def _resume(self, failure: Exception) -> None:
        """Ask for the rest of the blob."""
        self._resumed += 1
        self._response.close()
        if self._resumed > RESUME_LIMIT:
            raise self._broken(failure)
        response = self._source.blob(self._wanted.digest, self.position)
        if response is None:
            raise self._broken(failure)
        self._response = response

    def _broken(self, failure: Exception) -> Exception:
        if isinstance(failure, Corrupt):
            return Corrupt(f"blob {self._wanted.digest}: {failure}")
        return Unavailable(f"reading blob {self._wanted.digest}: {failure}")

    def _verify(self) -> None:
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._wanted.digest:
            raise Corrupt(f"blob {self._wanted.digest} has the digest {found}")
        self._is_verified = True


class FileSource:
    """A blob that is on disk already."""

    def __init__(self, path: str) -> None:
        self._path = path

    def blob(self, digest: str, offset: int = 0) -> Any:
        """Return an open file, whatever digest it is asked for."""
        file = open(self._path, "rb", buffering=0)
        file.seek(offset)
        return file

    def start_anew(self) -> None:
        """Nothing is held open."""
