"""A registry, spoken to by the distribution API, version 2.

    GET /v2/                        ping: which authentication does it want?
    GET /v2/PATH/manifests/REFERENCE
    GET /v2/PATH/blobs/DIGEST

Authentication is a ladder: nothing, then what the registry's own challenge asks for, basic or bearer. Credentials go to
the registry, and to the token service that the registry itself names, over TLS wherever the registry speaks TLS; a
redirect to another host carries none, and a challenge from there is answered by none.
"""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, InsecureRequestWarning, MaxRetryError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as UrllibTimeout

from podling.errors import Corrupt, Denied, NotFound, PodlingError, Unavailable
from podling.image import challenge, trust
from podling.image.credentials import Credentials
from podling.image.request import PullRequest
from podling.oci import digest as digests
from podling.oci import jsontext, manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from podling.oci.reference import Reference

urllib3.disable_warnings(InsecureRequestWarning)  # who says --tls-verify=false knows

CONNECT_SECONDS = 30.0
READ_SECONDS = 120.0
REDIRECT_LIMIT = 5
CONNECTIONS = 8
_ERROR_BODY_LIMIT = 64 << 10
_TOKEN_LIMIT = 1 << 20
_TRANSIENT = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)


class Client:
    """One repository of one registry.

    Raise Unavailable where the registry cannot be reached or fails, Denied where it or TLS refuses, NotFound where it
    has no such manifest or blob, Corrupt where content is not what its digest says.
    """

    def __init__(
        self, request: PullRequest, wanted: Reference, credentials: Credentials | None, *, insecure: bool
    ) -> None:
        self.host = wanted.registry
        self.repository = wanted.repository
        self.insecure = insecure
        self._path = wanted.path
        self._request = request
        self._credentials = credentials
        self._scheme = ""
        self._authorization = ""
        address = "registry-1.docker.io" if self.host == "docker.io" else self.host
        self._address = address
        self._tls = trust.context(request, self.host, verify=not insecure)
        self._pool = _pool(request, address, self._tls)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def start_anew(self) -> None:
        """Use connections of its own in a forked process; what authentication has been agreed on remains."""
        self._pool = _pool(self._request, self._address, self._tls)

    # what it serves

    def manifest(self, reference: str) -> tuple[bytes, str]:
        """Return a manifest by tag or digest, and its media type."""
        self._ping()
        intent = f"reading manifest {reference} in {self.repository}"
        headers = {"Accept": ", ".join(manifest.ACCEPTED)}
        response = self._get(f"/v2/{self._path}/manifests/{reference}", headers, intent)
        try:
            content = _limited(response, manifest.MANIFEST_SIZE_LIMIT, intent)
        finally:
            response.release_conn()
        if digests.is_digest(reference) and digests.of(content) != reference:
            raise Corrupt(f"{intent}: manifest has the digest {digests.of(content)}")
        return content, response.headers.get("Content-Type") or ""

    def blob(self, digest: str, offset: int = 0) -> Any:
        """Return an open response with a blob's bytes from an offset on; None where the registry ignores the offset."""
        digests.hex_of(digest)
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self._get(f"/v2/{self._path}/blobs/{digest}", headers, f"reading blob {digest} in {self.repository}")
        if offset and response.status != 206:
            response.close()
            return None
        return response

    # authentication

    def _ping(self) -> None:
        """Find out how the registry is spoken to. An insecure one may speak plain HTTP, tried after TLS."""
        if self._scheme:
            return
        failure: PodlingError | None = None
        for scheme in ("https", "http") if self.insecure else ("https",):
            try:
                self._try_ping(scheme)
            except Unavailable as error:
                failure = failure or error
            else:
                return
        assert failure is not None
        raise failure

    def _try_ping(self, scheme: str) -> None:
        url = f"{scheme}://{self._address}/v2/"
        response = self._send(url, {}, f"pinging container registry {self.host}")
        response.drain_conn()
        if response.status not in (200, 401):
            raise Unavailable(f"pinging container registry {self.host}: StatusCode: {response.status}")
        self._scheme = scheme
        if response.status == 401:
            self._answer(response.headers.getlist("WWW-Authenticate"))

    def _answer(self, headers: list[str]) -> None:
        """Set the Authorization that the registry's challenge asks for."""
        for wanted in challenge.parse(headers):
            if wanted.scheme == "bearer" and wanted.realm:
                self._authorization = f"Bearer {self._token(wanted)}"
                return
            if wanted.scheme == "basic" and self._credentials is not None:
                self._authorization = self._credentials.basic()
                return

    def _token(self, wanted: challenge.Challenge) -> str:
        """Return a token of the service that the registry names."""
        intent = f"requesting bearer token for {self.repository}"
        if urlsplit(wanted.realm).scheme != "https" and self._scheme == "https":
            raise Denied(f'{intent}: the token service "{wanted.realm}" does not use TLS')
        fields = {"service": wanted.service} if wanted.service else {}
        fields["scope"] = f"repository:{self._path}:pull"
        credentials = self._credentials
        headers: dict[str, str] = {}
        body: str | None = None
        url = wanted.realm
        if credentials is not None and credentials.identity_token:
            fields |= {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": "podling",
            }
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(fields)
        else:
            if credentials is not None:
                headers["Authorization"] = credentials.basic()
                fields["account"] = credentials.user
            url += ("&" if "?" in url else "?") + urlencode(fields)
        response = self._send(url, headers, intent, body=body)
        content = _limited(response, _TOKEN_LIMIT, intent)
        response.release_conn()
        if response.status != 200:
            raise _refusal(response.status, content, intent)
        document = jsontext.loads(content)
        token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token:
            raise Denied(f"{intent}: the answer has no token")
        return token

    # requests

    def _get(self, path: str, headers: Mapping[str, str], intent: str) -> Any:
        """Return a successful response, redirects followed; once more with new authorization where a token expired."""
        url = f"{self._scheme}://{self._address}{path}"
        for attempt in range(self._request.retry + 2):
            response = self._follow(url, headers, self._authorization, intent)
            if response.status in (200, 206):
                return response
            content = _limited(response, _ERROR_BODY_LIMIT, intent)
            response.release_conn()
            if response.status == 401 and attempt == 0:
                self._answer(response.headers.getlist("WWW-Authenticate"))
                continue
            if response.status not in _TRANSIENT or attempt > self._request.retry:
                break
            time.sleep(min(0.5 * 2**attempt, 8.0))  # nothing tells when an overloaded registry will answer again
        raise _refusal(response.status, content, intent)

    def _follow(self, url: str, headers: Mapping[str, str], authorization: str, intent: str) -> Any:
        """Return the response at the end of the redirects; the Authorization stays with the registry's own host."""
        home = urlsplit(url)[:2]
        for _ in range(REDIRECT_LIMIT + 1):
            own = {"Authorization": authorization} if authorization and urlsplit(url)[:2] == home else {}
            response = self._send(url, {**headers, **own}, intent)
            if response.status not in _REDIRECTS:
                if response.status == 401 and urlsplit(url)[:2] != home:
                    response.close()
                    raise Denied(f"{intent}: redirected to {urlsplit(url).hostname}, which wants credentials")
                return response
            target = urljoin(url, response.headers.get("Location") or "")
            response.drain_conn()
            if urlsplit(target).scheme not in ("https", "http") or (
                home[0] == "https" and not target.startswith("https:")
            ):
                raise Denied(f"{intent}: redirected away from TLS")
            url = target
        raise Unavailable(f"{intent}: more than {REDIRECT_LIMIT} redirects")

    def _send(self, url: str, headers: Mapping[str, str], intent: str, body: str | None = None) -> Any:
        method = "POST" if body is not None else "GET"
        try:
            return self._pool.request(
                method,
                url,
                body=body,
                headers={"User-Agent": "podling", **headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            raise explain(error, f'{intent}: {method.capitalize()} "{url.partition("?")[0]}"', url) from None


def explain(error: HTTPError | OSError, intent: str, url: str) -> PodlingError:
    """Return the error for a request that got no answer, in the words that Go's users know."""
    host = urlsplit(url).hostname or ""
    port = urlsplit(url).port or (443 if url.startswith("https") else 80)
    cause: BaseException | None = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, SSLError) and cause.args and isinstance(cause.args[0], ssl.SSLError):
        text = trust.explain(cause.args[0], host)
        refused = isinstance(cause.args[0], ssl.SSLCertVerificationError)
        return Denied(f"{intent}: {text}") if refused else Unavailable(f"{intent}: {text}")
    is_timeout = isinstance(cause, UrllibTimeout) and not isinstance(cause, NewConnectionError)
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, socket.gaierror):
        return Unavailable(f"{intent}: dial tcp: lookup {host}: no such host")
    if isinstance(cause, ConnectionRefusedError):
        return Unavailable(f"{intent}: dial tcp {host}:{port}: connect: connection refused")
    if is_timeout or isinstance(cause, TimeoutError):
        return Unavailable(f"{intent}: i/o timeout")
    if isinstance(cause, OSError) and cause.strerror:
        step = "dial tcp" if isinstance(error, NewConnectionError) else "read tcp"
        return Unavailable(f"{intent}: {step} {host}:{port}: {cause.strerror.lower()}")
    return Unavailable(f"{intent}: {error}")


