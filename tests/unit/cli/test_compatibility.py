"""The lab's spellings, and that nothing beside them changes its meaning."""

import pytest

from podling.cli import commands
from podling.cli.compatibility import rewrite
from podling.cli.flags import FlagSet


def rewritten(path: str, *words: str) -> list[str]:
    verb = commands.verb(path)
    return rewrite(path, FlagSet(verb.flags), list(words), interspersed=verb.interspersed)[0]


def test_ef_on_ps_means_all_untruncated() -> None:
    assert rewritten("ps", "-ef") == ["--all", "--no-trunc"]
    assert rewritten("container ls", "-q", "-ef") == ["-q", "--all", "--no-trunc"]


@pytest.mark.parametrize("path", ["stop", "rm", "ps", "kill", "start", "pause", "container rm", "container cleanup"])
def test_all_with_one_dash_means_all(path: str) -> None:
    assert rewritten(path, "-all") == ["--all"]
    assert rewritten(path, "x", "-all", "y") == ["x", "--all", "y"]


@pytest.mark.parametrize("word", ["-al", "-lla", "-a", "-l", "-alll", "-e", "-efx", "-fe", "--all"])
def test_words_near_them_stay(word: str) -> None:
    assert rewritten("stop", word) == [word]
    assert rewritten("ps", word) == [word]


def test_nothing_is_rewritten_after_two_dashes() -> None:
    assert rewritten("stop", "--", "-all") == ["--", "-all"]


def test_the_value_of_a_flag_is_no_flag() -> None:
    assert rewritten("ps", "--filter", "-all") == ["--filter", "-all"]
    assert rewritten("ps", "-f", "-ef") == ["-f", "-ef"]
    assert rewritten("ps", "-af", "-all", "-all") == ["-af", "-all", "--all"]
    assert rewritten("ps", "--filter=x", "-all") == ["--filter=x", "--all"]


def test_a_verb_without_all_keeps_the_word() -> None:
    assert rewritten("run", "-all") == ["-all"]
    assert rewritten("exec", "x", "-ef") == ["x", "-ef"]
    assert rewritten("stop", "-ef") == ["-ef"]
