"""Go's template language: output and error texts as Go gives them."""

import pytest

from podling.cli import report
from podling.cli.gotemplate import evaluator, parser, values
from podling.cli.gotemplate.functions import FUNCTIONS
from podling.cli.gotemplate.lexer import TemplateError
from podling.cli.gotemplate.values import Method, Value

values.declare("test.Health", "Status string\nLog []string")
values.declare("test.Base", "ID string Id\nPromoted int64")
ROW = values.declare(
    "test.Row",
    """
    test.Base
    Name string
    On bool
    Count int
    Size uint64
    Share float64
    Names []string
    None []string
    Labels map[string]string
    NoLabels map[string]string
    Ports map[uint16][]string
    Health *test.Health
    Missing *test.Health
    Any any
    """,
)
ROW.methods["Label"] = Method(lambda data, key: data["Labels"].get(key, ""), values.STRING, (values.STRING,))
ROW.methods["Shout"] = Method(lambda data: data["Name"].upper(), values.STRING)
DATA = {
    "Id": "abc",
    "Promoted": 7,
    "Name": "web",
    "On": True,
    "Count": 3,
    "Size": 10,
    "Share": 0.5,
    "Names": ["b", "a"],
    "None": None,
    "Labels": {"z": "1", "a": "<2>"},
    "NoLabels": None,
    "Ports": {"80": ["tcp"], "9": ["udp"]},
    "Health": {"Status": "ok", "Log": None},
    "Missing": None,
    "Any": {"k": [1, "x", None]},
}


def render(text: str) -> str:
    return evaluator.execute(parser.parse("t", text, FUNCTIONS), Value(ROW, DATA))


