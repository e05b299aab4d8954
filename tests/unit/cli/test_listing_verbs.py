"""ps, inspect and port on a database with containers, none of which needs to run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podling.cli.gotemplate import values
from podling.cli.schemas import inspect as _declares
from podling.engine import database, filtering, listing, paths
from podling.engine.container import Container, ContainerConfig, ContainerState, NetworkAttachment, PortMapping
from podling.engine.options import Settings
from podling.errors import InvalidArgument
from podling.linux import processes
from tests.unit.cli.conftest import Run

SECOND = 1_000_000_000
Make = Callable[..., Container]
assert _declares


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=f"{tmp_path}/root", runroot=f"{tmp_path}/run")


@pytest.fixture
def make(settings: Settings) -> Make:
    """Return a function that adds a container; `alive` has it run as this very process."""

    def add(name: str, *, alive: bool = True, monitored: bool = True, state: dict[str, Any] | None = None,
            **config: Any) -> Container:  # fmt: skip
        pid = os.getpid()
        container = Container(
            config=ContainerConfig(**{
                "id": os.urandom(32).hex(), "name": name, "created": time.time_ns(), "command": ["sleep", "1000"],
                "image_name": "docker.io/library/fedora:latest", "image_id": "ab" * 32, **config,
            }),
            state=ContainerState(**{
                "status": "running", "boot_id": processes.boot_id(), "pid": pid if alive else 0,
                "pid_started": processes.start_time(pid), "monitor_pid": pid if monitored else 0,
                "monitor_started": processes.start_time(pid), "started_at": time.time_ns() - 5 * SECOND,
                **(state or {}),
            }),
        )  # fmt: skip
        with database.write(settings) as db:
            db.insert(container)
        return container

    return add


# what is true now


def test_a_living_process_is_running(settings: Settings, make: Make) -> None:
    container = make("a")
    assert listing.observe(settings, container) is container
    assert not listing.is_unmonitored(container)


def test_after_a_reboot_everything_has_exited(settings: Settings, make: Make) -> None:
    seen = listing.observe(settings, make("a", state={"boot_id": "another"}))
    assert (seen.state.status, seen.state.exit_code, seen.state.pid) == ("exited", -1, 0)


def test_an_exit_file_tells_before_the_row_does(settings: Settings, make: Make) -> None:
    container = make("a")
    os.makedirs(paths.exit_directory(settings))
    Path(paths.exit_file(settings, container.id)).write_text("7")
    seen = listing.observe(settings, container)
    assert (seen.state.status, seen.state.exit_code) == ("exited", 7)
    assert abs(seen.state.finished_at - time.time_ns()) < 10 * SECOND
    assert container.state.status == "running"  # the row is left alone


def test_a_dead_process_has_exited_and_nobody_knows_how(settings: Settings, make: Make) -> None:
    seen = listing.observe(settings, make("a", alive=False))
    assert (seen.state.status, seen.state.exit_code) == ("exited", -1)


def test_another_process_under_the_same_pid_is_not_the_container(settings: Settings, make: Make) -> None:
    assert listing.observe(settings, make("a", state={"pid_started": 1})).state.status == "exited"


def test_a_container_without_its_monitor_is_marked(settings: Settings, make: Make, run: Run) -> None:
    assert listing.is_unmonitored(make("a", monitored=False))
    assert "Up 5 seconds (unmonitored)" in run("ps")[1]


# ps


def test_columns(make: Make, run: Run) -> None:
    container = make("web", ports=[PortMapping(host_port=8080, container_port=80)], command=["sh", "-c", "echo long"])
    header, row = run("ps")[1].splitlines()
    assert header.split("  ")[0] == "CONTAINER ID"
    assert [cell.strip() for cell in row.split("  ") if cell] == [
        container.id[:12], "docker.io/library/fedora:latest", "sh -c echo long", "Less than a second ago",
        "Up 5 seconds", "0.0.0.0:8080->80/tcp", "web",
    ]  # fmt: skip


def test_only_what_runs_unless_all(make: Make, run: Run) -> None:
    make("dead", alive=False)
    make("new", state={"status": "created"})
    make("live")
    assert run("ps", "--format", "{{.Names}}")[1] == "live\n"
    assert run("ps", "-a", "--format", "{{.Names}}")[1] == "dead\nnew\nlive\n"
    assert run("ps", "--filter", "status=exited", "--format", "{{.Names}}")[1] == "dead\n"
    assert run("ps", "-l", "--format", "{{.Names}}")[1] == "live\n"
    assert run("ps", "-n2", "--format", "{{.Names}}")[1] == "new\nlive\n"
    assert run("ps", "-a", "--sort", "names", "--format", "{{.Names}}")[1] == "dead\nlive\nnew\n"
    assert len(run("ps", "-aq", "--no-trunc")[1].splitlines()[0]) == 64


def test_status_texts(make: Make, run: Run) -> None:
    make("a", state={"status": "exited", "exit_code": 3, "finished_at": time.time_ns() - 180 * SECOND})
    make("b", state={"status": "created"})
    make("c", state={"status": "paused"})
    shown = run("ps", "-a", "--format", "{{.Status}}|{{.State}}")[1]
    assert shown == "Exited (3) 3 minutes ago|exited\nCreated|created\nPaused|paused\n"


@pytest.mark.parametrize(
    ("ports", "exposed", "text"),
    [
        ([], {}, ""),
        ([PortMapping(host_ip="127.0.0.1", host_port=1, container_port=2, range=3)], {}, "127.0.0.1:1-3->2-4/tcp"),
        ([], {"80/tcp": {}, "81/tcp": {}, "53/udp": {}}, "80-81/tcp, 53/udp"),
        ([PortMapping(host_port=1, container_port=80)], {"80/tcp": {}, "443/tcp": {}}, "0.0.0.0:1->80/tcp, 443/tcp"),
    ],
)
def test_ports(make: Make, run: Run, ports: list[PortMapping], exposed: dict[str, object], text: str) -> None:
    make("a", ports=ports, exposed_ports=exposed)
    assert run("ps", "--format", "{{.Ports}}")[1] == text + "\n"


def test_json_has_podmans_keys(make: Make, run: Run) -> None:
    make("a", labels={"z": "1", "a": "2"})
    (found,) = json.loads(run("ps", "--format", "json")[1])
    assert list(found) == (
        "AutoRemove Command CreatedAt CIDFile Exited ExitedAt ExitCode ExposedPorts Id Image ImageID IsInfra Labels "  # noqa: SIM905
        "Mounts Names Namespaces Networks Pid Pod PodName Ports Restarts Size StartedAt State Status Created".split()
    )
    assert found["ExitedAt"] == -62135596800 and found["Ports"] is None and list(found["Labels"]) == ["a", "z"]
    assert isinstance(found["Created"], int) and found["Status"] == "Up 5 seconds"


def test_templates_see_fields_and_methods(make: Make, run: Run) -> None:
    container = make("a", labels={"k": "v"}, networks={"podman": NetworkAttachment()})
    template = '{{.ID}} {{.Label "k"}} {{.Labels}} {{.Networks}} {{.Pid}} {{.Restarts}} {{index .Mounts}}{{.Exited}}'
    expected = f"{container.id[:12]} v k=v podman {os.getpid()} 0 []false\n"
    assert run("ps", "--format", template)[1] == expected
    assert run("ps", "--format", "table {{.Names}} {{.RunningFor}}")[1].startswith("NAMES       RUNNING FOR\na ")
    status, _, message = run("ps", "--format", "{{.__class__}}")
    assert status == 125 and "can't evaluate field __class__ in type containers.psReporter" in message


def test_namespaces(make: Make, run: Run) -> None:
    make("a")
    number = os.readlink("/proc/self/ns/pid")[5:-1]
    assert number in run("ps", "--ns")[1]
    assert run("ps", "--ns", "--format", "{{.Namespaces.PIDNS}}")[1] == number + "\n"


# filters


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": ["^web"]}, "web1 web2"),
        ({"name": ["1$", "db"]}, "web1 db"),
        ({"label": ["tier=front"]}, "web1"),
        ({"label": ["tier=front", "x"]}, ""),
        ({"label": ["tier"]}, "web1 web2"),
        ({"label!": ["tier"]}, "db"),
        ({"name": ["web"], "label": ["tier=back"]}, "web2"),
        ({"ancestor": ["fedora"]}, "web1 web2"),
        ({"ancestor": ["docker.io/library/centos"]}, "db"),
        ({"ancestor": ["abab"]}, "web1 web2 db"),
        ({"before": ["web2"]}, "web1"),
        ({"since": ["web1"]}, "web2 db"),
        ({"until": ["1h"]}, ""),
        ({"until": ["0s"]}, "web1 web2 db"),
        ({"network": ["front"]}, "web1"),
        ({"volume": ["data"]}, "db"),
        ({"volume": ["/srv"]}, "web2"),
        ({"restart-policy": ["always"]}, "db"),
        ({"restart-policy": ["none"]}, "web1 web2"),
        ({"should-start-on-boot": ["true"]}, "db"),
        ({"command": ["sleep"]}, "web1 web2 db"),
        ({"exited": ["0"]}, ""),
        ({"pod": ["x"]}, ""),
    ],
)
def test_filters(settings: Settings, make: Make, filters: dict[str, list[str]], names: str) -> None:
    make("web1", labels={"tier": "front"}, networks={"front": NetworkAttachment()})
    make("web2", labels={"tier": "back"}, mounts=[{"source": "/x", "destination": "/srv", "type": "bind"}])
    make("db", image_name="docker.io/library/centos:latest", restart_policy="always",
         volumes=[{"name": "data", "destination": "/d", "options": []}])  # fmt: skip
    found = listing.list_containers(settings, filters, all=True)
    assert " ".join(container.name for container in found) == names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("10.5", 10.5), ("1970-01-01T00:00:10Z", 10), ("1970-01-01T01:00:10.25+01:00", 10.25), ("30s", 70)],
)
def test_moments(text: str, seconds: float) -> None:
    assert filtering.moment(text, now=100 * SECOND) == seconds * SECOND


@pytest.mark.parametrize("filters", [{"nope": ["1"]}, {"status": ["nope"]}, {"exited": ["x"]}, {"until": ["soon"]},
                                     {"restart-policy": ["x"]}])  # fmt: skip
def test_bad_filters(settings: Settings, make: Make, filters: dict[str, list[str]]) -> None:
    make("a")
    with pytest.raises(InvalidArgument):
        listing.list_containers(settings, filters)


# inspect


def test_inspect_is_what_the_schema_says(make: Make, run: Run) -> None:
    make("a", ports=[PortMapping(host_port=1, container_port=80)], labels={"k": "v"}, create_command=["podling", "run"],
         networks={"podman": NetworkAttachment()}, volumes=[{"name": "v", "destination": "/v", "options": ["nosuid"]}],
         uid_mappings=[{"containerID": 0, "hostID": 1, "size": 2}], gid_mappings=[], user_volumes=["/v"])  # fmt: skip
    (found,) = json.loads(run("inspect", "a")[1])
    assert_schema(found, values.type_of("define.InspectContainerData"), "")
    assert found["State"]["Status"] == "running" and found["HostConfig"]["Ulimits"]


def assert_schema(data: object, type_: values.Type | None, place: str) -> None:
    """Data has no key that the type has not, keeps the order of its fields, and fits their kinds."""
    assert type_ is not None
    if type_.kind == "pointer" and data is not None:
        assert_schema(data, type_.elem, place)
    elif type_.kind == "struct" and type_.fields:
        assert isinstance(data, dict), place
        order = [field.key for field in type_.fields.values() if field.key is not None]
        assert [key for key in order if key in data] == list(data), place
        types = {field.key: field.type for field in type_.fields.values() if field.key is not None}
        for key, value in data.items():
            assert_schema(value, types[key], f"{place}.{key}")
    elif type_.kind == "slice" and data is not None:
        assert isinstance(data, list), place
        for item in data:
            assert_schema(item, type_.elem, place)
    elif type_.kind == "map" and data is not None:
        assert isinstance(data, dict) and list(data) == sorted(data), place
        for item in data.values():
            assert_schema(item, type_.elem, place)
    elif type_.kind in ("bool", "string", "int", "uint"):
        kinds = {"bool": bool, "string": str, "int": int, "uint": int}
        assert type(data) is kinds[type_.kind], place


def test_inspect_by_template(make: Make, run: Run) -> None:
    container = make("a", labels={"k": "v"}, ports=[PortMapping(host_port=8080, container_port=80)])
    template = (
        "{{.Id}} {{.ID}} {{.State.Running}} {{.Config.Labels.k}} {{json .Config.Cmd}} {{.HostConfig.PortBindings}} "
        "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}={{(index $b 0).HostPort}}{{end}} "
        "{{.NetworkSettings.IPAddress}}"
    )
    assert run("inspect", "-f", template, "a")[1] == (
        f'{container.id} {container.id} true v ["sleep","1000"] map[80/tcp:[{{0.0.0.0 8080}}]] 80/tcp=8080 \n'
    )
    status, _, message = run("inspect", "-f", "{{.Nope}}", "a")
    assert status == 125 and "can't evaluate field Nope in type interface {}" in message


def test_inspect_several_tells_of_the_missing(make: Make, run: Run) -> None:
    make("a")
    status, output, message = run("inspect", "a", "nosuch")
    assert status == 125 and len(json.loads(output)) == 1
    assert message == 'Error: inspecting object: no such object: "nosuch"\n'


def test_port(make: Make, run: Run) -> None:
    make("a", ports=[PortMapping(host_port=8080, container_port=80, range=2), PortMapping(host_port=53, container_port=53, protocol="udp")])  # fmt: skip  # noqa: E501
    assert run("port", "a")[1] == "80/tcp -> 0.0.0.0:8080\n81/tcp -> 0.0.0.0:8081\n53/udp -> 0.0.0.0:53\n"
    assert run("port", "a", "81")[1] == "0.0.0.0:8081\n"
    assert run("port", "a", "53/udp")[1] == "0.0.0.0:53\n"
    assert run("port", "a", "1")[2] == 'Error: failed to find published port "1"\n'
