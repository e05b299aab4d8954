"""The lab: the project's main job, and the stage it and the tests and the bench stand on.

    __main__.py   types the lab's eleven steps into a real terminal and checks each
    world.py      a private engine root with its configuration, made and destroyed
    registry.py   an OCI registry on loopback, with TLS
    images.py     the images that answer to `fedora` and `centos`, made of the host's own files
    terminal.py   a pseudo-terminal with a process in it
    inventory.py  everything an engine can leave behind on a host

Ordinary Python: nothing here is on a user's hot path.
"""
