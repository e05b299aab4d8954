"""Plain records: classes with typed fields, without the import price of dataclasses.

    class Port(Record):
        container: int
        protocol: str = "tcp"

    Port(container=80).protocol                      # "tcp"
    Port.from_json({"container": 80}).to_json()      # {"container": 80, "protocol": "tcp"}

Importing dataclasses costs 15 ms, which is more than a whole `ps` may spend (see the import budget in
ARCHITECTURE.md). A default that is a list or a dict is copied for each instance.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        return lambda decorated: decorated


@dataclass_transform(kw_only_default=True)
class Record:
    """A base for records; subclasses declare annotated fields, with or without defaults."""

    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}
    _copied: tuple[str, ...] = ()
    _names: frozenset[str] = frozenset()

    def __init_subclass__(cls) -> None:
        own = [name for name in vars(cls).get("__annotations__", {}) if not name.startswith("_")]
        cls._fields = (*[name for name in cls._fields if name not in own], *own)
        cls._names = frozenset(cls._fields)
        cls._defaults = {name: getattr(cls, name) for name in cls._fields if hasattr(cls, name)}
        cls._copied = tuple(name for name, value in cls._defaults.items() if isinstance(value, (list, dict, set)))

    def __init__(self, **values: Any) -> None:
        fields = {**self._defaults, **values}
        if len(fields) != len(self._fields) or not fields.keys() <= set(self._fields):
            self._refuse(values)
        for name in self._copied:
            if name not in values:
                fields[name] = fields[name].copy()
        self.__dict__.update(fields)

    def _refuse(self, values: dict[str, Any]) -> None:
        for name in values:
            if name not in self._fields:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        for name in self._fields:
            if name not in values and name not in self._defaults:
                raise TypeError(f"{type(self).__name__} needs a value for {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def with_changes(self, **values: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{**{name: getattr(self, name) for name in self._fields}, **values})

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; nested records and lists and dicts of them likewise."""
        return {name: _plain(getattr(self, name)) for name in self._fields}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return a record from such fields of a JSON object as it has; unknown keys are passed over.

        Nested records stay plain objects unless the subclass overrides this.
        """
        made = cls.__new__(cls)
        fields = made.__dict__
        fields.update(cls._defaults)
        fields.update(value)
        if fields.keys() != cls._names:  # unknown keys, or a field is missing: the slow way, which says so
            return cls(**{name: value[name] for name in cls._fields if name in value})
        for name in cls._copied:
            if name not in value:
                fields[name] = fields[name].copy()
        return made


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
