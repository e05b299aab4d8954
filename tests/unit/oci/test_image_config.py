"""Image configurations, their times, and digests."""

import datetime
import hashlib

import pytest

from podling.errors import Corrupt, InvalidArgument
from podling.oci import digest, image_config

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2026-01-01T00:00:00Z", 1767225600 * SECOND),
        ("2026-01-01T02:00:00.123456789+02:00", 1767225600 * SECOND + 123456789),
        ("2025-12-31T22:30:00-01:30", 1767225600 * SECOND),
        ("2024-02-29T12:00:00Z", 1709208000 * SECOND),
        ("0001-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times(text: str, nanoseconds: int) -> None:
    assert image_config.nanoseconds(text) == nanoseconds


def test_every_day_of_a_few_centuries() -> None:
    day = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    while day.year < 2110:
        assert image_config.nanoseconds(day.strftime("%Y-%m-%dT%H:%M:%SZ")) == int(day.timestamp()) * SECOND
        day += datetime.timedelta(days=17, hours=5)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{",
        b"{}",
        b'{"rootfs": {"diff_ids": "x"}}',
        b'{"rootfs": {"diff_ids": ["sha256:short"]}}',
        b'{"rootfs": {}, "config": []}',
        b'{"rootfs": {}, "history": {}}',
    ],
)
def test_malformed(content: bytes) -> None:
    with pytest.raises(Corrupt):
        image_config.parse(content)


def test_an_image_without_layers() -> None:
    document = image_config.parse(b'{"rootfs": {"type": "layers", "diff_ids": null}, "config": null}')
    assert image_config.diff_ids(document) == []
    assert image_config.created(document) == 0


def test_chain_ids() -> None:
    first, second = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    both = hashlib.sha256(f"{first} {second}".encode()).hexdigest()
    assert digest.chain_ids([first, second]) == [first, f"sha256:{both}"]
    assert digest.chain_ids([]) == []


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "0" * 64, None, 5])
def test_what_is_no_digest(text: object) -> None:
    assert not digest.is_digest(text)


def test_a_bad_digest_never_becomes_a_path() -> None:
    with pytest.raises(InvalidArgument, match="invalid digest"):
        digest.hex_of("sha256:" + "../" * 21 + "a")
