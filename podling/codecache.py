"""The package's code in one file, because importing a hundred modules one by one is a fifth of a `run`.

    podling/__pycache__/code.cpython-311.cache
        an index: module → source path, its size and mtime, where the code is; then the code objects, marshalled

A module of the ordinary kind costs eight system calls and a page of importlib's own Python: 0.2 ms. From here it costs
one stat(2), of its source: an edited module is found in the ordinary way, and the file is written anew when that
program ends. It is made like `.pyc` files are, by the first who may write there, from those `.pyc` files. If it is
missing, stale or damaged nothing changes but the time.
"""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

    Row = tuple[str, bool, int, int, int, int]  # source, whether a package, mtime (ns), size, offset, length

_MAGIC = b"podling code 1\n"
_TAG = sys.implementation.cache_tag
_PYC_HEADER_BYTES = 16
_UNREADABLE = (OSError, ValueError, EOFError, TypeError, OverflowError, MemoryError)
_LIBRARY = (
    "_collections_abc",
    "collections",
    "ctypes",
    "ctypes._endian",
    "functools",
    "keyword",
    "operator",
    "reprlib",
)
_LIBRARY_TOO = ("__future__", "struct", "types", "os", "stat", "posixpath", "genericpath")


class CodeCache:
    """A finder and loader of modules (PEP 451) that knows the ones in the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.missed = False  # whether a module of ours had to be found in the ordinary way
        self._rows: dict[str, Row] = {}
        self._base = 0
        self._file = (0, 0)
        try:
            self._read_index()
        except _UNREADABLE:
            self._rows = {}

    def _read_index(self) -> None:
        fd = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            head = posix.read(fd, len(_MAGIC) + 8)
            if head.startswith(_MAGIC):
                length = int.from_bytes(head[len(_MAGIC) :], "little")
                rows = marshal.loads(posix.read(fd, length))
                self._rows = rows if isinstance(rows, dict) else {}
                self._base = len(head) + length
                found = posix.fstat(fd)
                self._file = (found.st_ino, found.st_mtime_ns)
        finally:
            posix.close(fd)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Return a spec for a module in the file whose source is as it was."""
        row = self._rows.get(name)
        if row is not None:
            source, is_package, mtime, size = row[:4]
            try:
                found = posix.stat(source)
            except OSError:
                found = None
            if found is not None and found.st_mtime_ns == mtime and found.st_size == size:
                spec = _frozen_importlib.ModuleSpec(name, self, origin=source, is_package=is_package)  # type: ignore[arg-type]
                spec.has_location = True
                if is_package:
                    spec.submodule_search_locations = [source.rpartition("/")[0]]
                return spec
        if name.startswith("podling."):
            self.missed = True
        return None

    def create_module(self, spec: object) -> None:
        """Leave the making of the module object to the interpreter."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code."""
        try:
            code = self.get_code(module.__name__)
        except (*_UNREADABLE, KeyError):
            source = str(module.__dict__["__file__"])
            ordinary = _frozen_importlib_external.SourceFileLoader(module.__name__, source)
            ordinary.exec_module(module)
            return
        exec(code, module.__dict__)

    def get_code(self, name: str) -> CodeType:
        """Return a module's code."""
        offset, length = self._rows[name][4:]
        fd = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC)  # none stays open: forked programs close them all
        try:
            found = posix.fstat(fd)
            if (found.st_ino, found.st_mtime_ns) != self._file:
                self._read_index()  # another process has just written it anew
                offset, length = self._rows[name][4:]
            code: CodeType = marshal.loads(posix.pread(fd, length, self._base + offset))
        finally:
            posix.close(fd)
        return code


def install() -> CodeCache:
    """Put the package's cache before the ordinary finders and return it."""
    directory = __file__.rpartition("/")[0]
    cache = CodeCache(f"{directory}/__pycache__/code.{_TAG}.cache")
    sys.meta_path.insert(0, cache)
    return cache


def refresh(cache: CodeCache) -> None:
    """Write the file anew if a module was missing from it and this user may; what cannot be written is left."""
    if not cache.missed:
        return
    from podling.linux import files

    try:
        files.write_atomically(cache.path, _content(), durable=False)
    except (OSError, ValueError, EOFError):
        return


def _content() -> bytes:
    rows: dict[str, Row] = {}
    pieces: list[bytes] = []
    offset = 0
    for name, source, is_package in sorted(_sources()):
        code = _compiled(source)
        if code:
            found = posix.stat(source)
            rows[name] = (source, is_package, found.st_mtime_ns, found.st_size, offset, len(code))
            pieces.append(code)
            offset += len(code)
    index = marshal.dumps(rows)
    return b"".join([_MAGIC, len(index).to_bytes(8, "little"), index, *pieces])


def _sources() -> list[tuple[str, str, bool]]:
    """Return name, source and whether it is a package, of every module that belongs in the file."""
    import os

    top = __file__.rpartition("/")[0]
    found = []
    for directory, _, names in os.walk(top):
        package = "podling" + directory[len(top) :].replace("/", ".")
        for name in names:
            if name == "__init__.py":
                found.append((package, f"{directory}/{name}", True))
            elif name.endswith(".py"):
                found.append((f"{package}.{name[:-3]}", f"{directory}/{name}", False))
    for name in (*_LIBRARY, *_LIBRARY_TOO):
        module = sys.modules.get(name)
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py"):
            found.append((name, source, source.endswith("/__init__.py")))
    return found


def _compiled(source: str) -> bytes:
    """Return the marshalled code of a source's `.pyc`; nothing where there is none, or it is older than the source."""
    directory, _, name = source.rpartition("/")
    try:
        with open(f"{directory}/__pycache__/{name[:-3]}.{_TAG}.pyc", "rb") as file:
            content = file.read()
        found = posix.stat(source)
    except OSError:
        return b""
    flags, mtime, size = (int.from_bytes(content[place : place + 4], "little") for place in (4, 8, 12))
    if flags or mtime != int(found.st_mtime) & 0xFFFFFFFF or size != found.st_size & 0xFFFFFFFF:
        return b""
    return content[_PYC_HEADER_BYTES:]
