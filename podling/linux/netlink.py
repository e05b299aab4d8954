"""Netlink: requests to the kernel's network side, and what it answers.

    Message(kind, flags, body, purpose) ─┐
    Message …                            ├─► one sendmsg ─► the kernel ─► an acknowledgement per message
    Message …                           ─┘

A request is a struct: a header of 16 bytes, a family header, then attributes of (length, kind, value) padded to four
bytes. Whole lists of messages travel in one system call, and the answers come back in order. The first failure is
raised as an OSError that carries the purpose of its message. netlink(7), rtnetlink(7).
"""

from __future__ import annotations

import os
from _socket import socket as _socket
from _struct import pack, unpack_from

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_AF_NETLINK = 16
_SOCK_RAW = 3
_SOCK_CLOEXEC = 0o2000000
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_HEADER = "=IHHII"
_HEADER_SIZE = 16
_RECEIVE_SIZE = 1 << 18  # a dump comes in pieces of at most 32 KiB, a single answer in one piece


class Message:
    """One request; `purpose` says in an error what was tried. A silent one is answered only if it fails."""

    __slots__ = ("body", "flags", "kind", "purpose", "silent")

    def __init__(self, kind: int, flags: int, body: bytes, purpose: str, *, silent: bool = False) -> None:
        self.kind = kind
        self.flags = flags
        self.body = body
        self.purpose = purpose
        self.silent = silent

    def __repr__(self) -> str:
        return f"Message({self.purpose})"


class Answer:
    """What became of one message: an errno (0 for success), and the payloads that came with it."""

    __slots__ = ("error", "explanation", "payloads")

    def __init__(self) -> None:
        self.error = 0
        self.explanation = ""
        self.payloads: list[bytes] = []


class Netlink:
    """A netlink socket, bound in the network namespace that the caller is in when it is made."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = _socket(_AF_NETLINK, _SOCK_RAW | _SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def exchange(self, messages: list[Message]) -> list[Answer]:
        """Send messages in one call and return an answer for each, failures included."""
        first = self._sequence + 1
        self._sequence += len(messages)
        packets = []
        for number, message in enumerate(messages, first):
            flags = message.flags | NLM_F_REQUEST
            if flags & NLM_F_DUMP != NLM_F_DUMP and not message.silent:
                flags |= NLM_F_ACK
            header = pack(_HEADER, _HEADER_SIZE + len(message.body), message.kind, flags, number, 0)
            packets.append(header + message.body)
        self._socket.send(b"".join(packets))
        return self._collect(first, messages)

    def _collect(self, first: int, messages: list[Message]) -> list[Answer]:
        count = len(messages)
        answers = [Answer() for _ in messages]
        missing = sum(not message.silent for message in messages)
        while missing:
            data = self._socket.recv(_RECEIVE_SIZE)
            offset = 0
            while offset < len(data):
                length, kind, flags, sequence, _port = unpack_from(_HEADER, data, offset)
                payload = data[offset + _HEADER_SIZE : offset + length]
                offset += (length + 3) & ~3
                if not 0 <= sequence - first < count:
                    continue  # the tail of an exchange that was given up
                answer = answers[sequence - first]
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    _conclude(answer, kind, flags, payload)
                    if messages[sequence - first].silent:
                        check(messages[sequence - first], answer)
                    else:
                        missing -= 1
                else:
                    answer.payloads.append(payload)
        return answers

    def request(self, messages: list[Message]) -> list[Answer]:
        """Send messages in one call. Raise OSError for the first that failed; those behind it were tried too."""
        answers = self.exchange(messages)
        for message, answer in zip(messages, answers, strict=True):
            check(message, answer)
        return answers


def check(message: Message, answer: Answer) -> None:
    """Raise OSError, naming the message's purpose, if the answer is an error."""
    if answer.error:
        text = os.strerror(answer.error)
        if answer.explanation:
            text += f" ({answer.explanation})"
        raise OSError(answer.error, text, message.purpose)


def _conclude(answer: Answer, kind: int, flags: int, payload: bytes) -> None:
    if len(payload) >= 4:
        answer.error = -unpack_from("=i", payload)[0]
    if kind == NLMSG_ERROR and answer.error and flags & _NLM_F_ACK_TLVS:
        text = attributes(payload, 4 + _HEADER_SIZE).get(_NLMSGERR_ATTR_MSG, b"")
        answer.explanation = text.rstrip(b"\0").decode("utf-8", "replace")


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    return pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *attributes_inside: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes_inside))


def string(kind: int, text: str) -> bytes:
    """Return an attribute that holds a NUL-terminated string."""
    return attribute(kind, text.encode() + b"\0")


def number32(kind: int, value: int) -> bytes:
    """Return an attribute that holds an integer of 32 bits in the machine's order."""
    return attribute(kind, pack("=I", value))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from `offset` to the end, by kind; of a kind that repeats, the last."""
    return dict(attribute_list(data, offset))


def attribute_list(data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
    """Return the attributes from `offset` to the end, in order."""
    found = []
    while offset + 4 <= len(data):
        length, kind = unpack_from("=HH", data, offset)
        if length < 4:
            break
        found.append((kind & _NLA_TYPE_MASK, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found
