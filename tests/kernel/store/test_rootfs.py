"""Roots of containers: overlay mounts by both interfaces of the kernel, options, and idmapped layers."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.layout import Entry, directory, opaque, whiteout
from podling.errors import NotFound, Unsupported
from podling.linux import syscalls
from podling.store import overlay
from podling.store.idmap import IdMappings
from podling.store.image import Image
from podling.store.store import Store

ID = "c0" * 32
LOWER = [
    directory(".", 0o711),
    directory("etc"),
    Entry("etc/old", content=b"old"),
    Entry("etc/kept", content=b"kept", uid=5, gid=6),
    directory("d"),
    Entry("d/hidden"),
]
UPPER = [whiteout("etc/old"), opaque("d"), Entry("d/shown")]


def mounts(store: Store) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {store.root}/" in line]


@pytest.fixture(params=["fsconfig", "mount(2)"])
def interface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mount by fsconfig `lowerdir+`, and by one string of options as on kernels that lack it."""
    if request.param == "mount(2)":
        monkeypatch.setattr(overlay, "_STRING_LIMIT", 0)
    return str(request.param)


def test_layers_are_put_together(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("two", LOWER, UPPER)
    store.prepare_rootfs(ID, image.id)
    merged = Path(store.mount_rootfs(ID, image.id))
    assert sorted(entry.name for entry in (merged / "etc").iterdir()) == ["kept"]
    assert sorted(entry.name for entry in (merged / "d").iterdir()) == ["shown"]
    assert stat.S_IMODE(merged.stat().st_mode) == 0o711, "the root looks as the image's root"
    kept = (merged / "etc" / "kept").stat()
    assert (kept.st_uid, kept.st_gid) == (5, 6)
    (merged / "etc" / "mine").write_text("x")
    assert Path(store.root, "containers", ID, "diff", "etc", "mine").read_text() == "x"
    options = mounts(store)[0]
    assert "redirect_dir=nofollow" in options and "metacopy=on" not in options
    assert ("lowerdir+=" in options) == (interface == "fsconfig")


def test_every_step_may_be_repeated(store: Store, make: Callable[..., Image]) -> None:
    image = make("one", LOWER)
    for _ in range(2):
        store.prepare_rootfs(ID, image.id)
    assert store.mount_rootfs(ID, image.id) == store.mount_rootfs(ID, image.id)
    assert len(mounts(store)) == 1
    for _ in range(2):
        store.unmount_rootfs(ID)
    assert mounts(store) == []
    store.mount_rootfs(ID, image.id)
    for _ in range(2):
        store.remove_rootfs(ID)
    assert mounts(store) == [] and os.listdir(f"{store.root}/containers") == []


def test_what_was_written_is_there_after_a_remount(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    Path(store.mount_rootfs(ID, image.id), "mine").write_text("x")
    store.unmount_rootfs(ID)
    assert Path(store.mount_rootfs(ID, image.id), "mine").read_text() == "x"


def test_a_busy_root_is_detached(store: Store, make: Callable[..., Image]) -> None:
    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    busy = os.open(store.mount_rootfs(ID, image.id), os.O_RDONLY)
    try:
        store.remove_rootfs(ID)
        assert mounts(store) == []
    finally:
        os.close(busy)


def test_read_only_and_flags(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    merged = Path(store.mount_rootfs(ID, image.id, read_only=True, options=["nodev", "nosuid"]))
    with pytest.raises(OSError, match="Read-only"):
        (merged / "x").touch()
    assert {"ro", "nodev", "nosuid"} <= set(mounts(store)[0].split()[5].split(","))


def test_volatile_can_be_mounted_again(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    for _ in range(2):
        store.mount_rootfs(ID, image.id, options=["volatile"])
        assert "volatile" in mounts(store)[0]
        store.unmount_rootfs(ID)


def test_an_image_without_layers(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("scratch")
    store.prepare_rootfs(ID, image.id)
    merged = Path(store.mount_rootfs(ID, image.id))
    (merged / "x").write_text("x")
    assert [entry.name for entry in merged.iterdir()] == ["x"]


def test_many_layers(store: Store, make: Callable[..., Image], interface: str) -> None:
    image = make("many", *([Entry(f"f{number}", content=b"x")] for number in range(100)))
    store.prepare_rootfs(ID, image.id)
    assert len(os.listdir(store.mount_rootfs(ID, image.id))) == 100


def test_too_many_layers_for_one_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_STRING_LIMIT", 0)
    os.makedirs(f"{store.root}/containers/{ID}/merged")
    chain_ids = [f"sha256:{number:064x}" for number in range(300)]
    with pytest.raises(Unsupported, match="300 layers do not fit"):
        overlay.mount(store.root, ID, chain_ids)


def test_a_root_far_down(make: Callable[..., Image], store: Store, tmp_path: Path) -> None:
    """Beyond 255 bytes fsconfig takes no name; mount(2) is given short ones."""
    image = make("one", LOWER)
    deep = tmp_path / ("d" * 200) / ("e" * 100)
    deep.mkdir(parents=True)
    os.rename(store.root, deep / "root")
    far = Store(str(deep / "root"), store.runroot)
    try:
        far.prepare_rootfs(ID, image.id)
        assert os.path.exists(f"{far.mount_rootfs(ID, image.id)}/etc/kept")
    finally:
        far.remove_rootfs(ID)


def test_unknown_things(store: Store) -> None:
    with pytest.raises(NotFound, match="image not known"):
        store.prepare_rootfs(ID, "0" * 64)
    with pytest.raises(NotFound, match="no root file system"):
        store.mount_rootfs(ID, "0" * 64)
    store.unmount_rootfs(ID)
    store.remove_rootfs(ID)
    assert not os.path.exists(f"{store.root}/containers")


SHIFTED = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def test_idmapped(store: Store, make: Callable[..., Image], interface: str) -> None:
    """The image's files belong to the mapped root in the mount; what it writes holds the host's IDs."""
    image = make("two", LOWER, UPPER)
    store.prepare_rootfs(ID, image.id)
    merged = Path(store.mount_rootfs(ID, image.id, userns=IdMappings(uids=SHIFTED, gids=SHIFTED)))
    kept = (merged / "etc" / "kept").stat()
    assert (kept.st_uid, kept.st_gid) == (100005, 100006)
    assert len(mounts(store)) == 1, "the mapped clones are gone"
    command = ["setpriv", "--reuid=100000", "--regid=100000", "--clear-groups"]
    subprocess.run([*command, "sh", "-c", "echo new > etc/new; mv etc/kept etc/moved"], cwd=merged, check=True)
    upper = Path(store.root, "containers", ID, "diff", "etc")
    assert [(upper / name).stat().st_uid for name in ("new", "moved")] == [100000, 100005]
    store.unmount_rootfs(ID)
    merged = Path(store.mount_rootfs(ID, image.id, userns=IdMappings(uids=SHIFTED, gids=SHIFTED)))
    assert (merged / "etc" / "new").stat().st_uid == 100000


def test_a_failed_mapped_mount_leaves_nothing(store: Store, make: Callable[..., Image]) -> None:
    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    with pytest.raises(OSError):
        store.mount_rootfs(ID, image.id, userns=IdMappings(uids=SHIFTED, gids=SHIFTED), options=["nonsense=1"])
    assert mounts(store) == []
    assert sorted(os.listdir(f"{store.root}/containers/{ID}")) == ["diff", "image", "merged", "work"]


def test_without_overlayfs(store: Store, make: Callable[..., Image], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_kind: str) -> int:
        raise OSError(19, "No such device")

    image = make("one", LOWER)
    store.prepare_rootfs(ID, image.id)
    monkeypatch.setattr(syscalls, "fsopen", missing)
    with pytest.raises(Unsupported, match="no overlayfs"):
        store.mount_rootfs(ID, image.id)
