"""TLS towards a registry: certificate directories and what a failed handshake means.

--cert-dir DIRECTORY, else the first that exists of
~/.config/containers/certs.d/HOST:PORT   /etc/containers/certs.d/HOST:PORT   /etc/docker/certs.d/HOST:PORT

  *.crt            authorities to trust besides the system's
  *.cert + *.key   a certificate to show to the registry
"""

from __future__ import annotations

import os
import ssl

from podling.errors import InvalidArgument
from podling.image.request import PullRequest

_SYSTEM_DIRECTORIES = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def context(request: PullRequest, host: str, *, verify: bool) -> ssl.SSLContext:
    """Return the TLS context for a registry. Raise InvalidArgument where a certificate cannot be used."""
    tls = ssl.create_default_context()
    tls.set_alpn_protocols(["http/1.1"])
    if not verify:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    directory = _directory(request, host)
    if directory:
        try:
            _load(tls, directory)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgument(f'loading certificates of "{directory}"') from error
    return tls


def _directory(request: PullRequest, host: str) -> str | None:
    if request.cert_dir:
        return request.cert_dir
    own = [f"{request.home}/.config/containers/certs.d"] if request.home else []
    for parent in (*own, *_SYSTEM_DIRECTORIES):
        if os.path.isdir(f"{parent}/{host}"):
            return f"{parent}/{host}"
    return None


def _load(tls: ssl.SSLContext, directory: str) -> None:
    names = sorted(os.listdir(directory))
    for name in names:
        path = f"{directory}/{name}"
        if name.endswith(".crt"):
            tls.load_verify_locations(path)
        elif name.endswith(".cert"):
            key = name.removesuffix(".cert") + ".key"
            if key not in names:
                raise InvalidArgument(f"missing key {key} for client certificate {name}")
            tls.load_cert_chain(path, f"{directory}/{key}")


def explain(error: ssl.SSLError, host: str) -> str:
    """Return why a handshake failed, in the words that Go's users know."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFICATION.get(error.verify_code, error.verify_message)
        return f"tls: failed to verify certificate: x509: {reason.format(host=host)}"
    if error.reason == "WRONG_VERSION_NUMBER" or error.reason == "HTTP_REQUEST":
        return "http: server gave HTTP response to HTTPS client"
    return f"tls: {(error.reason or str(error)).replace('_', ' ').lower()}"


_UNKNOWN_AUTHORITY = "certificate signed by unknown authority"
_VERIFICATION = {  # X509_V_ERR_* of OpenSSL
    9: "certificate has expired or is not yet valid",
    10: "certificate has expired or is not yet valid",
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: "certificate is not valid for {host}",
    64: "certificate is not valid for {host}",
}
