"""Reading a layer's tar archive from a stream: ustar, PAX and GNU headers, sparse files.

    member header, 512 bytes │ data, padded to 512 │ member header │ … │ two blocks of zeros

PAX records (`x`) and GNU's long names (`L`, `K`) come as members of their own before the member they speak of. Nothing
here touches a file system. Everything a header claims is bounded before memory is taken for it.
"""

from __future__ import annotations

import os

from podling.errors import Corrupt, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
EXTENSION_SIZE_LIMIT = 1 << 20  # of PAX records and long names
SEGMENT_LIMIT = 1 << 16  # of a sparse file's map
FILE_SIZE_LIMIT = 1 << 43  # what the largest file systems take
ID_LIMIT = 0xFFFFFFFE  # the highest is "no change" to chown(2)
MAJOR_LIMIT, MINOR_LIMIT = 1 << 12, 1 << 20
TIME_LIMIT = 1 << 34  # seconds: the year 2514, beyond what ext4 keeps

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0123456"

_ZEROS = bytes(BLOCK)
_WITHOUT_DATA = (HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)
_XATTR_PREFIX = "SCHILY.xattr."
_SPARSE_OLD = "S"
_EXTENSIONS = "xgLKV"  # of them global PAX records (g) and volume labels (V) mean nothing to a layer
_KINDS = {"\0": REGULAR, "7": REGULAR, _SPARSE_OLD: REGULAR}


class Stream:
    """A stream of byte chunks, read in the pieces a caller wants. Memory held: one chunk."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._view = memoryview(b"")

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield exactly `size` bytes in the pieces they come in. Raise Corrupt where the stream ends early."""
        while size > 0:
            if not self._view:
                self._advance()
            piece = self._view[:size]
            self._view = self._view[len(piece) :]
            size -= len(piece)
            yield piece

    def take(self, size: int, *, may_end: bool = False) -> bytes:
        """Return exactly `size` bytes, or with `may_end` none where the stream is at its end."""
        if may_end and not self._view and not self._advance(must=False):
            return b""
        view = self._view
        if len(view) >= size:
            self._view = view[size:]
            return bytes(view[:size])
        return b"".join(self.pieces(size))

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        view = self._view
        if len(view) >= size:
            self._view = view[size:]
            return
        for _ in self.pieces(size):
            pass

    def drain(self) -> None:
        """Read to the end."""
        self._view = memoryview(b"")
        for _ in self._chunks:
            pass

    def _advance(self, *, must: bool = True) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._view = memoryview(chunk)
                return True
        if must:
            raise Corrupt("archive ends in the middle of a file")
        return False


