"""The command line, as GLib reads it; the refusals were taken from conmon 2.1.6 itself."""

from __future__ import annotations

import shlex

import pytest

from podling.errors import InvalidArgument
from podling.monitor import options, runtime

PODMAN = (
    "--api-version 1 -c CTR -u CTR -r /usr/bin/runc -b /run/b -p /run/b/pidfile -n name --exit-dir /run/exits "
    "--persist-dir /run/persist/CTR --full-attach --runtime-arg --log-format=json --runtime-arg --log "
    "--runtime-arg=/run/b/oci-log -s -l k8s-file:/log --log-level warning --syslog --log-size-max 100 --log-tag T "
    "-t --timeout=5 --no-new-keyring --conmon-pidfile /run/b/conmon.pid --no-pivot --exit-command /usr/bin/podman "
    "--exit-command-arg --root --exit-command-arg '' --exit-command-arg container --runtime-opt --preserve-fds "
    "--runtime-opt 2"
)


def test_what_podman_says() -> None:
    given = options.parse(shlex.split(PODMAN))
    assert given.api_version and given.full_attach and given.systemd_cgroup and given.terminal and given.syslog
    assert (given.container_id, given.uuid, given.name) == ("CTR", "CTR", "name")
    assert given.exit_arguments == ["--root", "", "container"]
    assert (given.timeout_seconds, given.log_size_max) == (5, 100)
    assert runtime.arguments(given, "/tmp/s") == shlex.split(
        "--systemd-cgroup --log-format=json --log /run/b/oci-log create --bundle /run/b --pid-file /run/b/pidfile "
        "--no-pivot --no-new-keyring --preserve-fds 2 --console-socket /tmp/s CTR"
    )


def test_exec_and_restore_lines() -> None:
    given = options.parse(shlex.split("-s -c C -p P -e --exec-process-spec F --runtime-arg --root=R"))
    assert runtime.arguments(given, None) == shlex.split("--root=R exec --pid-file P --process F --detach C")
    given = options.parse(shlex.split("-s -c C -p P -b B --restore I --runtime-opt --tcp-established"))
    assert runtime.arguments(given, None) == shlex.split(
        "--systemd-cgroup restore --bundle B --pid-file P --detach --image-path I --work-path B --tcp-established C"
    )


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--api-version", "api_version", True),
        ("--api-version=1 -c x", "container_id", "x"),
        ("-ti", "stdin", True),
        ("-tc x -i", "container_id", "x"),
        ("-ct x", "terminal", True),
        ("--timeout 0x10", "timeout_seconds", 16),
        ("-T 010", "timeout_seconds", 8),
        ("-T -5", "timeout_seconds", -5),
        ("--cid=", "container_id", ""),
        ("--terminal=x", "terminal", True),
        ("-l a --log-path b", "log_paths", ["a", "b"]),
        ("-c a -c b", "container_id", "b"),
        ("-c -t", "container_id", "-t"),
        ("stray -c a - more", "container_id", "a"),
        ("-0 dir", "persist_directory", "dir"),
        ("--pidfile p", "container_pidfile", "p"),
        ("--restore-arg a", "runtime_options", ["a"]),
        ("-c a -- --nonsense", "container_id", "a"),
        ("--log-size-max 9223372036854775807", "log_size_max", 2**63 - 1),
    ],
)
def test_glibs_ways(line: str, field: str, value: object) -> None:
    assert getattr(options.parse(shlex.split(line)), field) == value


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-cfoo -u x", "Unknown option -cfoo"),
        ("-c", "Missing argument for -c"),
        ("--pidfile=x --cid", "Missing argument for --cid"),
        ("--foo", "Unknown option --foo"),
        ("--foo=1", "Unknown option --foo=1"),
        ("-tz", "Unknown option -tz"),
        ("--cid=a --bun x", "Unknown option --bun"),
        ("-bc x", "Error parsing option -c"),
        ("--timeout=abc", "Cannot parse integer value “abc” for --timeout"),
        ("--timeout=", "Cannot parse integer value “” for --timeout"),
        ("-T 1_0", "Cannot parse integer value “1_0” for -T"),
        ("--log-size-max=1k", "Cannot parse integer value “1k” for --log-size-max"),
        ("--timeout=99999999999", "Integer value “99999999999” for --timeout out of range"),
    ],
)
def test_refusals(line: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        options.parse(shlex.split(line))
    assert str(caught.value) == f"option parsing failed: {text}"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "Container ID not provided. Use --cid"),
        ("--log-max-files -1", "log-max-files must be non-negative, got -1"),
        ("--log-rotate --log-max-files 0", "log-max-files must be at least 1 when log-rotate is enabled, got 0"),
    ],
)
def test_checks(line: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        options.check(options.parse(shlex.split(line)))
    assert str(caught.value) == text


def test_help_lists_what_cri_o_looks_for() -> None:
    text = options.help_text()
    assert "  -b, --bundle                 Location of the OCI Bundle path\n" in text
    assert "--log-global-size-max" in text
    assert "--restore-arg" not in text
    for line in ("-h", "-?", "--help", "-th"):
        assert options.parse([line]).help
