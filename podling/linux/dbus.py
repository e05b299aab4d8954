"""A D-Bus client, as small as talking to systemd allows: method calls, their replies, and one awaited signal.

    /run/systemd/private          systemd itself, for root; no bus between, so no Hello and no match rules
    /run/dbus/system_bus_socket   the bus, where the former is not there
    $XDG_RUNTIME_DIR/…            the same two of a user's own systemd

    connect ──► "\\0AUTH EXTERNAL uid", "BEGIN" ──► "OK …" ──► messages

A message is a fixed header, an array of header fields, padding to 8, and a body; values are aligned to their size. The
D-Bus specification has it all. A Variant carries its signature with it.
"""

from __future__ import annotations

import os
import socket
import struct

from podling.errors import Corrupt, PodlingError, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGNMENT = {"s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
_LONGEST = 1 << 27


class Variant:
    """A value with its signature."""

    def __init__(self, signature: str, value: Any) -> None:
        self.signature = signature
        self.value = value

    def __repr__(self) -> str:
        return f"Variant({self.signature!r}, {self.value!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variant) and (other.signature, other.value) == (self.signature, self.value)

    __hash__ = None  # type: ignore[assignment]


class DBusError(PodlingError):
    """A method call was answered with an error; `name` is D-Bus's name of it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text or name)
        self.name = name


def split(signature: str) -> list[str]:
    """Return the complete types that a signature consists of."""
    types = []
    while signature:
        length = _length(signature)
        types.append(signature[:length])
        signature = signature[length:]
    return types


def _length(signature: str) -> int:
    if signature[0] == "a":
        return 1 + _length(signature[1:])
    if signature[0] not in "({":
        return 1
    depth = 0
    for position, character in enumerate(signature):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(character, 0)
        if depth == 0:
            return position + 1
    raise Corrupt(f'D-Bus signature "{signature}" does not end')


def marshal(signature: str, values: list[Any], data: bytearray | None = None) -> bytearray:
    """Append values to a message, little-endian, aligned from its start."""
    result = bytearray() if data is None else data
    for kind, value in zip(split(signature), values, strict=True):
        _put(result, kind, value)
    return result


def _pad(data: bytearray, alignment: int) -> None:
    data.extend(b"\0" * (-len(data) % alignment))


def _put(data: bytearray, kind: str, value: Any) -> None:
    code = kind[0]
    if code in _FIXED:
        size = struct.calcsize("<" + _FIXED[code])
        _pad(data, size)
        data += struct.pack("<" + _FIXED[code], int(value) if code != "d" else value)
    elif code in "so":
        encoded = value.encode("utf-8", "surrogateescape")
        _put(data, "u", len(encoded))
        data += encoded + b"\0"
    elif code == "g":
        data += bytes([len(value)]) + value.encode() + b"\0"
    elif code == "v":
        _put(data, "g", value.signature)
        _put(data, value.signature, value.value)
    elif code == "a":
        _put_array(data, kind[1:], value)
    else:
        _pad(data, 8)
        marshal(kind[1:-1], list(value), data)


def _put_array(data: bytearray, kind: str, values: Any) -> None:
    _put(data, "u", 0)
    at = len(data)
    _pad(data, alignment_of(kind))
    start = len(data)
    if isinstance(values, dict):
        values = list(values.items())
    for value in values:
        _put(data, kind, value)
    struct.pack_into("<I", data, at - 4, len(data) - start)


def alignment_of(kind: str) -> int:
    """Return the alignment of a type."""
    return _ALIGNMENT.get(kind[0]) or struct.calcsize("<" + _FIXED[kind[0]])


class Reader:
    """Values out of a message, in the byte order of its sender."""

    def __init__(self, data: bytes, order: str = "<", position: int = 0) -> None:
        self.data = data
        self.order = order
        self.position = position

    def values(self, signature: str) -> list[Any]:
        """Return the values of a signature. Raise Corrupt where the message is too short for them."""
        try:
            return [self._get(kind) for kind in split(signature)]
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise Corrupt("a D-Bus message is malformed") from error

    def align(self, alignment: int) -> None:
        """Skip padding."""
        self.position += -self.position % alignment

    def _get(self, kind: str) -> Any:
        code = kind[0]
        if code in _FIXED:
            return self._fixed(code)
        if code in "so":
            return self._text(self._fixed("u"))
        if code == "g":
            return self._text(self._fixed("y"))
        if code == "v":
            signature = self._get("g")
            return Variant(signature, self._get(signature))
        if code == "a":
            return self._array(kind[1:])
        self.align(8)
        return tuple(self._get(inner) for inner in split(kind[1:-1]))

    def _fixed(self, code: str) -> Any:
        layout = self.order + _FIXED[code]
        self.align(struct.calcsize(layout))
        value = struct.unpack_from(layout, self.data, self.position)[0]
        self.position += struct.calcsize(layout)
        return bool(value) if code == "b" else value

    def _text(self, length: int) -> str:
        text = self.data[self.position : self.position + length]
        self.position += length + 1
        return text.decode("utf-8", "surrogateescape")

    def _array(self, kind: str) -> Any:
        length = self._fixed("u")
        self.align(alignment_of(kind))
        end = self.position + length
        if end > len(self.data):
            raise Corrupt("a D-Bus array is longer than its message")
        found = []
        while self.position < end:
            found.append(self._get(kind))
        return dict(found) if kind[0] == "{" else found


class Message:
    """What came in."""

    def __init__(self, kind: int, fields: dict[int, Any], body: list[Any]) -> None:
        self.kind = kind
        self.member = fields.get(_MEMBER, "")
        self.reply_to = fields.get(_REPLY_SERIAL, 0)
        self.error = fields.get(_ERROR_NAME, "")
        self.body = body


class Connection:
    """A connection, used by one thread; close it, or use it as a context."""

    def __init__(self, path: str, *, bus: bool, timeout_seconds: float = 30.0) -> None:
        self._serial = 0
        self._signals: list[Message] = []
        self._bus = bus
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.connect(path)
            self._authenticate()
            if bus:
                self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        except OSError as error:
            self._socket.close()
            raise Unavailable(f'cannot talk to D-Bus at "{path}"') from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _authenticate(self) -> None:
        # In one write: systemd never looks at a message that it happened to read together with BEGIN, so BEGIN must
        # have been read when the first message goes out, and only the answer to what comes before it tells.
        identity = str(os.geteuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {identity}\r\nBEGIN\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            byte = self._socket.recv(1)  # messages follow at once: not a byte more than the line may be read
            if not byte:
                raise ConnectionResetError(104, "connection closed during authentication")
            answer += byte
        if not answer.startswith(b"OK "):
            raise PermissionError(13, f"authentication refused: {answer.decode('ascii', 'replace').strip()}")

    def listen(self, interface: str, member: str) -> None:
        """Have a signal delivered; without a bus between, all are."""
        if self._bus:
            rule = f"type='signal',interface='{interface}',member='{member}'"
            dbus = "org.freedesktop.DBus"
            self.call(dbus, "/org/freedesktop/DBus", dbus, "AddMatch", "s", [rule])

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", values: Any = ()
    ) -> list[Any]:
        """Call a method and return its reply's values. Raise DBusError for an error, Unavailable on a timeout."""
        self._serial += 1
        serial = self._serial
        self._send(compose(serial, destination, path, interface, member, signature, list(values)))
        while True:
            message = self._receive()
            if message.kind == SIGNAL:
                self._signals.append(message)
            elif message.reply_to == serial and message.kind == ERROR:
                raise DBusError(message.error, str(message.body[0]) if message.body else "")
            elif message.reply_to == serial and message.kind == REPLY:
                return message.body

    def next_signal(self, member: str) -> list[Any]:
        """Wait for the next signal of a name, those that came during calls first; return its values."""
        while True:
            message = self._signals.pop(0) if self._signals else self._receive()
            if message.kind == SIGNAL and message.member == member:
                return message.body

    def _send(self, message: bytes) -> None:
        try:
            self._socket.sendall(message)
        except OSError as error:
            raise Unavailable("cannot send to D-Bus") from error

    def _receive(self) -> Message:
        try:
            fixed = self._exactly(16)
            order = "<" if fixed[:1] == b"l" else ">"
            body_length, _serial, fields_length = struct.unpack_from(order + "III", fixed, 4)
            if body_length + fields_length > _LONGEST:
                raise Corrupt("a D-Bus message is too long")
            rest = self._exactly(fields_length + -fields_length % 8 + body_length)
        except TimeoutError as error:
            raise Unavailable("D-Bus did not answer in time") from error
        except OSError as error:
            raise Unavailable("cannot read from D-Bus") from error
        return parse(fixed + rest, order, body_length)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise ConnectionResetError(104, "connection reset by peer")
            data += part
        return bytes(data)


def compose(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, values: list[Any]
) -> bytes:
    """Return a method call as bytes."""
    body = marshal(signature, values)
    fields = [(_PATH, Variant("o", path)), (_INTERFACE, Variant("s", interface)), (_MEMBER, Variant("s", member))]
    fields.append((_DESTINATION, Variant("s", destination)))
    if signature:
        fields.append((_SIGNATURE, Variant("g", signature)))
    header = marshal("yyyyuua(yv)", [ord("l"), CALL, 0, 1, len(body), serial, fields])
    _pad(header, 8)
    return bytes(header + body)


def parse(data: bytes, order: str, body_length: int) -> Message:
    """Return a whole message."""
    reader = Reader(data, order)
    _order, kind, _flags, _version, _length, _serial, pairs = reader.values("yyyyuua(yv)")
    fields = {code: variant.value for code, variant in pairs}
    body = Reader(data[len(data) - body_length :], order).values(fields.get(_SIGNATURE, ""))
    return Message(kind, fields, body)


def systemd() -> Connection:
    """Connect to the systemd that runs this host, or this user's. Raise Unsupported where there is none."""
    for path, bus in _addresses():
        if os.path.exists(path):
            return Connection(path, bus=bus)
    raise Unsupported("systemd does not run here, and systemd cgroups were asked for")


def _addresses() -> list[tuple[str, bool]]:
    if os.geteuid() == 0:
        return [("/run/systemd/private", False), ("/run/dbus/system_bus_socket", True)]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return [(f"{runtime}/systemd/private", False), (f"{runtime}/bus", True)]
