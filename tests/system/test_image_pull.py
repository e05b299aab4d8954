"""Pulls from real registries, and from one with tokens and redirects, through the library that `pull` and `run` use."""

import base64
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.layout import Entry, Layout, directory
from lab.registry import Registry
from podling.errors import Corrupt, Denied, NotFound, PodlingError, Unavailable
from podling.image.progress import Progress
from podling.image.pull import pull
from podling.image.request import PullRequest
from podling.linux import syscalls
from podling.store.image import Image
from podling.store.store import Store
from tests.system.token_registry import TOKEN, TokenRegistry

NOISE = random.Random(5).randbytes(300_000)
LAYERS = [
    [directory("etc"), Entry("etc/first", content=NOISE)],
    [Entry("etc/second", content=b"2")],
    [Entry("etc/third", content=b"3")],
]


class Recorder(Progress):
    """What a pull told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("resolved", "trying", "blob_exists", "blob_started", "blob_advanced", "blob_done", "warning"):
            return lambda *values: self.told.append((name, *values))
        return super().__getattribute__(name)

    def all(self, name: str) -> list[Any]:
        """Return the first value of each call of a name."""
        return [values[0] for called, *values in self.told if called == name]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a layout with one image of three layers, packed in three ways, behind an index."""
    made = Layout(tmp_path_factory.mktemp("layout"))
    ways = ("gzip", "zstd", "none")
    layers = [made.add_layer(entries, way) for entries, way in zip(LAYERS, ways, strict=True)]
    own = made.add_image(layers, {"Cmd": ["/x"]}, {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine])
    other = made.add_image(layers[:1], {"Cmd": ["/wrong"]}, "s390x")
    made.name("image", made.add_index([other, own]))
    made.save()
    return made.path


