"""A large image of the host's own files: five layers of about 30 MB, to be pulled."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lab.images import ARCHITECTURE, CACHE, config
from lab.layout import Entry, Layout, directory
from lab.registry import Registry

LAYERS = 5
LAYER_BYTES = 30 << 20
SOURCES = ("/usr/lib", "/usr/share", "/usr/bin")


def host_files() -> Iterator[Path]:
    """Return regular files of the host's packages, in a fixed order."""
    for source in SOURCES:
        for place, directories, names in os.walk(source):
            directories.sort()
            for name in sorted(names):
                path = Path(place, name)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and 0 < status.st_size < LAYER_BYTES // 4:
                    yield path


def layers() -> Iterator[list[Entry]]:
    """Return the layers' entries."""
    files = host_files()
    for number in range(LAYERS):
        entries, size = [directory(f"layer{number}")], 0
        while size < LAYER_BYTES:
            path = next(files)
            size += path.stat().st_size
            entries.append(Entry(f"layer{number}/{str(path).replace('/', '-')}", content=path))
        yield entries


def ensure_storage(scratch: Path) -> Path:
    """Return a registry's storage with the image `large`, made when it is not there."""
    storage = CACHE / "bench-registry"
    if storage.exists():
        return storage
    layout = Layout(scratch / "large")
    added = [layout.add_layer(entries, "gzip") for entries in layers()]
    layout.name("large", layout.add_image(added, config("large"), ARCHITECTURE))
    layout.save()
    CACHE.mkdir(exist_ok=True)
    staging = storage.with_name(f"staging-bench-{os.getpid()}")
    with Registry(scratch / "filling", staging) as registry:
        registry.push(layout.path, "large")
    staging.rename(storage)
    return storage
