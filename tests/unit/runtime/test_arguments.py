"""Flags as Go's flag package reads them."""

import pytest

from podling.errors import InvalidArgument
from podling.runtime import arguments

OPTIONS = ("bundle,b=DIR", "env,e=VALUE...", "preserve-fds#N", "detach,d", "no-subreaper")


@pytest.mark.parametrize(
    "words", [["--bundle", "x"], ["--bundle=x"], ["-b", "x"], ["-bundle=x"], ["-b=x"], ["--b", "x"]]
)
def test_one_flag_in_many_spellings(words: list[str]) -> None:
    assert arguments.parse(OPTIONS, words)[0]["bundle"] == "x"


def test_all_flags_are_present() -> None:
    values, rest = arguments.parse(OPTIONS, ["id"])
    assert values == {"bundle": None, "env": [], "preserve-fds": 0, "detach": False, "no-subreaper": False}
    assert rest == ["id"]


def test_flags_may_follow_words_unless_told_otherwise() -> None:
    words = ["-e", "a", "id", "-e", "b", "--detach=false", "-no-subreaper", "--preserve-fds", "2"]
    values, rest = arguments.parse(OPTIONS, words)
    assert rest == ["id"] and values["env"] == ["a", "b"] and values["preserve-fds"] == 2
    assert values["no-subreaper"] and not values["detach"]
    assert arguments.parse(OPTIONS, words, interspersed=False)[1] == words[2:]


def test_two_dashes_end_the_flags() -> None:
    assert arguments.parse(OPTIONS, ["--", "-d"]) == (arguments.parse(OPTIONS, [])[0], ["-d"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "flag provided but not defined: -nope"),
        (["--bundle"], "flag needs an argument: -bundle"),
        (["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: not a whole number'),
        (["-d=x"], 'invalid boolean value "x" for -d'),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        arguments.parse(OPTIONS, words)


def test_help_lists_every_flag() -> None:
    assert "--bundle, -b DIR" in arguments.usage("runtime create", "ID", "create", OPTIONS)
