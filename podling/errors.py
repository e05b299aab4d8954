"""The errors of Podling, classed by remedy.

    PodlingError                   125
    ├── InvalidArgument            125   say something else
    ├── NotFound                   125   name something that exists (exists/rm/rmi map it to 1)
    ├── AlreadyExists              125   choose another name
    ├── InUse                      125   remove the user first, or force (rm/rmi map it to 2)
    ├── WrongState                 125   bring the object into the right state first
    ├── Unavailable                125   try again later: a registry, a lock, a full disk
    ├── Unsupported                125   this host or build cannot do it
    ├── Denied                     125   credentials, certificates, policy
    ├── Corrupt                    125   what was read is not what was promised
    ├── CannotInvoke               126   the command exists and cannot be run
    └── CommandNotFound            127   the command does not exist

Each front door maps a class once: the command line to an exit code, an API to a status.
A message is lower case, without a full stop, with the user's strings quoted:
our intent, the operands, the kernel's reason.
"""

from __future__ import annotations


class PodlingError(Exception):
    """An error that is told to the user in one line."""

    exit_code = 125


class InvalidArgument(PodlingError):
    """The request is malformed or contradicts itself."""


class NotFound(PodlingError):
    """No object goes by that name."""


class AlreadyExists(PodlingError):
    """The name is taken."""


class InUse(PodlingError):
    """Something else still needs the object."""


class WrongState(PodlingError):
    """The object is not in a state that permits the request."""


class Unavailable(PodlingError):
    """A resource is missing for now."""


class Unsupported(PodlingError):
    """This host cannot do what was asked."""


class Denied(PodlingError):
    """Credentials, certificates or policy forbid it."""


class Corrupt(PodlingError):
    """Content does not match its digest, size or format."""


class CannotInvoke(PodlingError):
    """The container's command exists and cannot be executed."""

    exit_code = 126


class CommandNotFound(PodlingError):
    """The container's command does not exist."""

    exit_code = 127


def reason(error: BaseException) -> str:
    """Return an error with its causes on one line, joined by ": "; an OSError as the kernel's words alone."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.strerror:
            name = f"{current.filename}: " if isinstance(current.filename, str) else ""
            text = name + current.strerror.lower()
        else:
            text = str(current)
        if text and (not parts or text not in parts[-1]):
            parts.append(text)
        current = current.__cause__
    return ": ".join(parts) or type(error).__name__
