"""Help comes from the tables, for every verb and group."""

import pytest

from podling.cli import commands, helptext
from podling.cli.flags import Flag
from podling.cli.global_flags import BEFORE_THE_VERB, PERSISTENT
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("path", sorted(commands.TABLE))
def test_every_verb_has_usage_description_and_examples(run: Run, path: str) -> None:
    status, output, message = run(*path.split(), "--help")
    assert (status, message) == (0, "")
    verb = commands.verb(path)
    assert output.startswith(verb.summary + "\n\nDescription:\n")
    assert f"Usage:\n  podling {path}" in output
    assert "Examples:\n" in output or path in ("version",)
    assert run("help", *path.split()) == (0, output, "")


@pytest.mark.parametrize("group", sorted(commands.GROUPS))
def test_every_group_lists_its_verbs(group: str) -> None:
    text = helptext.render(group)
    for name in commands.members(group):
        assert f"\n  {name} " in text


@pytest.mark.parametrize("path", sorted(commands.TABLE))
def test_no_flag_is_declared_twice(path: str) -> None:
    flags = commands.verb(path).flags
    names = [name for flag in flags for name in (flag.name, *flag.aliases)]
    shorts = [flag.short for flag in flags if flag.short]
    assert len(names) == len(set(names)) and len(shorts) == len(set(shorts))


def test_a_verb_with_all_says_so_the_same_everywhere() -> None:
    assert sum("all" in [flag.name for flag in commands.verb(path).flags] for path in commands.TABLE) >= 15


def test_podmans_32_flags_are_known() -> None:
    known = {flag.name for flag in (*PERSISTENT, *BEFORE_THE_VERB)} | {"help"}
    podmans = (
        "cdi-spec-dir cgroup-manager config conmon connection events-backend help hooks-dir identity imagestore "
        "log-level module network-config-dir out remote root runroot runtime runtime-flag ssh storage-driver "
        "storage-opt syslog tls-ca tls-cert tls-details tls-key tmpdir transient-store url version volumepath"
    )
    assert set(podmans.split()) <= known


def test_the_layout_is_cobras() -> None:
    flags = (
        Flag("all", "bool", "Everything", short="a"),
        Flag("creds", "string", "`Credentials` to use"),
        Flag("hidden", "bool", "", hidden=True),
        Flag("last", "int", "The last", short="n", default=-1),
        Flag("pod", "string", "A pod", refused="no pods"),
        Flag("sort", "string", "Sort by", choices=("a", "b")),
        Flag("two", "array", "One\nTwo"),
    )
    assert helptext.flag_lines(flags) == [
        "  -a, --all                 Everything",
        "      --creds Credentials   Credentials to use",
        "  -n, --last int            The last (default -1)",
        "      --pod string          A pod (refused: no pods)",
        "      --sort choice         Sort by",
        "      --two stringArray     One",
        "                            Two",
    ]


def test_unknown_help_is_an_error(run: Run) -> None:
    status, _, message = run("help", "nosuch")
    assert status == 125 and message.startswith("Error: unrecognized command `podling nosuch`")
