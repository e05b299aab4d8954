"""No flag is accepted and ignored: each is an option's field, used by its verb, or refused."""

import pytest

from podling.cli import create_options
from podling.cli.create_flags import CREATE, RUN
from podling.cli.flags import Flag, FlagSet
from podling.cli.verb import Invocation
from podling.cli.verbs import create, exec, network_create, pull, run, volume_create  # noqa: A004 the verb's name
from podling.engine.networks import NetworkCreateOptions
from podling.engine.options import CreateOptions, ExecOptions
from podling.engine.volume_management import VolumeCreateOptions
from podling.image.request import PullRequest
from podling.records import Record

ALL = {flag.name: flag for table in (RUN, CREATE) for rows in table.values() for flag in rows}
_PODMANS_RUN = """
    add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop cert-dir
    cgroup-conf cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-period cpu-quota
    cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems creds decryption-key detach
    detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps
    device-write-iops disable-content-trust dns dns-option dns-search entrypoint env env-file env-host
    env-merge expose gidmap gpus group-add group-entry health-cmd health-interval health-log-destination
    health-max-log-count health-max-log-size health-on-failure health-retries health-start-period
    health-startup-cmd health-startup-interval health-startup-retries health-startup-success
    health-startup-timeout health-timeout hostname hosts-file hostuser http-proxy image-volume init
    init-path interactive ip ip6 ipc label label-file link-local-ip log-driver log-opt mac-address memory
    memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck
    no-hostname no-hosts oom-kill-disable oom-score-adj os passwd passwd-entry personality pid pidfile
    pids-limit platform pod pod-id-file preserve-fd preserve-fds privileged publish publish-all pull quiet
    rdt-class read-only read-only-tmpfs replace requires restart retry retry-delay rm rmi rootfs sdnotify
    seccomp-policy secret security-opt shm-size shm-size-systemd sig-proxy stop-signal stop-timeout
    subgidname subuidname sysctl systemd timeout tls-verify tmpfs tty tz uidmap ulimit umask unsetenv
    unsetenv-all user userns uts variant volume volumes-from workdir
"""
PODMANS_RUN = set(_PODMANS_RUN.split())


def test_run_has_every_flag_of_podmans() -> None:
    assert {flag.name for rows in RUN.values() for flag in rows} == PODMANS_RUN | {"timings"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_flag_of_run_or_create_has_a_reader(name: str) -> None:
    if not ALL[name].refused and name not in create_options.NOT_FIELDS:
        assert_fits(ALL[name], CreateOptions)


def assert_fits(flag: Flag, record: type[Record]) -> None:
    """A record has the flag's field, of the flag's type."""
    annotation = record.__annotations__[flag.name.replace("-", "_")].removesuffix(" | None")
    assert annotation == {
        "bool": "bool", "string": "str", "array": "list[str]", "slice": "list[str]", "int": "int", "uint": "int",
        "float": "float", "duration": "str",
    }[flag.kind]  # fmt: skip


def test_flags_of_other_verbs_have_readers() -> None:
    names = {flag.name: flag for flag in exec.VERB.flags}
    for name in exec._OPTIONS:
        assert_fits(names[name], ExecOptions)
    used = {"cidfile", "detach-keys", "latest", "no-session"}
    assert set(names) == set(exec._OPTIONS) | used
    names = {flag.name: flag for flag in pull.VERB.flags if not flag.refused}
    for name in pull._REQUEST:
        assert_fits(names[name], PullRequest)
    assert set(names) == set(pull._REQUEST) | {"disable-content-trust", "policy", "quiet"}
    for verb, record in ((network_create.VERB, NetworkCreateOptions), (volume_create.VERB, VolumeCreateOptions)):
        for flag in verb.flags:
            assert_fits(flag, record)


def invocation(*words: str) -> Invocation:
    flags = FlagSet(run.VERB.flags)
    rest = flags.parse(list(words), interspersed=False)
    return Invocation("podling run", flags, rest, ["podling", "run", *words], {})


def test_only_what_was_given_is_passed_on() -> None:
    made = create_options.options(
        invocation("-it", "-e", "A=1", "--net", "host", "-m", "1g", "fedora", "bash", "-c", "x")
    )
    expected = CreateOptions(
        image="fedora",
        command=["bash", "-c", "x"],
        interactive=True,
        tty=True,
        env=["A=1"],
        network=["host"],
        memory="1g",
        create_command=["podling", "run", "-it", "-e", "A=1", "--net", "host", "-m", "1g", "fedora", "bash", "-c", "x"],
    )
    assert made == expected


def test_rootfs_makes_the_first_argument_a_directory() -> None:
    made = create_options.options(invocation("--rootfs", "/r", "sh"))
    assert (made.rootfs, made.image, made.command) == ("/r", "", ["sh"])


def test_defaults_in_the_help_are_the_engines() -> None:
    for name in ("passwd", "pull", "read-only-tmpfs", "http-proxy", "sdnotify", "seccomp-policy", "systemd"):
        assert getattr(CreateOptions, name.replace("-", "_")) == ALL[name].default


def test_run_and_create_share_their_flags() -> None:
    names = {flag.name for flag in create.VERB.flags}
    assert PODMANS_RUN - names == {
        "detach", "detach-keys", "passwd", "preserve-fd", "preserve-fds", "rmi", "sig-proxy",
    }  # fmt: skip
    assert names - PODMANS_RUN == {"init-ctr"}
