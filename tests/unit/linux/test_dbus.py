"""D-Bus values as bytes and back, against dbus-daemon where it is installed, and what a scope asks systemd for."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podling.errors import Corrupt, InvalidArgument, Unavailable
from podling.linux import cgroups_systemd, dbus
from podling.linux.dbus import Variant


@pytest.mark.parametrize(
    ("signature", "values"),
    [
        ("ybnqiuxtd", [1, True, -2, 3, -4, 5, -6, 1 << 63, 0.5]),
        ("sog", ["", "/a/b", "a{sv}"]),
        ("as", [["a", "bcd", ""]]),
        ("a(sv)", [[("Slice", Variant("s", "a.slice")), ("PIDs", Variant("au", [1, 2])), ("X", Variant("t", 3))]]),
        ("a{sv}", [{"a": Variant("ay", [1, 2, 3]), "b": Variant("b", False)}]),
        ("a(sa(sv))", [[("unit", [("x", Variant("i", -1))])]]),
        ("yaty", [1, [], 2]),
        ("v", [Variant("v", Variant("(si)", ("x", 1)))]),
    ],
)
def test_values_survive_the_way_there_and_back(signature: str, values: list[Any]) -> None:
    data = bytes(dbus.marshal(signature, values))
    assert dbus.Reader(data).values(signature) == values


def test_bytes_are_as_the_specification_has_them() -> None:
    assert bytes(dbus.marshal("yu", [1, 2])).hex() == "0100000002000000"
    assert bytes(dbus.marshal("s", ["foo"])).hex() == "03000000666f6f00"
    assert bytes(dbus.marshal("ax", [[5]])).hex() == "08000000000000000500000000000000"
    assert bytes(dbus.marshal("v", [Variant("y", 7)])).hex() == "01790007"


def test_signatures_are_split_into_complete_types() -> None:
    assert dbus.split("ssa(sv)a(sa(sv))a{sv}") == ["s", "s", "a(sv)", "a(sa(sv))", "a{sv}"]
    with pytest.raises(Corrupt, match="does not end"):
        dbus.split("(s")


def test_cut_messages_are_refused() -> None:
    with pytest.raises(Corrupt, match="malformed"):
        dbus.Reader(b"\x01\0").values("u")
    with pytest.raises(Corrupt, match="longer than its message"):
        dbus.Reader(b"\xff\0\0\0").values("ay")


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    directory = tmp_path_factory.mktemp("bus")
    configuration = directory / "bus.conf"
    configuration.write_text(
        f"<busconfig><type>session</type><listen>unix:path={directory}/socket</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>"
        "<allow own='*'/></policy></busconfig>"
    )
    command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None and daemon.stdout.readline().startswith("unix:")
    yield f"{directory}/socket"
    daemon.terminate()
    daemon.wait()
    daemon.stdout.close()


DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


def test_a_real_bus_answers(bus: str) -> None:
    with dbus.Connection(bus, bus=True) as connection:
        (names,) = connection.call(*DBUS, "ListNames")
        assert "org.freedesktop.DBus" in names
        assert connection.call(*DBUS, "NameHasOwner", "s", ["org.freedesktop.DBus"]) == [True]


def test_a_real_bus_refuses(bus: str) -> None:
    with dbus.Connection(bus, bus=True) as connection:
        with pytest.raises(dbus.DBusError) as refused:
            connection.call("org.example.Nobody", "/", "org.example.Nobody", "Nothing")
        assert refused.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"
        with pytest.raises(dbus.DBusError):
            connection.call(*DBUS, "NameHasOwner", "u", [1])


def test_signals_that_come_during_a_call_are_kept(bus: str) -> None:
    with dbus.Connection(bus, bus=True) as connection:
        connection.listen("org.freedesktop.DBus", "NameOwnerChanged")
        connection.call(*DBUS, "RequestName", "su", ["org.example.Ours", 0])
        connection.call(*DBUS, "ListNames")
        while connection.next_signal("NameOwnerChanged")[0] != "org.example.Ours":
            pass


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot talk to D-Bus"):
        dbus.Connection(str(tmp_path / "nothing"), bus=False)


@pytest.mark.parametrize(
    ("path", "slice_name", "name"),
    [
        ("machine.slice:libpod:abc", "machine.slice", "libpod-abc.scope"),
        ("user.slice::abc", "user.slice", "abc.scope"),
        (":libpod:abc", "system.slice", "libpod-abc.scope"),
    ],
)
def test_units_are_named_as_podman_and_runc_name_them(path: str, slice_name: str, name: str) -> None:
    unit = cgroups_systemd.parse_path(path, "abc")
    assert unit.name == name
    assert unit.slice == slice_name or (path[0] == ":" and unit.slice in ("system.slice", "user.slice"))


@pytest.mark.parametrize("path", ["/a/b", "a:b", "a:b:", "a:b:c.slice", "a:b:c:d"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgument):
        cgroups_systemd.parse_path(path, "abc")


def test_slices_expand() -> None:
    assert cgroups_systemd.expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert cgroups_systemd.expand_slice("-.slice") == ""
    for wrong in ("a", ".slice", "a/b.slice", "a--b.slice", "-a.slice"):
        with pytest.raises(InvalidArgument, match="invalid slice name"):
            cgroups_systemd.expand_slice(wrong)


def test_limits_as_unit_properties() -> None:
    resources = {
        "cpu": {"shares": 1024, "quota": 12345, "period": 100000, "cpus": "0,9"},
        "memory": {"limit": 1000, "swap": 1500, "reservation": 500},
        "pids": {"limit": 2048},
        "devices": [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}],
    }
    found = cgroups_systemd.properties_of(resources, version_2=True)
    assert ("CPUQuotaPerSecUSec", Variant("t", 130000)) in found
    assert ("CPUWeight", Variant("t", 100)) in found
    assert ("AllowedCPUs", Variant("ay", b"\x01\x02")) in found
    assert ("MemoryMax", Variant("t", 1000)) in found
    assert ("MemorySwapMax", Variant("t", 500)) in found
    assert ("TasksMax", Variant("t", 2048)) in found
    assert ("DevicePolicy", Variant("s", "strict")) in found
    (allowed,) = [variant.value for name, variant in found if name == "DeviceAllow" and variant.value]
    assert ("/dev/char/10:229", "rwm") in allowed
    assert ("char-*", "m") in allowed
    assert ("char-136", "rwm") in allowed
    legacy = dict(cgroups_systemd.properties_of(resources, version_2=False))
    assert legacy["MemoryLimit"] == Variant("t", 1000)
    assert legacy["CPUShares"] == Variant("t", 1024)
