"""The file with the package's code: used when it is right, and only then. Each run is a program of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "podling"
SHOW = """
import sys
sys.path.insert(0, {directory!r})
from podling import codecache
cache = codecache.install()
import podling.records, podling.oci.digest
loaders = [type(sys.modules[name].__spec__.loader).__name__ for name in ("podling.records", "podling.oci.digest")]
codecache.refresh(cache)
print(*loaders, cache.missed, getattr(podling.records, "MARK", ""))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a private copy of the package, without compiled files."""
    shutil.copytree(PACKAGE, tmp_path / "podling", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def load(directory: Path) -> list[str]:
    code = SHOW.format(directory=str(directory))
    return subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.split()


def cache_of(directory: Path) -> Path:
    (found,) = (directory / "podling" / "__pycache__").glob("code.*.cache")
    return found


def test_it_is_written_by_the_first_and_used_by_the_next(copy: Path) -> None:
    assert load(copy) == ["SourceFileLoader", "SourceFileLoader", "True"]
    assert load(copy) == ["CodeCache", "CodeCache", "False"]


def test_an_edited_source_is_what_runs(copy: Path) -> None:
    load(copy)
    source = copy / "podling" / "records.py"
    before = source.stat()
    source.write_text(source.read_text() + '\nMARK = "edited"\n')
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))  # even within one tick of the clock: its size differs
    assert load(copy)[:1] == ["SourceFileLoader"]
    assert load(copy) == ["CodeCache", "CodeCache", "False", "edited"]


@pytest.mark.parametrize("damage", [b"", b"podling code 1\n", b"x" * 100, b"podling code 1\n" + b"\xff" * 64])
def test_a_damaged_file_is_passed_over(copy: Path, damage: bytes) -> None:
    load(copy)
    cache_of(copy).write_bytes(damage)
    assert load(copy)[:2] == ["SourceFileLoader", "SourceFileLoader"]
    assert load(copy)[:2] == ["CodeCache", "CodeCache"]


def test_a_truncated_file_is_passed_over(copy: Path) -> None:
    load(copy)
    path = cache_of(copy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 20])
    assert load(copy)[2:3] in (["True"], ["False"])


def test_where_nobody_may_write_nothing_changes(copy: Path) -> None:
    load(copy)
    path = cache_of(copy)
    path.unlink()
    path.mkdir()
    assert load(copy)[:2] == ["SourceFileLoader", "SourceFileLoader"]
