"""The image of the resident monitor: its modules as one .pyc file, stripped to what runs.

    16 bytes of .pyc header │ marshalled code: a loop that runs each module's code │ what shrink.py adds

No docstrings, no annotations, no line tables: that is a third of the size, and what is not there is not resident.
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

_BOOT = """
import sys
for name, code in "MODULES":
    module = sys.modules[name] = type(sys)(name)
    exec(code, module.__dict__)
del name, code, module
sys.modules["podling.monitor.handover"].main()
"""


def build(sources: Sequence[str]) -> bytes:
    """Return the image of some modules, in the order in which they import each other."""
    modules = tuple([(f"{PACKAGE}.{os.path.basename(path)[:-3]}", _module(path)) for path in sources])
    boot: types.CodeType = compile(_BOOT, "resident", "exec", optimize=2)
    constants = tuple([modules if constant == "MODULES" else constant for constant in boot.co_consts])
    program = boot.replace(co_consts=constants)
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(program)


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
