"""Elements of nftables sets and maps, over netlink: what would otherwise be a start of nft(8) is one system call.

    BATCH_BEGIN  NEWSETELEM …  DELSETELEM …  BATCH_END        one transaction: all or nothing

Only what changes per container goes this way. Tables, chains and rules are written by nft(8) from text, once. Numbers
are in network order here, unlike in rtnetlink.
"""

from __future__ import annotations

from _struct import pack, unpack_from

from podling.linux.netlink import (
    NETLINK_NETFILTER,
    NLM_F_CREATE,
    NLM_F_DUMP,
    Answer,
    Message,
    Netlink,
    attribute,
    attribute_list,
    attributes,
    check,
    nested,
    string,
)

NFPROTO_INET = 1
FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}

_SUBSYSTEM = 10 << 8
NFT_MSG_GETCHAIN = _SUBSYSTEM | 4
NFT_MSG_NEWSETELEM = _SUBSYSTEM | 12
NFT_MSG_GETSETELEM = _SUBSYSTEM | 13
NFT_MSG_DELSETELEM = _SUBSYSTEM | 14
NFNL_MSG_BATCH_BEGIN = 16
NFNL_MSG_BATCH_END = 17

NFTA_CHAIN_TABLE = 1
NFTA_CHAIN_NAME = 3
NFTA_CHAIN_HOOK = 4
NFTA_CHAIN_POLICY = 5
NFTA_HOOK_HOOKNUM = 1
NFTA_LIST_ELEM = 1
NFTA_SET_ELEM_LIST_TABLE = 1
NFTA_SET_ELEM_LIST_SET = 2
NFTA_SET_ELEM_LIST_ELEMENTS = 3
NFTA_SET_ELEM_KEY = 1
NFTA_SET_ELEM_DATA = 2
NFTA_SET_ELEM_USERDATA = 6
NFTA_DATA_VALUE = 1

NF_INET_FORWARD = 2
NF_DROP = 0

_UDATA_COMMENT = 0
_CHUNK = 256  # elements in one message: an attribute ends at 64 KiB

ENOENT = 2


class Element:
    """One element: the set, its key, for a map what it maps to, and a comment that `nft list` shows."""

    __slots__ = ("comment", "data", "key", "set_name")

    def __init__(self, set_name: str, key: bytes, data: bytes = b"", comment: str = "") -> None:
        self.set_name = set_name
        self.key = key
        self.data = data
        self.comment = comment

    def __repr__(self) -> str:
        return f"Element({self.set_name}: {self.key.hex()} → {self.data.hex()} {self.comment})"

    def _encode(self, *, with_data: bool) -> bytes:
        parts = [nested(NFTA_SET_ELEM_KEY, attribute(NFTA_DATA_VALUE, self.key))]
        if with_data and self.data:
            parts.append(nested(NFTA_SET_ELEM_DATA, attribute(NFTA_DATA_VALUE, self.data)))
        if with_data and self.comment:
            text = self.comment.encode() + b"\0"
            parts.append(attribute(NFTA_SET_ELEM_USERDATA, bytes([_UDATA_COMMENT, len(text)]) + text))
        return nested(NFTA_LIST_ELEM, *parts)


class Chain:
    """A base chain: where it hooks in, and whether it drops what no rule accepts."""

    __slots__ = ("family", "hook", "name", "policy", "table")

    def __init__(self, payload: bytes) -> None:
        values = attributes(payload, 4)
        self.family = FAMILIES.get(payload[0], "")
        self.table = values.get(NFTA_CHAIN_TABLE, b"").rstrip(b"\0").decode()
        self.name = values.get(NFTA_CHAIN_NAME, b"").rstrip(b"\0").decode()
        hook = attributes(values.get(NFTA_CHAIN_HOOK, b"")).get(NFTA_HOOK_HOOKNUM)
        self.hook = unpack_from(">I", hook)[0] if hook else -1
        self.policy = unpack_from(">I", values[NFTA_CHAIN_POLICY])[0] if NFTA_CHAIN_POLICY in values else -1


def _header(family: int = NFPROTO_INET, resource: int = 0) -> bytes:
    return pack(">BBH", family, 0, resource)


