"""The monitor's small pure parts, and the image it goes on in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podling.monitor import ending, image, oomwatch, shrink
from podling.monitor.control import integers
from podling.monitor.notify import passed_on
from podling.monitor.report import answer, escape


@pytest.mark.parametrize(
    ("line", "most", "numbers"),
    [
        (b"1 24 80", 3, [1, 24, 80]),
        (b" 1\t24  80 99", 3, [1, 24, 80]),
        (b"1 0x10 0x20", 3, [1, 0]),
        (b"1 10.5 20.3", 3, [1, 10]),
        (b"1 -1 -1", 3, [1, -1, -1]),
        (b"1 +2 0010", 3, [1, 2, 10]),
        (b"foo", 3, []),
        (b"- 1", 3, []),
        (b"", 2, []),
    ],
)
def test_integers_are_read_as_sscanf_does(line: bytes, most: int, numbers: list[int]) -> None:
    assert integers(line, most) == numbers


def test_only_safe_lines_are_relayed() -> None:
    message = b"READY=1\nSTATUS=up\rMAINPID=1\nFDSTORE=1\nWATCHDOG=trigger\nREADY=11\nERRNO=2"
    assert passed_on(message) == b"READY=1\nSTATUS=up\nWATCHDOG=trigger\nERRNO=2"
    assert passed_on(b"MAINPID=1") == b""


def test_messages_are_escaped_as_json() -> None:
    text = 'a "b" \\ /c\n\t\r\b\f\x01\x7f ü'
    assert escape(text) == r"a \"b\" \\ \/c\n\t\r\b\f\u0001\u007f ü"
    assert json.loads(f'"{escape(text)}"') == text
    assert escape("a\0b") == "a"


def test_answers() -> None:
    reader, writer = os.pipe()
    assert answer(writer, "data", -1, "no/good")
    assert answer(writer, "pid", 7)
    assert os.read(reader, 999) == b'{"data": -1, "message": "no\\/good"}\n{"pid": 7}\n'
    os.close(reader)
    assert not answer(writer, "data", 1)
    os.close(writer)


def test_exit_codes() -> None:
    assert [ending.exit_code(status) for status in (0, 3 << 8, 9, 15 | 0x80)] == [0, 3, 137, 143]


def test_cgroup_paths() -> None:
    v1 = "5:cpu,cpuacct:/a\n4:memory:/m/x:y\n0::/u\n"
    assert oomwatch.memory_path(v1) == "memory/m/x:y"
    assert oomwatch.unified_path(v1) == "/u"
    with pytest.raises(OSError):
        oomwatch.memory_path("0::/u\n")


def test_the_image_needs_built_in_modules_alone(tmp_path: Path) -> None:
    """Whatever else it imported would stay in memory for the container's life."""
    directory = Path(shrink.__file__).parent
    names = [*shrink.BASE, "logfile", "journald", "notify", *shrink.TOP]
    content = image.build([str(directory / f"{name}.py") for name in names])
    file = tmp_path / "image.pyc"
    file.write_bytes(content)
    probe = (
        "import sys, marshal\n"
        "before = set(sys.modules)\n"
        f"sys.argv = [{str(file)!r}]\n"
        "with open(sys.argv[0], 'rb') as image: code = marshal.loads(image.read()[16:])\n"
        "try: exec(code, {'__name__': '__main__'})\n"
        "except IndexError: pass\n"  # no state was given
        "for name in sorted(set(sys.modules) - before):\n"
        "    if not name.startswith('podling.'): print(name, getattr(sys.modules[name], '__file__', ''))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert {row[0] for row in rows} <= {"select", "_socket"}, rows
    assert all("lib-dynload" in row[1] for row in rows if len(row) > 1), rows
