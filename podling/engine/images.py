"""Images, as the verbs need them: found or pulled, pulled on demand, removed.

run, create ──► ensure ──fork──► a child that pulls (TLS, registries, workers) and has ended when ensure returns
pull        ──► pull             in the process itself, which starts no program afterwards
rmi         ──► remove_images    refuses what containers use, unless forced: then they go first
"""

from __future__ import annotations

import _signal
import os
import sys

from podling.engine import database, recover
from podling.errors import InUse, InvalidArgument, NotFound, PodlingError, Unavailable, reason
from podling.image import messages
from podling.image.progress import PlainProgress, Progress
from podling.image.request import PullRequest
from podling.oci import jsontext
from podling.records import Record
from podling.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from podling.engine.container import Container
    from podling.engine.options import CreateOptions, Settings
    from podling.store.image import Image

_POLICIES = {
    "always": "always",
    "missing": "missing",
    "ifnotpresent": "missing",
    "": "missing",
    "true": "missing",
    "never": "never",
    "false": "never",
    "newer": "newer",
    "ifnewer": "newer",
}


class Removal(Record):
    """What `rmi` did: names taken, IDs of images removed, and what could not be done, in the order it was asked for."""

    untagged: list[str] = []
    deleted: list[str] = []
    failures: list[PodlingError] = []

    @property
    def exit_code(self) -> int:
        """Return Podman's exit code: 2 where an image is in use, 1 where one is not known, else 125."""
        if not self.failures:
            return 0
        if any(isinstance(failure, InUse) for failure in self.failures):
            return 2
        return 1 if all(isinstance(failure, NotFound) for failure in self.failures) else 125


def store_of(settings: Settings) -> Store:
    """Return the store of these settings."""
    return Store(settings.root, settings.runroot)


# finding and pulling


def ensure(settings: Settings, name: str, options: CreateOptions, report: Progress | None = None) -> Image:
    """Return the image of a name, pulled as the policy `options.pull` says. No thread and no TLS remain behind.

    `report` is used in the child that pulls; without one Podman's plain lines go to stderr, or none with
    `options.quiet`. Raise NotFound, InvalidArgument, or what the pull raised.
    """
    policy = pull_policy(options.pull)
    local = _find(settings, name, options)
    if policy == "never" and local is None:
        raise NotFound(f"{name}: image not known")
    if local is not None and (policy in ("never", "missing")):
        return local
    if policy == "always" and local is not None and _is_id(local, name):
        raise InvalidArgument(f"pull policy is always but image has been referred to by ID ({name})")
    try:
        return _pull_in_child(settings, name, request_of(options), report or default_report(options.quiet))
    except PodlingError:
        if policy == "newer" and local is not None:
            return local
        raise


def pull_policy(text: str) -> str:
    """Return always, missing, never or newer. Raise InvalidArgument."""
    try:
        return _POLICIES[text.lower()]
    except KeyError:
        raise InvalidArgument(f'unsupported pull policy "{text}"') from None


def pull(settings: Settings, name: str, request: PullRequest, report: Progress, *, policy: str = "always") -> Image:
    """Pull an image in this process, which must not start a program afterwards, and return it."""
    policy = pull_policy(policy)
    recover.recover(settings)
    from podling.image.pull import pull as pull_now

    store = store_of(settings)
    local = _find_local(store, name) if policy != "always" else None
    if policy == "never" and local is None:
        raise NotFound(f"{name}: image not known")
    if local is not None and policy in ("missing", "never"):
        return local
    return pull_now(store, name, request, report)


def request_of(options: CreateOptions) -> PullRequest:
    """Return the request that options of `run` or `create` amount to."""
    return PullRequest(
        platform=options.platform,
        os=options.os,
        arch=options.arch,
        variant=options.variant,
        authfile=options.authfile,
        creds=options.creds,
        cert_dir=options.cert_dir,
        tls_verify=options.tls_verify,
        retry=PullRequest.retry if options.retry is None else options.retry,
        environment=dict(os.environ),
    )


def default_report(quiet: bool) -> Progress:
    """Return what tells of a pull where nothing better is at hand: Podman's plain lines on stderr, or silence."""
    return Progress() if quiet else PlainProgress(sys.stderr)


def _find(settings: Settings, name: str, options: CreateOptions) -> Image | None:
    image = _find_local(store_of(settings), name)
    if image is None:
        return None
    if options.platform or options.arch or options.os or options.variant:
        from podling.oci import manifest

        wanted = manifest.wanted_platform(
            os.uname().machine,
            platform=options.platform,
            os=options.os,
            architecture=options.arch,
            variant=options.variant,
        )
        found = (image.document.get("os"), image.document.get("architecture"))
        if found != (wanted.os, wanted.architecture):
            return None
    return image


