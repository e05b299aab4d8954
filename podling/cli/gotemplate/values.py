"""Go's types and values, as far as a template can see them.

A `Value` is a type and plain data: what JSON would hold. A struct's data is a dict by JSON key, its type says which
field has which key and type. None is the nil of its type.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Field:
    """A struct's field: the key of its data (None where it is embedded: its data is the struct's own), and its type."""

    __slots__ = ("key", "type")

    def __init__(self, key: str | None, type_: Type) -> None:
        self.key = key
        self.type = type_


class Method:
    """A method: its parameters, its result, and what computes it from the receiver's data."""

    __slots__ = ("compute", "parameters", "result")

    def __init__(self, compute: Callable[..., Any], result: Type, parameters: tuple[Type, ...] = ()) -> None:
        self.compute = compute
        self.result = result
        self.parameters = parameters


class Type:
    """A Go type. `kind` is bool int uint float string slice map struct pointer or interface."""

    __slots__ = ("elem", "fields", "key", "kind", "methods", "name")

    def __init__(self, kind: str, name: str, *, elem: Type | None = None, key: Type | None = None) -> None:
        self.kind = kind
        self.name = name
        self.elem = elem
        self.key = key
        self.fields: dict[str, Field] = {}
        self.methods: dict[str, Method] = {}

    def zero(self) -> Value:
        """Return the type's zero value."""
        return Value(self, _ZEROS.get(self.kind))

    def __repr__(self) -> str:
        return self.name


_ZEROS: dict[str, Any] = {"bool": False, "int": 0, "uint": 0, "float": 0.0, "string": ""}


class Value:
    """A type and its data. The type is None for the absence of a value, which a missing key of a map gives."""

    __slots__ = ("data", "type")

    def __init__(self, type_: Type | None, data: Any) -> None:
        self.type = type_
        self.data = data

    @property
    def kind(self) -> str:
        """Return the kind; "invalid" for the absence of a value."""
        return self.type.kind if self.type is not None else "invalid"

    @property
    def type_name(self) -> str:
        """Return the type's name as Go prints it."""
        return self.type.name if self.type is not None else "<nil>"


ABSENT = Value(None, None)

_BASIC = {
    "bool": "bool",
    "string": "string",
    "int": "int",
    "int8": "int",
    "int16": "int",
    "int32": "int",
    "int64": "int",
    "uint": "uint",
    "uint8": "uint",
    "uint16": "uint",
    "uint32": "uint",
    "uint64": "uint",
    "float32": "float",
    "float64": "float",
    "error": "interface",
}
TYPES: dict[str, Type] = {name: Type(kind, name) for name, kind in _BASIC.items()}
TYPES["interface {}"] = TYPES["any"] = Type("interface", "interface {}")


def type_of(text: str) -> Type:
    """Return the type of a Go type expression: "[]string", "map[string]*define.X"; structs must have been declared."""
    if text in TYPES:
        return TYPES[text]
    if text.startswith("[]"):
        elem = type_of(text[2:])
        made = Type("slice", f"[]{elem.name}", elem=elem)
    elif text.startswith("*"):
        elem = type_of(text[1:])
        made = Type("pointer", f"*{elem.name}", elem=elem)
    elif text.startswith("map["):
        end = text.index("]")
        key, elem = type_of(text[4:end]), type_of(text[end + 1 :])
        made = Type("map", f"map[{key.name}]{elem.name}", elem=elem, key=key)
    elif text.startswith("struct"):
        made = Type("struct", "struct {}")
    else:
        raise KeyError(text)
    TYPES[text] = made
    return made


def declare(name: str, fields: str) -> Type:
    """Declare a struct, a line per field: `Name type`, `Name type jsonKey`, or the type of an embedded struct."""
    made = Type("struct", name)
    for line in fields.strip().splitlines():
        words = line.split()
        if len(words) == 1:
            embedded = type_of(words[0])
            made.fields |= embedded.fields
            made.methods |= embedded.methods
            made.fields[words[0].rpartition(".")[2]] = Field(None, embedded)
        else:
            made.fields[words[0]] = Field(words[2] if len(words) > 2 else words[0], type_of(words[1]))
    TYPES[name] = made
    return made


BOOL, STRING, INT, INT32, FLOAT, ANY = (type_of(name) for name in ("bool", "string", "int", "int32", "float64", "any"))
STRINGS = type_of("[]string")


def of(data: Any) -> Value:
    """Return plain data as the value that an interface{} decoded from JSON would hold."""
    if data is None:
        return ABSENT
    if isinstance(data, bool):
        return Value(BOOL, data)
    if isinstance(data, int):
        return Value(INT, data)
    if isinstance(data, float):
        return Value(FLOAT, data)
    if isinstance(data, str):
        return Value(STRING, data)
    if isinstance(data, dict):
        return Value(type_of("map[string]any"), data)
    return Value(type_of("[]any"), data)


def settle(value: Value) -> Value:
    """Return the concrete value that an interface holds: a typed one, or plain data."""
    while value.kind == "interface":
        value = value.data if isinstance(value.data, Value) else of(value.data)
    return value


def indirect(value: Value) -> Value:
    """Return what pointers and interfaces lead to; a nil pointer stays as it is."""
    value = settle(value)
    while value.kind == "pointer" and value.data is not None:
        assert value.type is not None
        value = settle(Value(value.type.elem, value.data))
    return value


def is_true(value: Value) -> bool:
    """Tell whether a value is true: not zero, not empty, not nil."""
    value = settle(value)
    if value.kind == "struct":
        return True
    if value.kind == "pointer":
        return value.data is not None
    return bool(value.data)
