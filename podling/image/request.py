"""What a pull is asked for, and where its configuration lies."""

from __future__ import annotations

from podling.records import Record

SYSTEM_DIRECTORY = "/etc/containers"


class PullRequest(Record):
    """The options of a pull: those of Podman's flags, as written, and overrides of the configuration's places."""

    platform: str | None = None
    os: str | None = None
    arch: str | None = None
    variant: str | None = None
    authfile: str | None = None
    creds: str | None = None
    cert_dir: str | None = None
    tls_verify: bool | None = None
    retry: int = 3
    registries_conf: str | None = None
    registries_conf_dir: str | None = None
    policy: str | None = None
    environment: dict[str, str] = {}

    @property
    def home(self) -> str:
        """Return the user's home directory, or nothing."""
        return self.environment.get("HOME", "")

    def configuration_file(self, name: str) -> str | None:
        """Return the path of a configuration file: the user's own goes before the system's."""
        import os

        for directory in (f"{self.home}/.config/containers", SYSTEM_DIRECTORY, "/usr/share/containers"):
            path = f"{directory}/{name}"
            if os.path.isabs(path) and os.path.isfile(path):
                return path
        return None