def _pool(request: PullRequest, address: str, tls: ssl.SSLContext) -> Any:
    """Return a pool of connections, through the proxy that the environment names."""
    options: dict[str, Any] = {
        "ssl_context": tls,
        "maxsize": CONNECTIONS,
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    }
    lowered = {key.lower(): value for key, value in request.environment.items() if key.lower().endswith("_proxy")}
    proxy = lowered.get("https_proxy") or lowered.get("http_proxy")
    if proxy and not _bypasses_proxy(address, lowered.get("no_proxy", "")):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _bypasses_proxy(address: str, no_proxy: str) -> bool:
    """Tell whether NO_PROXY names a host: itself, a domain it is in, or all."""
    host = address.partition(":")[0]
    for item in (part.strip().lstrip("*").lstrip(".") for part in no_proxy.split(",") if part.strip()):
        if not item or item in (host, address) or host.endswith("." + item):
            return True
    return host in ("localhost", "127.0.0.1")


def _limited(response: Any, limit: int, intent: str) -> bytes:
    try:
        content: bytes = response.read(limit + 1)
    except HTTPError as error:
        raise Unavailable(f"{intent}: {error}") from None
    if len(content) > limit:
        raise Corrupt(f"{intent}: the answer is longer than {limit} bytes")
    return content


def _refusal(status: int, content: bytes, intent: str) -> PodlingError:
    """Return the error for an answer that is not what was asked for, with the registry's own code and message."""
    code, message = _told(content)
    told = f"{code}: {message}" if message else code
    if status == 401:
        return Denied(f"{intent}: {told or 'unauthorized: authentication required'}")
    if status == 403:
        return Denied(f"{intent}: {told or 'denied: requested access to the resource is denied'}")
    if status == 404:
        return NotFound(f"{intent}: {told or 'manifest unknown'}")
    if status == 429:
        return Unavailable(f"{intent}: too many requests to registry")
    return Unavailable(f"{intent}: StatusCode: {status}{f', {told}' if told else ''}")


def _told(content: bytes) -> tuple[str, str]:
    """Return the code and the message of a registry's error document, in Go's form."""
    try:
        error = jsontext.loads(content)["errors"][0]
        code, message = str(error["code"]).lower().replace("_", " "), str(error.get("message") or "")
    except (Corrupt, LookupError, TypeError):
        return "", ""
    return code[:80], "".join(character for character in message[:300] if character.isprintable())
