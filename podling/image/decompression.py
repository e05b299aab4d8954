"""Layers as they come: gzip, zstd or neither, told apart by their first bytes, decompressed in bounded pieces.

A piece of a compressed stream may unfold a thousandfold and more, so never more than one piece of output is asked for
at a time, and a stream that unfolds beyond all reason is refused.
"""

from __future__ import annotations

import zlib

from podling.errors import Corrupt, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Source(Protocol):
        """A compressed stream: `read` returns at most `size` bytes, none at the end; `position` counts them."""

        position: int

        def read(self, size: int = -1) -> bytes: ...


PIECE = 128 << 10  # larger ones would be mapped and unmapped each time
INPUT_PIECE = 64 << 10
WINDOW_LIMIT = 1 << 27  # zstd's own limit without --long
SIZE_LIMIT = 1 << 40
RATIO_LIMIT = 300
RATIO_FREE = 1 << 30  # a layer of zeros this large is no attack

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPABLE = tuple(bytes([0x50 + number, 0x2A, 0x4D, 0x18]) for number in range(16))
_OTHERS = {b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


def decompress(source: Source) -> Iterator[bytes]:
    """Yield the uncompressed bytes of a layer. Raise Corrupt for a malformed or excessive stream."""
    total = 0
    for piece in _pieces(source):
        total += len(piece)
        if total > SIZE_LIMIT or (total > RATIO_FREE and total > RATIO_LIMIT * source.position):
            raise Corrupt(f"layer unfolds from {source.position} to more than {total} bytes")
        yield piece


def _pieces(source: Source) -> Iterator[bytes]:
    head = source.read(INPUT_PIECE)
    while 0 < len(head) < 6 and (more := source.read(INPUT_PIECE)):
        head += more
    if head.startswith(_GZIP):
        return _gzip(source, head)
    if head.startswith((_ZSTD, *_SKIPPABLE)):
        return _zstd(source, head)
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise Unsupported(f"layer is compressed by {name}, which is not supported")
    return _plain(source, head)


def _plain(source: Source, head: bytes) -> Iterator[bytes]:
    piece = head
    while piece:
        yield piece
        piece = source.read(INPUT_PIECE)


def _gzip(source: Source, head: bytes) -> Iterator[bytes]:
    """Yield the content of all members of a gzip stream; padding by zeros after them is passed over."""
    make, failure = _inflater()
    data = head
    try:
        while data:
            inflate = make()
            while not inflate.eof:
                piece = inflate.decompress(data, PIECE)
                data = inflate.unconsumed_tail
                if piece:
                    yield piece
                elif not data and not inflate.eof:
                    data = source.read(INPUT_PIECE)
                    if not data:
                        raise Corrupt("gzip stream ends too early")
            data = (inflate.unused_data or source.read(INPUT_PIECE)).lstrip(b"\0")
            while not data and (data := source.read(INPUT_PIECE)):
                data = data.lstrip(b"\0")
    except failure as error:
        raise Corrupt(f"gzip stream is malformed: {error}") from None


def _inflater() -> tuple[Any, Any]:
    """Return what makes decompressors, and what they raise: Intel's, three times as fast, where it is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    return lambda: isal_zlib.decompressobj(wbits=31), isal_zlib.error


def _zstd(source: Source, head: bytes) -> Iterator[bytes]:
    import zstandard

    joined: Any = _Joined(head, source)
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
    reader = decompressor.stream_reader(joined, read_size=INPUT_PIECE, read_across_frames=True)
    try:
        while piece := reader.read(PIECE):
            yield piece
    except zstandard.ZstdError as error:
        raise Corrupt(f"zstd stream is malformed: {error}") from None


class _Joined:
    """A source whose first bytes have been read already."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source

    def read(self, size: int = -1) -> bytes:
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._source.read(size)
