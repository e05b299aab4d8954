"""Podling: a daemonless container engine.

    cli/ ──► engine/ ──► monitor/ ──► runtime/ ──► the container
             image/  store/  network/  build/       linux/  oci/

See ARCHITECTURE.md for the map and the rules.
"""

__version__ = "0.1.0"
