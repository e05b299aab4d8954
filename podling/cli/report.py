"""`--format`: what a user's template or the word json makes of rows of data.

json               decided by the caller: each command has its own shape
table {{.A}} {{.B}}   spaces become tabs, a header line comes first, columns are aligned
{{.A}}             once per row; a template with its own {{range .}} gets the rows
"""

from __future__ import annotations

from podling.cli import tables
from podling.cli.gotemplate import evaluator, parser, values
from podling.cli.gotemplate.functions import FUNCTIONS
from podling.cli.gotemplate.lexer import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podling.cli.gotemplate.values import Type

TABLE = "table "


def is_json(template: str) -> bool:
    """Tell whether --format asks for JSON: "json", or a template that prints the dot as JSON and nothing else."""
    text = template.strip()
    if text.startswith("{{") and text.endswith("}}"):
        text = " ".join(text[2:-2].split())
    return text in ("json", "json .")


def render_rows(
    name: str,
    template: str,
    row_type: Type,
    rows: list[Any],
    headers: dict[str, str] | None = None,
    *,
    heading: bool = True,
    check: bool = True,
) -> str:
    """Return a list in the form of a user's template. Raise TemplateError, with `check` even where there are no rows.

    `headers` are those that differ from the field's name in capitals.
    """
    table = template.startswith(TABLE)
    parsed = _parse(name, _enforce_range(_normalized(template), table), _enforce_range(_without_table(template), table))
    listed = values.Value(values.type_of(f"[]{row_type.name}"), rows)
    if check and not rows:
        _check_fields(parsed, row_type)
    text = evaluator.execute(parsed, listed)
    if not table:
        return text
    if heading:
        header = _header_row(row_type, headers or {})
        text = evaluator.execute(parsed, values.Value(values.type_of("[]map[string]string"), [header])) + text
    return tables.align_text(text)


def render_one(name: str, template: str, type_: Type, data: Any) -> str:
    """Return one object in the form of a user's template. Raise TemplateError."""
    parsed = _parse(name, _normalized(template), template)
    return evaluator.execute(parsed, values.Value(type_, data))


def _parse(name: str, text: str, fallback: str) -> parser.Template:
    """Parse the text with its escapes replaced; where that fails, the text as it was written."""
    try:
        return parser.parse(name, text, FUNCTIONS)
    except TemplateError:
        return parser.parse(name, fallback, FUNCTIONS)


def _normalized(template: str) -> str:
    if template.startswith(TABLE):
        template = template.replace(TABLE, "").replace(" ", "\t")
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _without_table(template: str) -> str:
    return template.removeprefix(TABLE)


def _enforce_range(text: str, table: bool) -> str:
    if not table and _has_range(text):
        return text
    return "{{range .}}" + text + "{{end -}}"


def _has_range(text: str) -> bool:
    import re

    return re.search(r"(?s)\{\{\s*range\s*\.\s*\}\}.*\{\{\s*end\s*-?\s*\}\}", text) is not None


def _header_row(row_type: Type, overrides: dict[str, str]) -> dict[str, str]:
    names = {name: _spaced(name).upper() for name, field in row_type.fields.items() if field.key is not None}
    return names | {name: text.upper() for name, text in overrides.items()}


def _spaced(name: str) -> str:
    """Split a name at its humps: "ImageID" is "Image ID", "CIDFile" is "CID File"."""
    text = name[:1]
    for before, letter, after in zip(name, name[1:], name[2:] + "A", strict=False):
        begins_hump = letter.isupper() and (not before.isupper() or after.islower())
        text += f" {letter}" if begins_hump or letter.isdigit() != before.isdigit() else letter
    return text


def _check_fields(parsed: parser.Template, row_type: Type) -> None:
    """Execute on a row of zero values, so that a field that does not exist is an error of an empty list too."""
    fields = {field.key: field.type.zero().data for field in row_type.fields.values() if field.key is not None}
    try:
        evaluator.execute(parsed, values.Value(values.type_of(f"[]{row_type.name}"), [fields]))
    except TemplateError as error:
        if "can't evaluate field" in str(error):
            raise
