"""Detach keys, as typed and as parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine.attach import Detached, DetachFilter, detach_sequence
from podling.errors import InvalidArgument


@pytest.mark.parametrize(
    ("keys", "sequence"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("", b""), ("a,b", b"ab"), ("ctrl-@", b"\0"), ("ctrl-_,x", b"\x1fx")],
)
def test_keys_are_parsed(keys: str, sequence: bytes) -> None:
    assert detach_sequence(keys) == sequence


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-ab", "ab", "ctrl-p,", "ctrl-P", "é"])
def test_bad_keys_are_refused(keys: str) -> None:
    with pytest.raises(InvalidArgument, match="detach keys"):
        detach_sequence(keys)


def test_the_sequence_detaches_across_reads() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert keys.feed(b"ls\n\x10") == b"ls\n"
    with pytest.raises(Detached):
        keys.feed(b"\x11")


def test_a_first_key_alone_reaches_the_container_late() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert keys.feed(b"\x10") == b""
    assert keys.feed(b"\x10") == b"\x10"
    assert keys.feed(b"x") == b"\x10x"


@given(st.lists(st.binary(max_size=5), max_size=8))
def test_without_the_sequence_nothing_is_lost(pieces: list[bytes]) -> None:
    keys = DetachFilter(b"\x10\x11")
    typed = b"".join(pieces)
    if b"\x10\x11" in typed:
        return
    passed = b"".join(keys.feed(piece) for piece in [*pieces, b"\n"])
    assert passed == typed + b"\n"
