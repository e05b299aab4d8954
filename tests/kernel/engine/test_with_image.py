"""Options that need an image and the whole chain: volumes of other containers, namespaces and networks shared."""

from __future__ import annotations

import json
from collections.abc import Callable

from lab.world import World


def test_joined_namespaces(podling: World) -> None:
    owner = podling.check("run", "-d", "--network", "none", "--name", "owner", "fedora", "sleep", "100")
    try:
        shared = "echo here > /dev/shm/x; readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/pid"
        joined = ["--network", "container:owner", "--ipc", "container:owner", "--pid", "container:owner"]
        inside = podling.check(
            "exec", "owner", "sh", "-c", "readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/pid"
        )
        assert podling.check("run", "--rm", *joined, "fedora", "sh", "-c", shared) == inside
        assert podling.check("exec", "owner", "cat", "/dev/shm/x") == "here"
        (described,) = json.loads(podling.check("inspect", "owner"))
        assert described["Id"] == owner
    finally:
        podling.check("rm", "-f", "-t", "0", "owner")


def test_volumes_from(podling: World) -> None:
    podling.check("create", "--name", "source", "-v", "/kept", "-v", "/tmp:/host:ro", "fedora", "true")
    try:
        script = "touch /kept/x; touch /host/x"
        done = podling.run("run", "--rm", "--network", "none", "--volumes-from", "source", "fedora", "sh", "-c", script)
        assert "/host/x" in done.stderr
        assert "/kept/x" not in done.stderr
    finally:
        podling.check("rm", "-f", "-v", "source")


def test_names_on_a_network(world: Callable[..., World]) -> None:
    podling = world()  # of its own: the first network makes the directory of networks
    podling.check("pull", "fedora")
    podling.check("network", "create", "room")
    try:
        podling.check("run", "-d", "--network", "room:alias=db", "--name", "one", "fedora", "sleep", "100")
        podling.check("run", "-d", "--network", "room", "--name", "two", "fedora", "sleep", "100")
        assert " db " in " ".join(podling.check("exec", "two", "cat", "/etc/hosts").split())
        assert "two" in podling.check("exec", "one", "cat", "/etc/hosts").split()
        podling.check("rm", "-f", "-t", "0", "two")
        assert "two" not in podling.check("exec", "one", "cat", "/etc/hosts").split()
    finally:
        podling.run("rm", "-f", "-t", "0", "one", "two")
        podling.check("network", "rm", "-f", "room")
