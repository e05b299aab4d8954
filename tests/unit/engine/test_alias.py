"""The alias `podman`: ours to make and to remove, and nobody else's to lose."""

import os
from pathlib import Path

import pytest

from podling import programs
from podling.engine import alias
from podling.errors import AlreadyExists, NotFound, Unavailable


def test_install_and_remove(tmp_path: Path) -> None:
    link = tmp_path / "podman"
    alias.install(str(link))
    alias.install(str(link))
    assert os.readlink(link) == programs.launcher("podling")
    alias.remove(str(link))
    assert not link.is_symlink()


def test_a_foreign_file_stays(tmp_path: Path) -> None:
    link = tmp_path / "podman"
    for make in (lambda: link.write_text("x"), lambda: link.symlink_to("/usr/bin/true")):
        make()
        with pytest.raises(AlreadyExists, match="is not a link to podling"):
            alias.install(str(link))
        with pytest.raises(NotFound):
            alias.remove(str(link))
        assert link.exists()
        link.unlink()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        alias.install(str(tmp_path / "none" / "podman"))
