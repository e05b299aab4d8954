"""config.json from a config and facts: pure, deterministic, Podman's."""

from typing import Any

from podling.engine import specification
from podling.engine.container import ContainerConfig
from podling.engine.specification import Facts
from podling.engine.users import Account

ID = "a" * 64


def config(**fields: Any) -> ContainerConfig:
    defaults: dict[str, Any] = {"id": ID, "name": "n", "created": 1, "hostname": "h", "environment": ["PATH=/bin"]}
    return ContainerConfig(**{**defaults, **fields})


def facts(**fields: Any) -> Facts:
    return Facts(**{"rootfs": "/r", **fields})


def generate(given: ContainerConfig | None = None, known: Facts | None = None) -> dict[str, Any]:
    return specification.generate(given or config(), known or facts())


def mounts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in document["mounts"]}


def kinds(document: dict[str, Any]) -> list[str]:
    return [row["type"] for row in document["linux"]["namespaces"]]


def test_it_is_the_same_every_time_and_changes_nothing() -> None:
    given, known = config(mounts=[bind("/a")], devices=[device()]), facts(bind_files={"/etc/hosts": "/b/hosts"})
    before = given.to_json()
    assert generate(given, known) == generate(given, known)
    assert given.to_json() == before


def test_default_mounts_in_order_of_depth() -> None:
    destinations = [mount["destination"] for mount in generate()["mounts"]]
    assert destinations == ["/proc", "/dev", "/sys", "/dev/pts", "/dev/mqueue", "/sys/fs/cgroup"]
    assert "/dev/mqueue" not in mounts(generate(known=facts(message_queues=False)))


def test_namespaces() -> None:
    assert kinds(generate()) == ["pid", "network", "ipc", "uts", "mount"]
    assert kinds(generate(known=facts(unified_cgroups=True)))[-1] == "cgroup"
    host = config(network_mode="host", namespaces={"pid": "host", "ipc": "host", "uts": "host"})
    assert kinds(generate(host)) == ["mount"]
    joined = generate(known=facts(namespace_paths={"network": "/run/netns/x"}))["linux"]["namespaces"]
    assert {"type": "network", "path": "/run/netns/x"} in joined


def test_hostname_belongs_to_a_namespace_of_its_own() -> None:
    assert generate()["hostname"] == "h"
    assert "hostname" not in generate(config(namespaces={"uts": "host"}))


def test_environment_is_completed() -> None:
    known = facts(account=Account(home="/home/b"))
    assert generate(known=known)["process"]["env"] == ["PATH=/bin", "container=podman", "HOME=/home/b", "HOSTNAME=h"]
    own = config(environment=["HOME=/x", "HOSTNAME=y", "TERM=z"], tty=True)
    assert generate(own, known)["process"]["env"] == ["HOME=/x", "HOSTNAME=y", "TERM=z", "container=podman"]
    assert "TERM=xterm" in generate(config(tty=True))["process"]["env"]


def test_command_line() -> None:
    assert generate(config(entrypoint=["/e"], command=["c"]))["process"]["args"] == ["/e", "c"]
    assert generate(config(command=["c"], init=True))["process"]["args"] == ["/run/podman-init", "--", "c"]
    assert generate()["process"]["args"] == [""]


def test_groups() -> None:
    account = Account(uid=5, gid=6, supplementary=[7, 8])
    document = generate(config(user="bob"), facts(account=account, additional_groups=[9, 6]))
    assert document["process"]["user"] == {"uid": 5, "gid": 6, "umask": 18, "additionalGids": [6, 9, 7, 8]}
    mapped = config(user="bob", gid_mappings=[{"containerID": 0, "hostID": 100000, "size": 8}])
    assert generate(mapped, facts(account=account))["process"]["user"]["additionalGids"] == [6, 7]


def capabilities(given: ContainerConfig, bounding: list[str]) -> dict[str, list[str]]:
    return specification.capabilities(given, bounding)


