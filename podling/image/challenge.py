"""WWW-Authenticate: what a registry wants to see (RFC 9110, section 11)."""

from __future__ import annotations

from podling.records import Record


class Challenge(Record):
    """One challenge; `scheme` in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse(headers: list[str]) -> list[Challenge]:
    """Return the challenges of all headers, bearer before basic; malformed parts are passed over."""
    found = [challenge for header in headers for challenge in _challenges(header)]
    return sorted(found, key=lambda challenge: challenge.scheme != "bearer")


def _challenges(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    for token in _split(header):
        scheme, space, rest = token.partition(" ")
        if "=" not in scheme:
            found.append((scheme.lower(), {}))
            token = rest if space else ""
        name, equals, value = token.strip().partition("=")
        if equals and found:
            found[-1][1][name.strip().lower()] = _unquote(value.strip())
    return [
        Challenge(scheme=scheme, realm=fields.get("realm", ""), service=fields.get("service", ""))
        for scheme, fields in found
    ]


def _split(header: str) -> list[str]:
    """Split at the commas that are not inside quotes."""
    parts, current, is_quoted, is_escaped = [], "", False, False
    for character in header:
        if character == "," and not is_quoted:
            parts.append(current.strip())
            current = ""
            continue
        if character == '"' and not is_escaped:
            is_quoted = not is_quoted
        is_escaped = character == "\\" and is_quoted and not is_escaped
        current += character
    return [part for part in [*parts, current.strip()] if part]


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
