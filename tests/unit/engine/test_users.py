"""Users and groups of a root filesystem, hostile ones included."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine.users import Account, Accounts
from podling.errors import InvalidArgument

PASSWD = """root:x:0:0:root:/root:/bin/sh
bob:x:1000:1001:Bob:/home/bob:/bin/sh
5:x:77:78::/five:/bin/sh
# comment:x:1:1::/:/bin/sh
short:x:3
negative:x:-1:5::/:/bin/sh
huge:x:99999999999999999999999:5::/:/bin/sh
above:x:4294967295:5::/:/bin/sh
nohome:x:8:8:::
"""
GROUP = "root:x:0:\nwheel:x:10:bob,other\naudio:x:29:bob\nbad:x:zz:bob\nempty:x:30:\n"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return Accounts(str(tmp_path))


@pytest.mark.parametrize(
    ("user", "uid", "gid", "home", "supplementary"),
    [
        ("", 0, 0, "/root", []),
        ("root", 0, 0, "/root", []),
        ("bob", 1000, 1001, "/home/bob", [10, 29]),
        ("1000", 1000, 1001, "/home/bob", [10, 29]),
        ("bob:wheel", 1000, 10, "/home/bob", []),
        ("bob:55", 1000, 55, "/home/bob", []),
        ("1", 1, 0, "/", []),
        ("1:2", 1, 2, "/", []),
        (":5", 0, 5, "/root", []),
        ("5", 5, 0, "/", []),
        ("77", 77, 78, "/five", []),
        ("nohome", 8, 8, "/", []),
        ("2147483647", 2147483647, 0, "/", []),
    ],
)
def test_find(accounts: Accounts, user: str, uid: int, gid: int, home: str, supplementary: list[int]) -> None:
    found = accounts.find(user)
    assert (found.uid, found.gid, found.home, found.supplementary) == (uid, gid, home, supplementary)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("1x", "unable to find user 1x: no matching entries in passwd file"),
        ("short", "unable to find user short: no matching entries in passwd file"),
        ("negative", "unable to find user negative: no matching entries in passwd file"),
        ("huge", "unable to find user huge: no matching entries in passwd file"),
        ("above", "unable to find user above: no matching entries in passwd file"),
        ("bob:nope", "unable to find group nope: no matching entries in group file"),
        ("bob:bad", "unable to find group bad: no matching entries in group file"),
        ("4294967295", "uids and gids must be in range 0-2147483647"),
        ("1:4294967295", "uids and gids must be in range 0-2147483647"),
        ("-1", "unable to find user -1: no matching entries in passwd file"),
        ("１", "unable to find user １: no matching entries in passwd file"),  # noqa: RUF001
    ],
)
def test_refusals(accounts: Accounts, user: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        accounts.find(user)
    assert str(caught.value) == message


def test_no_files(tmp_path: Path) -> None:
    assert Accounts(str(tmp_path)).find("") == Account()
    assert Accounts(str(tmp_path)).find("7:8") == Account(uid=7, gid=8)
    with pytest.raises(InvalidArgument):
        Accounts(str(tmp_path)).find("bob")


@pytest.mark.parametrize("kind", ["fifo", "link out", "absolute link", "directory", "device-like link"])
def test_only_a_regular_file_of_the_root_is_read(tmp_path: Path, kind: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "secret"
    (root / "etc").mkdir(parents=True)
    outside.write_text("bob:x:1:1::/:/bin/sh\n")
    target = root / "etc/passwd"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "link out":
        target.symlink_to("../../secret")
    elif kind == "absolute link":
        target.symlink_to(outside)
    elif kind == "directory":
        target.mkdir()
    else:
        target.symlink_to("/proc/self/fd/0")
    with pytest.raises(InvalidArgument, match="unable to find user bob"):
        Accounts(str(root)).find("bob")


def test_an_absolute_link_is_followed_inside(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "real").write_text("bob:x:42:43::/b:/bin/sh\n")
    (tmp_path / "etc/passwd").symlink_to("/real")
    assert Accounts(str(tmp_path)).find("bob").uid == 42


def test_files_mounted_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("eve:x:9:9::/e:/bin/sh\n")
    assert Accounts(str(tmp_path), passwd_path=str(tmp_path / "mine")).find("eve").uid == 9


@given(content=st.binary(max_size=300), user=st.text(max_size=8))
def test_any_content_is_safe(tmp_path_factory: pytest.TempPathFactory, content: bytes, user: str) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_bytes(content)
    (root / "etc/group").write_bytes(content)
    try:
        found = Accounts(str(root)).find(user)
    except InvalidArgument:
        return
    assert 0 <= found.uid < 1 << 31
    assert 0 <= found.gid < 1 << 31
