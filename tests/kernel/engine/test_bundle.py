"""A bundle as the real runc runs it, and root filesystems that mean harm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.rootfs import find_program, libraries_of
from podling.engine import bundle, resolve, settings, volumes
from podling.engine.container import Container, ContainerState
from podling.engine.options import CreateOptions, Settings
from podling.errors import InvalidArgument

RUNC = "/usr/sbin/runc"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root filesystem of a few of the host's programs."""
    root = tmp_path_factory.mktemp("template")
    root.chmod(0o755)
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "run", "var/tmp", "root", "home/bob", "data"):
        (root / name).mkdir(parents=True)
    for name in ("bash", "cat", "ls", "stat", "id"):
        for path in (find_program(name), *libraries_of(find_program(name))):
            target = root / ("bin/" + name if path == find_program(name) else str(path).lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.resolve(), target)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1001::/home/bob:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\nwheel:x:10:bob\n")
    (root / "data/file").write_text("from the image\n")
    (root / "data/file").chmod(0o640)
    (root / "data/link").symlink_to("/etc/shadow")
    os.mkfifo(root / "data/fifo")
    os.chown(root / "data", 1000, 1001)
    return root


class Room:
    """A root filesystem and an engine's directories; containers are written and run by hand."""

    def __init__(self, top: Path, template: Path) -> None:
        self.top = top
        self.rootfs = top / "rootfs"
        subprocess.run(["cp", "-a", str(template), str(self.rootfs)], check=True)
        given = {"root": str(top / "root"), "runroot": str(top / "run"), "cgroup_manager": "cgroupfs"}
        self.settings: Settings = settings.load(given, {})
        self.made: list[Container] = []

    def write(self, *command: str, **options: Any) -> Container:
        """Resolve options and write a bundle."""
        container_id = os.urandom(32).hex()
        asked = CreateOptions(**{"rootfs": str(self.rootfs), "network": ["none"], "command": list(command), **options})
        config = resolve.resolve(self.settings, asked, None, container_id)
        volumes.ensure(self.settings, config)
        container = Container(config=config, state=ContainerState())
        self.made.append(container)
        bundle.write(self.settings, container, str(self.rootfs), {})
        return container

    def home(self, container: Container) -> Path:
        """Return a bundle."""
        return Path(self.settings.runroot) / "containers" / container.id

    def run(self, script: str, **options: Any) -> str:
        """Write a bundle and let runc run a script of bash in it."""
        container = self.write("/bin/bash", "-c", script, **options)
        command = [RUNC, "--root", str(self.top / "runc"), "run", "-b", str(self.home(container)), container.id]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def clean(self) -> None:
        """Unmount what the bundles hold."""
        for container in self.made:
            shm = self.home(container) / "shm"
            if os.path.ismount(shm):
                subprocess.run(["umount", str(shm)], check=True)


@pytest.fixture
def room(tmp_path: Path, template: Path) -> Iterator[Room]:
    made = Room(tmp_path, template)
    yield made
    made.clean()


def test_defaults(room: Room) -> None:
    script = "echo $UID $HOME $container; cat /etc/hostname; id -G; while read l; do echo $l; done < /proc/self/status"
    lines = room.run(script).splitlines()
    assert lines[0] == "0 /root podman"
    assert lines[1] == room.made[0].id[:12]
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert (fields["Seccomp"], fields["CapBnd"], fields["CapInh"]) == ("2", "00000000800405fb", "0000000000000000")


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("bob", "1000 1001 /home/bob"),
        ("bob:wheel", "1000 10 /home/bob"),
        ("1234:55", "1234 55 /"),
        (":5", "0 5 /root"),
    ],
)
def test_users(room: Room, user: str, shown: str) -> None:
    assert room.run("echo $(id -u) $(id -g) $HOME", user=user).strip() == shown


def test_groups(room: Room) -> None:
    assert set(room.run("id -G", user="bob", group_add=["77"]).split()) == {"1001", "10", "77"}
    assert set(room.run("id -G", user="bob:5").split()) == {"5"}


def test_a_user_without_an_entry_gets_one(room: Room) -> None:
    assert "4321:*:4321:0:container user:/:/bin/sh" in room.run("cat /etc/passwd", user="4321")
    before = (room.rootfs / "etc/passwd").read_text()
    room.write("true", user="4321")
    assert (room.rootfs / "etc/passwd").read_text() == before  # it is there already
    assert "9876:*:" in room.run("cat /etc/passwd", user="9876", read_only=True)
    assert (room.rootfs / "etc/passwd").read_text() == before


def test_files_and_shared_memory(room: Room) -> None:
    script = "cat /etc/hosts; stat -f -c %T:%b:%S /dev/shm; stat -c %a /dev/shm; ls /run/.containerenv"
    shown = room.run(script, shm_size="1m", add_host=["extra:9.9.9.9"])
    assert "9.9.9.9\textra" in shown
    assert "tmpfs:256:4096\n1777\n" in shown


def test_writing_twice_is_harmless(room: Room) -> None:
    container = room.write("/bin/true")
    before = (room.home(container) / "config.json").read_text()
    inode = os.stat(room.home(container) / "hosts").st_ino
    bundle.write(room.settings, container, str(room.rootfs), {})
    assert (room.home(container) / "config.json").read_text() == before
    assert os.stat(room.home(container) / "hosts").st_ino == inode