@pytest.fixture(scope="module")
def registry(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Return a docker-registry with TLS and a password that holds the image."""
    scratch = tmp_path_factory.mktemp("guarded")
    with Registry(scratch, scratch / "storage", user="me", password="secret") as running:
        running.push(layout, "image", "box/image:1")
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"), str(tmp_path / "run"))


@pytest.fixture
def request_to(registry: Registry, tmp_path: Path) -> PullRequest:
    """Return a request with credentials and the certificate, and no configuration of the host's."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "registries.conf").touch()
    (tmp_path / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return PullRequest(
        creds="me:secret",
        cert_dir=str(registry.certificates),
        registries_conf=str(tmp_path / "registries.conf"),
        registries_conf_dir=str(tmp_path / "conf.d"),
        policy=str(tmp_path / "policy.json"),
        environment={"HOME": str(tmp_path)},
    )


def files(store: Store) -> dict[str, set[str]]:
    """Return what a store holds."""
    places = ("images/blobs/sha256", "layers", "staging")
    return {
        place: set(os.listdir(f"{store.root}/{place}")) if os.path.isdir(f"{store.root}/{place}") else set()
        for place in places
    }


def content(store: Store, image: Image) -> dict[str, bytes]:
    """Return the files below etc/ of an image, as a container sees them."""
    store.prepare_rootfs("c" * 64, image.id)
    merged = Path(store.mount_rootfs("c" * 64, image.id))
    found = {path.name: path.read_bytes() for path in (merged / "etc").iterdir()}
    store.remove_rootfs("c" * 64)
    return found


def test_an_image_of_three_layers(store: Store, registry: Registry, request_to: PullRequest) -> None:
    told = Recorder()
    image = pull(store, f"{registry.host}/box/image:1", request_to, told)
    assert image.config["Cmd"] == ["/x"]
    assert image.names == [f"{registry.host}/box/image:1"]
    assert content(store, image) == {"first": NOISE, "second": b"2", "third": b"3"}
    assert store.find_image("image:1").id == image.id
    assert len(image.repo_digests) == 2, "of the index and of the manifest"
    assert told.all("trying") == [f"{registry.host}/box/image:1"]
    sizes = {layer["digest"]: layer["size"] for layer in image.manifest["layers"]}
    advanced = dict.fromkeys(sizes, 0)
    for name, *values in told.told:
        if name == "blob_advanced":
            advanced[values[0]] += values[1]
    assert advanced == sizes
    assert set(told.all("blob_done")) == set(told.all("blob_started")) == set(sizes)
    assert files(store)["staging"] == set()


def test_what_is_here_is_not_fetched_again(store: Store, registry: Registry, request_to: PullRequest) -> None:
    first = pull(store, f"{registry.host}/box/image:1", request_to, Progress())
    before, told = files(store), Recorder()
    second = pull(store, f"{registry.host}/box/image@{first.digest}", request_to, told)
    assert (second.id, files(store)) == (first.id, before)
    assert len(told.all("blob_exists")) == 3 and told.all("blob_started") == []
    assert second.names == first.names
    assert store.find_image(f"{registry.host}/box/image@{first.digest}").id == first.id


def test_a_digest_alone(store: Store, registry: Registry, request_to: PullRequest, layout: Path) -> None:
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    image = pull(store, f"docker://{registry.host}/box/image@{digest}", request_to, Progress())
    assert image.names == []
    assert f"{registry.host}/box/image@{digest}" in image.repo_digests
    assert store.find_image(f"{registry.host}/box/image@{digest}").id == image.id


def test_a_platform_of_ones_choice(store: Store, registry: Registry, request_to: PullRequest) -> None:
    image = pull(store, f"{registry.host}/box/image:1", request_to.with_changes(platform="linux/s390x"), Progress())
    assert (image.config["Cmd"], image.document["architecture"]) == (["/wrong"], "s390x")
    with pytest.raises(NotFound, match="no image found in image index for OS 'linux', architecture 'mips'"):
        pull(store, f"{registry.host}/box/image:1", request_to.with_changes(arch="mips"), Progress())


def test_skopeo_finds_the_same_image(store: Store, registry: Registry, request_to: PullRequest) -> None:
    image = pull(store, f"{registry.host}/box/image:1", request_to, Progress())
    command = ["skopeo", "inspect", "--raw", f"oci:{store.images_path}:{registry.host}/box/image:1"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    assert json.loads(found) == image.manifest


REFUSALS: list[tuple[str, dict[str, Any], type[PodlingError], str]] = [
    ("box/image:1", {"creds": None}, Denied, "unauthorized: authentication required"),
    ("box/image:1", {"creds": "me:wrong"}, Denied, "unauthorized: authentication required"),
    ("box/image:1", {"cert_dir": "/nonexistent"}, PodlingError, "loading certificates"),
    ("box/image:2", {}, NotFound, "reading manifest 2 in {host}/box/image: manifest unknown: manifest unknown"),
    ("box/nothing:1", {}, NotFound, "manifest unknown"),
]


@pytest.mark.parametrize(("name", "changes", "error", "text"), REFUSALS)
def test_refusals_change_nothing(
    store: Store,
    registry: Registry,
    request_to: PullRequest,
    name: str,
    changes: dict[str, Any],
    error: type[PodlingError],
    text: str,
) -> None:
    with pytest.raises(error) as raised:
        pull(store, f"{registry.host}/{name}", request_to.with_changes(**changes), Progress())
    assert text.format(host=registry.host) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.images() == [] and not os.path.exists(store.root)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_of_nobody(store: Store, registry: Registry, request_to: PullRequest, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    strict = request_to.with_changes(cert_dir=str(tmp_path / "certs"))
    with pytest.raises(Denied, match="x509: certificate signed by unknown authority"):
        pull(store, f"{registry.host}/box/image:1", strict, Progress())
    assert pull(store, f"{registry.host}/box/image:1", strict.with_changes(tls_verify=False), Progress()).layers


def test_nobody_listens(store: Store, request_to: PullRequest) -> None:
    with pytest.raises(Unavailable) as raised:
        pull(store, "127.0.0.1:1/box", request_to, Progress())
    assert str(raised.value) == (
        "initializing source docker://127.0.0.1:1/box:latest: pinging container registry 127.0.0.1:1: "
        'Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
    )


# configuration


def test_short_names_mirrors_and_blocks(
    store: Store, registry: Registry, request_to: PullRequest, tmp_path: Path
) -> None:
    (tmp_path / "registries.conf").write_text(
        f"""
        unqualified-search-registries = ["127.0.0.1:1", "example.org"]
        [aliases]
        "box" = "example.org/image"
        [[registry]]
        prefix = "example.org"
        location = "127.0.0.1:1"
        [[registry.mirror]]
        location = "{registry.host}/box"
        [[registry]]
        location = "blocked.org"
        blocked = true
        """
    )
    told = Recorder()
    image = pull(store, "box:1", request_to, told)
    assert image.names == ["example.org/image:1"], "the name asked for, not the mirror's"
    assert told.all("resolved") == [f'Resolved "box" as an alias ({tmp_path}/registries.conf)']
    told = Recorder()
    assert pull(store, "image:1", request_to, told).id == image.id
    assert told.all("trying") == ["127.0.0.1:1/image:1", "example.org/image:1"]
    with pytest.raises(Denied, match=r"registry blocked\.org is blocked"):
        pull(store, "blocked.org/x", request_to, Progress())
    with pytest.raises(Unavailable, match="Mirrors also failed"):
        pull(store, "example.org/other", request_to, Progress())
    with pytest.raises(Unavailable, match="2 errors occurred while pulling"):
        pull(store, "unknown", request_to, Progress())


def test_authfile(store: Store, registry: Registry, request_to: PullRequest, tmp_path: Path) -> None:
    auth = {"auths": {f"{registry.host}/box": {"auth": base64.b64encode(b"me:secret").decode()}}}
    (tmp_path / "auth.json").write_text(json.dumps(auth))
    asked = request_to.with_changes(creds=None, authfile=str(tmp_path / "auth.json"))
    assert pull(store, f"{registry.host}/box/image:1", asked, Progress()).layers


def test_policy_goes_first(store: Store, registry: Registry, request_to: PullRequest, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    with pytest.raises(Denied, match="is rejected by policy"):
        pull(store, f"{registry.host}/box/image:1", request_to, Progress())


# tokens and redirects


Serve = Callable[..., TokenRegistry]


@pytest.fixture
def serve(layout: Path, tmp_path: Path) -> Iterator[Serve]:
    """Return a maker of registries with tokens, stopped with the test."""
    running: list[TokenRegistry] = []

    def make(**options: Any) -> TokenRegistry:
        running.append(TokenRegistry(tmp_path / "tokens", layout, **options).__enter__())
        return running[-1]

    yield make
    for each in running:
        each.__exit__(None, None, None)


def ask(store: Store, served: TokenRegistry, request_to: PullRequest, creds: str | None = None) -> Image:
    asked = request_to.with_changes(cert_dir=served.certificates, creds=creds, retry=0)
    return pull(store, f"{served.host()}/deep/box/image:1", asked, Progress())


def test_a_token_for_anybody(store: Store, serve: Serve, request_to: PullRequest) -> None:
    served = serve()
    assert content(store, ask(store, served, request_to))["second"] == b"2"
    assert served.scopes == ["repository:deep/box/image:pull"]
    assert set(served.seen["tokens"]) == {None}


def test_credentials_reach_nobody_else(store: Store, serve: Serve, request_to: PullRequest) -> None:
    served = serve(credentials="me:secret")
    ask(store, served, request_to, "me:secret")
    assert set(served.seen["registry"]) == {None, f"Bearer {TOKEN}"}
    assert set(served.seen["tokens"]) == {"Basic " + base64.b64encode(b"me:secret").decode()}
    assert set(served.seen["storage"]) == {None}


def test_a_wrong_password_for_the_token(store: Store, serve: Serve, request_to: PullRequest) -> None:
    with pytest.raises(Denied, match="unauthorized: incorrect username or password"):
        ask(store, serve(credentials="me:secret"), request_to, "me:wrong")


def test_a_stranger_that_wants_credentials_gets_none(store: Store, serve: Serve, request_to: PullRequest) -> None:
    served = serve(credentials="me:secret", storage_wants_credentials=True)
    with pytest.raises(Denied, match="redirected to 127"):
        ask(store, served, request_to, "me:secret")
    assert set(served.seen["storage"]) == {None}


def test_tls_is_not_left(store: Store, serve: Serve, request_to: PullRequest) -> None:
    with pytest.raises(Denied, match="redirected away from TLS"):
        ask(store, serve(redirect_to="http://127.0.0.1:1"), request_to)


def test_a_token_service_without_tls_gets_nothing(store: Store, serve: Serve, request_to: PullRequest) -> None:
    with pytest.raises(Denied, match="does not use TLS"):
        ask(store, serve(realm="http://127.0.0.1:1/token"), request_to, "me:secret")


def test_redirects_come_to_an_end(store: Store, serve: Serve, request_to: PullRequest) -> None:
    with pytest.raises(Unavailable, match="more than 5 redirects"):
        ask(store, serve(redirects=100), request_to)


def test_broken_connections_are_taken_up_again(store: Store, serve: Serve, request_to: PullRequest) -> None:
    served = serve(break_after=100_000)
    assert content(store, ask(store, served, request_to))["first"] == NOISE
    assert [wanted for wanted in served.ranges if wanted], "with Range"


def test_the_certificate_of_another_name(store: Store, serve: Serve, request_to: PullRequest) -> None:
    with pytest.raises(Denied, match=r"x509: certificate is not valid for 127\.0\.0\.1"):
        ask(store, serve(certified="127.0.0.2"), request_to)


# content that is not what was promised


def damaged(layout: Path, tmp_path: Path, change: Callable[[dict[str, Any], Path], None]) -> str:
    """Return the source of a copy of the image whose manifest or blobs were changed, the digests above made to fit."""
    made = Layout(tmp_path / "damaged")
    for blob in (layout / "blobs" / "sha256").iterdir():
        (made.blobs / blob.name).write_bytes(blob.read_bytes())
    index = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    chosen = json.loads((made.blobs / index).read_text())["manifests"][1]["digest"].removeprefix("sha256:")
    manifest = json.loads((made.blobs / chosen).read_text())
    change(manifest, made.blobs)
    made.name("image", made.add_json(manifest, manifest["mediaType"]))
    made.save()
    return f"oci:{made.path}:image"


def alter_layer(manifest: dict[str, Any], blobs: Path) -> None:
    path = blobs / manifest["layers"][0]["digest"].removeprefix("sha256:")
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def swap_layers(manifest: dict[str, Any], blobs: Path) -> None:
    manifest["layers"][1], manifest["layers"][2] = manifest["layers"][2], manifest["layers"][1]


def drop_layer(manifest: dict[str, Any], blobs: Path) -> None:
    del manifest["layers"][1]


def enlarge(manifest: dict[str, Any], blobs: Path) -> None:
    manifest["layers"][0]["size"] += 1


def remove_blob(manifest: dict[str, Any], blobs: Path) -> None:
    (blobs / manifest["layers"][2]["digest"].removeprefix("sha256:")).unlink()


def climb(manifest: dict[str, Any], blobs: Path) -> None:
    manifest["config"]["digest"] = "sha256:../../../../etc/passwd"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (alter_layer, Corrupt, "has the digest|malformed"),
        (swap_layers, Corrupt, "unfolds to"),
        (drop_layer, Corrupt, "image has 2 layers, and 3 in its configuration"),
        (enlarge, Corrupt, "it ends after"),
        (remove_blob, NotFound, "is not in"),
        (climb, Corrupt, "invalid digest"),
    ],
)
def test_nothing_of_a_damaged_image_is_seen(
    store: Store,
    layout: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any], Path], None],
    error: type[PodlingError],
    text: str,
) -> None:
    source = damaged(layout, tmp_path, change)
    with pytest.raises(error, match=text):
        pull(store, source, PullRequest(), Progress())
    assert store.images() == []
    assert not any(files(store).values())


