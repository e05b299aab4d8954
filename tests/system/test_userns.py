"""User namespaces on images: owners mapped by the kernel, nothing copied."""

from lab.world import World

SHOW = "id -u; touch /x; stat -c %u:%g /x /etc/passwd; cat /proc/self/uid_map; stat -c %u /sys/class/net/eth0/mtu"


def test_an_image_is_shown_to_a_user_namespace_under_its_own_ids(podling: World) -> None:
    done = podling.check("run", "--rm", "--uidmap", "0:100000:65536", "fedora", "bash", "-c", SHOW).split()
    assert done == ["0", "0:0", "0:0", "0", "100000", "65536", "0"]


def test_what_such_a_container_writes_belongs_to_the_mapped_user_on_the_host(podling: World) -> None:
    name = podling.check("run", "-d", "--uidmap", "0:100000:65536", "fedora", "bash", "-c", "touch /x; sleep 1000")
    podling.check("exec", name, "bash", "-c", "until [ -e /x ]; do :; done")
    upper = podling.own_root / "containers" / name / "diff"
    assert (upper / "x").stat().st_uid == 100000
    assert podling.check("exec", name, "stat", "-c", "%u", "/x") == "0"
    podling.check("rm", "-f", "-t", "0", name)


def test_its_network_interface_is_its_own(podling: World) -> None:
    script = "cat /sys/class/net/eth0/address; echo 1 > /proc/sys/net/ipv4/ip_default_ttl; cat /etc/hosts"
    done = podling.run("run", "--rm", "--uidmap", "0:100000:65536", "--mac-address", "02:00:00:00:00:07", "fedora",
                       "bash", "-c", script)  # fmt: skip
    assert done.stdout.startswith("02:00:00:00:00:07\n")
