"""Images as the verbs have them: pulled by policy in a child, removed unless a container uses them."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.layout import Entry, Layout
from lab.registry import Registry
from podling.engine import database, images
from podling.engine.container import Container, ContainerConfig, ContainerState, Status
from podling.engine.options import CreateOptions, Settings
from podling.errors import InUse, InvalidArgument, NotFound, Unavailable
from podling.image.progress import PlainProgress, Progress
from podling.image.request import PullRequest

ID = "c0" * 32


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Layout(tmp_path_factory.mktemp("layout"))
    base = made.add_layer([Entry("base", content=b"1")], "gzip")
    own = made.add_layer([Entry("own", content=b"2")], "gzip")
    made.name("one", made.add_image([base], {"Cmd": ["one"]}))
    made.name("two", made.add_image([base, own], {"Cmd": ["two"]}))
    made.save()
    return made.path


@pytest.fixture(scope="module")
def registry(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    scratch = tmp_path_factory.mktemp("registry")
    with Registry(scratch, scratch / "storage") as running:
        running.push(layout, "one", "box:1")
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def options(registry: Registry, **changes: Any) -> CreateOptions:
    return CreateOptions(cert_dir=str(registry.certificates), quiet=True, **changes)


def add(settings: Settings, layout: Path, *names: str) -> str:
    """Put an image of the layout into the store, under more names if given; return its ID."""
    source = f"oci:{layout}:{names[0]}"
    image = images.pull(settings, source, PullRequest(), Progress())
    for name in names[1:]:
        images.store_of(settings).tag(image.id, name)
    return image.id


def use(settings: Settings, image_id: str) -> None:
    """Let a container that has ended use an image."""
    config = ContainerConfig(id=ID, name="user", created=1, image_id=image_id)
    images.store_of(settings).prepare_rootfs(ID, image_id)
    with database.write(settings) as db:
        db.insert(Container(config=config, state=ContainerState(status=Status.EXITED)))


# pulling


def test_the_child_has_ended_and_left_nothing(settings: Settings, registry: Registry) -> None:
    before = set(os.listdir("/proc/self/fd"))
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before_children = children.read_text()
    image = images.ensure(settings, f"{registry.host}/box:1", options(registry))
    assert image.config["Cmd"] == ["one"]
    assert len(os.listdir("/proc/self/task")) == threading.active_count()
    assert set(os.listdir("/proc/self/fd")) == before
    assert children.read_text() == before_children


def test_run_imports_nothing_of_a_pull(settings: Settings, registry: Registry) -> None:
    """Neither when the image is there, nor after a pull: that was in the child."""
    program = (
        "import sys\n"
        "from podling.engine import images\n"
        "from podling.engine.options import CreateOptions, Settings\n"
        f"settings = Settings(root={settings.root!r}, runroot={settings.runroot!r})\n"
        f"asked = CreateOptions(cert_dir={str(registry.certificates)!r}, quiet=True)\n"
        f"for _ in range(2): images.ensure(settings, {registry.host + '/box:1'!r}, asked)\n"
        "heavy = {'ssl', 'urllib3', 'socket', 'threading', 'tomllib', 're', 'json', 'typing'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    bootstrap = f"import sys; sys.path[:0] = {path.split(os.pathsep)!r}\n"
    assert os.spawnl(os.P_WAIT, sys.executable, "python3", "-I", "-S", "-c", bootstrap + program) == 0


@pytest.mark.parametrize(
    ("policy", "is_here", "pulls"),
    [
        ("missing", False, True),
        ("missing", True, False),
        ("always", True, True),
        ("newer", True, True),
        ("never", True, False),
    ],
)
def test_policies(
    settings: Settings, registry: Registry, policy: str, is_here: bool, pulls: bool, tmp_path: Path
) -> None:
    name = f"{registry.host}/box:1"
    if is_here:
        images.ensure(settings, name, options(registry))
    with (tmp_path / "told").open("w+") as told:
        image = images.ensure(settings, name, options(registry, pull=policy), PlainProgress(told))
        told.seek(0)
        lines = told.read().splitlines()
    assert image.config["Cmd"] == ["one"]
    assert bool(lines) == pulls
    if pulls and not is_here:
        digest = image.manifest["layers"][0]["digest"]
        assert lines == [
            f"Trying to pull {name}...",
            "Getting image source signatures",
            f"Copying blob {digest}",
            f"Copying config sha256:{image.id}",
            "Writing manifest to image destination",
        ]


def test_policies_that_fail(settings: Settings, registry: Registry, layout: Path) -> None:
    with pytest.raises(NotFound, match=r"^nothing: image not known$"):
        images.ensure(settings, "nothing", options(registry, pull="never"))
    with pytest.raises(InvalidArgument, match='unsupported pull policy "sometimes"'):
        images.ensure(settings, "nothing", options(registry, pull="sometimes"))
    add(settings, layout, "one", "127.0.0.1:1/box:1")
    newer = images.ensure(settings, "127.0.0.1:1/box:1", options(registry, pull="newer"))
    assert newer.config["Cmd"] == ["one"], "what is here is good enough where the registry is gone"
    with pytest.raises(Unavailable, match="connection refused"):
        images.ensure(settings, "127.0.0.1:1/box:1", options(registry, pull="always"))
    with pytest.raises(InvalidArgument, match="referred to by ID"):
        images.ensure(settings, newer.id[:12], options(registry, pull="always"))


def test_an_image_of_another_platform_is_not_here(settings: Settings, registry: Registry, layout: Path) -> None:
    add(settings, layout, "one", "127.0.0.1:1/box:1")
    with pytest.raises(Unavailable, match="connection refused"):
        images.ensure(settings, "127.0.0.1:1/box:1", options(registry, platform="linux/s390x"))


# removing


def test_by_name_and_by_id(settings: Settings, layout: Path) -> None:
    one = add(settings, layout, "one")
    two = add(settings, layout, "two")
    removal = images.remove_images(settings, ["one", two[:12]])
    assert (removal.untagged, removal.deleted) == (["localhost/one:latest", "localhost/two:latest"], [one, two])
    assert (removal.exit_code, images.store_of(settings).images()) == (0, [])


def test_a_name_of_several(settings: Settings, layout: Path) -> None:
    one = add(settings, layout, "one", "x.org/a:1", "x.org/b:1")
    removal = images.remove_images(settings, ["b:1"])
    assert (removal.untagged, removal.deleted) == (["x.org/b:1"], [])
    refused = images.remove_images(settings, [one])
    assert refused.exit_code == 2
    assert "by ID with more than one tag (x.org/a:1, localhost/one:latest)" in str(refused.failures[0])
    assert images.remove_images(settings, [one], force=True).deleted == [one]


def test_what_a_container_uses_is_refused(settings: Settings, layout: Path) -> None:
    one, two = add(settings, layout, "one"), add(settings, layout, "two")
    use(settings, one)
    removal = images.remove_images(settings, [], all=True)
    assert (removal.deleted, removal.exit_code) == ([two], 2)
    assert isinstance(removal.failures[0], InUse)
    assert str(removal.failures[0]) == (
        f"image used by {ID}: image is in use by a container: consider listing external containers and "
        "force-removing image"
    )
    assert images.remove_images(settings, ["one"], force=True).deleted == [one]
    with database.read(settings) as db:
        assert db.container_ids() == set()
    assert os.listdir(f"{settings.root}/layers") == os.listdir(f"{settings.root}/containers") == []


def test_a_used_image_may_lose_a_name(settings: Settings, layout: Path) -> None:
    one = add(settings, layout, "one", "x.org/a:1")
    use(settings, one)
    assert images.remove_images(settings, ["x.org/a:1"]).exit_code == 0
    assert images.remove_images(settings, ["one"]).exit_code == 2
    assert images.store_of(settings).find_image("one").names == ["localhost/one:latest"]
    images.remove_images(settings, [one], force=True)


def test_unknown_names(settings: Settings, layout: Path) -> None:
    one = add(settings, layout, "one")
    removal = images.remove_images(settings, ["nothing", "one"])
    assert ([str(failure) for failure in removal.failures], removal.deleted) == (["nothing: image not known"], [one])
    assert removal.exit_code == 1
    assert images.remove_images(settings, ["nothing"], ignore=True).exit_code == 0
    assert images.remove_images(settings, ["nothing"], force=True).exit_code == 0
    assert images.remove_images(settings, [], all=True).exit_code == 0
    assert images.remove_images(settings, ["A B"]).exit_code == 125


def test_what_to_remove_must_be_said_once(settings: Settings) -> None:
    with pytest.raises(InvalidArgument, match="image name or ID must be specified"):
        images.remove_images(settings, [])
    with pytest.raises(InvalidArgument, match="when using the --all switch"):
        images.remove_images(settings, ["x"], all=True)
