"""The command `podman`: a symbolic link to podling, which never replaces a file of another origin."""

from __future__ import annotations

import os

from podling import programs
from podling.errors import AlreadyExists, NotFound, Unavailable


def install(link: str) -> None:
    """Make the link; one that is ours already is fine. Raise AlreadyExists where something else is there."""
    if is_ours(link):
        return
    target = programs.launcher("podling")
    try:
        os.symlink(target, link)
    except FileExistsError:
        raise AlreadyExists(f'"{link}" exists and is not a link to podling: remove it first') from None
    except OSError as error:
        raise Unavailable(f'link "{link}" to "{target}"') from error


def remove(link: str) -> None:
    """Remove the link. Raise NotFound where there is none of ours."""
    if not is_ours(link):
        raise NotFound(f'"{link}" is not a link to podling')
    os.unlink(link)


def is_ours(link: str) -> bool:
    """Tell whether a path is a symbolic link to the launcher."""
    target = programs.launcher("podling")
    try:
        return os.path.realpath(os.path.join(os.path.dirname(link), os.readlink(link))) == os.path.realpath(target)
    except OSError:
        return False
