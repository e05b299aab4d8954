"""Who has a say in the environment, and in which order."""

from pathlib import Path
from typing import Any

import pytest

from podling.engine import environment
from podling.engine.options import CreateOptions
from podling.errors import InvalidArgument

OWN = {"HOME": "/root", "http_proxy": "http://p", "A": "own"}


def resolve(
    image: list[str] | None = None, defaults: dict[str, object] | None = None, **options: Any
) -> dict[str, str]:
    entries = environment.resolve(CreateOptions(**options), image or [], defaults or {}, OWN)
    return dict(entry.split("=", 1) for entry in entries)


def test_order() -> None:
    found = resolve(["A=image", "B=image"], {"env": ["A=conf", "B=conf", "C=conf"]}, env=["A=flag"])
    assert (found["A"], found["B"], found["C"]) == ("flag", "image", "conf")
    assert found["PATH"].startswith("/usr/local/sbin:")


def test_host() -> None:
    assert "HOME" not in resolve()
    found = resolve(["A=image"], env_host=True)
    assert (found["HOME"], found["A"]) == ("/root", "own")


def test_proxy() -> None:
    assert resolve()["http_proxy"] == "http://p"
    assert "http_proxy" not in resolve(http_proxy=False)
    assert "http_proxy" not in resolve(defaults={"http_proxy": False})
    assert resolve(env=["http_proxy="])["http_proxy"] == ""


def test_unset() -> None:
    found = resolve(["A=1", "B=2"], unsetenv=["A"], http_proxy=False)
    assert "A" not in found
    assert resolve(["A=1"], unsetenv_all=True, http_proxy=False, env=["C=3"]) == {"C": "3"}


def test_own_value_and_prefix() -> None:
    assert resolve(env=["A"])["A"] == "own"
    assert "NOT_THERE" not in resolve(env=["NOT_THERE"])
    assert resolve(env=["HO*"])["HOME"] == "/root"


def test_merge() -> None:
    found = resolve(
        ["PATH=/bin"], env_merge=["PATH=/x:${PATH}", "D=${NO:-d}", "E=${PATH:+e}", r"F=\$PATH", "G=$PATH/g"]
    )
    assert found["PATH"] == "/x:/bin"
    assert (found["D"], found["E"], found["F"], found["G"]) == ("d", "e", "$PATH", "/x:/bin/g")


@pytest.mark.parametrize("entries", [["=x"], [""]])
def test_malformed(entries: list[str]) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid variable"):
        resolve(env=entries)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# comment\n\n  B=with space \nA\nC==x\r\n")
    found = resolve(env_file=[str(path)], env=["C=flag"])
    assert (found["B"], found["A"], found["C"]) == ("with space ", "own", "flag")


def test_absent_file() -> None:
    with pytest.raises(InvalidArgument, match=r'^parsing file "/nope": open /nope: no such file or directory$'):
        resolve(env_file=["/nope"])


def test_malformed_file(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("=x\n")
    with pytest.raises(InvalidArgument, match="invalid variable"):
        resolve(env_file=[str(path)])
