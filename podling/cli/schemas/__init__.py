"""The fields and types that templates see, as Podman declares them; loaded where --format has a template."""
