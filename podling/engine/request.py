"""One request to create a container, as the steps of `resolve.py` hand it on."""

from __future__ import annotations

from podling.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.engine.container import Container, ContainerConfig
    from podling.engine.options import CreateOptions, Settings


class Request(Record):
    """What the steps read, and the config that they fill."""

    settings: Settings
    options: CreateOptions
    config: ContainerConfig
    image: dict[str, Any]  # the image's Config; empty for a root filesystem of the user's
    environment: dict[str, str]  # the engine's own

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the [containers] table of containers.conf."""
        return self.settings.container

    def warn(self, text: str) -> None:
        """Tell the user something that is no error."""
        self.config.warnings.append(text)

    def wants_mounts(self) -> bool:
        """Tell whether the image, containers.conf or an earlier step ask for mounts."""
        defaults = self.defaults
        asked = self.image.get("Volumes") or defaults.get("volumes") or defaults.get("mounts")
        return bool(asked or self.config.read_only)

    def process(self) -> dict[str, Any]:
        """Return the fragment for config.json's `process`, to add to."""
        fragment: dict[str, Any] = self.config.specification.setdefault("process", {})
        return fragment

    def linux(self) -> dict[str, Any]:
        """Return the fragment for config.json's `linux`, to add to."""
        fragment: dict[str, Any] = self.config.specification.setdefault("linux", {})
        return fragment

    def resources(self) -> dict[str, Any]:
        """Return the fragment for config.json's `linux.resources`, to add to."""
        fragment: dict[str, Any] = self.linux().setdefault("resources", {})
        return fragment

    def require(self, name_or_id: str, purpose: str) -> Container:
        """Return another container, which from now on has to run first. Raise NotFound."""
        from podling.engine import find
        from podling.errors import NotFound

        try:
            other = find.find(self.settings, name_or_id)
        except NotFound as error:
            raise NotFound(f"{purpose}: {error}") from None
        if other.id not in self.config.requires:
            self.config.requires.append(other.id)
        return other
