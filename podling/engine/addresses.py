"""IP and MAC addresses as users write them. `ipaddress` would cost 4 ms of imports; the C library reads them too."""

from __future__ import annotations

import _socket

from podling.errors import InvalidArgument

_HEXADECIMAL = "0123456789abcdefABCDEF"


def normalize(text: str) -> str | None:
    """Return an IPv4 or IPv6 address in its usual form, None where the text is none."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_ntop(family, _socket.inet_pton(family, text))
        except (OSError, ValueError):
            continue
    return None


def check(text: str, refusal: str) -> str:
    """Return an address in its usual form. Raise InvalidArgument with the words of `refusal`."""
    found = normalize(text.strip())
    if found is None:
        raise InvalidArgument(refusal)
    return found


def mac(text: str) -> str:
    """Return a MAC address in lower case with colons. Raise InvalidArgument."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or not all(len(part) == 2 and not part.strip(_HEXADECIMAL) for part in parts):
        raise InvalidArgument(f"address {text}: invalid MAC address")
    return ":".join(parts).lower()
