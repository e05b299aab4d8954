"""A root file system made of the host's own files: programs, the libraries they load, and what those read.

Every path is written in its merged-/usr form (usr/bin, usr/lib, usr/lib64), as Fedora and Debian have it.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

from lab.layout import Entry, directory, symlink

PASSWD = """root:x:0:0:root:/root:/bin/bash
bin:x:1:1:bin:/bin:/usr/sbin/nologin
daemon:x:2:2:daemon:/sbin:/usr/sbin/nologin
mail:x:8:12:mail:/var/spool/mail:/usr/sbin/nologin
lab:x:1000:1000:Lab user:/home/lab:/bin/bash
nobody:x:65534:65534:Kernel Overflow User:/:/usr/sbin/nologin
"""
GROUP = """root:x:0:
bin:x:1:
daemon:x:2:
mail:x:12:
wheel:x:10:lab
lab:x:1000:
nobody:x:65534:
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERMINALS = ("xterm", "xterm-256color", "screen", "linux", "vt100", "dumb")


def merged(path: Path) -> str:
    """Return a host path as it is named in the image: without the leading slash, under usr/."""
    text = str(path).lstrip("/")
    return text if text.startswith(("usr/", "etc/", "var/")) else f"usr/{text}"


def libraries_of(program: Path) -> list[Path]:
    """Return the shared libraries and the loader that a program needs, as the loader names them."""
    result = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", result.stdout)]


def find_program(name: str) -> Path:
    """Return where the host has a program."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise FileNotFoundError(f"the lab's images need {name} on this host")
    return Path(found)


def copy(path: Path, mode: int | None = None) -> Entry:
    """Return a host file as a member, links resolved."""
    source = path.resolve()
    return Entry(merged(path), mode=stat.S_IMODE(source.stat().st_mode) if mode is None else mode, content=source)


def programs(names: list[str], present: set[str]) -> list[Entry]:
    """Return programs with the libraries that `present` does not have yet, and add them to it."""
    wanted: dict[str, Path] = {}
    for name in names:
        program = find_program(name)
        for path in (program, *libraries_of(program)):
            wanted.setdefault(merged(path), path)
    new = {name: path for name, path in sorted(wanted.items()) if name not in present}
    present.update(new)
    return [copy(path) for path in new.values()]


def skeleton(name: str, pretty_name: str) -> list[Entry]:
    """Return the directories and files every image begins with."""
    directories = (
        "boot dev etc home media mnt opt proc run srv sys usr usr/bin usr/lib usr/lib64 usr/local usr/sbin var"
    )
    directories += (
        " usr/local/bin usr/local/sbin usr/lib/x86_64-linux-gnu usr/share var/lib var/log var/cache var/spool"
    )
    release = f'NAME="{name}"\nPRETTY_NAME="{pretty_name}"\nID=podling-lab\nVERSION_ID=1\nHOME_URL="about:blank"\n'
    return [
        *[directory(path) for path in directories.split()],
        directory("root", 0o550),
        directory("tmp", 0o1777),
        directory("var/tmp", 0o1777),
        Entry("home/lab", tarfile.DIRTYPE, 0o700, uid=1000, gid=1000),
        *[symlink(path, f"usr/{path}") for path in ("bin", "sbin", "lib", "lib64")],
        Entry("etc/passwd", content=PASSWD.encode()),
        Entry("etc/group", content=GROUP.encode()),
        Entry("etc/nsswitch.conf", content=b"passwd: files\ngroup: files\nhosts: files dns\n"),
        Entry("usr/lib/os-release", content=release.encode()),
        symlink("etc/os-release", "../usr/lib/os-release"),
        symlink("etc/mtab", "../proc/self/mounts"),
        symlink("var/run", "../run"),
    ]


def terminal_descriptions() -> list[Entry]:
    """Return the terminfo entries a full-screen program looks for."""
    entries = []
    for name in TERMINALS:
        for base in ("/usr/share/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/etc/terminfo"):
            source = Path(base, name[0], name)
            if source.is_file():
                entries.append(Entry(f"usr/share/terminfo/{name[0]}/{name}", content=source.resolve()))
                break
    return entries


def name_service() -> list[Entry]:
    """Return the C library's modules for names that `hosts: files dns` loads at run time."""
    found = sorted(Path("/usr/lib").glob("*/libnss_[fd]*.so.2")) + sorted(Path("/usr/lib").glob("*/libresolv.so.2"))
    return [copy(path) for path in found]


def perl_modules() -> list[Entry]:
    """Return the library of Debian's essential perl, which is the server in tests of ports."""
    base = next(iter(sorted(Path("/usr/lib").glob("*/perl-base"))))
    entries = []
    for path in sorted(base.rglob("*")):
        if path.is_file():
            entries.append(copy(path))
    return entries
