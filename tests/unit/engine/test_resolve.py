"""From options to a config: defaults, what the image says, what is refused and in which words."""

from pathlib import Path
from typing import Any

import pytest

from podling.engine import resolve, settings
from podling.engine.container import ContainerConfig
from podling.engine.options import CreateOptions, Settings
from podling.errors import AlreadyExists, InvalidArgument, NotFound, PodlingError, Unsupported
from podling.store.image import Image

ID = "0123456789ab" + "c" * 52
NO_X = 'no container with name or ID "x" found: no such container'
IMAGE: dict[str, Any] = {
    "Env": ["PATH=/bin", "FOO=bar"],
    "Entrypoint": ["/entry"],
    "Cmd": ["one", "two"],
    "WorkingDir": "/work",
    "User": "bob",
    "Labels": {"a": "image", "b": "image"},
    "StopSignal": "SIGINT",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Volumes": {"/data": {}},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PODMAN_USERNS", "PODMAN_SYSTEMD_UNIT"):
        monkeypatch.delenv(name, raising=False)
    given = {"root": str(tmp_path / "root"), "runroot": str(tmp_path / "run")}
    return settings.merge(given, {}, {})


def image(config: dict[str, Any]) -> Image:
    made = Image(id="f" * 64, names=["localhost/test:latest"], digest="sha256:" + "d" * 64, config_path="/nope")
    made.__dict__["_document"] = {"config": config}
    return made


def config_of(here: Settings, described: dict[str, Any] | None = None, **options: Any) -> ContainerConfig:
    return resolve.resolve(here, CreateOptions(image="test", **options), image(described or {}), ID)


def test_what_the_image_says(here: Settings) -> None:
    config = config_of(here, IMAGE)
    assert config.entrypoint + config.command == ["/entry", "one", "two"]
    assert config.environment[:2] == ["PATH=/bin", "FOO=bar"]
    assert (config.user, config.working_directory, config.create_working_directory) == ("bob", "/work", True)
    assert (config.stop_signal, config.labels) == (2, {"a": "image", "b": "image"})
    assert set(config.exposed_ports) == {"80/tcp", "53/udp"}
    (volume,) = config.volumes
    assert (volume["destination"], volume["anonymous"], len(volume["name"])) == ("/data", True, 64)
    assert (config.image_name, config.raw_image_name) == ("localhost/test:latest", "test")


def test_what_the_user_says_goes_first(here: Settings) -> None:
    config = config_of(here, IMAGE, command=["x"], user="1:2", workdir="/w", label=["a=flag"], stop_signal="9")
    assert config.entrypoint + config.command == ["/entry", "x"]
    assert (config.user, config.working_directory, config.create_working_directory) == ("1:2", "/w", False)
    assert (config.stop_signal, config.labels) == (9, {"a": "flag", "b": "image"})


@pytest.mark.parametrize(
    ("entrypoint", "command", "line"),
    [
        ("/e", [], ["/e"]),
        ("/e", ["x"], ["/e", "x"]),
        ('["/e", "-f"]', [], ["/e", "-f"]),
        ("", [], []),
        ("", ["x"], ["x"]),
        ("[]", [], ["one", "two"]),
        ("[broken", [], ["[broken"]),
    ],
)
def test_entrypoint(here: Settings, entrypoint: str, command: list[str], line: list[str]) -> None:
    config = config_of(here, IMAGE, entrypoint=entrypoint, command=command)
    assert config.entrypoint + config.command == line


def test_defaults(here: Settings) -> None:
    config = config_of(here)
    assert config.namespaces["pid"] == "private"
    assert config.namespaces["ipc"] == "shareable"
    assert (config.network_mode, list(config.networks)) == ("bridge", ["podman"])
    assert config.hostname == ID[:12]
    assert (config.stop_signal, config.stop_timeout_seconds, config.shm_size) == (15, 10, 65536000)
    assert config.specification["linux"]["resources"] == {"pids": {"limit": 2048}}
    assert len(config.specification["process"]["capabilities"]["bounding"]) == 11
    assert "_" in config.name
    assert config.warnings == []
    assert config.log_path.endswith(f"/containers/{ID}/ctr.log")


