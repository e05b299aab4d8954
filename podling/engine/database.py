"""The one SQLite database of a root: the only truth about containers and volumes.

    ROOT/podling.db      containers   id, name, status, config (JSON), state (JSON)
                         volumes      name, config (JSON)
                         exit_codes   of containers that removed themselves, for some minutes

    with database.read(settings) as db:    db.containers()
    with database.write(settings) as db:   db.insert(container)          # BEGIN IMMEDIATE … COMMIT

A connection lives for one `with`: none is open when a program is forked. WAL with synchronous=NORMAL survives a kill at
any instruction; a power cut may take the last transactions with it, never the database. `_sqlite3` is the C half of
the standard module: the Python half imports datetime for its converters, 5 ms.
"""

from __future__ import annotations

import _sqlite3
import fcntl
import os
import struct

from podling.engine.container import Container, ContainerConfig, ContainerState
from podling.errors import AlreadyExists, Corrupt, NotFound, Unavailable
from podling.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from podling.engine.options import Settings

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE containers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image_id TEXT NOT NULL, status TEXT NOT NULL,
    claimed_by INTEGER NOT NULL, config TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE volumes (name TEXT PRIMARY KEY, config TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE exit_codes (id TEXT PRIMARY KEY, code INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
"""

_EXIT_CODES_KEPT_SECONDS = 300
_LARGE_LOG_BYTES = 256 << 10
_F_OFD_SETLK = 37
_SHARED_LOCK_BYTES = (0x40000002, 510)  # https://www.sqlite.org/fileformat2.html#the_lock_byte_page


class Database:
    """An open database. Raises NotFound, AlreadyExists, Unavailable (disk full, locked for a minute) and Corrupt."""

    def __init__(self, path: str, *, writing: bool) -> None:
        self.path = path
        self.writing = writing
        self._connection: Any = None

    def __enter__(self) -> Self:
        if not self.writing and not os.path.exists(self.path):
            return self  # nothing was ever created here, and a reading verb creates nothing
        try:
            if self.writing:
                os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            self._connection = _sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            if self._pragma("user_version") != SCHEMA_VERSION:
                self._create()
            if self.writing:
                self._connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._close()
            raise _translated(error, self.path) from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if self.writing and self._connection is not None:
                self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except _sqlite3.Error as failure:
            if kind is None:
                raise _translated(failure, self.path) from failure
        finally:
            self._close()

    def _close(self) -> None:
        if self._connection is None:
            return
        guard = self._guard_against_checkpoint()
        self._connection.close()
        self._connection = None
        if guard >= 0:
            os.close(guard)

    def _guard_against_checkpoint(self) -> int:
        """Return a fd that keeps the log from being copied into the database as the last connection closes; or -1.

        That costs two fsyncs, 2 ms here and 20 on a slow disk, on each of the four commits of a `run`. SQLite does it
        only where it gets its lock exclusively, so we share that lock for the moment. A writer lets it happen once the
        log is large: the next to open the database has to read all of it.
        """
        try:
            if self.writing and os.path.getsize(f"{self.path}-wal") > _LARGE_LOG_BYTES:
                return -1
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1
        start, length = _SHARED_LOCK_BYTES
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
        try:
            fcntl.fcntl(fd, _F_OFD_SETLK, lock)
        except OSError:
            pass  # somebody is just checkpointing: then it is as well
        return fd

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _create(self) -> None:
        found = self._pragma("user_version")
        if found > SCHEMA_VERSION:
            raise Corrupt(f"it is of version {found}, and this program knows {SCHEMA_VERSION}")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("BEGIN IMMEDIATE")
        if self._pragma("user_version") != SCHEMA_VERSION:  # another process may have been faster
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._connection.execute("COMMIT")

    def _rows(self, statement: str, *values: object) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return list(self._connection.execute(statement, values).fetchall())
        except _sqlite3.Error as error:
            raise _translated(error, self.path) from error

    # containers

    def containers(self) -> list[Container]:
        """Return all containers, oldest first."""
        found = [_container(row) for row in self._rows("SELECT config, state FROM containers")]
        found.sort(key=lambda container: container.config.created)
        return found

    def container(self, container_id: str) -> Container:
        """Return the container of a whole ID. Raise NotFound."""
        for row in self._rows("SELECT config, state FROM containers WHERE id = ?", container_id):
            return _container(row)
        raise no_such_container(container_id)

    def lookup(self, name_or_id: str) -> list[Container]:
        """Return the container of that name or whole ID, else those whose ID begins so."""
        exact = "SELECT config, state FROM containers WHERE name = ?1 OR id = ?1"
        rows = self._rows(exact, name_or_id.removeprefix("/"))
        if not rows and name_or_id and not name_or_id.strip("0123456789abcdef"):
            rows = self._rows(
                "SELECT config, state FROM containers WHERE substr(id, 1, ?) = ?", len(name_or_id), name_or_id
            )
        return [_container(row) for row in rows]

    def unsettled(self) -> list[Container]:
        """Return the containers that are claimed, or not at rest: all that a recovery has to look at."""
        rows = self._rows(
            "SELECT config, state FROM containers WHERE claimed_by != 0 OR status NOT IN ('created', 'exited')"
        )
        return [_container(row) for row in rows]

    def using_image(self, image_id: str) -> list[Container]:
        """Return the containers made from an image."""
        rows = self._rows("SELECT config, state FROM containers WHERE image_id = ?", image_id)
        return [_container(row) for row in rows]

    def container_ids(self) -> set[str]:
        """Return all container IDs."""
        return {row[0] for row in self._rows("SELECT id FROM containers")}

    def insert(self, container: Container) -> None:
        """Add a container. Raise AlreadyExists where the name is taken."""
        config, state = container.config, container.state
        for row in self._rows("SELECT id FROM containers WHERE name = ?", config.name):
            raise AlreadyExists(
                f'the container name "{config.name}" is already in use by {row[0]}. You have to remove that container '
                "to be able to reuse that name: that name is already in use"
            )
        self._rows(
            "INSERT INTO containers VALUES (?, ?, ?, ?, ?, ?, ?)",
            config.id,
            config.name,
            config.image_id,
            state.status,
            state.claimed_by,
            jsontext.dumps(config.to_json()),
            jsontext.dumps(state.to_json()),
        )

    def save_state(self, container: Container) -> None:
        """Write a container's state."""
        state = container.state
        self._rows(
            "UPDATE containers SET status = ?, claimed_by = ?, state = ? WHERE id = ?",
            state.status,
            state.claimed_by,
            jsontext.dumps(state.to_json()),
            container.id,
        )

    def save_config(self, container: Container) -> None:
        """Write a container's name and config (rename, update)."""
        text = jsontext.dumps(container.config.to_json())
        self._rows("UPDATE containers SET name = ?, config = ? WHERE id = ?", container.name, text, container.id)

    def delete(self, container_id: str) -> None:
        """Remove a container's row, if there is one."""
        self._rows("DELETE FROM containers WHERE id = ?", container_id)

    # exit codes of containers that are gone

    def keep_exit_code(self, container_id: str, code: int, now: int) -> None:
        """Remember the exit code of a container that removes itself, for whoever waits for it; drop old ones."""
        self._rows("DELETE FROM exit_codes WHERE at < ?", now - _EXIT_CODES_KEPT_SECONDS * 1_000_000_000)
        self._rows("INSERT OR REPLACE INTO exit_codes VALUES (?, ?, ?)", container_id, code, now)

    def exit_code(self, container_id: str) -> int | None:
        """Return the kept exit code of a container that is gone."""
        for row in self._rows("SELECT code FROM exit_codes WHERE id = ?", container_id):
            return int(row[0])
        return None

    def gone(self) -> list[str]:
        """Return the IDs of the containers whose exit codes are kept."""
        return [row[0] for row in self._rows("SELECT id FROM exit_codes")]

    # volumes

    def volumes(self) -> list[dict[str, Any]]:
        """Return the volumes' configs by name."""
        return [jsontext.loads(row[0]) for row in self._rows("SELECT config FROM volumes ORDER BY name")]

    def volume(self, name: str) -> dict[str, Any] | None:
        """Return one volume's config."""
        for row in self._rows("SELECT config FROM volumes WHERE name = ?", name):
            config: dict[str, Any] = jsontext.loads(row[0])
            return config
        return None

    def save_volume(self, name: str, config: dict[str, Any]) -> None:
        """Add or replace a volume."""
        self._rows("INSERT OR REPLACE INTO volumes VALUES (?, ?)", name, jsontext.dumps(config))

    def delete_volume(self, name: str) -> None:
        """Remove a volume's row."""
        self._rows("DELETE FROM volumes WHERE name = ?", name)


def read(settings: Settings) -> Database:
    """Return a database to be entered for reading."""
    return Database(os.path.join(settings.root, "podling.db"), writing=False)


def write(settings: Settings) -> Database:
    """Return a database to be entered for one writing transaction."""
    return Database(os.path.join(settings.root, "podling.db"), writing=True)


def no_such_container(name_or_id: str) -> NotFound:
    """Return Podman's words for a container that is not there."""
    return NotFound(f'no container with name or ID "{name_or_id}" found: no such container')


def _container(row: tuple[str, str]) -> Container:
    return Container(
        config=ContainerConfig.from_json(jsontext.loads(row[0])), state=ContainerState.from_json(jsontext.loads(row[1]))
    )


def _translated(error: BaseException, path: str) -> BaseException:
    if not isinstance(error, _sqlite3.Error):
        return error
    if isinstance(error, _sqlite3.OperationalError):
        return Unavailable(f'database "{path}": {error}')
    return Corrupt(f'database "{path}": {error}')
