"""Flags that several verbs share, each with one spelling and one text."""

from __future__ import annotations

from podling.cli.flags import Flag

LATEST = Flag("latest", "bool", "Act on the latest container podling is aware of", short="l")
CIDFILE = Flag("cidfile", "array", "Read the container ID from the file")
FILTER = Flag("filter", "array", "Filter output based on conditions given", short="f")
FILTER_LONG = Flag("filter", "array", "Filter output based on conditions given")
TIME = Flag(
    "time",
    "int",
    "Seconds to wait for stop before killing the container",
    short="t",
    default=10,
    aliases=("timeout",),
)
NO_TRUNC = Flag("no-trunc", "bool", "Do not truncate output", aliases=("notruncate",))
SIG_PROXY = Flag("sig-proxy", "bool", "Proxy received signals to the process", default=True)
DETACH_KEYS = Flag(
    "detach-keys",
    "string",
    "Override the key sequence for detaching a container. Format is a single character `[a-Z]` or a comma separated "
    "sequence of ctrl-<value>, where <value> is one of: a-z, @, ^, [, \\, ] or _",
    default="ctrl-p,ctrl-q",
)
INSPECT_FORMAT = Flag("format", "string", "Format the output to a Go template or json", short="f", default="json")
SIZE = Flag("size", "bool", "Display total file size", short="s")

REGISTRY = (
    Flag("authfile", "string", "Path of the authentication file; overrides REGISTRY_AUTH_FILE"),
    Flag("cert-dir", "string", "`Pathname` of a directory containing TLS certificates and keys"),
    Flag("creds", "string", "`Credentials` (USERNAME:PASSWORD) to use for authenticating to a registry"),
    Flag("tls-verify", "bool", "Require HTTPS and verify certificates when contacting registries", default=True),
    Flag("retry", "uint", "number of times to retry in case of failure when performing pull", default=3),
    Flag(
        "retry-delay",
        "duration",
        "delay between retries in case of pull failures",
        refused="the delay grows with each attempt by itself",
    ),
    Flag(
        "decryption-key",
        "array",
        "Key needed to decrypt the image (e.g. /path/to/key.pem)",
        refused="encrypted images are not supported",
    ),
    Flag("disable-content-trust", "bool", "This is a Docker specific option and is a NOOP"),
)
PLATFORM = (
    Flag(
        "arch",
        "string",
        "Use `ARCH` instead of the architecture of the machine for choosing images",
        aliases=("override-arch",),
    ),
    Flag("os", "string", "Use `OS` instead of the running OS for choosing images", aliases=("override-os",)),
    Flag("platform", "string", "Specify the platform for selecting the image.  (Conflicts with arch and os)"),
    Flag(
        "variant",
        "string",
        "Use `VARIANT` instead of the running architecture variant for choosing images",
        aliases=("override-variant",),
    ),
)