def _find_local(store: Store, name: str) -> Image | None:
    """Return the image of a name, which may say where it is to be pulled from."""
    if name.startswith("oci:"):
        return None
    try:
        return store.find_image(name.removeprefix("docker://"), _repositories)
    except NotFound:
        return None


def _repositories(short: str) -> list[str]:
    """Return what registries.conf makes of a short name; asked only where it fits several images."""
    from podling.image import registries

    return registries.load(PullRequest(environment=dict(os.environ))).repositories(short)


def _is_id(image: Image, name: str) -> bool:
    return image.id.startswith(name.removeprefix("sha256:"))


# the child


def _pull_in_child(settings: Settings, name: str, request: PullRequest, report: Progress) -> Image:
    """Pull in a forked child that has ended when this returns; it dies with this process."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    read_end, write_end = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _run_child(settings, name, request, report, write_end, parent)
    os.close(write_end)
    try:
        answer = _read_all(read_end)
    except KeyboardInterrupt:
        os.kill(pid, _signal.SIGINT)  # where only this process was interrupted
        raise
    finally:
        os.close(read_end)
        _, status = os.waitpid(pid, 0)
    if not answer:
        raise Unavailable(f'pulling "{name}" ended with status {os.waitstatus_to_exitcode(status)}')
    told = jsontext.loads(answer)
    if "error" in told:
        raise messages.revive(told)
    return store_of(settings).find_image(told["id"])


def _run_child(
    settings: Settings, name: str, request: PullRequest, report: Progress, answer: int, parent: int
) -> NoReturn:
    told: dict[str, Any] = {}
    status = 1
    try:
        _end_with(parent)
        import gc

        gc.enable()  # a launcher turns it off for verbs that live for milliseconds
        from podling.image.pull import pull as pull_now

        told = {"id": pull_now(store_of(settings), name, request, report).id}
        status = 0
    except Exception as error:
        told = messages.tell(error, f'pulling "{name}"')
    except KeyboardInterrupt:
        status = 130  # the parent has it too
    finally:
        if told:
            os.write(answer, jsontext.dumps(told).encode())
        os._exit(status)


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is killed; what it staged is swept by the next verb."""
    from podling.linux import syscalls

    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _read_all(fd: int) -> bytes:
    answer = b""
    while piece := os.read(fd, 65536):
        answer += piece
    return answer


# removal


def remove_images(
    settings: Settings,
    names: Sequence[str],
    *,
    all: bool = False,  # noqa: A002 (the name of the flag)
    force: bool = False,
    ignore: bool = False,
) -> Removal:
    """Remove images by name or ID, or all of them; one failure does not keep the others.

    A name is taken from an image that has others; with its last name the image goes. `force` removes the containers
    that use it first, and passes over unknown names as `ignore` does.
    """
    if all and names:
        raise InvalidArgument("when using the --all switch, you may not pass any images names or IDs")
    if not all and not names:
        raise InvalidArgument("image name or ID must be specified")
    recover.recover(settings)
    removal = Removal()
    store = store_of(settings)
    wanted = [image.id for image in store.images()] if all else list(names)
    for name in wanted:
        try:
            _remove(settings, store, name, removal, force=force, whole=all)
        except NotFound as error:
            if not (ignore or force or all):  # with --all another process may have been faster
                removal.failures.append(error)
        except PodlingError as error:
            removal.failures.append(error)
        except OSError as error:
            removal.failures.append(Unavailable(f'removing image "{name}": {reason(error)}'))
    return removal


def _remove(settings: Settings, store: Store, name: str, removal: Removal, *, force: bool, whole: bool) -> None:
    image = store.find_image(name)
    called = store.resolve_name(image, name)
    if called and len(image.names) > 1 and not whole:
        store.untag(called)
        removal.untagged.append(called)
        return
    if not called and len(image.names) > 1 and not (force or whole):
        raise InUse(
            f'unable to delete image "{image.id}" by ID with more than one tag ({", ".join(image.names)}): '
            "please force removal"
        )
    if force:
        _remove_users(settings, image.id)
    store.remove_image(image.id, guard=_guard(settings, image.id))
    removal.untagged += image.names
    removal.deleted.append(image.id)


def _guard(settings: Settings, image_id: str) -> Callable[[], None]:
    """Return what refuses while containers use an image. The store asks under its lock: none can begin to."""

    def refuse() -> None:
        for user in _users(settings, image_id):
            raise InUse(
                f"image used by {user.id}: image is in use by a container: consider listing external containers and "
                "force-removing image"
            )

    return refuse


def _users(settings: Settings, image_id: str) -> list[Container]:
    with database.read(settings) as db:
        return db.using_image(image_id)


def _remove_users(settings: Settings, image_id: str) -> None:
    from podling.engine import remove

    for user in _users(settings, image_id):
        try:
            remove.remove(settings, user, force=True, depend=True)
        except NotFound:
            continue  # it went with one that it depended on
