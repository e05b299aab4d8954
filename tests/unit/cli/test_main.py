"""The front door: dispatch, messages and exit codes, as Podman's."""

import pytest

from podling.cli import commands
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("ps", "--bad"), 125, "Error: unknown flag: --bad\nSee 'podling ps --help'\n"),
        (("ps", "-x"), 125, "Error: unknown shorthand flag: 'x' in -x\nSee 'podling ps --help'\n"),
        (
            ("container", "ls", "-x"),
            125,
            "Error: unknown shorthand flag: 'x' in -x\nSee 'podling container ls --help'\n",
        ),
        (("--foo", "ps"), 125, "Error: unknown flag: --foo\nSee 'podling --help'\n"),
        (("ps", "x"), 125, "Error: `podling ps` takes no arguments\n"),
        (("run",), 125, "Error: requires at least 1 arg(s), only received 0\n"),
        (("stop",), 125, "Error: you must provide at least one name or id\n"),
        (("stop", "-al"), 125, "Error: --all and --latest cannot be used together\n"),
        (("stop", "-a", "x"), 125, "Error: no arguments are needed with --all\n"),
        (("stop", "nosuch"), 125, 'Error: no container with name or ID "nosuch" found: no such container\n'),
        (("rm", "nosuch"), 1, 'Error: no container with name or ID "nosuch" found: no such container\n'),
        (("delete", "nosuch"), 1, 'Error: no container with name or ID "nosuch" found: no such container\n'),
        (("rm", "-f", "nosuch"), 0, ""),
        (("rm", "-i", "nosuch"), 0, ""),
        (("rm", "-t", "3", "x"), 125, "Error: --force option must be specified to use the --time option\n"),
        (("rmi", "nosuch"), 1, "Error: nosuch: image not known\n"),
        (("rmi", "-f", "nosuch"), 0, ""),
        (("rmi",), 125, "Error: image name or ID must be specified\n"),
        (("network", "rm", "nosuch"), 1, "Error: unable to find network with name or ID nosuch: network not found\n"),
        (("volume", "rm", "nosuch"), 1, "Error: no such volume nosuch: no such volume\n"),
        (("volume", "rm", "-f", "nosuch"), 0, ""),
        (("container", "exists", "nosuch"), 1, ""),
        (("image", "exists", "nosuch"), 1, ""),
        (("network", "exists", "nosuch"), 1, ""),
        (("volume", "exists", "nosuch"), 1, ""),
        (("inspect",), 125, "Error: no names or ids specified\n"),
        (("logs",), 125, "Error: specify at least one container name or ID to log\n"),
        (("attach",), 125, 'Error: "podling attach" requires a name, id, or the "--latest" flag\n'),
        (("exec",), 125, "Error: exec requires the name or ID of a container or the --latest or --cidfile flag\n"),
        (("ps", "--filter", "nope=1"), 125, "Error: nope is an invalid filter\n"),
        (("ps", "--filter", "nope"), 125, 'Error: invalid filter "nope"\n'),
        (("ps", "-q", "-s"), 125, "Error: quiet conflicts with size and namespace\n"),
        (("ps", "-l", "-n", "1"), 125, "Error: last and latest are mutually exclusive\n"),
        (
            ("ps", "--sort", "x"),
            125,
            'Error: invalid argument "x" for "--sort" flag: "x" is not a valid value.  Choose from: '
            "\"command, created, id, image, names, runningfor, size, status\"\nSee 'podling ps --help'\n",
        ),
        (
            ("pss",),
            125,
            "Error: unrecognized command `podling pss`\n\nDid you mean this?\n\tps\n\n"
            "Try 'podling --help' for more information\n",
        ),
        (
            ("network", "xx"),
            125,
            "Error: unrecognized command `podling network xx`\nTry 'podling network --help' for more information\n",
        ),
        (("run", "--pod", "x", "y"), 125, "Error: --pod: pods are not supported yet\n"),
        (("-r", "ps"), 125, "Error: --remote: there is no client and server: the engine is the command you typed\n"),
        (("--storage-driver", "vfs", "ps"), 125, None),
        (("run", "-a", "stdbad", "x"), 125, None),
        (("create", "--rmi", "x"), 125, "Error: unknown flag: --rmi\nSee 'podling create --help'\n"),
        (("wait", "--condition", "nope", "x"), 125, "Error: unknown container state: nope: invalid argument\n"),
        (("kill", "-s", "NOPE", "x"), 125, "Error: invalid signal: NOPE\n"),
    ],
)
def test_errors_and_exit_codes(run: Run, words: tuple[str, ...], status: int, message: str | None) -> None:
    code, output, told = run(*words)
    assert (code, output.replace("[]\n", "")) == (status, "")
    assert told == message if message is not None else told.startswith("Error: ") and told.count("\n") == 1


def test_inspect_of_nothing_prints_an_empty_array_first(run: Run) -> None:
    assert run("inspect", "x") == (125, "[]\n", 'Error: inspecting object: no such object: "x"\n')
    status, output, message = run("container", "inspect", "x")
    assert (status, output) == (125, "[]\n") and "no such container" in message


def test_a_group_without_a_verb_shows_its_help_and_fails(run: Run) -> None:
    status, output, message = run("container")
    assert status == 125 and "Available Commands:" in output
    assert message == "Error: missing command 'podling container COMMAND'\n"


def test_flags_of_the_program_may_follow_the_verb(run: Run) -> None:
    assert run("ps", "--log-level", "debug")[0] == 0
    assert run("ps", "--module", "x")[2].startswith("Error: unknown flag: --module")


def test_a_remote_service_in_the_environment_is_refused(run: Run) -> None:
    status, _, message = run("ps", CONTAINER_HOST="ssh://x")
    assert status == 125 and "CONTAINER_HOST" in message


def test_the_labs_spellings_work_with_a_hint(run: Run) -> None:
    status, output, hint = run("ps", "-ef")
    assert status == 0 and output.startswith("CONTAINER ID")
    assert hint == 'podling: reading "-ef" as --all --no-trunc, as the lab means it\n'
    assert run("stop", "-all") == (0, "", 'podling: reading "-all" as --all, as the lab means it\n')
    assert run("delete", "-all")[:2] == (0, "")
    assert run("rmi", "-all")[:2] == (0, "")


@pytest.mark.parametrize("alias", sorted(commands.ALIASES))
def test_an_alias_names_a_verb(alias: str) -> None:
    assert commands.ALIASES[alias] in commands.TABLE


def test_version(run: Run) -> None:
    assert run("--version")[1].startswith("podling version ")
    assert run("version", "--format", "{{.Client.Version}}")[1] == run("version", "--format", "{{.Version}}")[1]


def test_output_goes_to_a_file_with_out(run: Run, tmp_path: object) -> None:
    import os

    saved = os.dup(1)
    try:
        assert run("--out", f"{tmp_path}/out", "--version")[0] == 0
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert os.path.exists(f"{tmp_path}/out")
