"""Image manifests and indexes, OCI's and Docker's schema 2, parsed and checked; and the choice of a platform.

index (manifest list) ──► manifest per platform ──► config, layers
"""

from __future__ import annotations

from podling.errors import Corrupt, InvalidArgument, NotFound, Unsupported
from podling.oci import jsontext
from podling.oci.digest import is_digest
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"

ACCEPTED = (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST)
MANIFEST_SIZE_LIMIT = 4 << 20
CONFIG_SIZE_LIMIT = 4 << 20
LAYER_COUNT_LIMIT = 500  # overlayfs's own limit of lower directories

_COMPRESSION_BY_LAYER_TYPE = {
    "application/vnd.oci.image.layer.v1.tar": "none",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "none",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "none",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}
_ARCHITECTURE_BY_MACHINE = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "loongarch64": ("loong64", ""),
}
_ARCHITECTURE_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_OLDER_VARIANTS = {
    "arm": ("v8", "v7", "v6", "v5"),
    "arm64": ("v8",),
    "amd64": ("v4", "v3", "v2", "v1"),
}


class Platform(Record):
    """What an image is made for, in Go's words."""

    os: str = "linux"
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        variant = f", variant {self.variant!r}" if self.variant else ""
        return f"OS {self.os!r}, architecture {self.architecture!r}{variant}"


class Descriptor(Record):
    """A reference to a blob: digest and size are promises that the reader checks."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None


class Manifest(Record):
    """One image for one platform: a config and its layers, bottom first."""

    media_type: str
    config: Descriptor
    layers: list[Descriptor]


class Index(Record):
    """Several images under one name, one per platform."""

    media_type: str
    manifests: list[Descriptor]


def parse(content: bytes, content_type: str = "") -> Manifest | Index:
    """Parse what a registry sent. Raise Corrupt where it is ambiguous or malformed, Unsupported for schema 1.

    A document that could be read as both kinds is refused, and so is one whose own media type contradicts the
    registry's (CVE-2021-41190).
    """
    document = jsontext.loads(content)
    if not isinstance(document, dict):
        raise Corrupt("manifest is not a JSON object")
    media_type = _media_type(document, content_type)
    is_index = "manifests" in document
    if is_index and ("layers" in document or "config" in document):
        raise Corrupt("manifest is both an index and an image")
    if is_index != (media_type in (OCI_INDEX, DOCKER_LIST)):
        raise Corrupt(f'manifest does not have the form of its media type "{media_type}"')
    if is_index:
        return Index(media_type=media_type, manifests=_descriptors(document, "manifests"))
    layers = _descriptors(document, "layers")
    if len(layers) > LAYER_COUNT_LIMIT:
        raise Unsupported(f"image has {len(layers)} layers, more than the {LAYER_COUNT_LIMIT} that overlayfs takes")
    return Manifest(media_type=media_type, config=_descriptor(document.get("config")), layers=layers)


def compression(layer: Descriptor) -> str:
    """Return how a layer is compressed: none, gzip or zstd."""
    try:
        return _COMPRESSION_BY_LAYER_TYPE[layer.media_type]
    except KeyError:
        raise Unsupported(f'layer {layer.digest} has the unsupported media type "{layer.media_type}"') from None


def host_platform(machine: str) -> Platform:
    """Return the platform of a machine named as uname(2) names it."""
    architecture, variant = _ARCHITECTURE_BY_MACHINE.get(machine, (machine, ""))
    return Platform(architecture=architecture, variant=variant)


def wanted_platform(
    machine: str,
    *,
    platform: str | None = None,
    os: str | None = None,
    architecture: str | None = None,
    variant: str | None = None,
) -> Platform:
    """Return the host's platform, changed by --platform OS[/ARCH[/VARIANT]], or by --os, --arch and --variant."""
    host = host_platform(machine)
    if platform:
        if os or architecture or variant:
            raise InvalidArgument("--platform option can not be specified with --arch, --os or --variant")
        parts = platform.split("/")
        if len(parts) > 3 or not parts[0]:
            raise InvalidArgument(f'invalid platform syntax for "{platform}": use OS/ARCH[/VARIANT]')
        os, architecture, variant = [*parts, "", ""][:3]
    chosen = _ARCHITECTURE_ALIASES.get(architecture or "", architecture) or host.architecture
    default_variant = host.variant if chosen == host.architecture else ""
    return Platform(os=os or host.os, architecture=chosen, variant=variant or default_variant)


def choose(index: Index, wanted: Platform) -> Descriptor:
    """Return the manifest for a platform: its own variant, else the next older one, else one without a variant.

    Raise NotFound where the index has none.
    """
    suited = [
        item
        for item in index.manifests
        if item.platform and (item.platform.os, item.platform.architecture) == (wanted.os, wanted.architecture)
    ]
    for variant in _acceptable_variants(wanted):
        for item in suited:
            if item.platform and item.platform.variant == variant:
                return item
    if suited and not wanted.variant:
        return suited[0]
    raise NotFound(f"no image found in image index for {wanted}")


def _acceptable_variants(wanted: Platform) -> list[str]:
    known = _OLDER_VARIANTS.get(wanted.architecture, ())
    older = list(known[known.index(wanted.variant) :]) if wanted.variant in known else [wanted.variant]
    return [*older, ""] if "" not in older else older


def _media_type(document: dict[str, Any], content_type: str) -> str:
    sent = content_type.partition(";")[0].strip()
    own = document.get("mediaType") or ""
    if sent.startswith(DOCKER_SCHEMA_1) or document.get("schemaVersion") == 1:
        raise Unsupported("image manifest is in Docker's schema 1, which is obsolete: push the image again")
    if own and not isinstance(own, str):
        raise Corrupt("manifest has a malformed media type")
    if own and sent in ACCEPTED and own != sent:
        raise Corrupt(f'manifest says it is "{own}" and was sent as "{sent}"')
    if own in ACCEPTED or sent in ACCEPTED:
        return own or sent
    if not own:
        return OCI_INDEX if "manifests" in document else OCI_MANIFEST
    raise Unsupported(f'unsupported manifest media type "{own}"')


def _descriptors(document: dict[str, Any], key: str) -> list[Descriptor]:
    items = document.get(key)
    if not isinstance(items, list):
        raise Corrupt(f'manifest has no list "{key}"')
    return [_descriptor(item) for item in items]


def _descriptor(item: Any) -> Descriptor:
    if not isinstance(item, dict):
        raise Corrupt("manifest has a malformed descriptor")
    digest, size, media_type = item.get("digest"), item.get("size"), item.get("mediaType")
    if not is_digest(digest):
        raise Corrupt(f"manifest has the invalid digest {jsontext.dumps(digest)[:100]}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise Corrupt(f"manifest has an invalid size for {digest}")
    if not isinstance(media_type, str):
        raise Corrupt(f"manifest has no media type for {digest}")
    annotations = item.get("annotations") or {}
    return Descriptor(
        media_type=media_type,
        digest=str(digest),
        size=size,
        annotations=annotations if isinstance(annotations, dict) else {},
        platform=_platform(item.get("platform")),
    )


def _platform(item: Any) -> Platform | None:
    if not isinstance(item, dict):
        return None
    return Platform(
        os=str(item.get("os", "")),
        architecture=str(item.get("architecture", "")),
        variant=str(item.get("variant") or ""),
    )
