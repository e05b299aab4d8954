"""pflag's grammar, with its error texts."""

import pytest

from podling.cli.flags import Flag, FlagSet, HelpRequested, UsageError
from podling.errors import Unsupported

FLAGS = (
    Flag("all", "bool", "", short="a"),
    Flag("latest", "bool", "", short="l"),
    Flag("last", "int", "", short="n", default=-1),
    Flag("env", "array", "", short="e"),
    Flag("cap-add", "slice", ""),
    Flag("time", "uint", "", short="t", aliases=("timeout",)),
    Flag("cpus", "float", ""),
    Flag("network", "array", "", aliases=("net",)),
    Flag("sort", "string", "", choices=("id", "image")),
    Flag("retry-delay", "duration", ""),
    Flag("verbose", "count", "", short="v"),
    Flag("pod", "string", "", refused="pods are not supported yet"),
    Flag("proxy", "bool", "", default=True),
)


def parse(*words: str, interspersed: bool = True) -> tuple[FlagSet, list[str]]:
    flags = FlagSet(FLAGS)
    return flags, flags.parse(list(words), interspersed=interspersed)


def message(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    return str(caught.value)


def test_shorts_bundle_and_the_last_may_take_a_value() -> None:
    flags, rest = parse("-aln5", "x")
    assert (flags.boolean("all"), flags.boolean("latest"), flags.number("last"), rest) == (True, True, 5, ["x"])


@pytest.mark.parametrize("words", [("-n5",), ("-n=5",), ("-n", "5"), ("--last=5",), ("--last", "5"), ("-an5",)])
def test_a_value_has_as_many_spellings_as_pflag_knows(words: tuple[str, ...]) -> None:
    assert parse(*words)[0].number("last") == 5


def test_a_bool_takes_its_value_with_an_equals_sign_only() -> None:
    flags, rest = parse("--all", "false")
    assert flags.boolean("all") and rest == ["false"]
    assert not parse("--all=false")[0].boolean("all")
    assert not parse("-a=0")[0].boolean("all")
    assert parse("--proxy=F")[0].boolean("proxy") is False
    assert parse()[0].boolean("proxy") is True


def test_flags_go_on_after_an_argument_unless_not_interspersed() -> None:
    assert parse("x", "-a", "y")[1] == ["x", "y"]
    flags, rest = parse("-l", "x", "-a", "--", "y", interspersed=False)
    assert rest == ["x", "-a", "--", "y"] and not flags.boolean("all")


def test_two_dashes_end_the_flags() -> None:
    flags, rest = parse("-a", "--", "-l", "--last=1")
    assert rest == ["-l", "--last=1"] and not flags.boolean("latest")


def test_a_single_dash_is_an_argument() -> None:
    assert parse("-", "-a")[1] == ["-"]


def test_an_array_is_not_split_and_a_slice_is() -> None:
    flags, _ = parse("-e", "A=1,2", "-eB=3", "--cap-add", "a,b", "--cap-add=c")
    assert flags.texts("env") == ["A=1,2", "B=3"]
    assert flags.texts("cap-add") == ["a", "b", "c"]
    assert parse("--cap-add", '"x,y",z')[0].texts("cap-add") == ["x,y", "z"]


def test_a_value_may_begin_with_a_dash() -> None:
    assert parse("-n", "-1")[0].number("last") == -1
    assert parse("--env", "-x")[0].texts("env") == ["-x"]


def test_an_alias_is_the_same_flag() -> None:
    flags, _ = parse("--net=host", "--network", "a", "--timeout=3")
    assert flags.texts("network") == ["host", "a"] and flags.number("time") == 3


def test_counts_count() -> None:
    assert parse("-vv", "--verbose")[0].number("verbose") == 3


def test_inherited_flags_keep_their_values_in_their_own_set() -> None:
    outer = FlagSet((Flag("root", "string", ""), Flag("all", "bool", "", short="a")))
    inner = FlagSet(FLAGS, outer)
    assert inner.parse(["x", "--root", "/r", "-a"]) == ["x"]
    assert outer.given == {"root": "/r"} and inner.boolean("all")


def test_numbers_are_read_as_go_reads_them() -> None:
    assert parse("-n", "0x10")[0].number("last") == 16
    assert parse("-n", "010")[0].number("last") == 8
    assert parse("-n", "1_000")[0].number("last") == 1000
    assert parse("--cpus", "1.5")[0].value("cpus") == 1.5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--bad",), "unknown flag: --bad"),
        (("--bad=1",), "unknown flag: --bad"),
        (("-ef",), "invalid argument"),
        (("-ax",), "unknown shorthand flag: 'x' in -ax"),
        (("-n",), "flag needs an argument: 'n' in -n"),
        (("-an",), "flag needs an argument: 'n' in -an"),
        (("--last",), "flag needs an argument: --last"),
        (("--=x",), "bad flag syntax: --=x"),
        (("---all",), "bad flag syntax: ---all"),
        (
            ("--last=x",),
            'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ("--last=99999999999999999999",),
            'invalid argument "99999999999999999999" for "-n, --last" flag: strconv.ParseInt: parsing '
            '"99999999999999999999": value out of range',
        ),
        (("-t-1",), 'invalid argument "-1" for "-t, --time" flag: strconv.ParseUint: parsing "-1": invalid syntax'),
        (("--all=x",), 'invalid argument "x" for "-a, --all" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        (("--cpus=x",), 'invalid argument "x" for "--cpus" flag: strconv.ParseFloat: parsing "x": invalid syntax'),
        (
            ("--sort=x",),
            'invalid argument "x" for "--sort" flag: "x" is not a valid value.  Choose from: "id, image"',
        ),
        (("--retry-delay=3",), 'invalid argument "3" for "--retry-delay" flag: time: missing unit in duration "3"'),
        (
            ("--cap-add", 'a"b'),
            'invalid argument "a\\"b" for "--cap-add" flag: parse error on line 1, column 2: bare " in '
            "non-quoted-field",
        ),
    ],
)
def test_errors_have_pflags_words(words: tuple[str, ...], text: str) -> None:
    if text == "invalid argument":  # -ef: -e takes "f"
        assert parse(*words)[0].texts("env") == ["f"]
    else:
        assert message(*words) == text


def test_help_is_asked_for_by_name_or_by_a_free_h() -> None:
    for word in ("--help", "-h", "-ah"):
        with pytest.raises(HelpRequested):
            parse(word)
    flags = FlagSet((Flag("hostname", "string", "", short="h"),))
    flags.parse(["-h", "x"])
    assert flags.text("hostname") == "x"


def test_a_refused_flag_says_why() -> None:
    with pytest.raises(Unsupported, match="--pod: pods are not supported yet"):
        parse("--pod", "x")