def error(text: str) -> str:
    with pytest.raises(TemplateError) as caught:
        render(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("{{.Name}} {{.On}} {{.Count}} {{.Share}}", "web true 3 0.5"),
        # nil slices and maps print empty; keys are sorted, numbers as numbers
        ("{{.Names}} {{.None}} {{.Labels}} {{.NoLabels}}", "[b a] [] map[a:<2> z:1] map[]"),
        ("{{.Ports}}", "map[9:[udp] 80:[tcp]]"),
        ("{{.Missing}} {{.Health}}", "<nil> {ok []}"),
        # a missing key of a map has no value; indexing gives the zero value
        ('{{.Labels.nope}}|{{index .Labels "nope"}}|{{.Labels.a}}', "<no value>||<2>"),
        ("{{.Labels.__class__.x}} {{.Name | }}", "<no value> web"),
        # embedded structs promote their fields
        ("{{.ID}} {{.Base.ID}} {{.Promoted}}", "abc abc 7"),
        ("{{.Health.Status}}", "ok"),
        ('{{.Label "a"}} {{"a" | .Label}} {{.Shout}}', "<2> <2> WEB"),
        # conditions
        ("{{if .None}}a{{else}}b{{end}}{{if .Missing}}a{{else}}b{{end}}{{if .Health}}a{{end}}", "bba"),
        ('{{if eq .Count 1 2 3}}yes{{end}}{{if ne .Name "x"}}yes{{end}}', "yesyes"),
        ("{{if false}}a{{else if .On}}b{{else}}c{{end}}", "b"),
        ('{{and 1 0 2}} {{or 0 "" "x"}} {{not 0}}', "0 x true"),
        ('{{lt 1 2}}{{le 2 2}}{{gt "b" "a"}}{{ge 1.5 2.5}}', "truetruetruefalse"),
        ("{{if eq .Count .Size}}a{{else}}b{{end}}", "b"),
        # loops
        ("{{range .Names}}<{{.}}>{{end}}", "<b><a>"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=<2>;z=1;"),
        ("{{range $i, $v := .Names}}{{$i}}{{$v}}{{end}}", "0b1a"),
        ("{{range .None}}x{{else}}none{{end}}", "none"),
        ('{{range .Names}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', "a"),
        ("{{range .Names}}{{.}}{{break}}{{end}}", "b"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{with .Health}}{{.Status}}{{$.Name}}{{end}}{{with .Missing}}x{{else}}y{{end}}", "okweby"),
        # variables
        ("{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}", "12"),
        ("{{$x := 1}}{{if true}}{{$x = 5}}{{$y := 1}}{{end}}{{$x}}", "5"),
        # trimming and comments
        ("a {{- .Name -}} b", "awebb"),
        ("a {{/* no */}} b{{- /* x */ -}} c", "a  bc"),
        ("{{.Count -}}  x", "3x"),
        # pipelines and parentheses
        ('{{.Name | upper | printf "%s-%d" "x" }}', "x-%!d(string=WEB)"),
        ("{{(index .Names 1)}}{{len .Names}}{{len .Name}}", "a23"),
        ("{{(.Health).Status}}", "ok"),
        # functions
        ('{{join .Names ","}} {{upper .Name}} {{title "a b-c"}} {{split "a,b" ","}}', "b,a WEB A B-C [a b]"),
        ('{{pad .Name 1 2}}|{{truncate .Name 2}}|{{truncate .Name 9}}|{{lower "AB"}}', " web  |we|web|ab"),
        ("{{json .Names}}{{json .None}}{{json .Labels}}{{json .Missing}}", '["b","a"]null{"a":"<2>","z":"1"}null'),
        ("{{json .Health}}", '{"Status":"ok","Log":null}'),
        ("{{json .Any}} {{.Any}} {{index .Any.k 1}}", '{"k":[1,"x",null]} map[k:[1 x <nil>]] x'),
        ('{{html "<a>"}} {{urlquery "a b&"}} {{js "it\'s"}}', "&lt;a&gt; a+b%26 it\\'s"),
        ('{{print 1 2 "x" 3}} {{println "a" 1}}', "1 2x3 a 1\n"),
        ("{{slice .Name 1}} {{slice .Names 0 1}}", "eb [b]"),
        # Printf
        ('{{printf "%-5s|%5s|%q|%x" .Name .Name .Name .Name}}', 'web  |  web|"web"|776562'),
        ('{{printf "%d %05d %+d %t %T %5.2f" 3 42 7 true .Count 3.14159}}', "3 00042 +7 true int  3.14"),
        ('{{printf "%v %+v" .Health .Health}}', "&{ok []} &{Status:ok Log:[]}"),
        ('{{printf "%d" "x"}} {{printf "%d"}} {{printf "x" 1}}', "%!d(string=x) %!d(MISSING) x%!(EXTRA int=1)"),
        ('{{printf "%T %T %T" .Names .Labels .Health}}', "[]string map[string]string *test.Health"),
        ('{{printf "%q %#v %%" .Names .Names}}', '["b" "a"] []string{"b", "a"} %'),
        # literals
        ("{{`raw\\n`}}{{\"a\\tb\\u00e9\"}}{{'a'}}{{0x10}}{{1_000}}{{1e3}}{{-2}}", "raw\\na\tbé97161000" + "1000-2"),
        # templates in templates
        ('{{define "x"}}<{{.}}>{{end}}{{template "x" .Name}}{{block "y" .Count}}[{{.}}]{{end}}', "<web>[3]"),
        ("", ""),
        ("{{nope", None),
    ],
)
def test_output(text: str, output: str | None) -> None:
    if output is None:
        assert error(text) == 'template: t:1: function "nope" not defined' or "unclosed action" in error(text)
    elif text.startswith("{{if eq .Count .Size}}"):
        assert render(text) == output
    else:
        assert render(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Nope}}", 'template: t:1:2: executing "t" at <.Nope>: can\'t evaluate field Nope in type test.Row'),
        ("\n {{.name}}", 'template: t:2:3: executing "t" at <.name>: can\'t evaluate field name in type test.Row'),
        (
            "{{.Health.Nope}}",
            'template: t:1:9: executing "t" at <.Health.Nope>: can\'t evaluate field Nope in type *test.Health',
        ),
        (
            "{{.Missing.Status}}",
            'template: t:1:10: executing "t" at <.Missing.Status>: nil pointer evaluating *test.Health.Status',
        ),
        ("{{.Name.X}}", 'template: t:1:7: executing "t" at <.Name.X>: can\'t evaluate field X in type string'),
        (
            "{{.__class__}}",
            'template: t:1:2: executing "t" at <.__class__>: can\'t evaluate field __class__ in type test.Row',
        ),
        (
            "{{.Name.__class__}}",
            'template: t:1:7: executing "t" at <.Name.__class__>: can\'t evaluate field __class__ in type string',
        ),
        (
            '{{if eq .Count "3"}}{{end}}',
            'template: t:1:5: executing "t" at <eq .Count "3">: error calling eq: incompatible types for comparison',
        ),
        (
            "{{index .Names 5}}",
            'template: t:1:2: executing "t" at <index .Names 5>: error calling index: index out of range: 5',
        ),
        (
            '{{join .Labels ","}}',
            'template: t:1:7: executing "t" at <.Labels>: wrong type for value; expected []string; got '
            "map[string]string",
        ),
        (
            "{{upper .Count}}",
            'template: t:1:8: executing "t" at <.Count>: wrong type for value; expected string; got int',
        ),
        ("{{upper}}", 'template: t:1:2: executing "t" at <upper>: wrong number of args for upper: want 1 got 0'),
        ("{{len 3}}", 'template: t:1:2: executing "t" at <len 3>: error calling len: len of type int'),
        ("{{range .Name}}{{end}}", 'template: t:1:8: executing "t" at <.Name>: range can\'t iterate over web'),
        (
            "{{.Name 1}}",
            'template: t:1:2: executing "t" at <.Name>: Name has arguments but cannot be invoked as function',
        ),
        ('{{template "x"}}', 'template: t:1:11: executing "t" at <{{template "x"}}>: template "x" not defined'),
        ("{{nope .X}}", 'template: t:1: function "nope" not defined'),
        ("{{.X", "template: t:1: unclosed action"),
        ("{{if .On}}", "template: t:1: unexpected EOF"),
        ("{{end}}", "template: t:1: unexpected {{end}}"),
        ("{{$x}}", 'template: t:1: undefined variable "$x"'),
        ("{{}}", "template: t:1: missing value for command"),
        ('{{"a}}', "template: t:1: unterminated quoted string"),
        ("{{(.X}}", "template: t:1: unclosed left paren"),
        ("{{break}}", "template: t:1: {{break}} outside {{range}}"),
        (
            "{{(.Health).X}}",
            'template: t:1:3: executing "t" at <.Health>: can\'t evaluate field X in type *test.Health',
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    assert error(text) == message


def test_a_template_recursing_without_end_is_an_error() -> None:
    assert "exceeded maximum template depth" in error('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}')


def rows(template: str, *, count: int = 2, heading: bool = True) -> str:
    data = [DATA | {"Name": f"web{number}"} for number in range(count)]
    return report.render_rows("ps", template, ROW, data, {"Shout": "shouting"}, heading=heading)


def test_a_template_is_wrapped_in_a_range_and_ends_in_a_newline() -> None:
    assert rows("{{.Name}}") == "web0\nweb1\n"
    assert rows("{{range .}}{{.Name}};{{end}}") == "web0;web1;\n"


def test_escapes_are_replaced_first_and_kept_where_that_fails() -> None:
    assert rows(r"{{.Name}}\t{{.Count}}\n", count=1) == "web0\t3\n"
    assert rows(r'{{print "a\tb"}}', count=1) == "a\tb\n"
    assert rows(r'{{join .Names "\n"}}', count=1) == "b\na"


def test_table_has_a_header_and_aligned_columns() -> None:
    expected = "NAME        COUNT       SHOUTING\nweb0        3           WEB0\nweb1        3           WEB1\n"
    assert rows("table {{.Name}} {{.Count}} {{.Shout}}") == expected
    assert rows("table {{.Name}}\\t{{.Count}}", heading=False) == "web0        3\nweb1        3\n"


def test_an_unknown_field_is_an_error_without_rows_too() -> None:
    with pytest.raises(TemplateError, match=r"can't evaluate field Nope in type test\.Row"):
        rows("{{.Nope}}", count=0)
    assert rows("{{.Name}} {{.Health.Status}}", count=0) == ""


@pytest.mark.parametrize(("name", "header"), [("ImageID", "Image ID"), ("CIDFile", "CID File"), ("IPv6", "I Pv 6")])
def test_headers_are_split_at_the_humps(name: str, header: str) -> None:
    assert report._spaced(name) == header
