"""index.json and the ways to name an image in it."""

from pathlib import Path
from typing import Any

import pytest

from podling.errors import Corrupt, InvalidArgument, NotFound
from podling.store import index, names
from podling.store.index import Entry
from podling.store.store import Store


def entry(number: int, name: str = "", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{number:064x}",
        "size": 10,
        "name": name,
        "image_id": f"{number:04x}" + "f" * 60,
        "created": 1_500_000_000_123_456_789,
        "image_size": 1234,
        "layers": [f"sha256:{number:064x}", f"sha256:{number + 1:064x}"],
        **changes,
    }
    return Entry(**values)


ENTRIES = [
    entry(0x1111, "docker.io/library/fedora:latest"),
    entry(0x1111, "quay.io/me/box:1"),
    entry(0x1222, "registry.fedoraproject.org/fedora:39"),
    entry(0xABCD, "localhost/fedora:latest"),
    entry(0xBEEF, pinned="quay.io/me/pinned@sha256:" + "c" * 64, index_digest="sha256:" + "c" * 64),
    entry(0xDEAD),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "root"), str(tmp_path / "run"))
    index.write(made.images_path, ENTRIES)
    return made


def test_what_is_written_is_read(store: Store) -> None:
    assert index.read(store.images_path) == ENTRIES


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"), str(tmp_path / "run"))
    assert store.images() == []
    with pytest.raises(NotFound, match=r"^fedora: image not known$"):
        store.find_image("fedora")
    assert list(tmp_path.iterdir()) == []


def test_images_are_grouped_by_id(store: Store) -> None:
    images = store.images()
    assert [image.id[:4] for image in images] == ["1111", "1222", "abcd", "beef", "dead"]
    assert images[0].names == ["docker.io/library/fedora:latest", "quay.io/me/box:1"]
    assert images[0].repo_digests == [
        f"docker.io/library/fedora@{images[0].digest}",
        f"quay.io/me/box@{images[0].digest}",
    ]
    assert images[3].names == []
    assert images[3].repo_digests == [f"quay.io/me/pinned@{images[3].digest}", "quay.io/me/pinned@sha256:" + "c" * 64]
    assert (images[0].created, images[0].size) == (1_500_000_000_123_456_789, 1234)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("docker.io/library/fedora:latest", 0x1111),
        ("docker.io/fedora", 0x1111),
        ("quay.io/me/box:1", 0x1111),
        ("box:1", 0x1111),
        ("me/box:1", 0x1111),
        ("fedora:39", 0x1222),
        ("localhost/fedora", 0xABCD),
        ("1222", 0x1222),
        ("sha256:1222", 0x1222),
        ("abcd" + "f" * 60, 0xABCD),
        ("sha256:abcd" + "f" * 60, 0xABCD),
        ("dead", 0xDEAD),
        ("quay.io/me/pinned@sha256:" + "c" * 64, 0xBEEF),
        ("pinned:ignored@sha256:" + "c" * 64, 0xBEEF),
        (f"quay.io/me/box@sha256:{0x1111:064x}", 0x1111),
    ],
)
def test_found(text: str, found: int) -> None:
    assert names.select(ENTRIES, text).image_id.startswith(f"{found:04x}")


@pytest.mark.parametrize("text", ["box", "edora", "quay.io/fedora", "f0", "0" * 64, "pinned", "box@sha256:" + "c" * 64])
def test_not_found(text: str) -> None:
    with pytest.raises(NotFound, match="image not known"):
        names.select(ENTRIES, text)


def test_ambiguous_prefix() -> None:
    with pytest.raises(InvalidArgument, match="ambiguous"):
        names.select(ENTRIES, "1")


def test_a_name_goes_before_an_id() -> None:
    entries = [*ENTRIES, entry(0x7777, "localhost/dead:latest")]
    assert names.select(entries, "dead").image_id.startswith("7777")


def test_a_name_that_fits_several() -> None:
    entries = [entry(0x1, "quay.io/x/box:1"), entry(0x2, "x.org/box:1"), entry(0x3, "localhost/box:1")]
    asked: list[str] = []

    def prefer(path: str) -> list[str]:
        asked.append(path)
        return ["y.org/box", "x.org/box"]

    assert names.select(entries, "box:1").image_id.startswith("0003")
    assert names.select(entries, "box:1", prefer).image_id.startswith("0002")
    assert names.select(entries, "quay.io/x/box:1", prefer).image_id.startswith("0001")
    assert names.select(entries, "x/box:1", prefer).image_id.startswith("0001")
    assert asked == ["box"], "only where there is a choice"


def test_the_full_name_of_a_short_one(store: Store) -> None:
    image = store.find_image("box:1")
    assert store.resolve_name(image, "box:1") == "quay.io/me/box:1"
    assert store.resolve_name(image, "1111") == ""
    assert store.resolve_name(image, image.id) == ""


def test_tag_takes_the_name_from_another(store: Store) -> None:
    store.tag("1222", "localhost/fedora:latest")
    assert store.find_image("localhost/fedora").id.startswith("1222")
    assert store.find_image("abcd").names == []


def test_untag_keeps_the_image(store: Store) -> None:
    store.untag("quay.io/me/box:1")
    assert store.find_image("1111").names == ["docker.io/library/fedora:latest"]
    store.untag("docker.io/library/fedora:latest")
    assert store.find_image("1111").names == []
    with pytest.raises(NotFound, match="tag not known"):
        store.untag("quay.io/me/box:1")


def test_what_others_wrote_stays(store: Store) -> None:
    path = Path(store.images_path, "index.json")
    foreign = '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:00","size":1},'
    path.write_text(path.read_text().replace('"manifests":[', '"manifests":[' + foreign))
    store.untag("quay.io/me/box:1")
    assert foreign.rstrip(",") in path.read_text()
    assert len(store.images()) == 5


def test_a_damaged_index_is_named(store: Store) -> None:
    Path(store.images_path, "index.json").write_text("{")
    with pytest.raises(Corrupt):
        store.images()
