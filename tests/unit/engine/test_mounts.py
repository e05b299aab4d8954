"""The grammars of --volume, --mount and --tmpfs, and the rules for mount options."""

import os
from pathlib import Path
from typing import Any

import pytest

from podling.engine import mount_checks, mount_grammar
from podling.errors import InvalidArgument, Unsupported


def parse_one(text: str) -> dict[str, Any]:
    (mount,) = mount_grammar.parse_mount(text)
    return mount


def test_bind_volume() -> None:
    mount = mount_grammar.parse_volume("/tmp:/x/../y:ro,Z")
    assert mount == {"kind": "mount", "type": "bind", "source": "/tmp", "destination": "/y", "options": ["ro", "Z"]}


def test_named_and_anonymous_volume() -> None:
    assert mount_grammar.parse_volume("data:/x")["name"] == "data"
    assert mount_grammar.parse_volume("/x") == {"kind": "volume", "name": "", "destination": "/x", "options": []}


def test_overlay_volume() -> None:
    assert mount_grammar.parse_volume("/tmp:/x:O")["kind"] == "overlay"
    upper = mount_grammar.parse_volume("/tmp:/x:O,upperdir=/u,workdir=/w")
    assert upper["options"] == ["O", "upperdir=/u", "workdir=/w"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b", 'invalid container path "b", must be an absolute path'),
        ("a:b:c:d", "a:b:c:d: incorrect volume format, should be [host-dir:]ctr-dir[:option]"),
        (":/x", "host directory cannot be empty"),
        ("/tmp:", "container directory cannot be empty"),
        ("/tmp:/x:foo", 'invalid option type "foo"'),
        ("/tmp:/x:ro,rw", "invalid options \"ro, rw\", can only specify 1 'rw' or 'ro' option"),
        ("/tmp:/x:O,ro", "can't use 'O' with other options"),
        ("/tmp:/x:O,upperdir=/u", "must set both `upperdir` and `workdir`"),
    ],
)
def test_volume_refusals(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mount_grammar.parse_volume(text)
    assert str(caught.value) == message


def test_relative_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert mount_grammar.parse_volume("./sub:/x")["source"] == str(tmp_path / "sub")
    with pytest.raises(InvalidArgument, match="no such file or directory"):
        mount_grammar.parse_volume("./nope:/x")


def test_mount_types() -> None:
    bind = parse_one("type=bind,src=/tmp,dst=/x,ro=true,bind-propagation=rslave,relabel=shared")
    assert bind["options"] == ["ro", "rslave", "z"]
    assert parse_one("type=bind,dst=/x")["source"] == "/x"
    assert parse_one("src=data,target=/x,U")["name"] == "data"
    tmpfs = parse_one("type=tmpfs,destination=/x,tmpfs-size=1m,tmpfs-mode=700,notmpcopyup")
    assert tmpfs["options"] == ["size=1m", "mode=700", "notmpcopyup"]
    assert parse_one("type=devpts,dst=/dev/pts,uid=5")["options"] == ["uid=5"]
    assert parse_one("type=volume,src=data,dst=/x,subpath=a/../../b")["subpath"] == "/b"
    assert parse_one('type=bind,"src=/a,b",dst=/x')["source"] == "/a,b"


def test_glob(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b"):
        (tmp_path / name).touch()
    found = mount_grammar.parse_mount(f"type=glob,src={tmp_path}/a*,dst=/x")
    assert [mount["destination"] for mount in found] == ["/x/a1", "/x/a2"]
    with pytest.raises(InvalidArgument, match="no file paths matching glob"):
        mount_grammar.parse_mount(f"type=glob,src={tmp_path}/c*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=foo,dst=/x", 'invalid filesystem type "foo"'),
        ("type=bind,src=/tmp", "must set volume destination"),
        ("type=bind,foo=1,dst=/x", "foo: invalid mount option"),
        ("type=bind,src,dst=/x", "src: must provide an argument for option"),
        ("type=bind,ro,rw,dst=/x", "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once: "),
        ("type=volume,tmpfs-size=1,dst=/x", '"tmpfs-size" option not supported for "volume" mount types'),
        ("type=bind,src=/a,src=/b,dst=/x", 'cannot pass "src" option more than once: '),
        ("type=bind,__init__,dst=/x", "__init__: invalid mount option"),
        ("type=bind,src=/tmp,dst=/x,bind-propagation=no", 'invalid value "bind-propagation=no"'),
    ],
)
def test_mount_refusals(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mount_grammar.parse_mount(text)
    assert str(caught.value).startswith(message)


def test_what_is_not_there_yet_says_so() -> None:
    with pytest.raises(Unsupported, match="image mounts are not supported yet"):
        mount_grammar.parse_mount("type=image,src=x,dst=/x")


def test_tmpfs() -> None:
    mount = mount_grammar.parse_tmpfs("/run:size=1m,mode=755")
    assert mount["options"] == ["size=1m", "mode=755"]
    assert mount_grammar.parse_tmpfs("/run")["options"] == []


def test_options_are_completed_from_the_source(tmp_path: Path) -> None:
    expected = ["rprivate"]
    flags = os.statvfs(tmp_path).f_flag
    names = (("noexec", os.ST_NOEXEC), ("nosuid", os.ST_NOSUID), ("nodev", os.ST_NODEV))
    expected += [name for name, flag in names if flags & flag]
    assert mount_checks.complete([], source=str(tmp_path)) == [*expected, "rbind"]
    assert "private" in mount_checks.complete(["bind"], source=str(tmp_path))


def test_volumes_and_tmpfs_have_no_devices() -> None:
    assert mount_checks.complete(["ro"]) == ["ro", "rprivate", "nosuid", "nodev", "rbind"]
    assert mount_checks.complete(["dev", "suid"], is_tmpfs=True) == ["dev", "suid", "rprivate", "tmpcopyup"]
    assert mount_checks.complete(["notmpcopyup"], is_tmpfs=True) == ["rprivate", "nosuid", "nodev"]


@pytest.mark.parametrize(
    ("options", "is_tmpfs", "message"),
    [
        (["size=1m"], False, "the 'size' option is only allowed with tmpfs mounts: invalid mount option"),
        (["Z"], True, "the 'z' and 'Z' options are not allowed with tmpfs mounts: invalid mount option"),
        (["ro", "rw"], False, "only one of 'rw' and 'ro' can be used: duplicate mount option passed"),
        (["foo"], False, 'unknown mount option "foo": invalid mount option'),
        (["size=1", "size=2"], True, "only one tmpfs size can be specified: duplicate mount option passed"),
    ],
)
def test_option_refusals(options: list[str], is_tmpfs: bool, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mount_checks.complete(options, is_tmpfs=is_tmpfs)
    assert str(caught.value) == message


def test_absent_source() -> None:
    with pytest.raises(InvalidArgument, match=r"^statfs /nope: no such file or directory$"):
        mount_checks.complete([], source="/nope")
