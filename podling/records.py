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

    def __init_subclass__(cls) -> None:
        own = [name for name in vars(cls).get("__annotations__", {}) if not name.startswith("_")]
        inherited = [name for name in cls._fields if name not in own]
        cls._fields = (*inherited, *own)

    def __init__(self, **values: Any) -> None:
        for name in self._fields:
            if name in values:
                setattr(self, name, values.pop(name))
            elif hasattr(type(self), name):
                default = getattr(type(self), name)
                setattr(self, name, default.copy() if isinstance(default, (list, dict, set)) else default)
            else:
                raise TypeError(f"{type(self).__name__} needs a value for {name!r}")
        if values:
            raise TypeError(f"{type(self).__name__} has no field {next(iter(values))!r}")

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
        return cls(**{name: value[name] for name in cls._fields if name in value})


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
