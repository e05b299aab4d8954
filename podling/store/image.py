"""An image of the store, as its entries in index.json tell it; its configuration is read when asked for."""

from __future__ import annotations

from podling.oci import jsontext
from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Image(Record):
    """An image: one configuration, under any number of names.

    `id` is the 64 hex digits of the configuration's digest, `digest` that of the manifest it was last added by.
    `repo_digests` also names the index an image was chosen from. `size` is in bytes, unpacked; `created` in
    nanoseconds since the epoch; `layers` are chain IDs, bottom first.
    """

    id: str
    names: list[str] = []
    digest: str
    repo_digests: list[str] = []
    created: int = 0
    size: int = 0
    layers: list[str] = []
    config_path: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the whole configuration: architecture, os, config, rootfs, history. Raise Corrupt, or OSError."""
        if "_document" not in self.__dict__:
            from podling.oci import image_config

            with open(self.config_path, "rb") as file:
                self.__dict__["_document"] = image_config.parse(file.read())
        document: dict[str, Any] = self.__dict__["_document"]
        return document

    @property
    def config(self) -> dict[str, Any]:
        """Return the part a container is made by: Env, Cmd, Entrypoint, User, WorkingDir, Labels, Volumes, …"""
        return self.document.get("config") or {}

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return how the layers were made, bottom first."""
        return self.document.get("history") or []

    @property
    def labels(self) -> dict[str, str]:
        """Return the configuration's labels."""
        return self.config.get("Labels") or {}

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the manifest of `digest`, as it was pulled."""
        directory = self.config_path.rpartition("/")[0]
        with open(f"{directory}/{self.digest[7:]}", "rb") as file:
            document: dict[str, Any] = jsontext.loads(file.read())
        return document
