"""Blobs and layers as streams: digests, sizes, broken connections, bombs."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from podling.errors import Corrupt, PodlingError, Unavailable, Unsupported
from podling.image import decompression
from podling.image.blobs import Blob
from podling.oci.manifest import Descriptor

CONTENT = bytes(range(256)) * 4096


class Bytes:
    """A compressed stream in memory."""

    def __init__(self, content: bytes) -> None:
        self.position = 0
        self._stream = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.position += len(piece)
        return piece


def unfold(content: bytes) -> bytes:
    return b"".join(decompression.decompress(Bytes(content)))


FORMS = {
    "plain": CONTENT,
    "empty": b"",
    "short": b"abc",
    "gzip": gzip.compress(CONTENT),
    "gzip members": gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:]),
    "gzip padding": gzip.compress(CONTENT) + bytes(100_000),
    "zstd": zstandard.compress(CONTENT),
    "zstd frames": zstandard.compress(CONTENT[:1000]) + zstandard.compress(CONTENT[1000:]),
    "zstd skippable": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(CONTENT),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    assert unfold(FORMS[form]) == {"empty": b"", "short": b"abc"}.get(form, CONTENT)


def test_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "isal", None)
    assert decompression._inflater()[1] is zlib.error
    assert unfold(FORMS["gzip members"]) == CONTENT


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (FORMS["gzip"][:-100], Corrupt),
        (FORMS["gzip"][:100] + b"x" + FORMS["gzip"][101:], Corrupt),
        (FORMS["gzip"] + b"garbage", Corrupt),
        (FORMS["zstd"][:4] + b"\xff" * 40, Corrupt),
        (b"\xfd7zXZ\0abc", Unsupported),
        (b"BZh9abc", Unsupported),
    ],
)
def test_malformed(content: bytes, error: type[PodlingError]) -> None:
    with pytest.raises(error):
        unfold(content)


def zeros(size: int) -> Iterator[bytes]:
    for _ in range(size >> 20):
        yield bytes(1 << 20)


def test_a_bomb_is_refused_early_and_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "RATIO_FREE", 8 << 20)
    block = zlib.compressobj(9, wbits=31)
    content = b"".join([block.compress(piece) for piece in zeros(64 << 20)]) + block.flush()
    for bomb in (content, zstandard.compress(bytes(64 << 20))):
        total = 0
        with pytest.raises(Corrupt, match="unfolds from"):
            for piece in decompression.decompress(Bytes(bomb)):
                assert len(piece) <= decompression.PIECE
                total += len(piece)
        assert total <= 33 << 20


def test_a_window_of_two_gibibytes_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(Corrupt, match="zstd"):
        unfold(frame)


# blobs


class Served:
    """A source that breaks off where it is told to, and serves the rest from there if it can."""

    def __init__(self, content: bytes, breaks: tuple[int, ...] = (), *, resumes: bool = True) -> None:
        self.content, self.breaks, self.resumes = content, list(breaks), resumes
        self.offsets: list[int] = []

    def start_anew(self) -> None:
        pass

    def blob(self, digest: str, offset: int = 0) -> io.BytesIO | None:
        self.offsets.append(offset)
        if offset and not self.resumes:
            return None
        end = self.breaks.pop(0) if self.breaks else len(self.content)
        return Breaking(self.content[offset:end], is_cut=end < len(self.content))


class Breaking(io.BytesIO):
    """A response that ends in a reset connection."""

    def __init__(self, content: bytes, *, is_cut: bool) -> None:
        super().__init__(content)
        self.is_cut = is_cut

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece and self.is_cut:
            raise ConnectionResetError(104, "connection reset by peer")
        return piece


def described(content: bytes) -> Descriptor:
    return Descriptor(media_type="x", digest="sha256:" + hashlib.sha256(content).hexdigest(), size=len(content))


def fetched(source: Served, wanted: Descriptor, path: str = "") -> bytes:
    with Blob(source, wanted, path) as blob:
        pieces = []
        while piece := blob.read(1000):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_blob_is_kept_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    assert fetched(Served(CONTENT), described(CONTENT), str(path)) == CONTENT
    assert path.read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_again(tmp_path: Path) -> None:
    source = Served(CONTENT, (5000, 70000, 70000))
    path = tmp_path / "blob"
    assert fetched(source, described(CONTENT), str(path)) == CONTENT
    assert path.read_bytes() == CONTENT
    assert source.offsets == [0, 5000, 70000, 70000]


def test_it_is_not_taken_up_for_ever() -> None:
    with pytest.raises(Unavailable, match="connection reset by peer"):
        fetched(Served(CONTENT, (100,) * 20), described(CONTENT))


def test_a_registry_that_cannot_resume() -> None:
    with pytest.raises(Unavailable, match="connection reset by peer"):
        fetched(Served(CONTENT, (100,), resumes=False), described(CONTENT))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (CONTENT + b"x", "is longer than"),
        (CONTENT[:-1] + b"x", "has the digest"),
        (CONTENT[:-1], "it ends after"),
        (b"", "it ends after 0 of"),
    ],
)
def test_another_content_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(Corrupt, match=text):
        fetched(Served(content), described(CONTENT))


def test_an_empty_blob() -> None:
    assert fetched(Served(b""), described(b"")) == b""
