"""The image of the resident monitor: a .pyc file with its modules behind it, stripped to what runs.

    .pyc header │ marshalled boot code, which loads what follows │ marshalled list of (name, code) │ shrink.py's stamp

Proportional set size, twenty interpreters that idle side by side (Debian 12, CPython 3.11.2), in kB:

    2457    python3 -I -S, bare; 2291 private: 1040 of static data that is written to, 788 of objects, 380 of heap
     269    the resident modules as here: no docstrings, no annotations, no line tables
      86    … what these would add with compile's optimize=2 alone; 124 without it
     -35    the boot code empties encodings.aliases before the modules come, so that they take its place
     -34    the modules' top-level code goes once it has run: as constants of the boot code it would stay
      87    … what the same boot code costs by `-c`, because of the parser
      37    _socket, hence imported when the first client comes
     850    signal (with enum), hence _signal; 194 for os, hence posix
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import os
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "podling.monitor"

OFFSET = 0x7F000000

_BOOT = f"""
import marshal, posix, sys
sys.modules["encodings.aliases"].aliases.clear()
fd = posix.open(sys.argv[0], posix.O_RDONLY | posix.O_CLOEXEC)
posix.lseek(fd, {OFFSET}, 0)
modules = marshal.loads(posix.read(fd, posix.fstat(fd).st_size))
posix.close(fd)
while modules:
    name, code = modules.pop(0)
    module = sys.modules[name] = type(sys)(name)
    exec(code, module.__dict__)
del fd, modules, name, code, module
sys.modules["{PACKAGE}.handover"].main()
"""


def build(sources: Sequence[str]) -> bytes:
    """Return the image of some modules, in the order in which they import each other."""
    modules = [(f"{PACKAGE}.{os.path.basename(path)[:-3]}", _module(path)) for path in sources]
    size = len(_boot(OFFSET))
    return _boot(size) + marshal.dumps(modules)


def _boot(offset: int) -> bytes:
    code: types.CodeType = compile(_BOOT, "boot", "exec", optimize=2)
    constants = tuple([offset if constant == OFFSET else constant for constant in code.co_consts])
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code.replace(co_consts=constants))


def _module(path: str) -> types.CodeType:
    with open(path, encoding="utf-8") as file:
        tree = _Strip().visit(ast.parse(file.read(), path))
    code: types.CodeType = compile(ast.fix_missing_locations(tree), os.path.basename(path), "exec", optimize=2)
    return _without_lines(code)


def _without_lines(code: types.CodeType) -> types.CodeType:
    constants = tuple([_without_lines(item) if isinstance(item, types.CodeType) else item for item in code.co_consts])
    return code.replace(co_consts=constants, co_linetable=b"", co_filename="", co_qualname=code.co_name)


class _Strip(ast.NodeTransformer):
    """Take out what only type checkers read."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_If(self, node: ast.If) -> ast.stmt | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        return node
