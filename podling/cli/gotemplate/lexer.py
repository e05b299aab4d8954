"""From a template's text to tokens: text outside of actions, and the words inside."""

from __future__ import annotations

from podling.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACES = " \t\r\n"
_KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with")


class TemplateError(InvalidArgument):
    """The template is malformed, or cannot be executed."""


class Token:
    """A token. `kind` is text, left, right, field, variable, word, keyword, dot, string, character, number, space, end
    of input ("eof"), or the punctuation itself. `position` counts characters.
    """

    __slots__ = ("kind", "position", "text")

    def __init__(self, kind: str, text: str, position: int) -> None:
        self.kind = kind
        self.text = text
        self.position = position


def line_of(text: str, position: int) -> int:
    """Return the line that a position is on, from 1."""
    return text.count("\n", 0, position) + 1


def failure(name: str, text: str, position: int, message: str) -> TemplateError:
    """Return a parse error in Go's form."""
    return TemplateError(f"template: {name}:{line_of(text, position)}: {message}")


def tokens(name: str, text: str) -> Iterator[Token]:
    """Yield the tokens of a template. Raise TemplateError."""
    position = 0
    trim_next = False
    while True:
        start = text.find("{{", position)
        literal = text[position:] if start < 0 else text[position:start]
        inside = start + 2
        trims_left = start >= 0 and text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in _SPACES
        trims_left = trims_left and inside + 1 < len(text)
        shown = literal.lstrip(_SPACES) if trim_next else literal
        offset = len(literal) - len(shown)
        shown = shown.rstrip(_SPACES) if trims_left else shown
        if shown:
            yield Token("text", shown, position + offset)
        if start < 0:
            yield Token("eof", "", len(text))
            return
        if trims_left:
            inside += 2
        if text.startswith("/*", inside):
            position, trim_next = _skip_comment(name, text, inside)
            continue
        yield Token("left", "{{", start)
        words = _Action(name, text, inside)
        yield from words.tokens()
        yield Token("right", "}}", words.position)
        position, trim_next = words.after, words.trims


def _skip_comment(name: str, text: str, start: int) -> tuple[int, bool]:
    end = text.find("*/", start)
    if end < 0:
        raise failure(name, text, start, "unclosed comment")
    rest = text[end + 2 :]
    if rest.startswith("}}"):
        return end + 4, False
    if rest[:1] in _SPACES and rest[1:].startswith("-}}"):
        return end + 6, True
    raise failure(name, text, start, "comment ends before closing delimiter")


class _Action:
    """What stands between {{ and }}."""

    def __init__(self, name: str, text: str, position: int) -> None:
        self.name = name
        self.text = text
        self.position = position
        self.after = position
        self.trims = False
        self._depth = 0

    def _fail(self, message: str, position: int | None = None) -> TemplateError:
        return failure(self.name, self.text, self.position if position is None else position, message)

    def _at_end(self) -> bool:
        rest = self.text
        if rest.startswith("}}", self.position):
            self.after = self.position + 2
            return True
        here = rest[self.position : self.position + 1]
        if here and here in _SPACES and rest.startswith("-}}", self.position + 1):
            self.after, self.trims = self.position + 4, True
            return True
        return False

    def tokens(self) -> Iterator[Token]:
        while not self._at_end():
            if self.position >= len(self.text):
                raise self._fail("unclosed action")
            yield self._token()
        if self._depth:
            raise self._fail("unclosed left paren")

    def _token(self) -> Token:
        start = self.position
        letter = self.text[start]
        if letter in _SPACES:
            return self._span("space", lambda each: each in _SPACES)
        if letter == '"' or letter == "'":
            return self._quoted(letter)
        if letter == "`":
            return self._raw()
        if letter in "()":
            return self._parenthesis(letter)
        for mark in (":=", "=", "|", ","):
            if self.text.startswith(mark, start):
                self.position += len(mark)
                return Token(mark, mark, start)
        following = self.text[start + 1 : start + 2]
        if letter == "." and not ("0" <= following <= "9"):
            return self._field()
        if letter == "$":
            self.position += 1
            word = self._span("variable", _is_alphanumeric)
            return Token("variable", "$" + word.text, start)
        if letter in "+-." or "0" <= letter <= "9":
            return self._number()
        if _is_alphanumeric(letter):
            return self._word()
        raise self._fail(f"unexpected {_shown(letter)} in command" if letter.isprintable() else "bad character")

    def _span(self, kind: str, wanted: object) -> Token:
        start = self.position
        while self.position < len(self.text) and wanted(self.text[self.position]):  # type: ignore[operator]
            if kind == "space" and self._at_end():
                break
            self.position += 1
        return Token(kind, self.text[start : self.position], start)

    def _quoted(self, mark: str) -> Token:
        start = self.position
        position = start + 1
        while position < len(self.text) and self.text[position] not in (mark, "\n"):
            position += 2 if self.text[position] == "\\" else 1
        if position >= len(self.text) or self.text[position] == "\n":
            raise self._fail(f"unterminated {'quoted string' if mark == chr(34) else 'character constant'}")
        self.position = position + 1
        return Token("string" if mark == '"' else "character", self.text[start : self.position], start)

    def _raw(self) -> Token:
        start = self.position
        end = self.text.find("`", start + 1)
        if end < 0:
            raise self._fail("unterminated raw quoted string")
        self.position = end + 1
        return Token("raw", self.text[start : self.position], start)

    def _parenthesis(self, letter: str) -> Token:
        self._depth += 1 if letter == "(" else -1
        if self._depth < 0:
            raise self._fail("unexpected right paren")
        self.position += 1
        return Token(letter, letter, self.position - 1)

    def _field(self) -> Token:
        start = self.position
        self.position += 1
        name = self._span("field", _is_alphanumeric).text
        return Token("field", "." + name, start) if name else Token("dot", ".", start)

    def _number(self) -> Token:
        start = self.position
        self.position += 1
        text = self.text[start] + self._span("number", _is_alphanumeric).text
        if "." not in text and self.text.startswith(".", self.position):
            self.position += 1
            text += "." + self._span("number", _is_alphanumeric).text
        if text[-1] in "eEpP" and self.text[self.position : self.position + 1] in ("+", "-") and "x" not in text:
            self.position += 1
            text += self.text[self.position - 1] + self._span("number", _is_alphanumeric).text
        return Token("number", text, start)

    def _word(self) -> Token:
        word = self._span("word", _is_alphanumeric)
        if word.text in _KEYWORDS:
            word.kind = "keyword"
        elif word.text in ("true", "false"):
            word.kind = "bool"
        return word


def _is_alphanumeric(letter: str) -> bool:
    return letter == "_" or letter.isalnum()


def _shown(letter: str) -> str:
    return f'"{letter}"'
