"""The images of the lab, as an OCI layout, made in seconds of the host's own files and kept until they change.

| name      | what it is                                                                                      |
|-----------|-------------------------------------------------------------------------------------------------|
| fedora    | stands in for Fedora: an index of two platforms; four layers, gzip and zstd, whiteouts, links   |
| centos    | stands in for CentOS: shares the lower two layers                                               |
| toolbox   | fedora and a perl, the server in tests of ports                                                 |
| variants  | fedora with an entrypoint, a user, a working directory, a volume, ports, labels, a stop signal  |
| tiny      | one small layer: a static nothing, for tests of images alone                                    |

`/etc/os-release` in each says what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lab import rootfs
from lab.layout import Entry, Layout, directory, hardlink, opaque, symlink, whiteout

NAMES = ("fedora", "centos", "toolbox", "variants", "tiny")
CACHE = Path(__file__).resolve().parents[1] / ".lab"

SHELL = ["bash", "grep", "sed", "mawk", "hostname", "getent"]
SYSTEM = ["top", "ps", "mount", "umount", "ip", "unshare"]

Layer = tuple[dict[str, Any], str]


def coreutils() -> list[str]:
    """Return the names of the programs in Debian's coreutils."""
    listing = subprocess.run(["dpkg", "-L", "coreutils"], capture_output=True, text=True, check=True).stdout
    return sorted({Path(line).name for line in listing.splitlines() if "/bin/" in line} - {"["})


def config(name: str, **changes: Any) -> dict[str, Any]:
    """Return the run-time part of an image's config."""
    labels = {"org.podling.lab": name, "license": "the licences of the host's packages"}
    return {"Env": [f"PATH={rootfs.PATH}", "container=oci"], "Cmd": ["/bin/bash"], "Labels": labels, **changes}


def base(layout: Layout, name: str, present: set[str]) -> Layer:
    """Add the lowest layer: directories, accounts, a shell; and what upper layers take away again."""
    entries = [
        *rootfs.skeleton(f"Podling lab image standing in for {name}", f"Podling lab image ({name} stand-in)"),
        *rootfs.programs(SHELL, present),
        *rootfs.name_service(),
        symlink("usr/bin/sh", "bash"),
        Entry("etc/motd", content=b"removed by an upper layer\n"),
        directory("usr/share/replaced"),
        Entry("usr/share/replaced/lower", content=b"hidden by an opaque directory\n"),
    ]
    return layout.add_layer(entries, "gzip")


def tools(layout: Layout, present: set[str]) -> Layer:
    """Add the layer of everyday programs, with a hard link and an extended attribute among them."""
    entries = [
        *rootfs.programs(coreutils(), present),
        hardlink("usr/bin/[", "usr/bin/test"),
        Entry("usr/share/attributed", content=b"x", attributes={"user.podling": "lab"}),
    ]
    return layout.add_layer(entries, "zstd")


def system(layout: Layout, present: set[str]) -> Layer:
    """Add the layer of system programs: top and its terminals, a set-user-ID program, a whiteout, an opaque one."""
    entries = [
        *rootfs.programs(SYSTEM, present),
        *rootfs.terminal_descriptions(),
        Entry("usr/bin/as-root", mode=0o4755, content=rootfs.find_program("id").resolve()),
        whiteout("etc/motd"),
        directory("usr/share/replaced"),
        opaque("usr/share/replaced"),
        Entry("usr/share/replaced/upper", content=b"the opaque directory's own\n"),
    ]
    return layout.add_layer(entries, "gzip")


def release(layout: Layout, name: str) -> Layer:
    """Add the uppermost layer: a file that names the image, replaced from the layer below."""
    line = f"Podling lab image standing in for {name}\n"
    return layout.add_layer([Entry("etc/system-release", content=line.encode())], "zstd")


def add_platforms(layout: Layout, name: str, own: dict[str, Any]) -> None:
    """Name an index of this machine's image and one of another platform that must not be chosen."""
    marker = layout.add_layer([Entry("wrong-platform", content=b"you chose the wrong platform\n")], "gzip")
    layout.name(name, layout.add_index([layout.add_image([marker], config(name), "s390x"), own]))


def write(directory_path: Path) -> None:
    """Write the layout of all images."""
    layout = Layout(directory_path)
    present: set[str] = set()
    lower = [base(layout, "Fedora", present), tools(layout, present)]
    upper = system(layout, present)
    fedora = [*lower, upper, release(layout, "Fedora")]
    add_platforms(layout, "fedora", layout.add_image(fedora, config("fedora"), ARCHITECTURE))

    centos_name = rootfs.skeleton("Podling lab image standing in for CentOS", "Podling lab image (CentOS stand-in)")
    names = layout.add_layer([entry for entry in centos_name if entry.path == "usr/lib/os-release"], "gzip")
    centos = [*lower, upper, names, release(layout, "CentOS")]
    layout.name("centos", layout.add_image(centos, config("centos"), ARCHITECTURE))

    perl = layout.add_layer([*rootfs.programs(["perl"], present), *rootfs.perl_modules()], "gzip")
    layout.name("toolbox", layout.add_image([*fedora, perl], config("toolbox"), ARCHITECTURE))

    layout.name("variants", layout.add_image(fedora, config("variants", **VARIANTS), ARCHITECTURE))
    tiny = layout.add_layer([directory("etc"), Entry("etc/tiny", content=b"tiny\n")], "none")
    layout.name("tiny", layout.add_image([tiny], config("tiny", Cmd=["/nothing"]), ARCHITECTURE))
    layout.save()


ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64")
VARIANTS: dict[str, Any] = {
    "Entrypoint": ["/usr/bin/echo", "entrypoint"],
    "Cmd": ["command"],
    "User": "lab",
    "WorkingDir": "/srv/work",
    "Env": [f"PATH={rootfs.PATH}", "COLOUR=green", "SHAPE=round"],
    "Volumes": {"/var/data": {}},
    "ExposedPorts": {"8080/tcp": {}},
    "Labels": {"org.podling.lab": "variants", "colour": "green"},
    "StopSignal": "SIGUSR1",
}


def fingerprint() -> str:
    """Return what the images depend on, in short: this code and the host's packages."""
    state = Path("/var/lib/dpkg/status").stat()
    sources = b"".join((Path(__file__).parent / name).read_bytes() for name in ("images.py", "rootfs.py", "layout.py"))
    facts = json.dumps([hashlib.sha256(sources).hexdigest(), state.st_mtime_ns, state.st_size])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def ensure() -> Path:
    """Return the layout of the images, writing it first where the host or this code has changed."""
    path = CACHE / f"images-{fingerprint()}"
    if (path / "index.json").exists():
        return path
    CACHE.mkdir(exist_ok=True)
    for stale in CACHE.glob("images-*"):
        shutil.rmtree(stale)
    staging = CACHE / f"staging-{os.getpid()}"
    write(staging)
    staging.rename(path)
    return path
