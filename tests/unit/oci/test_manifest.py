"""Manifests and indexes: what is refused, and which platform is chosen."""

import json
from typing import Any

import pytest

from podling.errors import Corrupt, InvalidArgument, NotFound, PodlingError, Unsupported
from podling.oci import manifest
from podling.oci.manifest import Descriptor, Index, Manifest, Platform

DIGEST = "sha256:" + "0" * 64
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 5}
CONFIG = {"mediaType": manifest.OCI_CONFIG, "digest": DIGEST, "size": 2}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}
ENTRY = {"mediaType": manifest.OCI_MANIFEST, "digest": DIGEST, "size": 7}
INDEX: dict[str, Any] = {"schemaVersion": 2, "manifests": [ENTRY]}


def parse(document: object, content_type: str = "") -> Manifest | Index:
    return manifest.parse(json.dumps(document).encode(), content_type)


def test_an_image() -> None:
    parsed = parse({**IMAGE, "mediaType": manifest.OCI_MANIFEST}, manifest.OCI_MANIFEST + "; charset=utf-8")
    assert isinstance(parsed, Manifest)
    assert [layer.digest for layer in parsed.layers] == [DIGEST]
    assert manifest.compression(parsed.layers[0]) == "gzip"


def test_the_registry_may_name_the_type() -> None:
    assert parse(IMAGE, manifest.DOCKER_MANIFEST).media_type == manifest.DOCKER_MANIFEST
    assert isinstance(parse(INDEX, manifest.DOCKER_LIST), Index)
    assert parse(INDEX, "application/json").media_type == manifest.OCI_INDEX


@pytest.mark.parametrize(
    ("document", "content_type", "error", "text"),
    [
        ({**IMAGE, **INDEX}, "", Corrupt, "both an index and an image"),
        ({**IMAGE, "mediaType": manifest.OCI_INDEX}, "", Corrupt, "form of its media type"),
        ({**INDEX, "mediaType": manifest.OCI_MANIFEST}, "", Corrupt, "form of its media type"),
        ({**IMAGE, "mediaType": manifest.OCI_MANIFEST}, manifest.DOCKER_MANIFEST, Corrupt, "was sent as"),
        (IMAGE, manifest.OCI_INDEX, Corrupt, "form of its media type"),
        ({**IMAGE, "schemaVersion": 1}, "", Unsupported, "schema 1"),
        (IMAGE, manifest.DOCKER_SCHEMA_1 + "+prettyjws", Unsupported, "schema 1"),
        ({**IMAGE, "mediaType": "text/plain"}, "", Unsupported, "media type"),
        ({**IMAGE, "config": None}, "", Corrupt, "malformed descriptor"),
        ({**IMAGE, "layers": "x"}, "", Corrupt, "no list"),
        ({**IMAGE, "layers": [{**LAYER, "digest": "sha256:../../etc"}]}, "", Corrupt, "invalid digest"),
        ({**IMAGE, "layers": [{**LAYER, "digest": "md5:00"}]}, "", Corrupt, "invalid digest"),
        ({**IMAGE, "layers": [{**LAYER, "size": -1}]}, "", Corrupt, "invalid size"),
        ({**IMAGE, "layers": [{**LAYER, "size": "5"}]}, "", Corrupt, "invalid size"),
        ({**IMAGE, "layers": [LAYER] * 501}, "", Unsupported, "501 layers"),
        ([], "", Corrupt, "not a JSON object"),
    ],
)
def test_refused(document: object, content_type: str, error: type[PodlingError], text: str) -> None:
    with pytest.raises(error, match=text):
        parse(document, content_type)


def test_an_unknown_layer_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="media type"):
        manifest.compression(Descriptor(media_type="application/wasm", digest=DIGEST, size=1))


def index_of(*platforms: str) -> Index:
    entries = []
    for number, text in enumerate(platforms):
        os, architecture, variant = [*text.split("/"), ""][:3]
        platform = Platform(os=os, architecture=architecture, variant=variant)
        entries.append(Descriptor(media_type=manifest.OCI_MANIFEST, digest=DIGEST, size=number, platform=platform))
    return Index(media_type=manifest.OCI_INDEX, manifests=entries)


@pytest.mark.parametrize(
    ("machine", "platforms", "chosen"),
    [
        ("x86_64", ["linux/s390x", "linux/amd64"], 1),
        ("x86_64", ["windows/amd64", "linux/amd64/v2", "linux/amd64"], 2),
        ("aarch64", ["linux/arm", "linux/arm64/v8"], 1),
        ("aarch64", ["linux/arm64"], 0),
        ("armv7l", ["linux/arm/v5", "linux/arm/v8", "linux/arm/v6", "linux/arm/v7"], 3),
        ("armv7l", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("riscv64", ["linux/riscv64"], 0),
    ],
)
def test_choice(machine: str, platforms: list[str], chosen: int) -> None:
    assert manifest.choose(index_of(*platforms), manifest.host_platform(machine)).size == chosen


@pytest.mark.parametrize(("machine", "platforms"), [("x86_64", ["linux/arm64"]), ("armv6l", ["linux/arm/v7"])])
def test_no_choice(machine: str, platforms: list[str]) -> None:
    with pytest.raises(NotFound, match="no image found in image index for OS 'linux'"):
        manifest.choose(index_of(*platforms), manifest.host_platform(machine))


def test_an_entry_without_a_platform_is_not_chosen() -> None:
    nameless = Descriptor(media_type=manifest.OCI_MANIFEST, digest=DIGEST, size=1)
    with pytest.raises(NotFound):
        manifest.choose(Index(media_type=manifest.OCI_INDEX, manifests=[nameless]), manifest.host_platform("x86_64"))


def test_what_the_user_wants() -> None:
    def wanted(**options: str) -> str:
        return str(manifest.wanted_platform("aarch64", **options))

    assert wanted() == "OS 'linux', architecture 'arm64', variant 'v8'"
    assert wanted(platform="linux/arm/v7") == "OS 'linux', architecture 'arm', variant 'v7'"
    assert wanted(platform="linux/amd64") == "OS 'linux', architecture 'amd64'"
    assert wanted(platform="linux") == wanted()
    assert wanted(architecture="x86_64") == "OS 'linux', architecture 'amd64'"
    for malformed in ("linux/arm/v7/x", "/amd64"):
        with pytest.raises(InvalidArgument, match="invalid platform syntax"):
            wanted(platform=malformed)
    with pytest.raises(InvalidArgument, match="can not be specified with"):
        wanted(platform="linux/arm", architecture="arm")
