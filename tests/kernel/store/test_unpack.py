"""Layers unpacked on a real file system: what they make, and that nothing leads out of their root."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.layout import Entry, archive, directory, hardlink, opaque, symlink, whiteout
from podling.errors import Corrupt, PodlingError, Unsupported
from podling.store import unpack

EPOCH = 1767225600  # what lab.layout gives to every file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty directory, beside one that no archive may touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("untouched")
    made = tmp_path / "root"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def outside_is_untouched(tmp_path: Path) -> Iterator[None]:
    yield
    outside = tmp_path / "outside"
    if outside.exists():
        assert [entry.name for entry in outside.iterdir()] == ["file"]
        assert (outside / "file").read_text() == "untouched"
        assert (outside / "file").stat().st_nlink == 1
        assert stat.S_IMODE((outside / "file").stat().st_mode) == 0o644


def put(root: Path, *entries: Entry) -> list[str]:
    content = archive(list(entries))
    return unpack.unpack(iter([content[:700], content[700:]]), str(root))


def is_whiteout(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, unpack.OPAQUE) == b"y"
    except OSError:
        return False


def test_everything_a_layer_may_hold(root: Path) -> None:
    implied = put(
        root,
        Entry("./", tarfile.DIRTYPE, 0o711),
        directory("etc", 0o755),
        Entry("etc/secret", mode=0o4750, content=b"x" * 3000, uid=1000, gid=2000),
        symlink("etc/link", "/nowhere"),
        hardlink("etc/again", "etc/secret"),
        Entry("dev/null", tarfile.CHRTYPE, 0o666, device=(1, 3)),
        Entry("dev/disk", tarfile.BLKTYPE, 0o660, device=(8, 1), gid=6),
        Entry("dev/pipe", tarfile.FIFOTYPE, 0o600),
        Entry("etc/marked", attributes={"user.colour": "green"}),
        Entry("empty"),
        directory("tmp", 0o1777),
    )
    assert implied == ["dev"]
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    secret = (root / "etc" / "secret").stat()
    assert (secret.st_size, secret.st_uid, secret.st_gid, stat.S_IMODE(secret.st_mode)) == (3000, 1000, 2000, 0o4750)
    assert (secret.st_nlink, secret.st_mtime) == (2, EPOCH)
    assert os.readlink(root / "etc" / "link") == "/nowhere"
    assert (root / "etc" / "link").lstat().st_mtime == EPOCH
    assert (root / "dev" / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "dev" / "null").stat().st_mode) == 0o666
    assert stat.S_ISBLK((root / "dev" / "disk").stat().st_mode)
    assert stat.S_ISFIFO((root / "dev" / "pipe").stat().st_mode)
    assert os.getxattr(root / "etc" / "marked", "user.colour") == b"green"
    assert (root / "etc").stat().st_mtime == EPOCH, "its files were made after it"
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777


def test_capabilities(root: Path) -> None:
    value = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # cap_net_raw=ep
    put(root, Entry("ping", attributes={"security.capability": value.decode("latin-1")}))
    assert os.getxattr(root / "ping", "security.capability") == value


def test_nanoseconds_of_times(root: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        header = tarfile.TarInfo("f")
        header.pax_headers = {"mtime": "1700000000.123456789"}
        made.addfile(header)
    unpack.unpack(iter([stream.getvalue()]), str(root))
    assert (root / "f").stat().st_mtime_ns == 1700000000123456789


def test_a_sparse_file_stays_sparse(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
        file.truncate(100 << 20)
    for form in ("gnu", "posix"):
        packed = tmp_path / f"{form}.tar"
        assert os.spawnlp(os.P_WAIT, "tar", "tar", f"--format={form}", "-Scf", packed, "-C", tmp_path, "sparse") == 0
        unpack.unpack(iter([packed.read_bytes()]), str(root))
        found = (root / "sparse").stat()
        assert (found.st_size, found.st_blocks < 1000) == (100 << 20, True)
        with (root / "sparse").open("rb") as file:
            assert file.seek(50 << 20) and file.read(4) == b"end\0"


# whiteouts


def test_whiteouts(root: Path) -> None:
    put(root, directory("a"), whiteout("a/gone"), whiteout("top"), opaque("a"), Entry("a/.wh..wh.plnk/1"))
    assert is_whiteout(root / "a" / "gone") and is_whiteout(root / "top")
    assert is_opaque(root / "a")
    assert sorted(entry.name for entry in (root / "a").iterdir()) == [".wh..wh.plnk", "gone"]


@pytest.mark.parametrize("late", [False, True])
def test_a_whiteout_and_the_layers_own(root: Path, late: bool) -> None:
    """What this layer has under the name of a whiteout stays, whichever comes first; a directory begins anew."""
    own = [directory("d"), Entry("d/f", content=b"new"), Entry("f", content=b"new")]
    hidden = [whiteout("d"), whiteout("f")]
    put(root, *(own + hidden if late else hidden + own))
    assert (root / "d" / "f").read_text() == (root / "f").read_text() == "new"
    assert is_opaque(root / "d")


def test_a_whiteout_below_which_an_implied_directory_appears(root: Path) -> None:
    assert put(root, whiteout("d"), Entry("d/f")) == [""]
    assert is_opaque(root / "d")


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.."])
def test_malformed_whiteouts(root: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="malformed whiteout"):
        put(root, Entry(name))


# duplicates


def test_the_last_of_several_wins(root: Path) -> None:
    put(
        root,
        Entry("f", content=b"1"),
        Entry("f", content=b"2"),
        directory("d"),
        Entry("d/old"),
        symlink("d", "f"),
        symlink("l", "f"),
        Entry("l", content=b"plain"),
        directory("x", 0o700),
        Entry("x/kept"),
        directory("x", 0o755),
        Entry("y"),
        directory("y"),
        Entry("y/in"),
    )
    assert (root / "f").read_text() == "2"
    assert os.readlink(root / "d") == "f"
    assert (root / "l").read_text() == "plain" and not (root / "l").is_symlink()
    assert (root / "x" / "kept").exists() and stat.S_IMODE((root / "x").stat().st_mode) == 0o755
    assert (root / "y" / "in").exists()


def test_a_link_to_itself_and_again(root: Path) -> None:
    put(root, Entry("f", content=b"x"), hardlink("f", "f"), hardlink("g", "f"), hardlink("g", "f"))
    assert (root / "g").read_text() == "x" and (root / "f").stat().st_nlink == 2


def test_replaced_directories_are_not_written_to(root: Path) -> None:
    """A parent that is kept open for the next member goes stale when its name gets another meaning."""
    put(root, directory("real"), symlink("d", "real"), Entry("d/1"), directory("d"), Entry("d/2"))
    assert sorted(entry.name for entry in (root / "real").iterdir()) == ["1"]
    assert sorted(entry.name for entry in (root / "d").iterdir()) == ["2"]


# ways out


@pytest.mark.parametrize(
    "name", ["../outside/file", "a/../../outside/file", "/../outside/file", "./../outside/file", "..", "a/../.."]
)
def test_names_that_lead_out(root: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="leads out of it"):
        put(root, directory("a"), Entry(name, content=b"evil"))


def test_absolute_names_are_below_the_root(root: Path) -> None:
    put(root, Entry("/etc//./x", content=b"1"), Entry("a/b/../c", content=b"2"))
    assert (root / "etc" / "x").read_text() == "1"
    assert (root / "a" / "c").read_text() == "2"


def test_symlinks_lead_to_places_below_the_root(root: Path, tmp_path: Path) -> None:
    put(root, directory("outside"), symlink("up", "../../outside"), Entry("up/file", content=b"inside"))
    assert (root / "outside" / "file").read_text() == "inside"
    put(root, symlink("lib", "/usr/lib"), directory("usr/lib"), Entry("lib/x"), whiteout("lib/y"))
    assert (root / "usr" / "lib" / "x").exists() and is_whiteout(root / "usr" / "lib" / "y")


@pytest.mark.parametrize(
    "entries",
    [
        [symlink("l", "{outside}"), Entry("l/file", content=b"evil")],
        [symlink("l", "{outside}/file"), Entry("l/x", content=b"evil")],
        [symlink("l", "/proc/self/root{outside}"), Entry("l/file", content=b"evil")],
        [hardlink("h", "{outside}/file")],
        [hardlink("h", "../outside/file")],
        [symlink("l", "{outside}"), hardlink("h", "l/file")],
        [symlink("l", "l"), Entry("l/x")],
        [Entry("f"), Entry("f/x")],
        [directory("d"), hardlink("h", "d")],
        [hardlink("h", "")],
        [symlink("l", "{outside}"), whiteout("l/file")],
        [symlink("l", "{outside}"), opaque("l")],
    ],
)
def test_links_out_are_refused(root: Path, tmp_path: Path, entries: list[Entry]) -> None:
    outside = str(tmp_path / "outside")
    told = [
        Entry(item.path, item.kind, item.mode, item.content, item.target.format(outside=outside)) for item in entries
    ]
    with pytest.raises(Corrupt):
        put(root, *told)


def test_a_symlink_is_replaced_not_followed(root: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "outside" / "file")
    put(root, symlink("l", target), Entry("l", content=b"mine"), symlink("m", target), hardlink("n", "m"))
    assert (root / "l").read_text() == "mine"
    assert (root / "n").is_symlink(), "a hard link to a symlink links the symlink"
    put(root, symlink("d", str(tmp_path / "outside")), directory("d", 0o700))
    assert (root / "d").is_dir() and not (root / "d").is_symlink()


def test_overlays_own_attributes_are_not_taken(root: Path) -> None:
    sly = {"trusted.overlay.redirect": "/etc", "trusted.overlay.opaque": "y", "trusted.overlay.metacopy": ""}
    put(root, Entry("d", tarfile.DIRTYPE, 0o755, attributes=sly), Entry("f", attributes=sly))
    assert [name for name in (*os.listxattr(root / "d"), *os.listxattr(root / "f")) if "overlay" in name] == []


# limits


def test_nesting_is_bounded(root: Path) -> None:
    with pytest.raises(Corrupt):
        put(root, Entry("d/" * 300 + "f"))
    deep = "d/" * 200
    with pytest.raises(Corrupt, match="nested more than"):
        put(root, directory(deep), symlink("s", deep), Entry(f"s/{deep}f"))


def test_number_of_entries_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "ENTRY_LIMIT", 10)
    with pytest.raises(Corrupt, match="more than 10 files"):
        put(root, *(Entry(str(number)) for number in range(11)))


@pytest.mark.parametrize("name", ["n" * 256, "a/" * 2500 + "f"])
def test_long_names(root: Path, name: str) -> None:
    with pytest.raises(Corrupt):
        put(root, Entry(name))


def test_unknown_kinds(root: Path) -> None:
    with pytest.raises(Unsupported, match="unknown kind"):
        put(root, Entry("x", b"Q"))


def test_names_are_printable_in_messages(root: Path) -> None:
    with pytest.raises(PodlingError) as raised:
        put(root, Entry("../\x1b[31mred\n"))
    assert str(raised.value) == 'archive has "../?[31mred?", which leads out of it'


def test_a_full_disk_is_told_as_such(root: Path) -> None:
    from podling.linux import syscalls

    syscalls.mount("tmpfs", str(root), "tmpfs", 0, "size=64k")
    try:
        with pytest.raises(OSError, match="No space left"):
            put(root, Entry("big", content=b"x" * 100_000))
    finally:
        syscalls.umount2(str(root))


# implied directories


def test_implied_directories_look_as_they_did(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    upper.mkdir()
    put(
        lower,
        Entry(".", tarfile.DIRTYPE, 0o555),
        directory("tmp", 0o1777),
        directory("srv", 0o2750),
        symlink("l", "tmp"),
    )
    os.chown(lower / "srv", 7, 8)
    implied = put(upper, Entry("tmp/f"), Entry("srv/new/f"), Entry("l/f"))
    assert implied == ["", "tmp", "srv", "srv/new", "l"]
    unpack.inherit(str(upper), implied, [str(lower)])
    assert stat.S_IMODE(upper.stat().st_mode) == 0o555
    assert stat.S_IMODE((upper / "tmp").stat().st_mode) == 0o1777
    srv = (upper / "srv").stat()
    assert (stat.S_IMODE(srv.st_mode), srv.st_uid, srv.st_gid, srv.st_mtime) == (0o2750, 7, 8, EPOCH)
    assert stat.S_IMODE((upper / "srv" / "new").stat().st_mode) == 0o755
    assert stat.S_IMODE((upper / "l").stat().st_mode) == 0o755
