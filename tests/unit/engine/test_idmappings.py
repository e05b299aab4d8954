"""The mappings of user namespaces: parsed, found, allocated."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine import idmappings
from podling.errors import InvalidArgument


def row(container: int, host: int, size: int) -> dict[str, int]:
    return {"containerID": container, "hostID": host, "size": size}


def test_parse() -> None:
    assert idmappings.parse(["0:100000:5", "7:8"], "UID") == [row(0, 100000, 5), row(7, 8, 1)]
    assert idmappings.parse(["u0:1:1", "g0:2:1"], "UID") == [row(0, 1, 1)]
    assert idmappings.parse(["u0:1:1", "g0:2:1"], "GID") == [row(0, 2, 1)]


@pytest.mark.parametrize("text", ["0", "0:1:2:3", "x:1:2", ":1:2", "0:x:1", "0:1:-1", "0:1:4294967296"])
def test_refusals(text: str) -> None:
    with pytest.raises(InvalidArgument):
        idmappings.parse([text], "UID")


def test_ranges_of(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("bob:1000:5\n# c\ncontainers:200000:10\nbad\ncontainers:300000:x\ncontainers:400000:20\n")
    assert idmappings.ranges_of(str(path), "containers") == [(200000, 10), (400000, 20)]
    with pytest.raises(InvalidArgument, match='no subuid ranges found for user "eve"'):
        idmappings.ranges_of(str(path), "eve")
    assert idmappings.from_zero([(200000, 10), (400000, 20)]) == [row(0, 200000, 10), row(10, 400000, 20)]


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=5)


@given(ranges, ranges)
def test_subtract(some: list[tuple[int, int]], taken: list[tuple[int, int]]) -> None:
    def members(rows: list[tuple[int, int]]) -> set[int]:
        return {number for first, count in rows for number in range(first, first + count)}

    assert members(idmappings.subtract(some, taken)) == members(some) - members(taken)


def test_allocation(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("containers:1000:100\n")
    assert idmappings._allocate(str(path), 50, [], []) == [row(0, 1000, 50)]
    assert idmappings._allocate(str(path), 50, [(1000, 50)], []) == [row(0, 1050, 50)]
    split = idmappings._allocate(str(path), 50, [(1010, 30)], [])
    assert split == [row(0, 1000, 10), row(10, 1040, 40)]
    extra = idmappings._allocate(str(path), 10, [], [row(5, 1, 1)])
    assert extra == [row(0, 1000, 5), row(6, 1005, 4), row(5, 1, 1)]
    with pytest.raises(InvalidArgument, match=r"^could not find enough available IDs$"):
        idmappings._allocate(str(path), 50, [(1000, 60)], [])
