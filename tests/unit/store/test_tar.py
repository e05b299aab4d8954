"""Reading tar archives: the standard library writes them, the limits are tried by hand."""

import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podling.errors import Corrupt
from podling.store import tar
from podling.store.tar import Archive, Member, Stream


def in_chunks(content: bytes, size: int = 100) -> Iterator[bytes]:
    for position in range(0, len(content), size):
        yield content[position : position + size]


def written(*headers: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT, content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for header in headers:
            archive.addfile(header, io.BytesIO(content) if header.size else None)
    return stream.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(header, key, value)
    return header


def members(content: bytes) -> list[Member]:
    return list(Archive(Stream(in_chunks(content))))


def contents(content: bytes) -> list[bytes]:
    archive = Archive(Stream(in_chunks(content, 7)))
    return [b"".join(bytes(piece) for piece in archive.data(member.size)) for member in archive]


def raw_header(name: bytes, size: bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    block = bytearray(512)
    block[0 : len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    for place, value in fields.items():
        start = int(place.removeprefix("at"))
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_kinds_and_attributes(form: int) -> None:
    found = members(
        written(
            info("dir", type=tarfile.DIRTYPE, mode=0o1777, mtime=5),
            info("dir/file", size=3, mode=0o4755, uid=1000, gid=100, mtime=1700000000),
            info("link", type=tarfile.SYMTYPE, linkname="dir/file"),
            info("hard", type=tarfile.LNKTYPE, linkname="dir/file"),
            info("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
            info("disk", type=tarfile.BLKTYPE, devmajor=8, devminor=1),
            info("pipe", type=tarfile.FIFOTYPE),
            form=form,
            content=b"abc",
        )
    )
    kinds = [tar.DIRECTORY, tar.REGULAR, tar.SYMLINK, tar.HARD_LINK, tar.CHARACTER, tar.BLOCK_DEVICE, tar.FIFO]
    assert [member.kind for member in found] == kinds
    assert [member.name.rstrip("/") for member in found] == ["dir", "dir/file", "link", "hard", "null", "disk", "pipe"]
    assert (found[1].mode, found[1].uid, found[1].gid, found[1].size) == (0o4755, 1000, 100, 3)
    assert found[1].mtime == 1700000000 * 10**9
    assert (found[2].target, found[3].target) == ("dir/file", "dir/file")
    assert (found[4].device, found[5].device) == ((1, 3), (8, 1))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_large_numbers(form: int) -> None:
    name, target = "d/" * 200 + "n" * 200, "t" * 3000
    (found,) = members(written(info(name, type=tarfile.SYMTYPE, linkname=target, uid=2**31, mtime=2**33), form=form))
    assert (found.name, found.target, found.uid, found.mtime) == (name, target, 2**31, 2**33 * 10**9)


def test_pax_nanoseconds_and_attributes() -> None:
    records = {"mtime": "1700000000.123456789", "SCHILY.xattr.user.x": "a=b\n", "comment": "no matter"}
    (found,) = members(written(info("f", pax_headers=records)))
    assert found.mtime == 1700000000123456789
    assert found.xattrs == {"user.x": b"a=b\n"}
    (early,) = members(written(info("f", pax_headers={"mtime": "-1.5"})))
    assert early.mtime == -1_500_000_000


def test_binary_attributes_survive() -> None:
    value = bytes(range(256))
    text = value.decode("utf-8", "surrogateescape")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        archive.addfile(info("f", pax_headers={"SCHILY.xattr.security.capability": text}))
    (found,) = members(stream.getvalue())
    assert found.xattrs["security.capability"] == value


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 2000))
def test_contents_in_any_chunks(files: list[bytes], size: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for number, content in enumerate(files):
            made.addfile(info(str(number), size=len(content)), io.BytesIO(content))
    archive = Archive(Stream(in_chunks(stream.getvalue(), size)))
    assert [b"".join(map(bytes, archive.data(member.size))) for member in archive] == files


def test_data_that_is_not_taken_is_passed_over() -> None:
    found = members(written(info("a", size=700), info("b", size=700), content=b"x" * 700))
    assert [member.name for member in found] == ["a", "b"]


def test_the_end() -> None:
    whole = written(info("a"))
    assert [member.name for member in members(whole[:512])] == ["a"]
    assert [member.name for member in members(whole[:1024])] == ["a"]
    assert members(b"") == []
    assert members(bytes(512)) == []
    seen: list[int] = []

    def chunks() -> Iterator[bytes]:
        for chunk in in_chunks(whole + bytes(20480), 512):
            seen.append(len(chunk))
            yield chunk

    assert len(list(Archive(Stream(chunks())))) == 1
    assert sum(seen) == len(whole) + 20480, "what follows the archive is read, for the digest's sake"


def test_gnu_sparse_in_the_header() -> None:
    numbers = b"%011o\0%011o\0" % (4096, 3) + b"%011o\0%011o\0" % (10000, 0)
    header = raw_header(b"sparse", b"%011o" % 3, b"S", at257=b"ustar  \0", at386=numbers, at483=b"%011o\0" % 10000)
    archive = Archive(Stream(in_chunks(header + b"abc".ljust(512, b"\0") + bytes(1024))))
    found = next(iter(archive))
    assert (found.size, found.segments) == (10000, [(4096, 3), (10000, 0)])
    assert b"".join(map(bytes, archive.data(3))) == b"abc"


@pytest.mark.parametrize(
    ("records", "data"),
    [
        ({"GNU.sparse.map": "4096,3,10000,0", "GNU.sparse.size": "10000"}, b"abc"),
        (
            {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10000"},
            b"2\n4096\n3\n10000\n0\n".ljust(512, b"\0") + b"abc",
        ),
    ],
)
def test_pax_sparse(records: dict[str, str], data: bytes) -> None:
    header = info("GNUSparseFile.0/s", size=len(data), pax_headers={**records, "GNU.sparse.name": "s"})
    archive = Archive(Stream(in_chunks(written(header, content=data))))
    found = next(iter(archive))
    assert (found.name, found.size, found.segments) == ("s", 10000, [(4096, 3), (10000, 0)])
    assert b"".join(map(bytes, archive.data(3))) == b"abc"


MALFORMED = {
    "checksum": raw_header(b"a", b"0").replace(b"a", b"b", 1),
    "number": raw_header(b"a", b"9z"),
    "negative size": raw_header(b"a", b"\xff" * 12),
    "4 GiB name": raw_header(b"a", b"%011o" % (1 << 32), b"L"),
    "huge records": raw_header(b"a", b"%011o" % (1 << 30), b"x"),
    "size beyond any file": raw_header(b"a", b"\x80" + b"\xff" * 11),
    "cut short": written(info("a", size=1000), content=b"x" * 1000)[:900],
    "cut header": written(info("a"))[:300],
    "owner": raw_header(b"a", b"0", at108=b"\x80\0\0\x01\0\0\0\0"),
    "device": raw_header(b"a", b"0", b"3", at329=b"7777777\0"),
    "records": raw_header(b"p", b"%011o" % 5, b"x") + b"9 a=b".ljust(512, b"\0") + raw_header(b"a", b"0"),
    "zero byte": raw_header(b"p", b"%011o" % 13, b"x") + b"13 path=a\0b\n".ljust(512, b"\0") + raw_header(b"a", b"0"),
    "sparse map backwards": written(info("a", pax_headers={"GNU.sparse.map": "9,1,3,1", "GNU.sparse.size": "99"})),
    "sparse map beyond": written(info("a", pax_headers={"GNU.sparse.map": "9,91", "GNU.sparse.size": "99"})),
    "sparse map odd": written(info("a", pax_headers={"GNU.sparse.map": "9", "GNU.sparse.size": "99"})),
    "sparse map long": written(
        info("a", pax_headers={"GNU.sparse.map": ",".join(["0"] * 140000), "GNU.sparse.size": "99"})
    ),
    "sparse count": written(
        info("a", size=512, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}),
        content=b"99999999999\n".ljust(512, b"\0"),
    ),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(content: bytes) -> None:
    with pytest.raises(Corrupt):
        members(content)


def test_sparse_with_more_data_than_there_is() -> None:
    header = info("a", size=3, pax_headers={"GNU.sparse.map": "0,90", "GNU.sparse.size": "99"})
    archive = Archive(Stream(in_chunks(written(header, content=b"abc"))))
    next(iter(archive))
    with pytest.raises(Corrupt, match="more data than it holds"):
        list(archive.data(90))
