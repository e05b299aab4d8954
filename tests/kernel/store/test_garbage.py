"""What is removed with an image, what stays, and what a killed process leaves for the next one to remove."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.layout import Entry
from podling.errors import InUse, NotFound, Unavailable
from podling.linux import syscalls
from podling.linux.locks import Lock
from podling.store.image import Image
from podling.store.index import Entry as IndexEntry
from podling.store.staging import Staging
from podling.store.store import Gone, Store

ID = "c0" * 32
SHARED = [Entry("shared", content=b"shared")]
OWN = [Entry("own", content=b"own")]

Make = Callable[..., Image]


def inventory(store: Store) -> dict[str, set[str]]:
    return {
        place: set(os.listdir(f"{store.root}/{place}")) if os.path.isdir(f"{store.root}/{place}") else set()
        for place in ("images", "images/blobs/sha256", "layers", "staging")
    }


def test_an_image_goes_with_what_only_it_needs(store: Store, make: Make) -> None:
    kept = make("kept", SHARED)
    before = inventory(store)
    gone = make("gone", SHARED, OWN)
    removed = store.remove_image(gone.id)
    assert inventory(store) == before
    assert len(removed) == 4, "manifest, configuration, a blob, a layer"
    assert [image.id for image in store.images()] == [kept.id]
    with pytest.raises(NotFound, match="image not known"):
        store.remove_image(gone.id)
    store.remove_image(kept.id)
    assert inventory(store) == {
        "images": {"blobs", "index.json", "oci-layout"},
        "images/blobs/sha256": set(),
        "layers": set(),
        "staging": set(),
    }


def test_a_guard_refuses_before_anything_changes(store: Store, make: Make) -> None:
    image = make("one", SHARED)
    before = inventory(store)

    def guard() -> None:
        raise InUse("in use")

    with pytest.raises(InUse):
        store.remove_image(image.id, guard=guard)
    assert inventory(store) == before and store.find_image("one").id == image.id


def test_a_container_keeps_its_layers(store: Store, make: Make) -> None:
    image = make("one", SHARED, OWN)
    store.prepare_rootfs(ID, image.id)
    store.remove_image(image.id)
    assert len(inventory(store)["layers"]) == 2
    assert Path(store.mount_rootfs(ID, image.id), "own").read_text() == "own"
    store.remove_rootfs(ID)
    assert len(inventory(store)["layers"]) == 2, "removing a container is not the time to look"
    store.sweep(set)
    assert inventory(store)["layers"] == set()


def test_blobs_of_an_image_that_others_put_in_stay(store: Store, make: Make, tmp_path: Path) -> None:
    """skopeo may copy into the layout; its image is none of ours, and its blobs are not garbage."""
    make("ours", SHARED)
    make("other", OWN)
    source = f"oci:{tmp_path}/layout-other:other"
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", source, f"oci:{store.images_path}:by-skopeo"]
    assert os.spawnlp(os.P_WAIT, command[0], *command) == 0
    store.remove_image(store.find_image("other").id)
    check = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        f"oci:{store.images_path}:by-skopeo",
        f"dir:{tmp_path}/out",
    ]
    assert os.spawnlp(os.P_WAIT, check[0], *check) == 0
    assert [image.names for image in store.images()] == [["localhost/ours:latest"]]


def test_skopeo_reads_our_layout(store: Store, make: Make, tmp_path: Path) -> None:
    make("one", SHARED, OWN)
    source = f"oci:{store.images_path}:localhost/one:latest"
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", source, f"dir:{tmp_path}/out"]
    assert os.spawnlp(os.P_WAIT, command[0], *command) == 0
    assert len(os.listdir(tmp_path / "out")) == 5


# killed at work


def abandon(staging: Staging) -> None:
    """Leave a staging directory as a killed process does: there, and not locked."""
    staging.__enter__()
    os.close(staging._fd)


def test_nothing_to_sweep(store: Store, make: Make) -> None:
    make("one", SHARED)
    before = inventory(store)
    assert store.sweep_staging() == []
    assert inventory(store) == before


def test_partial_files_of_the_dead_are_swept(store: Store, make: Make) -> None:
    make("one", SHARED)
    before = inventory(store)
    dead = Staging(store.root)
    abandon(dead)
    Path(dead.blob("ab")).write_text("partial")
    Path(dead.layer("0"), "diff").mkdir(parents=True)
    assert store.sweep_staging() == [dead.path]
    assert inventory(store) == before


def test_a_commit_cut_short_is_swept(store: Store, make: Make) -> None:
    """Blobs and layers that were renamed into place before the index named them."""
    make("one", SHARED)
    before = inventory(store)
    abandon(Staging(store.root))
    Path(store.images_path, "blobs", "sha256", "ab" * 32).write_text("orphan")
    Path(store.root, "layers", "ab" * 10, "diff").mkdir(parents=True)
    Path(store.images_path, ".staged-1-index.json").write_text("{")
    store.sweep_staging()
    assert inventory(store) == before


def test_a_removal_cut_short_is_swept(store: Store, make: Make) -> None:
    """The index was rewritten, the files were not yet taken away."""
    before = inventory(store)
    image = make("one", SHARED)
    index = Path(store.images_path, "index.json")
    index.write_text('{"schemaVersion": 2, "manifests": []}')
    abandon(Staging(store.root))
    store.sweep_staging()
    assert inventory(store)["layers"] == before["layers"] == set()
    assert not Path(image.config_path).exists()


def test_the_work_of_the_living_is_left_alone(store: Store) -> None:
    with Staging(store.root) as alive:
        Path(alive.blob("ab")).write_text("partial")
        assert store.sweep_staging() == []
        assert Path(alive.blob("ab")).exists()
    assert os.listdir(f"{store.root}/staging") == []


def test_a_staging_directory_swept_at_birth_is_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper may come between mkdir and flock."""
    born: list[str] = []
    mkdir = os.mkdir

    def interrupted(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if not born and "/staging/" in path:
            born.append(path)
            store.sweep_staging()
            assert not os.path.exists(path)
            mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", interrupted)
    with Staging(store.root) as staging:
        assert os.path.isdir(f"{staging.path}/blobs")


def test_sweep_removes_containers_of_nobody(store: Store, make: Make) -> None:
    image = make("one", SHARED)
    other = "d0" * 32
    for container_id in (ID, other):
        store.prepare_rootfs(container_id, image.id)
    store.mount_rootfs(ID, image.id)
    assert store.sweep(lambda: {other}) == [f"{store.root}/containers/{ID}"]
    assert os.listdir(f"{store.root}/containers") == [other]
    store.remove_rootfs(other)


def test_a_tree_deeper_than_any_path(store: Store, make: Make) -> None:
    """A container may nest directories until neither a path nor a stack reaches their end."""
    image = make("one", SHARED)
    store.prepare_rootfs(ID, image.id)
    directory = os.open(f"{store.root}/containers/{ID}/diff", os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    store.remove_rootfs(ID)
    assert os.listdir(f"{store.root}/containers") == []


def test_nobody_else_reaches_what_images_hold(store: Store, make: Make) -> None:
    """A set-user-ID program of an image must not be one of the host's."""
    make("one", SHARED)
    for path in (store.root, f"{store.root}/layers", f"{store.root}/staging"):
        assert os.stat(path).st_mode & 0o077 == 0


@pytest.fixture
def stuck_index(store: Store, make: Make) -> Iterator[None]:
    """Make index.json a mount point, which no rename replaces."""
    make("one", SHARED)
    index = f"{store.images_path}/index.json"
    syscalls.mount(index, index, None, syscalls.MS_BIND)
    yield
    syscalls.umount2(index)


def test_a_commit_that_fails_is_undone(store: Store, make: Make, stuck_index: None) -> None:
    before = inventory(store)
    with pytest.raises(Unavailable, match=r"storing image localhost/two:latest: .*busy"):
        make("two", OWN)
    assert inventory(store) == before
    assert [image.names for image in store.images()] == [["localhost/one:latest"]]


def test_a_removal_that_fails_removes_nothing(store: Store, make: Make, stuck_index: None) -> None:
    before = inventory(store)
    with pytest.raises(OSError, match="busy"):
        store.remove_image(store.find_image("one").id)
    assert inventory(store) == before


def test_a_removal_stopped_half_way_is_finished_by_a_sweep(store: Store, make: Make) -> None:
    image = make("one", SHARED)
    layers = f"{store.root}/layers"
    syscalls.mount(layers, layers, None, syscalls.MS_BIND)  # another mount: nothing can be renamed out of it
    try:
        with pytest.raises(OSError, match="cross-device"):
            store.remove_image(image.id)
    finally:
        syscalls.umount2(layers)
    assert store.images() == []
    store.sweep_staging()
    assert inventory(store)["layers"] == inventory(store)["images/blobs/sha256"] == set()


# at the same time


def test_a_layer_that_went_while_a_pull_counted_on_it(store: Store, make: Make) -> None:
    image = make("one", SHARED)
    entry = IndexEntry(
        media_type="m", digest=image.digest, size=1, name="x/y:z", image_id=image.id, layers=["sha256:" + "9" * 64]
    )
    before = Path(store.images_path, "index.json").read_bytes()
    with Staging(store.root) as staging, pytest.raises(Gone):
        store.add_image(staging, entry, {}, {})
    assert Path(store.images_path, "index.json").read_bytes() == before


def test_a_pull_plans_again_when_something_went(store: Store, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make("one", SHARED)
    add_image = Store.add_image
    calls: list[str] = []

    def removed_meanwhile(self: Store, staging: Staging, entry: IndexEntry, *rest: object) -> Image:
        calls.append(entry.name)
        if len(calls) == 1:
            shutil.rmtree(f"{store.root}/layers")
        return add_image(self, staging, entry, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "add_image", removed_meanwhile)
    image = make("two", SHARED, OWN)
    assert len(calls) == 2
    store.prepare_rootfs(ID, image.id)
    assert Path(store.mount_rootfs(ID, image.id), "shared").read_text() == "shared"


def test_readers_need_no_lock(store: Store, make: Make) -> None:
    make("one", SHARED)
    with Lock(f"{store.runroot}/locks/store"):
        assert store.find_image("one").names == ["localhost/one:latest"]
