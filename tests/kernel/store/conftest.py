"""A store of its own for each test, and images put into it from an OCI layout."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.layout import Entry, Layout
from podling.image.progress import Progress
from podling.image.pull import pull
from podling.image.request import PullRequest
from podling.store.image import Image
from podling.store.store import Store

Make = Callable[..., Image]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store; what is mounted in it at the end is unmounted."""
    made = Store(str(tmp_path / "root"), str(tmp_path / "run"))
    yield made
    for container in Path(made.root, "containers").glob("*"):
        made.remove_rootfs(container.name)


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Make:
    """Return a maker of images: a name, the entries of each layer, and the configuration."""

    def image(
        name: str, *layers: list[Entry], compression: str = "gzip", config: dict[str, Any] | None = None
    ) -> Image:
        layout = Layout(tmp_path / f"layout-{name}")
        packed = [layout.add_layer(entries, compression) for entries in layers]
        layout.name(name, layout.add_image(packed, {"Cmd": [name], **(config or {})}))
        layout.save()
        return pull(store, f"oci:{layout.path}:{name}", PullRequest(), Progress())

    return image
