"""Names of images."""

import pytest

from podling.errors import InvalidArgument
from podling.oci import reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("fedora", "", "fedora", "", ""),
        ("fedora:39", "", "fedora", "39", ""),
        ("library/fedora", "", "library/fedora", "", ""),
        ("docker.io/fedora", "docker.io", "library/fedora", "", ""),
        ("index.docker.io/a/b", "docker.io", "a/b", "", ""),
        ("quay.io/centos/centos:stream9", "quay.io", "centos/centos", "stream9", ""),
        ("localhost/x", "localhost", "x", "", ""),
        ("localhost:5000/x:y", "localhost:5000", "x", "y", ""),
        ("[::1]:5000/x", "[::1]:5000", "x", "", ""),
        (f"fedora@{DIGEST}", "", "fedora", "", DIGEST),
        (f"quay.io/a/b:c@{DIGEST}", "quay.io", "a/b", "c", DIGEST),
        ("a__b/c--d.e_f", "", "a__b/c--d.e_f", "", ""),
        ("EXAMPLE.com/x", "EXAMPLE.com", "x", "", ""),
    ],
)
def test_parse(text: str, registry: str, path: str, tag: str, digest: str) -> None:
    parsed = reference.parse(text)
    assert (parsed.registry, parsed.path, parsed.tag, parsed.digest) == (registry, path, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":x",
        "foo:",
        "/foo",
        "foo/",
        "a//b",
        "a b",
        "a\nb",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a._b",
        "a/../b",
        "x@sha256:12",
        "x@sha512:" + "a" * 128,
        f"x@{DIGEST}@{DIGEST}",
        "x:" + "t" * 129,
        "x:.tag",
        "exa mple.com/x",
        "host:port/x",
        "é/x",
        "a" * 300,
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        reference.parse(text)


def test_upper_case_is_named() -> None:
    with pytest.raises(InvalidArgument, match="repository name must be lowercase"):
        reference.parse("Fedora")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("fedora", "docker.io/library/fedora:latest"),
        ("a/b:c", "docker.io/a/b:c"),
        ("quay.io/a", "quay.io/a:latest"),
        (f"a@{DIGEST}", f"docker.io/library/a@{DIGEST}"),
    ],
)
def test_normalize(text: str, full: str) -> None:
    assert reference.normalize(text) == full
    assert reference.normalize(full) == full


def test_a_registry_may_bring_a_path_of_its_own() -> None:
    assert str(reference.parse("fedora:1").at("example.com/mirror")) == "example.com/mirror/fedora:1"