def test_the_same_blob_as_several_layers(store: Store, tmp_path: Path) -> None:
    made = Layout(tmp_path / "twice")
    layer, other = made.add_layer([Entry("etc/a", content=b"a")], "gzip"), made.add_layer([Entry("etc/b")], "gzip")
    made.name("twice", made.add_image([layer, other, layer, layer], {"Cmd": ["x"]}))
    made.save()
    image = pull(store, f"oci:{made.path}:twice", PullRequest(), Progress())
    assert len(set(image.layers)) == 4
    assert content(store, image) == {"a": b"a", "b": b""}


def test_a_full_disk(registry: Registry, request_to: PullRequest, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, "size=400k")
    try:
        store = Store(str(small / "root"), str(tmp_path / "run"))
        with pytest.raises(Unavailable, match=r"storing (blob|image) .*: no space left on device"):
            pull(store, f"{registry.host}/box/image:1", request_to, Progress())
        assert store.images() == [] and not any(files(store).values())
    finally:
        syscalls.umount2(str(small))


KILLED = """
import os, sys
from podling.image.progress import Progress
from podling.image.pull import pull
from podling.image.request import PullRequest
from podling.store.store import Store

class Slow(Progress):
    def blob_done(self, digest):
        sys.stdout.write("half way\\n")
        sys.stdout.flush()
        sys.stdin.read()

pull(Store(sys.argv[1], sys.argv[2]), sys.argv[3], PullRequest(), Slow())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_pull_leaves_nothing(store: Store, layout: Path, number: signal.Signals) -> None:
    source = f"oci:{layout}:image"
    command = [sys.executable, "-c", KILLED, store.root, store.runroot, source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"half way\n"
        assert store.images() == []
        process.send_signal(number)
        process.wait()
    await_unlocked(store)
    store.sweep_staging()
    assert not any(files(store).values())
    assert content(store, pull(store, source, PullRequest(), Progress()))["third"] == b"3"


def await_unlocked(store: Store) -> None:
    """Wait until the dead pull's workers, which hold its lock too, have been killed by the kernel."""
    for path in Path(store.root, "staging").iterdir():
        fd = os.open(path, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.close(fd)