def test_it_survives_the_database(here: Settings) -> None:
    config = config_of(here, IMAGE, publish=["80:80"], network=["bridge:alias=x"], volume=["/tmp:/t:ro"], memory="1g")
    assert ContainerConfig.from_json(config.to_json()) == config


def test_containers_conf(here: Settings) -> None:
    here.container = {
        "default_sysctls": ["net.ipv4.ping_group_range=0 0"],
        "default_capabilities": ["CHOWN"],
        "pids_limit": 7,
        "shm_size": "1m",
        "tz": "local",
        "umask": "0027",
        "annotations": ["k=v"],
        "volumes": ["/tmp:/conf"],
        "log_driver": "journald",
    }
    config = config_of(here)
    linux = config.specification["linux"]
    assert (linux["sysctl"], linux["resources"]) == ({"net.ipv4.ping_group_range": "0 0"}, {"pids": {"limit": 7}})
    assert config.specification["process"]["capabilities"]["bounding"] == ["CAP_CHOWN"]
    assert (config.shm_size, config.timezone, config.umask, config.log_driver) == (10**6, "local", "0027", "journald")
    assert config.annotations["k"] == "v"
    assert [mount["destination"] for mount in config.mounts] == ["/conf"]
    assert config_of(here, network=["host"]).specification["linux"].get("sysctl") is None


def test_network_modes(here: Settings) -> None:
    assert config_of(here, network=["none"]).network_mode == "none"
    host = config_of(here, network=["host"])
    assert (host.network_mode, host.networks) == ("host", {})
    named = config_of(here, network=["bridge:ip=10.86.0.9,mac=AA-BB-CC-00-11-22,alias=x,interface_name=e0"])
    attachment = named.networks["podman"]
    assert (attachment.static_ips, attachment.static_mac) == (["10.86.0.9"], "aa:bb:cc:00:11:22")
    assert (attachment.aliases, attachment.interface_name) == (["x"], "e0")
    assert config_of(here, ip="10.86.0.7").networks["podman"].static_ips == ["10.86.0.7"]


def test_published_ports_need_a_bridge(here: Settings) -> None:
    config = config_of(here, network=["host"], publish=["80:80"])
    assert config.ports == []
    assert config.warnings == [
        'Port mappings have been discarded because "host" network namespace mode does not support them'
    ]


def test_publish_all(here: Settings) -> None:
    config = config_of(here, IMAGE, publish_all=True, publish=["8080:80"])
    assert {(port.container_port, port.protocol) for port in config.ports} == {(80, "tcp"), (53, "udp")}
    assert all(port.host_port for port in config.ports)


def test_host_namespaces(here: Settings) -> None:
    import os

    config = config_of(here, uts="host", pid="host", ipc="host")
    assert config.hostname == os.uname().nodename
    assert config.namespaces["pid"] == config.namespaces["ipc"] == "host"


def test_resources(here: Settings) -> None:
    config = config_of(here, cpus=1.5, cpu_shares=512, cpuset_cpus="0", pids_limit=-1, cgroup_conf=["a.b=c"])
    resources = config.specification["linux"]["resources"]
    assert resources["cpu"] == {"period": 100000, "quota": 150000, "shares": 512, "cpus": "0"}
    assert resources["pids"] == {"limit": -1}
    assert resources["unified"] == {"a.b": "c"}


def test_memory(here: Settings) -> None:
    config = config_of(here, memory="64m", memory_reservation="32m")
    memory = config.specification["linux"]["resources"]["memory"]
    assert (memory["limit"], memory["reservation"]) == (64 << 20, 32 << 20)
    assert memory.get("swap", 128 << 20) == 128 << 20  # left out, with a warning, where swap is not accounted
    assert ("swap" in memory) != bool(config.warnings)


