"""registries.conf, policy.json, auth.json and challenges, as Podman's users write them."""

import base64
import json
from pathlib import Path

import pytest

from podling.errors import Denied, InvalidArgument, NotFound, Unsupported
from podling.image import challenge, credentials, policy, registries
from podling.image.request import PullRequest
from podling.oci import reference
from podling.oci.reference import Reference


@pytest.fixture
def request_in(tmp_path: Path) -> PullRequest:
    """Return a request whose configuration is all below a directory, and empty."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "registries.conf").touch()
    return PullRequest(
        registries_conf=str(tmp_path / "registries.conf"),
        registries_conf_dir=str(tmp_path / "conf.d"),
        policy=str(tmp_path / "policy.json"),
        environment={"HOME": str(tmp_path / "home")},
    )


def configure(tmp_path: Path, text: str, drop_in: str = "") -> None:
    (tmp_path / "registries.conf").write_text(text)
    if drop_in:
        (tmp_path / "conf.d" / "50.conf").write_text(drop_in)


def name(text: str) -> Reference:
    return reference.parse(text).with_default_tag()


def places(loaded: registries.Registries, text: str) -> list[tuple[str, bool]]:
    return [(str(source.reference), source.insecure) for source in loaded.sources(name(text))]


def test_alias(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, "", '[aliases]\n"fedora" = "registry.fedoraproject.org/fedora"\n"hub" = "docker.io/hub"')
    loaded = registries.load(request_in)
    found = loaded.resolve("fedora:39")
    assert found.description == f'Resolved "fedora" as an alias ({tmp_path}/conf.d/50.conf)'
    assert [str(candidate) for candidate in found.candidates] == ["registry.fedoraproject.org/fedora:39"]
    assert str(loaded.resolve("hub").candidates[0]) == "docker.io/library/hub:latest"


def test_a_later_file_takes_an_alias_back(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, '[aliases]\n"a" = "x.org/a"', '[aliases]\n"a" = ""')
    with pytest.raises(NotFound):
        registries.load(request_in).resolve("a")


def test_unqualified_search(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, 'unqualified-search-registries = ["one.org", "docker.io"]')
    found = registries.load(request_in).resolve("box")
    assert found.description == f'Resolving "box" using unqualified-search registries ({tmp_path}/registries.conf)'
    assert [str(candidate) for candidate in found.candidates] == ["one.org/box:latest", "docker.io/library/box:latest"]


def test_what_a_short_name_means_among_local_images(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, 'unqualified-search-registries = ["docker.io"]', '[aliases]\n"box" = "x.org/a/box"')
    loaded = registries.load(request_in)
    assert loaded.repositories("box") == ["x.org/a/box", "localhost/box", "docker.io/library/box"]
    assert loaded.repositories("b") == ["localhost/b", "docker.io/library/b"]


def test_no_registry(tmp_path: Path, request_in: PullRequest) -> None:
    with pytest.raises(NotFound) as raised:
        registries.load(request_in).resolve("box")
    assert str(raised.value) == (
        'short-name "box" did not resolve to an alias and no unqualified-search registries are defined in '
        f'"{tmp_path}/registries.conf"'
    )


def test_enforcing_does_not_guess(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, 'unqualified-search-registries = ["a.org", "b.org"]\nshort-name-mode = "enforcing"')
    with pytest.raises(InvalidArgument, match="enforcing"):
        registries.load(request_in).resolve("box")


def test_a_full_name_is_left_alone(request_in: PullRequest) -> None:
    found = registries.load(request_in).resolve("quay.io/a/b")
    assert (found.description, str(found.candidates[0])) == ("", "quay.io/a/b:latest")


def test_mirrors_and_rewriting(tmp_path: Path, request_in: PullRequest) -> None:
    configure(
        tmp_path,
        """
        [[registry]]
        prefix = "example.com/foo"
        location = "internal.org/bar"
        insecure = true
        [[registry.mirror]]
        location = "mirror.org/m"
        [[registry.mirror]]
        location = "pinned.org/m"
        pull-from-mirror = "digest-only"
        [[registry]]
        location = "example.com"
        blocked = true
        [[registry]]
        prefix = "*.wild.org"
        location = "tame.org"
        """,
    )
    loaded = registries.load(request_in)
    tail = "@sha256:" + "0" * 64
    assert places(loaded, "example.com/foo/x:1") == [("mirror.org/m/x:1", False), ("internal.org/bar/x:1", True)]
    assert [place for place, _ in places(loaded, f"example.com/foo/x{tail}")] == [
        f"mirror.org/m/x{tail}",
        f"pinned.org/m/x{tail}",
        f"internal.org/bar/x{tail}",
    ]
    assert places(loaded, "a.wild.org/x") == [("tame.org/x:latest", False)]
    assert places(loaded, "other.net/x") == [("other.net/x:latest", False)]
    blocked = loaded.find(name("example.com/foobar"))
    assert blocked is not None and blocked.blocked
    assert loaded.find(name("wild.org/x")) is None


@pytest.mark.parametrize(
    "text",
    ["[", '[[registry]]\nlocation = "https://x.org"', "[[registry]]\nblocked = true", 'short-name-mode = "x"'],
)
def test_malformed_configuration(tmp_path: Path, request_in: PullRequest, text: str) -> None:
    configure(tmp_path, text)
    with pytest.raises(InvalidArgument):
        registries.load(request_in)


def test_a_named_file_must_be_there(request_in: PullRequest) -> None:
    with pytest.raises(InvalidArgument, match="loading registries configuration"):
        registries.load(request_in.with_changes(registries_conf="/nonexistent/registries.conf"))


def test_the_environment_names_the_files(tmp_path: Path, request_in: PullRequest) -> None:
    configure(tmp_path, 'unqualified-search-registries = ["a.org"]', '[aliases]\n"a" = "x.org/a"')
    environment = {"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf")}
    environment["CONTAINERS_REGISTRIES_CONF_DIR"] = str(tmp_path / "conf.d")
    loaded = registries.load(PullRequest(environment=environment))
    assert loaded.unqualified == ["a.org"]
    assert loaded.aliases == {"a": ("x.org/a", f"{tmp_path}/conf.d/50.conf")}


# policy


ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


@pytest.mark.parametrize(
    ("scopes", "wanted", "accepted"),
    [
        ({}, "x.org/a", False),
        ({"": ACCEPT}, "x.org/a", True),
        ({"x.org": ACCEPT}, "x.org/a", True),
        ({"x.org": ACCEPT}, "y.org/a", False),
        ({"*.org": ACCEPT}, "x.org/a", True),
        ({"x.org": ACCEPT, "x.org/a": REJECT}, "x.org/a/b", False),
        ({"x.org/a": REJECT, "x.org/a:1": ACCEPT}, "x.org/a:1", True),
    ],
)
def test_policy(
    tmp_path: Path, request_in: PullRequest, scopes: dict[str, object], wanted: str, accepted: bool
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"default": REJECT, "transports": {"docker": scopes}}))
    if accepted:
        policy.check(request_in, name(wanted))
    else:
        with pytest.raises(Denied, match="is rejected by policy"):
            policy.check(request_in, name(wanted))


def test_a_wanted_signature_is_not_passed_over(tmp_path: Path, request_in: PullRequest) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}))
    with pytest.raises(Unsupported, match="signatures cannot be verified"):
        policy.check(request_in, name("x.org/a"))


def test_a_damaged_policy_accepts_nothing(tmp_path: Path, request_in: PullRequest) -> None:
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(InvalidArgument, match="has no default"):
        policy.check(request_in, name("x.org/a"))


# credentials


def encoded(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_creds_go_first(request_in: PullRequest) -> None:
    found = credentials.find(request_in.with_changes(creds="me:pa:ss"), name("x.org/a"))
    assert found is not None and (found.user, found.password) == ("me", "pa:ss")
    assert found.basic() == "Basic " + base64.b64encode(b"me:pa:ss").decode()
    assert "pa:ss" not in repr(found)


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        ("x.org/a/b", "narrow"),
        ("x.org/a/b/c", "narrow"),
        ("x.org/other", "wide"),
        ("x.org:5000/other", "port"),
        ("docker.io/library/box", "hub"),
        ("y.org/a", None),
        ("x.org.evil.net/a", None),
    ],
)
def test_authfile(tmp_path: Path, request_in: PullRequest, wanted: str, user: str | None) -> None:
    auths = {
        "x.org": encoded("wide:1"),
        "x.org/a/b": encoded("narrow:2"),
        "x.org:5000": encoded("port:3"),
        "https://index.docker.io/v1/": encoded("hub:4"),
    }
    (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
    found = credentials.find(request_in.with_changes(authfile=str(tmp_path / "auth.json")), name(wanted))
    assert (found.user if found else None) == user


def test_the_places_of_authfiles(tmp_path: Path, request_in: PullRequest) -> None:
    docker = tmp_path / "home" / ".docker"
    docker.mkdir(parents=True)
    (docker / "config.json").write_text(json.dumps({"auths": {"x.org": encoded("docker:1"), "y.org": {}}}))
    found = credentials.find(request_in, name("x.org/a"))
    assert found is not None and found.user == "docker"
    runtime = tmp_path / "run" / "containers"
    runtime.mkdir(parents=True)
    (runtime / "auth.json").write_text(json.dumps({"auths": {"x.org": encoded("runtime:1")}}))
    environment = {**request_in.environment, "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    found = credentials.find(request_in.with_changes(environment=environment), name("x.org/a"))
    assert found is not None and found.user == "runtime"
    assert credentials.find(request_in, name("y.org/a")) is None


@pytest.mark.parametrize("content", ["[]", "{", '{"auths": {"x.org": {"auth": "!"}}}'])
def test_malformed_authfile(tmp_path: Path, request_in: PullRequest, content: str) -> None:
    (tmp_path / "auth.json").write_text(content)
    environment = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    with pytest.raises(InvalidArgument):
        credentials.find(request_in.with_changes(environment=environment), name("x.org/a"))


def test_a_named_authfile_must_be_there(request_in: PullRequest) -> None:
    with pytest.raises(InvalidArgument, match="checking authfile: stat /nonexistent: no such file or directory"):
        credentials.find(request_in.with_changes(authfile="/nonexistent"), name("x.org/a"))


# challenges


def test_challenges() -> None:
    headers = ['Basic realm="x", Bearer realm="https://a.org/t?x=1,2",service="s \\"q\\"",scope="a:b:pull,push"']
    found = challenge.parse(headers)
    assert [item.scheme for item in found] == ["bearer", "basic"]
    assert (found[0].realm, found[0].service) == ("https://a.org/t?x=1,2", 's "q"')
    assert found[1].realm == "x"
    assert challenge.parse(["", ",,", "Negotiate"])[0].scheme == "negotiate"
