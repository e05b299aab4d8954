"""What a pull tells while it works. A front door draws it; the base class says nothing.

Calls come from one thread, those of several blobs mixed. No worker is forked after the first `blob_started`: a front
door may start threads of its own from there on.

    resolved? trying signatures
        blob_exists │ blob_started blob_advanced* blob_done       per layer, several at a time
    config_started  manifest_written
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class Progress:
    """A silent listener; subclasses override what they want to show."""

    def resolved(self, text: str) -> None:
        """A short name was resolved: a sentence that says how and by which file."""

    def trying(self, name: str) -> None:
        """A full name is about to be pulled."""

    def signatures(self) -> None:
        """A registry answered with an image that may be pulled."""

    def blob_exists(self, digest: str, size: int) -> None:
        """A layer is here already."""

    def blob_started(self, digest: str, size: int) -> None:
        """A layer is about to come, `size` bytes of it."""

    def blob_advanced(self, digest: str, count: int) -> None:
        """`count` more bytes of a layer have come."""

    def blob_done(self, digest: str) -> None:
        """A layer has come, was verified and unpacked."""

    def config_started(self, digest: str, size: int) -> None:
        """The configuration has come."""

    def manifest_written(self) -> None:
        """The image is about to appear in the store."""

    def warning(self, text: str) -> None:
        """Something is odd and does not end the pull."""


class PlainProgress(Progress):
    """Podman's lines on a stream that is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _say(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:
            pass  # nobody is there to be told; the image is wanted all the same

    def resolved(self, text: str) -> None:
        self._say(text)

    def trying(self, name: str) -> None:
        self._say(f"Trying to pull {name}...")

    def signatures(self) -> None:
        self._say("Getting image source signatures")

    def blob_exists(self, digest: str, size: int) -> None:
        self._say(f"Copying blob {digest} skipped: already exists")

    def blob_started(self, digest: str, size: int) -> None:
        self._say(f"Copying blob {digest}")

    def config_started(self, digest: str, size: int) -> None:
        self._say(f"Copying config {digest}")

    def manifest_written(self) -> None:
        self._say("Writing manifest to image destination")

    def warning(self, text: str) -> None:
        self._say(f"WARNING: {text}")