def test_security_options(here: Settings) -> None:
    config = config_of(
        here,
        security_opt=["no-new-privileges", "seccomp=unconfined", "mask=/a:/b", "unmask=ALL", "proc-opts=hidepid=2,ro"],
        cap_add=["sys_admin"],
        cap_drop=["CAP_CHOWN"],
    )
    process = config.specification["process"]
    assert process["noNewPrivileges"] is True
    assert (config.seccomp_profile, config.masked_paths, config.unmasked_paths) == ("unconfined", ["/a", "/b"], ["ALL"])
    assert config.proc_options == ["hidepid=2", "ro"]
    assert "CAP_SYS_ADMIN" in process["capabilities"]["bounding"]
    assert "CAP_CHOWN" not in process["capabilities"]["bounding"]
    assert process["capabilities"]["ambient"] == ["CAP_SYS_ADMIN"]


def test_health(here: Settings) -> None:
    config = config_of(here, health_cmd="curl localhost", health_interval="5s", health_on_failure="kill")
    assert config.healthcheck == {
        "Test": ["CMD-SHELL", "curl localhost"],
        "Interval": 5 * 10**9,
        "Timeout": 30 * 10**9,
        "StartPeriod": 0,
        "Retries": 3,
        "OnFailureAction": "kill",
    }
    assert config_of(here, health_cmd='["a","b"]').healthcheck["Test"] == ["CMD", "a", "b"]
    assert config_of(here, no_healthcheck=True).healthcheck == {"Test": ["NONE"]}
    from_image = {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 7}}
    assert config_of(here, from_image, health_retries=9).healthcheck["Retries"] == 9
    assert config_of(here, from_image).healthcheck["Interval"] == 7


def test_read_only(here: Settings) -> None:
    config = config_of(here, read_only=True, tmpfs=["/tmp:size=1m"])
    assert {mount["destination"] for mount in config.mounts} == {"/tmp", "/var/tmp", "/run"}
    assert config.user_volumes == ["/tmp"]
    assert config_of(here, read_only=True, read_only_tmpfs=False).mounts == []


def test_mounts_take_the_place_of_image_volumes(here: Settings) -> None:
    config = config_of(here, IMAGE, volume=["/tmp:/data"])
    assert config.volumes == []
    assert [mount["destination"] for mount in config.mounts] == ["/data"]
    assert config_of(here, IMAGE, image_volume="ignore").volumes == []
    (mount,) = config_of(here, IMAGE, image_volume="tmpfs").mounts
    assert (mount["type"], mount["destination"]) == ("tmpfs", "/data")


def test_systemd(here: Settings) -> None:
    config = config_of(here, command=["/sbin/init"])
    assert (config.systemd, config.stop_signal) == (True, 37)
    assert config_of(here, command=["/sbin/init"], systemd="false").systemd is False
    assert config_of(here, command=["sh"], systemd="always").systemd is True


def test_user_namespace(here: Settings) -> None:
    config = config_of(here, uidmap=["0:100000:5000"])
    assert config.namespaces["user"] == "private"
    assert config.uid_mappings == config.gid_mappings == [{"containerID": 0, "hostID": 100000, "size": 5000}]


def test_root_filesystem(here: Settings, tmp_path: Path) -> None:
    config = resolve.resolve(here, CreateOptions(rootfs=str(tmp_path), command=["x"]), None, ID)
    assert (config.rootfs, config.image_id) == (str(tmp_path), "")
    with pytest.raises(Unsupported, match="--rootfs DIRECTORY:O"):
        resolve.resolve(here, CreateOptions(rootfs=f"{tmp_path}:O", command=["x"]), None, ID)


