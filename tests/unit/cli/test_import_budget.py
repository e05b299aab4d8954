"""The import budget of ARCHITECTURE.md: what each hot verb may not load, and that a verb loads itself alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from podling.cli import commands

ROOT = Path(__file__).resolve().parents[3]
_FORBIDDEN = """
    asyncio dataclasses typing argparse click logging pathlib subprocess tarfile http ssl shutil tempfile
    json sqlite3 inspect contextlib collections.abc enum re signal datetime rich
"""
FORBIDDEN = set(_FORBIDDEN.split())
HOT = ("run", "create", "exec", "start", "stop", "rm", "ps", "images", "kill", "wait", "attach", "container cleanup")


def modules_after(statement: str) -> set[str]:
    """Return the modules that a bare interpreter has loaded once a statement has run."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{statement}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def call(*words: str) -> str:
    return f"from podling.cli.main import main; main(['podling', *{words!r}], {{}})"


@pytest.mark.parametrize("path", HOT)
def test_a_hot_verb_loads_nothing_of_the_forbidden(path: str) -> None:
    loaded = modules_after(f"import podling.cli.main; from podling.cli import commands; commands.module({path!r})")
    assert not loaded & FORBIDDEN


@pytest.mark.parametrize("path", sorted(commands.TABLE))
def test_a_verb_loads_no_templates_and_no_schemas(path: str) -> None:
    loaded = modules_after(f"import podling.cli.main; from podling.cli import commands; commands.module({path!r})")
    assert not [name for name in loaded if name.startswith(("podling.cli.gotemplate", "podling.cli.schemas"))]
    assert "podling.cli.helptext" not in loaded


@pytest.mark.parametrize("words", [("ps", "-a"), ("ps", "--ns"), ("images",)])
def test_listing_loads_neither_ctypes_nor_templates(tmp_path: Path, words: tuple[str, ...]) -> None:
    statement = call("--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), *words)
    modules_after(statement)  # the first reader of containers.conf parses it, and leaves the result to the others
    loaded = modules_after(statement)
    assert not loaded & (FORBIDDEN | {"ctypes", "tomllib", "unicodedata"})
    assert not [name for name in loaded if name.startswith("podling.cli.gotemplate")]


def test_ps_loads_no_other_verb(tmp_path: Path) -> None:
    loaded = modules_after(call("--root", str(tmp_path), "--runroot", str(tmp_path), "ps"))
    assert {name for name in loaded if name.startswith("podling.cli.verbs.")} == {"podling.cli.verbs.ps"}
