"""Pulling an image: from a name to an entry in the store's index.

    name ──► candidates (short names) ──► sources (mirrors, the registry) ──► manifest ──► fetch.py ──► store

A pull uses threads and TLS, so it happens in a process of its own wherever another program is to be started afterwards
(engine/images.py).
"""

from __future__ import annotations

import os

from podling.errors import Denied, InvalidArgument, PodlingError, Unavailable
from podling.image import credentials, fetch, policy, registries
from podling.image.client import Client
from podling.image.layout import Layout
from podling.image.request import PullRequest
from podling.oci import manifest, reference
from podling.oci.digest import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.image.progress import Progress
    from podling.image.registries import Registries, Source
    from podling.oci.manifest import Platform
    from podling.oci.reference import Reference
    from podling.store.image import Image
    from podling.store.store import Store


def pull(store: Store, name: str, request: PullRequest, report: Progress) -> Image:
    """Pull the image that a name stands for and return it; what was there already is not fetched again.

    `name` may begin with `docker://`, or be `oci:DIRECTORY[:NAME]`. On failure nothing of it is visible in the store.
    """
    wanted = platform(request)
    if name.startswith("oci:"):
        return _pull_layout(store, name.removeprefix("oci:"), wanted, report)
    name = name.removeprefix("docker://")
    configuration = registries.load(request)
    resolution = configuration.resolve(name)
    if resolution.description:
        report.resolved(resolution.description)
    failures: list[PodlingError] = []
    for candidate in resolution.candidates:
        report.trying(str(candidate))
        try:
            return _pull_candidate(store, candidate, configuration, request, wanted, report)
        except PodlingError as error:
            failures.append(error)
    raise _summary(failures)


def platform(request: PullRequest) -> Platform:
    """Return the platform that a request wants. Raise InvalidArgument where it contradicts itself."""
    return manifest.wanted_platform(
        os.uname().machine,
        platform=request.platform,
        os=request.os,
        architecture=request.arch,
        variant=request.variant,
    )


def _pull_candidate(
    store: Store,
    candidate: Reference,
    configuration: Registries,
    request: PullRequest,
    wanted: Platform,
    report: Progress,
) -> Image:
    policy.check(request, candidate)
    entry = configuration.find(candidate)
    if entry is not None and entry.blocked:
        raise Denied(
            f"initializing source docker://{candidate}: registry {entry.prefix} is blocked in "
            f"{configuration.unqualified_origin} or its registries.conf.d"
        )
    client, content, content_type = _open_source(configuration.sources(candidate), candidate, request)
    try:
        report.signatures()
        naming = _naming(candidate)
        return fetch.fetch(store, client, content, content_type, naming, wanted, report)
    finally:
        client.close()


def _open_source(sources: list[Source], candidate: Reference, request: PullRequest) -> tuple[Client, bytes, str]:
    """Return a client of the first source that has the manifest, and the manifest."""
    failures: list[PodlingError] = []
    for source in sources:
        known = credentials.find(request, source.reference)
        insecure = source.insecure if request.tls_verify is None else not request.tls_verify
        client = Client(request, source.reference, known, insecure=insecure)
        try:
            content, content_type = client.manifest(source.reference.digest or source.reference.tag)
        except PodlingError as error:
            client.close()
            failures.append(error)
        except BaseException:
            client.close()
            raise
        else:
            return client, content, content_type
    *mirrors, primary = failures
    also = f"(Mirrors also failed: {'; '.join(str(error) for error in mirrors)}): " if mirrors else ""
    raise type(primary)(f"{also}initializing source docker://{candidate}: {primary}") from primary.__cause__


def _naming(candidate: Reference) -> fetch.Naming:
    if candidate.digest:
        return fetch.Naming(pinned=f"{candidate.repository}@{candidate.digest}")
    return fetch.Naming(name=str(candidate))


def _pull_layout(store: Store, place: str, wanted: Platform, report: Progress) -> Image:
    directory, colon, name = place.partition(":")
    if not directory:
        raise InvalidArgument(f'invalid layout "oci:{place}": want oci:DIRECTORY[:NAME]')
    source = Layout(directory)
    report.trying(f"oci:{place}")
    content, content_type = source.manifest(name)
    report.signatures()
    base = os.path.basename(os.path.abspath(directory)).lower()
    own = reference.normalize(name if colon and not is_digest(name) else base, "localhost")
    return fetch.fetch(store, source, content, content_type, fetch.Naming(name=own), wanted, report)


def _summary(failures: list[PodlingError]) -> PodlingError:
    if len(failures) == 1:
        return failures[0]
    told = "; ".join(str(error) for error in failures)
    return Unavailable(f"{len(failures)} errors occurred while pulling: {told}")
