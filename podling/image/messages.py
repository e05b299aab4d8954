"""Errors across a fork: what a child could not do, told to its parent as JSON and raised there again."""

from __future__ import annotations

import errno

from podling import errors
from podling.errors import PodlingError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FULL = (errno.ENOSPC, errno.EDQUOT)


def tell(error: Exception, intent: str) -> dict[str, str]:
    """Return an error as a message; one that is not ours is told as Unavailable, with the intent before it."""
    if isinstance(error, PodlingError):
        kind = next(known.__name__ for known in type(error).__mro__ if known.__module__ == errors.__name__)
        return {"error": kind, "message": reason(error)}
    if isinstance(error, OSError) and error.errno in _FULL:
        return {"error": "Unavailable", "message": f"{intent}: {(error.strerror or '').lower()}"}
    return {"error": "Unavailable", "message": f"{intent}: {reason(error)}"}


def revive(message: Mapping[str, str]) -> PodlingError:
    """Return the error of a message."""
    kind = getattr(errors, message["error"], PodlingError)
    error: PodlingError = kind(message["message"])
    return error
