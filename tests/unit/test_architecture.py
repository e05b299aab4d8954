"""The import table of ARCHITECTURE.md holds, and no import cycles exist between packages."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "podling"
EVERYONE = {"errors", "records", ""}


def allowed() -> dict[str, set[str]]:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    section = text.split("## Packages, and who may import whom")[1].split("\n## ")[0]
    table = {}
    for row in re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", section, re.MULTILINE):
        table[row[0]] = set(row[1].split())
    assert len(table) >= 10
    return table


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "podling" else [module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "podling":
                found.add(parts[1] if len(parts) > 1 else "")
    return found


def sources() -> list[tuple[str, Path]]:
    rows = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        rows.append((relative.parts[0] if len(relative.parts) > 1 else relative.stem, path))
    return rows


def test_imports_follow_the_table() -> None:
    table = allowed()
    wrong = []
    for package, path in sources():
        if package in EVERYONE or package == "__init__":
            continue
        for used in imports(path) - EVERYONE - {package, "__version__"}:
            if used not in table.get(package, set()):
                wrong.append(f"{path.relative_to(ROOT)} imports podling.{used}")
    assert not wrong, "\n".join(wrong)


def test_only_linux_imports_ctypes() -> None:
    wrong = [str(path) for package, path in sources() if package != "linux" and "import ctypes" in path.read_text()]
    assert not wrong