def test_capabilities_of_root_and_of_others() -> None:
    fragment = {"process": {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_KILL"]}}}
    host = ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"]
    root = capabilities(config(specification=fragment), host)
    both = ["CAP_CHOWN", "CAP_KILL"]
    assert root == {"bounding": both, "effective": both, "permitted": both}
    other = capabilities(config(specification=fragment, user="bob"), host)
    assert (other["bounding"], other["effective"], other["ambient"]) == (
        ["CAP_CHOWN", "CAP_KILL"],
        ["CAP_KILL"],
        ["CAP_KILL"],
    )
    assert capabilities(config(specification=fragment), ["CAP_CHOWN"])["bounding"] == ["CAP_CHOWN"]
    assert capabilities(config(specification=fragment, privileged=True), host)["bounding"] == host
    plain = {"process": {"capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}}}
    assert capabilities(config(specification=plain, user="1000"), host) == {"bounding": ["CAP_CHOWN"]}


def test_limits_are_what_the_host_permits() -> None:
    limits = {row["type"]: (row["soft"], row["hard"]) for row in generate()["process"]["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (1048576, 1048576), "RLIMIT_NPROC": (1048576, 1048576)}
    known = facts(limits={"RLIMIT_NOFILE": (1024, 4096), "RLIMIT_NPROC": ((1 << 64) - 1, (1 << 64) - 1)})
    limits = {row["type"]: (row["soft"], row["hard"]) for row in generate(known=known)["process"]["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (1024, 4096), "RLIMIT_NPROC": (1048576, 1048576)}
    own = {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5, "soft": 5}]}}
    assert len(generate(config(specification=own))["process"]["rlimits"]) == 2


def bind(destination: str, *options: str) -> dict[str, Any]:
    return {"type": "bind", "source": "/s", "destination": destination, "options": list(options)}


def device() -> dict[str, Any]:
    found = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o20666, "uid": 0, "gid": 0}
    return {**found, "access": "r", "source": "/dev/null"}


def test_user_mounts_take_the_place_of_ours() -> None:
    document = generate(config(mounts=[bind("/dev", "rprivate")]), facts(bind_files={"/etc/hosts": "/b/hosts"}))
    found = mounts(document)
    assert found["/dev"]["type"] == "bind"
    assert "/dev/pts" not in found
    assert found["/etc/hosts"]["options"] == ["bind", "rprivate"]
    own = generate(config(mounts=[bind("/etc/hosts")]), facts(bind_files={"/etc/hosts": "/b/hosts"}))
    assert mounts(own)["/etc/hosts"]["source"] == "/s"


def test_what_the_engine_acts_on_does_not_reach_the_runtime() -> None:
    document = generate(config(mounts=[bind("/a", "Z", "U", "ro", "rprivate", "copy", "no-dereference")]))
    assert mounts(document)["/a"]["options"] == ["ro", "rprivate", "copy-symlink"]


def test_tmpfs_owned_by_the_user() -> None:
    tmpfs = {"type": "tmpfs", "source": "tmpfs", "destination": "/t", "options": ["U", "mode=700"]}
    known = facts(account=Account(uid=5, gid=6), resolved_destinations={"/t": "/real"})
    assert mounts(generate(config(mounts=[tmpfs]), known))["/real"]["options"] == ["uid=5", "gid=6", "mode=700"]


def test_idmapped_mount() -> None:
    mount = mounts(generate(config(mounts=[bind("/a", "idmap=uids=0-1000-1;gids=0-1001-2")])))["/a"]
    assert mount["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert mount["gidMappings"] == [{"containerID": 0, "hostID": 1001, "size": 2}]


def test_volumes_and_overlays() -> None:
    volume = {"name": "v", "destination": "/v", "options": ["rprivate", "rbind"], "subpath": "/sub"}
    overlay = {"source": "/lower", "destination": "/o", "options": ["O"]}
    known = facts(volume_paths={"v": "/volumes/v"}, overlay_directories=[("/u", "/w")])
    found = mounts(generate(config(volumes=[volume], overlay_volumes=[overlay]), known))
    assert found["/v"]["source"] == "/volumes/v/sub"
    assert found["/o"]["options"] == ["lowerdir=/lower", "upperdir=/u", "workdir=/w", "private"]


def test_shared_mounts_need_a_root_that_is_not_private() -> None:
    assert generate(config(mounts=[bind("/a", "rshared")]))["linux"]["rootfsPropagation"] == "shared"
    assert generate(config(mounts=[bind("/a", "slave")]))["linux"]["rootfsPropagation"] == "rslave"
    assert "rootfsPropagation" not in generate(config(mounts=[bind("/a", "rprivate")]))["linux"]


def test_read_only() -> None:
    files = facts(bind_files={"/etc/hosts": "/b/hosts", "/dev/shm": "/b/shm"})
    document = generate(config(read_only=True), files)
    assert document["root"]["readonly"] is True
    assert "ro" in mounts(document)["/etc/hosts"]["options"]
    assert "ro" not in mounts(document)["/dev/shm"]["options"]
    assert "ro" not in mounts(document)["/dev"]["options"]
    strict = mounts(generate(config(read_only=True, read_only_tmpfs=False), files))
    assert "ro" in strict["/dev"]["options"]
    assert "ro" in strict["/dev/shm"]["options"]


def test_privileged() -> None:
    document = generate(config(privileged=True), facts(host_devices=[device()], bounding=["CAP_X"]))
    linux = document["linux"]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert [found["path"] for found in linux["devices"]] == ["/dev/x"]
    assert "maskedPaths" not in linux
    assert "readonlyPaths" not in linux
    assert "rw" in mounts(document)["/sys"]["options"]
    assert "rw" in mounts(document)["/sys/fs/cgroup"]["options"]
    assert document["annotations"]["io.podman.annotations.privileged"] == "TRUE"


def test_devices() -> None:
    linux = generate(config(devices=[device()]))["linux"]
    assert set(linux["devices"][0]) == {"path", "type", "major", "minor", "fileMode", "uid", "gid"}
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    assert linux["resources"]["devices"] == [{"allow": False, "access": "rwm"}, rule]


def test_masked_paths() -> None:
    linux = generate(config(masked_paths=["/own"], unmasked_paths=["/proc/acpi", "/sys/f*"]))["linux"]
    assert "/own" in linux["maskedPaths"]
    assert not {"/proc/acpi", "/sys/firmware"} & set(linux["maskedPaths"])
    assert {"/proc/kcore", "/sys/fs/selinux"} <= set(linux["maskedPaths"])
    everything = generate(config(unmasked_paths=["ALL"]))
    assert "maskedPaths" not in everything["linux"]
    assert "rw" in mounts(everything)["/sys/fs/cgroup"]["options"]


def test_cgroups() -> None:
    assert generate()["linux"]["cgroupsPath"] == f"/libpod_parent/libpod-{ID}"
    systemd = facts(cgroup_manager="systemd", cgroup_parent="machine.slice")
    document = generate(known=systemd)
    assert document["linux"]["cgroupsPath"] == f"machine.slice:libpod:{ID}"
    assert document["annotations"]["org.systemd.property.TimeoutStopUSec"] == "uint64 10000000"
    assert generate(config(cgroup_parent="/mine/"))["linux"]["cgroupsPath"] == f"/mine/libpod-{ID}"
    assert "cgroupsPath" not in generate(config(cgroups="disabled"))["linux"]


def test_user_namespace() -> None:
    rows = [{"containerID": 0, "hostID": 100000, "size": 3}]
    given = config(namespaces={"user": "private"}, uid_mappings=rows, gid_mappings=rows)
    document = generate(given)
    assert document["linux"]["uidMappings"] == rows
    assert "user" in kinds(document)
    assert "devices" not in document["linux"]["resources"]
    assert "gid=5" not in mounts(document)["/dev/pts"]["options"]
    assert mounts(document)["/sys"]["type"] == "sysfs"
    joined = facts(namespace_paths={"network": "/run/netns/x"})  # owned by the host: sysfs cannot be mounted anew
    assert mounts(generate(given, joined))["/sys"]["type"] == "bind"


def test_systemd_mode() -> None:
    found = mounts(generate(config(systemd=True), facts(unified_cgroups=True)))
    assert {"/run", "/run/lock", "/tmp", "/var/log/journal"} <= set(found)
    assert found["/sys/fs/cgroup"]["options"] == ["private", "rw"]


def test_fragments_are_merged() -> None:
    fragment = {
        "process": {"noNewPrivileges": True, "oomScoreAdj": 5, "apparmorProfile": "p"},
        "linux": {"sysctl": {"a": "b"}, "resources": {"pids": {"limit": 3}}, "personality": {"domain": "LINUX32"}},
    }
    document = generate(config(specification=fragment), facts(seccomp={"defaultAction": "SCMP_ACT_ALLOW"}))
    assert (document["process"]["noNewPrivileges"], document["process"]["oomScoreAdj"]) == (True, 5)
    linux = document["linux"]
    assert (linux["sysctl"], linux["resources"]["pids"]) == ({"a": "b"}, {"limit": 3})
    assert (linux["personality"], linux["seccomp"]) == ({"domain": "LINUX32"}, {"defaultAction": "SCMP_ACT_ALLOW"})