class Member:
    """One file of an archive. `size` is that of the file; `segments` are where a sparse file has its data."""

    __slots__ = (
        "device",
        "gid",
        "kind",
        "mode",
        "mtime",
        "name",
        "segments",
        "size",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.mode = self.uid = self.gid = 0
        self.size = 0
        self.mtime = 0  # nanoseconds
        self.target = ""
        self.device = (0, 0)
        self.xattrs: dict[str, bytes] = {}
        self.segments: list[tuple[int, int]] | None = None


class Archive:
    """An archive being read. The data of a member is to be taken from `stream` before the next member is asked for;
    `finish` passes over what of it was not."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member
            self.stream.skip(self._unread + self._padding)

    def data(self, size: int) -> Iterator[memoryview]:
        """Yield the next `size` bytes of the current member."""
        self._unread -= size
        if self._unread < 0:
            raise Corrupt("archive has a sparse file with more data than it holds")
        return self.stream.pieces(size)

    def _next(self) -> Member | None:
        records: dict[str, str] = {}
        sparse: list[int] = []
        while True:
            header = self.stream.take(BLOCK, may_end=True)
            if header == _ZEROS or not header:
                self.stream.drain()
                return None
            _check_sum(header)
            kind, size = chr(header[156]), _number(header[124:136])
            if kind in _EXTENSIONS:
                self._extension(kind, size, records, sparse)
                continue
            return self._member(header, kind, size, records, sparse)

    def _extension(self, kind: str, size: int, records: dict[str, str], sparse: list[int]) -> None:
        if not 0 <= size <= EXTENSION_SIZE_LIMIT:
            raise Corrupt(f"archive has an extended header of {size} bytes")
        content = self.stream.take(size)
        self.stream.skip(-size % BLOCK)
        if kind == "x":
            _read_records(content, records, sparse)
        elif kind in "LK":
            records["path" if kind == "L" else "linkpath"] = _text(content)

    def _member(self, header: bytes, kind: str, size: int, records: dict[str, str], sparse: list[int]) -> Member:
        size = _decimal(records, "size", size)
        if not 0 <= size <= FILE_SIZE_LIMIT:
            raise Corrupt(f"archive has a file of {size} bytes")
        member = Member(records.get("path") or _name(header), _KINDS.get(kind, kind))
        if member.kind == REGULAR and member.name.endswith("/"):
            member.kind = DIRECTORY
        member.mode = _number(header[100:108]) & 0o7777
        member.uid = _within(_decimal(records, "uid", _number(header[108:116])), ID_LIMIT)
        member.gid = _within(_decimal(records, "gid", _number(header[116:124])), ID_LIMIT)
        member.mtime = _mtime(records, header)
        member.target = records.get("linkpath") or _text(header[157:257])
        if member.kind in (CHARACTER, BLOCK_DEVICE):
            major, minor = _number(header[329:337]), _number(header[337:345])
            member.device = (_within(major, MAJOR_LIMIT), _within(minor, MINOR_LIMIT))
        if records:
            member.xattrs = _xattrs(records)
            if "\0" in member.name or "\0" in member.target:
                raise Corrupt("archive has a name with a zero byte")
        if member.kind in _WITHOUT_DATA:
            size = 0
        member.size = self._unread = size
        self._padding = -size % BLOCK
        if kind == _SPARSE_OLD:
            self._read_old_sparse_map(member, header)
        elif any(key.startswith("GNU.sparse.") for key in records):
            self._read_pax_sparse_map(member, records, sparse)
        return member

    def _read_old_sparse_map(self, member: Member, header: bytes) -> None:
        numbers = _sparse_fields(header, 386, 4)
        is_extended = header[482]
        while is_extended:
            block = self.stream.take(BLOCK)
            numbers += _sparse_fields(block, 0, 21)
            is_extended = block[504]
            if len(numbers) > 2 * SEGMENT_LIMIT:
                raise Corrupt("archive has a sparse file in too many pieces")
        _set_segments(member, numbers, _number(header[483:495]))

    def _read_pax_sparse_map(self, member: Member, records: dict[str, str], sparse: list[int]) -> None:
        member.name = records.get("GNU.sparse.name") or member.name
        size = _decimal(records, "GNU.sparse.realsize", _decimal(records, "GNU.sparse.size", member.size))
        if records.get("GNU.sparse.major") == "1":
            sparse = self._read_map_in_data()
        elif "GNU.sparse.map" in records:
            sparse = [_integer(number) for number in records["GNU.sparse.map"].split(",")[: 2 * SEGMENT_LIMIT + 2]]
        _set_segments(member, sparse, size)

    def _read_map_in_data(self) -> list[int]:
        """Read the map that format 1.0 puts before the data: decimal numbers in lines, padded to a block."""
        text, wanted = b"", 1
        while text.count(b"\n") < wanted:
            if self._unread < BLOCK or len(text) > EXTENSION_SIZE_LIMIT:
                raise Corrupt("archive has a malformed sparse map")
            text += self.stream.take(BLOCK)
            self._unread -= BLOCK
            if wanted == 1 and b"\n" in text:
                wanted = 1 + 2 * _integer(text.split(b"\n", 1)[0].decode("ascii", "replace"))
                if wanted > 1 + 2 * SEGMENT_LIMIT:
                    raise Corrupt("archive has a sparse file in too many pieces")
        return [_integer(line.decode("ascii", "replace")) for line in text.split(b"\n")[1:wanted]]


def _check_sum(header: bytes) -> None:
    wanted = _number(header[148:156])
    unsigned = sum(header) - sum(header[148:156]) + 8 * 32
    if unsigned == wanted:
        return
    signed = unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
    if signed != wanted:
        raise Corrupt("archive has a header with a wrong checksum")


def _number(field: bytes) -> int:
    """Return a number: octal digits, or GNU's base 256 where the highest bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    try:
        return int(field.rstrip(b"\0 ").lstrip() or b"0", 8)
    except ValueError:
        digits = field.split(b"\0", 1)[0].strip()
        if digits and not digits.strip(b"01234567"):
            return int(digits, 8)
        raise Corrupt("archive has a header with a malformed number") from None


def _integer(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise Corrupt(f'archive has the malformed number "{text[:40]}"')
    return int(text)


def _decimal(records: dict[str, str], key: str, otherwise: int) -> int:
    return _integer(records[key]) if key in records else otherwise


def _mtime(records: dict[str, str], header: bytes) -> int:
    text = records.get("mtime")
    if text is None:
        nanoseconds = _number(header[136:148]) * 10**9
    else:
        seconds, _, fraction = text.removeprefix("-").partition(".")
        nanoseconds = _integer(seconds) * 10**9 + _integer((fraction + "0" * 9)[:9])
        nanoseconds = -nanoseconds if text.startswith("-") else nanoseconds
    return max(-TIME_LIMIT * 10**9, min(nanoseconds, TIME_LIMIT * 10**9))


def _within(number: int, limit: int) -> int:
    if not 0 <= number < limit:
        raise Corrupt(f"archive has an owner or a device number of {number}")
    return number


def _xattrs(records: dict[str, str]) -> dict[str, bytes]:
    found = {}
    for key, value in records.items():
        if key.startswith(_XATTR_PREFIX):
            if "\0" in key:
                raise Corrupt("archive has an extended attribute with a zero byte in its name")
            found[key.removeprefix(_XATTR_PREFIX)] = os.fsencode(value)
    return found


def _text(field: bytes) -> str:
    return os.fsdecode(field.split(b"\0", 1)[0])


def _name(header: bytes) -> str:
    name = _text(header[0:100])
    if header[257:263] == b"ustar\0":
        prefix = _text(header[345:500])
        return f"{prefix}/{name}" if prefix else name
    return name


def _read_records(content: bytes, records: dict[str, str], sparse: list[int]) -> None:
    """Read PAX records, "LENGTH KEY=VALUE" and a line feed each; format 0.0 of sparse maps repeats its keys."""
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + 21)
        length = _integer(content[position:space].decode("ascii", "replace")) if space > 0 else 0
        record = content[space + 1 : position + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or position + length > len(content):
            raise Corrupt("archive has a malformed extended header")
        name, text = os.fsdecode(key), os.fsdecode(value)
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            sparse.append(_integer(text))
        records[name] = text
        position += length


def _sparse_fields(block: bytes, start: int, count: int) -> list[int]:
    numbers: list[int] = []
    for position in range(start, start + count * 24, 24):
        if not block[position]:
            break
        numbers += [_number(block[position : position + 12]), _number(block[position + 12 : position + 24])]
    return numbers


def _set_segments(member: Member, numbers: list[int], size: int) -> None:
    """Give a member its map: ascending, not overlapping, within the file, its data all there."""
    if len(numbers) % 2 or len(numbers) > 2 * SEGMENT_LIMIT or not 0 <= size <= FILE_SIZE_LIMIT:
        raise Corrupt(f'archive has a malformed sparse file "{member.name}"')
    end = 0
    member.segments = list(zip(numbers[::2], numbers[1::2], strict=True))
    for offset, length in member.segments:
        if offset < end or length < 0 or offset + length > size:
            raise Corrupt(f'archive has a malformed sparse file "{member.name}"')
        end = offset + length
    member.size = size


def refuse_kind(member: Member) -> Unsupported:
    """Return the error for a kind of member that no file system has."""
    return Unsupported(f'archive has "{member.name}" of the unknown kind {member.kind!r}')