def _element_message(kind: int, table: str, elements: list[Element]) -> Message:
    adding = kind == NFT_MSG_NEWSETELEM
    body = _header() + string(NFTA_SET_ELEM_LIST_TABLE, table)
    body += string(NFTA_SET_ELEM_LIST_SET, elements[0].set_name)
    encoded = [element._encode(with_data=adding) for element in elements]
    body += nested(NFTA_SET_ELEM_LIST_ELEMENTS, *encoded)
    verb = {NFT_MSG_NEWSETELEM: "add to", NFT_MSG_DELSETELEM: "remove from", NFT_MSG_GETSETELEM: "look into"}[kind]
    purpose = f'{verb} firewall set "{elements[0].set_name}"'
    return Message(kind, NLM_F_CREATE if adding else 0, body, purpose)


def _grouped(kind: int, table: str, elements: list[Element]) -> list[Message]:
    by_set: dict[str, list[Element]] = {}
    for element in elements:
        by_set.setdefault(element.set_name, []).append(element)
    return [
        _element_message(kind, table, group[start : start + _CHUNK])
        for group in by_set.values()
        for start in range(0, len(group), _CHUNK)
    ]


class Nftables:
    """A netfilter socket."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)

    def __enter__(self) -> Nftables:
        return self

    def __exit__(self, *_error: object) -> None:
        self._netlink.close()

    def change(self, table: str, *, add: list[Element] = [], remove: list[Element] = []) -> None:  # noqa: B006
        """Remove, then add elements of an inet table in one transaction. Raise OSError, with nothing changed."""
        messages = _grouped(NFT_MSG_DELSETELEM, table, remove) + _grouped(NFT_MSG_NEWSETELEM, table, add)
        if messages:
            begin = Message(NFNL_MSG_BATCH_BEGIN, 0, _header(0, 10), "begin a firewall transaction", silent=True)
            end = Message(NFNL_MSG_BATCH_END, 0, _header(0, 10), "commit a firewall transaction", silent=True)
            self._netlink.request([begin, *messages, end])

    def remove_present(self, table: str, elements: list[Element]) -> None:
        """Remove such of the elements as are there."""
        try:
            self.change(table, remove=elements)
        except FileNotFoundError:
            present = [element for element in elements if self.has(table, element)]
            try:
                self.change(table, remove=present)
            except FileNotFoundError:
                pass  # somebody else was faster

    def has(self, table: str, element: Element) -> bool:
        """Tell whether an element is there; no table and no set count as absent."""
        return self.have(table, [element])[0]

    def have(self, table: str, elements: list[Element]) -> list[bool]:
        """Tell of each element whether it is there, in one round trip."""
        messages = [_element_message(NFT_MSG_GETSETELEM, table, [element]) for element in elements]
        answers = self._netlink.exchange(messages)
        return [_present(message, answer) for message, answer in zip(messages, answers, strict=True)]

    def elements(self, table: str, set_name: str) -> list[Element]:
        """Return the elements of a set; none where the set does not exist."""
        body = _header() + string(NFTA_SET_ELEM_LIST_TABLE, table) + string(NFTA_SET_ELEM_LIST_SET, set_name)
        message = Message(NFT_MSG_GETSETELEM, NLM_F_DUMP, body, f'list firewall set "{set_name}"')
        answer = self._netlink.exchange([message])[0]
        if not _present(message, answer):
            return []
        found = []
        for payload in answer.payloads:
            listed = attributes(payload, 4).get(NFTA_SET_ELEM_LIST_ELEMENTS, b"")
            found += [_element(set_name, value) for _kind, value in attribute_list(listed)]
        return found

    def chains(self) -> list[Chain]:
        """Return the chains of all families."""
        message = Message(NFT_MSG_GETCHAIN, NLM_F_DUMP, _header(0), "list firewall chains")
        return [Chain(payload) for payload in self._netlink.request([message])[0].payloads]


def _present(message: Message, answer: Answer) -> bool:
    if answer.error == ENOENT:
        return False
    check(message, answer)
    return True


def _element(set_name: str, data: bytes) -> Element:
    values = attributes(data)
    key = attributes(values.get(NFTA_SET_ELEM_KEY, b"")).get(NFTA_DATA_VALUE, b"")
    mapped = attributes(values.get(NFTA_SET_ELEM_DATA, b"")).get(NFTA_DATA_VALUE, b"")
    return Element(set_name, key, mapped, _comment(values.get(NFTA_SET_ELEM_USERDATA, b"")))


def _comment(userdata: bytes) -> str:
    if len(userdata) >= 2 and userdata[0] == _UDATA_COMMENT:
        return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")
    return ""