def test_a_volume_is_filled_once(room: Room) -> None:
    assert room.run("cat /data/file; stat -c %a:%u:%g /data /data/file", volume=["v:/data"]).split("\n")[:3] == [
        "from the image",
        "755:1000:1001",
        "640:0:0",
    ]
    content = Path(volumes.directory(room.settings, "v"))
    assert sorted(path.name for path in content.iterdir()) == ["fifo", "file", "link"]
    assert os.readlink(content / "link") == "/etc/shadow"
    (content / "file").write_text("mine\n")
    (content / "fifo").unlink()
    assert room.run("cat /data/file; ls /data", volume=["v:/data"]) == "mine\nfile\nlink\n"


def test_data_that_is_there_is_not_written_over(room: Room) -> None:
    content = Path(volumes.directory(room.settings, "w"))
    content.mkdir(parents=True)
    (content / "mine").write_text("x")
    assert room.run("ls /data", volume=["w:/data"]) == "mine\n"
    assert room.run("ls /data", volume=["empty:/data:nocopy"]) == ""


def test_a_volume_of_a_link_out_of_the_root(room: Room, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    (room.rootfs / "evil").symlink_to(outside)
    room.write("/bin/true", volume=["v:/evil"])
    assert list(Path(volumes.directory(room.settings, "v")).iterdir()) == []


def test_an_overlay_volume_leaves_its_source_alone(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "kept").touch()
    assert room.run("echo x > /o/new; ls /o", volume=[f"{source}:/o:O"]) == "kept\nnew\n"
    assert [path.name for path in source.iterdir()] == ["kept"]


def test_an_owner_is_changed_on_demand(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "out").symlink_to("/etc")
    room.write("/bin/true", user="bob", volume=[f"{source}:/s:U"])
    assert (os.stat(source / "sub").st_uid, os.lstat(source / "out").st_gid) == (1000, 1001)
    assert os.stat("/etc").st_uid == 0


def test_read_only(room: Room) -> None:
    script = "echo x > /nope; echo y > /tmp/yes && cat /tmp/yes; echo z > /run/z; echo x > /data/no; true"
    assert room.run(script, read_only=True) == "y\n"


def test_privileged(room: Room) -> None:
    shown = room.run("ls /dev; cat /run/.containerenv", privileged=True)
    assert 'engine="podling-' in shown
    assert {"null", "full"} <= set(shown.split())


def test_user_namespace(room: Room) -> None:
    shown = room.run("cat /proc/self/uid_map; id -u", uidmap=["0:0:1", "1:100001:65535"], gidmap=["0:0:65536"])
    assert shown.split() == ["0", "0", "1", "1", "100001", "65535", "0"]


def test_a_user_namespace_without_the_hosts_root(room: Room) -> None:
    room.top.chmod(0o700)
    subprocess.run(["chown", "-R", "100000:100000", str(room.rootfs)], check=True)
    script = "cat /proc/self/uid_map; stat -c %u /etc/passwd; echo x > /new; cat /etc/hostname"
    shown = room.run(script, uidmap=["0:100000:65536"])
    assert shown.split() == ["0", "100000", "65536", "0", room.made[0].id[:12]]


def test_time_zone(room: Room) -> None:
    expected = os.stat(os.path.realpath("/usr/share/zoneinfo/Europe/Berlin")).st_size
    assert room.run("stat -c %s /etc/localtime", tz="Europe/Berlin").strip() == str(expected)


def test_device(room: Room) -> None:
    assert room.run("stat -c %t:%T:%A /dev/own", device=["/dev/full:/dev/own:rw"]).startswith("1:7:c")


def test_limits(room: Room) -> None:
    shown = room.run("ulimit -n; ulimit -u; ulimit -c", ulimit=["nofile=123:456", "nproc=99", "core=0"])
    assert shown.split() == ["123", "99", "0"]


def test_working_directories(room: Room) -> None:
    with pytest.raises(InvalidArgument, match=r'^workdir "/nope" does not exist on container '):
        room.write("/bin/true", workdir="/nope")
    with pytest.raises(InvalidArgument, match=r"exists on container .*, but is not a directory$"):
        room.write("/bin/true", workdir="/etc/passwd")
    assert room.run("echo $PWD", workdir="/tmp") == "/tmp\n"


def test_the_images_working_directory_is_made_inside(room: Room, tmp_path: Path) -> None:
    (room.rootfs / "out").symlink_to(tmp_path)
    container = room.write("/bin/true")
    container.config.working_directory = "/new/deep"
    container.config.create_working_directory = True
    bundle.write(room.settings, container, str(room.rootfs), {})
    assert (room.rootfs / "new/deep").is_dir()
    container.config.working_directory = "/out/escaped"
    with pytest.raises(InvalidArgument, match=r"^creating container .* workdir$"):
        bundle.write(room.settings, container, str(room.rootfs), {})
    assert not (tmp_path / "escaped").exists()


def fifo(path: Path, target: Path) -> None:
    os.mkfifo(path)


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


@pytest.mark.parametrize("make", [fifo, link])
def test_hostile_accounts_are_neither_read_nor_written(
    room: Room, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "shadow"
    outside.write_text("bob:x:4:4::/:/bin/sh\n")
    for name in ("passwd", "group"):
        (room.rootfs / "etc" / name).unlink()
        make(room.rootfs / "etc" / name, outside)
    with pytest.raises(InvalidArgument, match=r"^unable to find user bob: no matching entries in passwd file$"):
        room.write("/bin/true", user="bob")
    room.write("/bin/true", user="5:6")  # would add entries: to nothing outside, and without hanging
    assert outside.read_text() == "bob:x:4:4::/:/bin/sh\n"