def test_cidfile(here: Settings, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    assert config_of(here, cidfile=str(path)).cidfile == str(path)
    path.touch()
    with pytest.raises(AlreadyExists, match="container id file exists"):
        config_of(here, cidfile=str(path))


def test_nothing_is_made(here: Settings, tmp_path: Path) -> None:
    config_of(here, IMAGE, publish_all=True, volume=["named:/n"])
    with pytest.raises(InvalidArgument):
        config_of(here, memory="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "a/b"},
            "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        ),
        ({"restart": "foo"}, 'running container create option: "foo" is not a valid restart policy: invalid argument'),
        (
            {"restart": "always:3"},
            "restart policy retries can only be specified with on-failure restart policy",
        ),
        (
            {"rm": True, "restart": "always"},
            'the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"',
        ),
        ({"memory": "x"}, "invalid value for memory: invalid size: 'x'"),
        ({"cpus": 1.0, "cpu_quota": 1}, "--cpu-quota and --cpus cannot be set together"),
        (
            {"ulimit": ["nofile=5:3"]},
            'ulimit option "nofile=5:3" requires name=SOFT:HARD, failed to be parsed: ulimit soft limit must be less '
            "than or equal to hard limit: 5 > 3",
        ),
        ({"umask": "9"}, "running container create option: invalid umask string 9: invalid argument"),
        ({"tz": "../etc/passwd"}, "running container create option: finding timezone: unknown time zone ../etc/passwd"),
        ({"volume": ["/tmp:/x", "/:/x"]}, "/x: duplicate mount destination"),
        ({"volume": ["/tmp:/proc"]}, '"/proc" cannot be mounted over: '),
        (
            {"network": ["host", "foo"]},
            "cannot set multiple networks without bridge network mode, selected mode host: invalid argument",
        ),
        ({"network": ["none"], "ip": "1.2.3.4"}, "--ip can only be set when the network mode is bridge: "),
        ({"pid": "foo"}, "unrecognized namespace mode foo passed"),
        (
            {"uts": "host", "hostname": "a"},
            "invalid config provided: cannot set hostname when running in the host UTS namespace: ",
        ),
        ({"cap_add": ["FOO"]}, '"CAP_FOO": unknown capability'),
        ({"cap_add": ["chown"], "cap_drop": ["CHOWN"]}, 'capability "CAP_CHOWN" cannot be dropped and added'),
        ({"security_opt": ["foo"]}, 'invalid --security-opt 1: "foo"'),
        ({"security_opt": ["foo=bar"]}, 'invalid --security-opt 2: "foo=bar"'),
        ({"sysctl": ["kernel.foo=1"]}, "sysctl 'kernel.foo' is not allowed"),
        (
            {"network": ["host"], "sysctl": ["net.foo=1"]},
            "sysctl net.foo=1 can't be set since Network Namespace set to host: invalid argument",
        ),
        ({"device": ["/nope"]}, "stat /nope: no such file or directory"),
        ({"device": ["/etc/passwd"]}, "/etc/passwd is not a valid device: not a device node"),
        ({"dns": ["foo"]}, "foo is not an ip address"),
        ({"network": ["none"], "dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode: none"),
        ({"add_host": ["a:b"]}, 'invalid IP address in add-host: "b"'),
        ({"annotation": ["x"]}, "annotations must be formatted KEY=VALUE"),
        ({"label": ["=x"]}, 'unable to process labels: invalid label format: "=x"'),
        ({"log_driver": "foo"}, "running container create option: invalid log driver: invalid argument"),
        ({"userns": "foo"}, "unrecognized namespace mode foo passed"),
        ({"init": True, "init_path": "/bin/true", "pid": "host"}, "cannot add init binary as PID 1 "),
        ({"init": True, "init_path": "/nope"}, "container-init binary not found on the host: stat /nope: "),
        ({"group_add": ["keep-groups", "x"]}, "the '--group-add keep-groups' option is not allowed with any other "),
        ({"image_volume": "foo"}, 'invalid image volume mode "foo" required value: '),
        ({"cgroups": "foo"}, 'running container create option: invalid cgroup mode "foo": invalid argument'),
    ],
)
def test_refusals(here: Settings, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PodlingError) as caught:
        config_of(here, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pid": "container:x"},
            f"looking up container to share pid namespace with: {NO_X}",
        ),
        (
            {"volumes_from": ["x"]},
            f'looking up container "x" for volumes-from: {NO_X}',
        ),
        (
            {"requires": ["x"]},
            f'"x" is not a valid container, cannot be used as a dependency: {NO_X}',
        ),
    ],
)
def test_absent_containers(here: Settings, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NotFound) as caught:
        config_of(here, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("options", [{"pod": "x"}, {"secret": ["x"]}, {"mount": ["type=image,src=a,dst=/a"]}])
def test_what_is_not_there_yet_says_so(here: Settings, options: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="not supported yet"):
        config_of(here, **options)
