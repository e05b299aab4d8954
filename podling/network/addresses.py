"""Addresses and subnets as packed bytes and integers; importing ipaddress would cost 3 ms.

An address is 4 or 16 bytes in network order.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_address(text: str) -> bytes:
    """Return an address as bytes. Raise InvalidArgument."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        raise InvalidArgument(f'"{text}" is not an IP address') from None


def address_text(address: bytes) -> str:
    """Return an address as people write it."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def parse_mac(text: str) -> bytes:
    """Return a hardware address as bytes. Raise InvalidArgument."""
    try:
        address = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        address = b""
    if len(address) != 6:
        raise InvalidArgument(f"address {text}: invalid MAC address")
    return address


def mac_text(address: bytes) -> str:
    """Return a hardware address as people write it."""
    return address.hex(":")


class Subnet:
    """A subnet: `base`/`length` among addresses of `bits` bits."""

    __slots__ = ("base", "bits", "length")

    def __init__(self, base: int, bits: int, length: int) -> None:
        self.base = base >> (bits - length) << (bits - length)
        self.bits = bits
        self.length = length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subnet) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((self.base, self.bits, self.length))

    def __str__(self) -> str:
        return f"{address_text(self.pack(self.base))}/{self.length}"

    @property
    def last(self) -> int:
        """Return the highest address."""
        return self.base | ((1 << (self.bits - self.length)) - 1)

    def pack(self, value: int) -> bytes:
        """Return a number as an address of this family."""
        return value.to_bytes(self.bits // 8, "big")

    def __contains__(self, address: bytes) -> bool:
        return len(address) * 8 == self.bits and self.base <= int.from_bytes(address, "big") <= self.last

    def overlaps(self, other: Subnet) -> bool:
        """Tell whether the two share an address."""
        return self.bits == other.bits and self.base <= other.last and other.base <= self.last

    def overlaps_any(self, others: Iterable[Subnet]) -> bool:
        """Tell whether it shares an address with one of the others."""
        return any(self.overlaps(other) for other in others)

    def following(self) -> Subnet:
        """Return the next subnet of the same size."""
        return Subnet(self.last + 1, self.bits, self.length)


def parse_subnet(text: str) -> Subnet:
    """Return the subnet that an address with a prefix length lies in. Raise InvalidArgument."""
    address_part, slash, length_part = text.partition("/")
    try:
        address = parse_address(address_part)
        length = int(length_part) if length_part.isdigit() else -1
    except InvalidArgument:
        address, length = b"", -1
    if not slash or not 0 <= length <= len(address) * 8:
        raise InvalidArgument(f"invalid CIDR address: {text}")
    return Subnet(int.from_bytes(address, "big"), len(address) * 8, length)
