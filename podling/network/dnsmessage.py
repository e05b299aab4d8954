"""DNS messages: as much of RFC 1035 as answering a question about a name or an address takes."""

from __future__ import annotations

from _struct import pack, unpack_from

TYPE_A = 1
TYPE_PTR = 12
TYPE_OPT = 41
TYPE_AAAA = 28
CLASS_IN = 1

NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4

HEADER_SIZE = 12
UDP_SIZE = 512
ADVERTISED_SIZE = 1232  # what fits a packet everywhere
TIME_TO_LIVE_SECONDS = 0  # containers come and go

_QR = 0x8000
_AA = 0x0400
_TC = 0x0200
_RD = 0x0100
_RA = 0x0080
_OPCODE_MASK = 0x7800
_REVERSE_IPV4 = ".in-addr.arpa"
_REVERSE_IPV6 = ".ip6.arpa"


class Query:
    """A message with one question."""

    __slots__ = ("flags", "identifier", "kind", "name", "question", "size", "supported", "with_options")

    def __init__(self, message: bytes) -> None:
        """Parse a message. Raise ValueError where it is not a query with exactly one question."""
        if len(message) < HEADER_SIZE:
            raise ValueError("short message")
        self.identifier, self.flags, questions, _answers, _authority, additional = unpack_from(">HHHHHH", message)
        if self.flags & _QR or questions != 1:
            raise ValueError("not a query with one question")
        self.name, end = _read_name(message, HEADER_SIZE)
        if end + 4 > len(message):
            raise ValueError("short question")
        self.kind, question_class = unpack_from(">HH", message, end)
        self.question = message[HEADER_SIZE : end + 4]
        self.supported = not self.flags & _OPCODE_MASK and question_class == CLASS_IN
        self.with_options, self.size = _options(message, end + 4, additional)

    def answer(self, code: int, records: list[tuple[int, bytes]], *, over_tcp: bool = False) -> bytes:
        """Return the response: `records` are (type, data) for the name in question. It says so if it is cut short."""
        flags = _QR | _AA | _RA | self.flags & (_RD | _OPCODE_MASK) | code
        options = pack(">BHHIH", 0, TYPE_OPT, ADVERTISED_SIZE, 0, 0) if self.with_options else b""
        limit = 65535 if over_tcp else self.size
        body, count = b"", 0
        for kind, data in records:
            record = pack(">HHHIH", 0xC000 | HEADER_SIZE, kind, CLASS_IN, TIME_TO_LIVE_SECONDS, len(data)) + data
            if HEADER_SIZE + len(self.question) + len(body) + len(record) + len(options) > limit:
                flags |= _TC
                break
            body += record
            count += 1
        header = pack(">HHHHHH", self.identifier, flags, 1, count, 0, 1 if options else 0)
        return header + self.question + body + options


def _options(message: bytes, offset: int, additional: int) -> tuple[bool, int]:
    """Return whether an EDNS record follows the question, and the answer's size that it allows."""
    if additional and len(message) >= offset + 11 and message[offset] == 0:
        kind, size = unpack_from(">HH", message, offset + 1)
        if kind == TYPE_OPT:
            return True, max(size, UDP_SIZE)
    return False, UDP_SIZE


def _read_name(message: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    while True:
        if offset >= len(message):
            raise ValueError("short name")
        length = message[offset]
        offset += 1
        if not length:
            return ".".join(labels), offset
        if length > 63 or offset + length > len(message):
            raise ValueError("compressed or short label in a question")
        labels.append(message[offset : offset + length].decode("latin-1").lower())
        offset += length


def write_name(name: str) -> bytes:
    """Return a name as labels."""
    labels = [label.encode("latin-1", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reversed_address(name: str) -> bytes | None:
    """Return the address that a name under in-addr.arpa or ip6.arpa asks about, or None."""
    try:
        if name.endswith(_REVERSE_IPV4):
            address = bytes(int(part) for part in reversed(name.removesuffix(_REVERSE_IPV4).split(".")))
            return address if len(address) == 4 else None
        if name.endswith(_REVERSE_IPV6):
            address = bytes.fromhex("".join(reversed(name.removesuffix(_REVERSE_IPV6).split("."))))
            return address if len(address) == 16 else None
    except ValueError:
        return None
    return None


def is_response_to(message: bytes, identifier: int) -> bool:
    """Tell whether a message answers the query with this identifier."""
    if len(message) < HEADER_SIZE:
        return False
    found, flags = unpack_from(">HH", message)
    return bool(flags & _QR) and found == identifier


def with_identifier(message: bytes, identifier: int) -> bytes:
    """Return a message under another identifier."""
    return pack(">H", identifier) + message[2:]


def failure(message: bytes, code: int) -> bytes:
    """Return a response without content, with the question if it can be told: clients pass over one without it."""
    try:
        return Query(message).answer(code, [])
    except ValueError:
        identifier, flags = unpack_from(">HH", message)
        return pack(">HHHHHH", identifier, _QR | _RA | flags & (_RD | _OPCODE_MASK) | code, 0, 0, 0, 0)
