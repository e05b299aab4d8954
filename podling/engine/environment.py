"""The environment of a container's processes, from all who have a say. A later one wins:

    containers.conf env   (env_host: the engine's own)
    the image
    --env-merge, --unsetenv, --unsetenv-all
    --env-host; else --http-proxy: the proxy variables of the engine's own environment
    --env-file
    --env

The order of names is that of their first appearance, so that a specification is the same every time.
"""

from __future__ import annotations

from podling.errors import InvalidArgument, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from podling.engine.options import CreateOptions

PROXY = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def resolve(
    options: CreateOptions, image: Iterable[str], defaults: Mapping[str, Any], own: Mapping[str, str]
) -> list[str]:
    """Return NAME=VALUE for each variable. `defaults` is [containers] of containers.conf, `own` the engine's own."""
    merged = {"PATH": PATH}
    if defaults.get("env_host"):
        merged.update(own)
    merged.update(parse(defaults.get("env", ()), own))
    merged.update(parse(image, {}))
    for entry in options.env_merge:
        name, separator, value = entry.partition("=")
        if not separator:
            raise InvalidArgument(f"missing `=` for --env-merge substitution {entry}")
        merged[name] = substitute(value, merged)
    for name in options.unsetenv:
        merged.pop(name, None)
    if options.unsetenv_all:
        merged.clear()
    if options.env_host:
        merged.update(own)
    elif options.http_proxy and defaults.get("http_proxy", True):
        merged.update({name: own[name] for name in PROXY if name in own})
    for path in options.env_file:
        merged.update(read_file(path, own))
    merged.update(parse(options.env, own))
    return [f"{name}={value}" for name, value in merged.items()]


def parse(entries: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return variables from NAME=VALUE, NAME (the engine's own value, if it has one) and PREFIX* (all of its own)."""
    found: dict[str, str] = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not name:
            raise InvalidArgument(f'invalid variable: "{entry}"')
        if separator:
            found[name] = value
        elif name.endswith("*"):
            found.update({key: own[key] for key in own if key.startswith(name[:-1])})
        elif name in own:
            found[name] = own[name]
    return found


def read_file(path: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an --env-file: a line each, `#` comments, values as they stand. Raise InvalidArgument."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise InvalidArgument(f"parsing file {path!r}: open {reason(error)}".replace("'", '"')) from None
    found: dict[str, str] = {}
    for line in lines:
        text = line.removesuffix("\r").lstrip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not name or name != name.strip() or any(space in name for space in " \t"):
            raise InvalidArgument(f'parsing file "{path}": invalid variable: "{text}"')
        found.update({name: value} if separator else parse([name], own))
    return found


def substitute(text: str, variables: Mapping[str, str]) -> str:
    r"""Replace $NAME, ${NAME}, ${NAME:-default} and ${NAME:+alternative}; a backslash keeps what follows it."""
    result = ""
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            result += text[position + 1]
            position += 2
        elif character == "$" and position + 1 < len(text):
            value, position = _expand(text, position + 1, variables)
            result += value
        else:
            result += character
            position += 1
    return result


def _expand(text: str, start: int, variables: Mapping[str, str]) -> tuple[str, int]:
    if text[start] == "{":
        end = text.find("}", start)
        if end < 0:
            raise InvalidArgument(f"unable to process variables for --env-merge {text}: missing }}")
        inner, position = text[start + 1 : end], end + 1
        for operator in (":-", ":+"):
            name, separator, word = inner.partition(operator)
            if separator:
                value = variables.get(name, "")
                return ((value or word) if operator == ":-" else (word if value else "")), position
        return variables.get(inner, ""), position
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return (variables.get(text[start:end], ""), end) if end > start else ("$", start)
