"""From tokens to nodes, with the errors of Go's text/template/parse."""

from __future__ import annotations

from podling.cli.gotemplate import lexer, nodes, values
from podling.cli.scalars import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from podling.cli.gotemplate.lexer import TemplateError, Token

_OPERAND_ENDS = ("space", "right", ")", "|", "eof", ",", ":=", "=", "field")


class Template:
    """A parsed template: its name, its text, and the bodies of the templates defined in it, its own among them."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.bodies: dict[str, list[nodes.Node]] = {}


def parse(name: str, text: str, functions: Collection[str]) -> Template:
    """Parse a template that may use some functions. Raise TemplateError."""
    template = Template(name, text)
    parser = _Parser(template, functions)
    template.bodies.setdefault(name, parser.whole())
    return template


class _Parser:
    def __init__(self, template: Template, functions: Collection[str]) -> None:
        self._template = template
        self._functions = functions
        self._tokens = list(lexer.tokens(template.name, template.text))
        self._next = 0
        self._variables = ["$"]
        self._ranges = 0

    # tokens

    def _peek(self) -> Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _take_word(self) -> Token:
        while self._peek().kind == "space":
            self._next += 1
        return self._take()

    def _peek_word(self) -> Token:
        while self._peek().kind == "space":
            self._next += 1
        return self._peek()

    def _fail(self, token: Token, message: str) -> TemplateError:
        return lexer.failure(self._template.name, self._template.text, token.position, message)

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind == "eof":
            shown = "EOF"
        elif token.kind in ("keyword", "dot"):
            shown = f"<{token.text}>"
        elif len(token.text) > 10 and token.kind != "text":
            shown = quoted(token.text[:10]) + "..."
        else:
            shown = quoted(token.text)
        return self._fail(token, f"unexpected {shown} in {context}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._take_word()
        if token.kind != kind:
            raise self._unexpected(token, context)
        return token

    # lists of nodes

    def whole(self) -> list[nodes.Node]:
        """Return the nodes up to the end of the text."""
        body, ending = self._list()
        if ending.kind != "eof":
            raise self._fail(ending, f"unexpected {{{{{ending.text}}}}}")
        return body

    def _list(self) -> tuple[list[nodes.Node], Token]:
        """Return nodes and the token that ended them: the keyword `end` or `else`, or the end of the text."""
        found: list[nodes.Node] = []
        while True:
            token = self._take()
            if token.kind == "eof":
                return found, token
            if token.kind == "text":
                found.append(nodes.Text(token.position, token.text))
                continue
            word = self._peek_word()
            if word.kind == "keyword" and word.text in ("end", "else"):
                return found, self._take_word()
            node = self._action()
            if node is not None:
                found.append(node)

    def _action(self) -> nodes.Node | None:
        word = self._peek_word()
        if word.kind != "keyword" or word.text == "nil":
            pipe = self._pipe("command", "right")
            return nodes.Action(pipe.position, pipe)
        self._take_word()
        if word.text in ("if", "with", "range"):
            return self._branch(word)
        if word.text in ("break", "continue"):
            return self._jump(word)
        if word.text == "template":
            return self._call()
        return self._definition(word)

    def _branch(self, word: Token) -> nodes.Branch:
        visible = len(self._variables)
        pipe = self._pipe(word.text, "right")
        self._ranges += word.text == "range"
        body, ending = self._list()
        self._ranges -= word.text == "range"
        otherwise: list[nodes.Node] = []
        if ending.text == "else" and ending.kind == "keyword":
            following = self._peek_word()
            chains = following.kind == "keyword" and following.text == word.text and word.text in ("if", "with")
            if chains:
                otherwise = [self._branch(self._take_word())]
                del self._variables[visible:]
                return nodes.Branch(word.position, word.text, pipe, body, otherwise)
            self._expect("right", "else")
            otherwise, ending = self._list()
            if ending.text == "else" and ending.kind == "keyword":
                raise self._fail(ending, "expected end; found {{else}}")
        if ending.kind == "eof":
            raise self._fail(ending, "unexpected EOF")
        self._expect("right", "end")
        del self._variables[visible:]
        return nodes.Branch(word.position, word.text, pipe, body, otherwise)

    def _jump(self, word: Token) -> nodes.Jump:
        if not self._ranges:
            raise self._fail(word, f"{{{{{word.text}}}}} outside {{{{range}}}}")
        self._expect("right", f"{{{{{word.text}}}}}")
        return nodes.Jump(word.position, word.text)

    def _call(self) -> nodes.Call:
        name = self._take_word()
        if name.kind not in ("string", "raw"):
            raise self._unexpected(name, "template clause")
        pipe = None
        if self._peek_word().kind != "right":
            pipe = self._pipe("template clause", "right")
        else:
            self._take_word()
        return nodes.Call(name.position, self._string(name), pipe)

    def _definition(self, word: Token) -> nodes.Call | None:
        context = f"{word.text} clause"
        name = self._take_word()
        if name.kind not in ("string", "raw"):
            raise self._unexpected(name, context)
        pipe = self._pipe(context, "right") if word.text == "block" else None
        if pipe is None:
            self._expect("right", context)
        kept, self._variables = self._variables, ["$"]
        body, ending = self._list()
        self._variables = kept
        if ending.kind == "eof" or ending.text != "end":
            raise self._fail(
                ending, "unexpected EOF" if ending.kind == "eof" else f"unexpected {{{{else}}}} in {context}"
            )
        self._expect("right", "end")
        text = self._string(name)
        self._template.bodies[text] = body
        return nodes.Call(name.position, text, pipe) if pipe else None

    # pipes

    def _pipe(self, context: str, end: str) -> nodes.Pipe:
        start = self._peek_word().position
        variables, declares = self._assignment(context)
        commands: list[nodes.Command] = []
        while True:
            token = self._peek_word()
            if token.kind == end:
                self._take()
                break
            if token.kind in ("right", ")", "eof", "|", ",", ":=", "="):
                raise self._unexpected(token, context)
            commands.append(self._command(context))
        if not commands:
            raise self._fail(self._peek(), f"missing value for {context}")
        for number, command in enumerate(commands[1:], 2):
            if not isinstance(command.words[0], (nodes.Function, nodes.Chain)):
                shown = f"non executable command in pipeline stage {number}"
                raise lexer.failure(self._template.name, self._template.text, command.position, shown)
        if declares:
            self._variables += variables
        return nodes.Pipe(start, commands, variables, declares)

    def _assignment(self, context: str) -> tuple[list[str], bool]:
        """Take `$x :=`, `$x =` or, in a range, `$i, $x :=`."""
        saved = self._next
        variables: list[str] = []
        while self._peek_word().kind == "variable":
            variables.append(self._take_word().text)
            mark = self._peek_word()
            if mark.kind == ",":
                if context != "range" or len(variables) > 1:
                    raise self._fail(mark, f"too many declarations in {context}")
                self._take_word()
                continue
            if mark.kind in (":=", "="):
                self._take_word()
                return variables, mark.kind == ":="
            break
        self._next = saved
        return [], False

    def _check_variable(self, token: Token, name: str) -> None:
        if name not in self._variables:
            raise self._fail(token, f"undefined variable {quoted(name)}")

    def _command(self, context: str) -> nodes.Command:
        start = self._peek_word().position
        words: list[nodes.Node] = []
        while True:
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self._peek()
            if token.kind == "space":
                if self._peek_word().kind in ("right", ")", "|"):
                    continue
                if operand is None:
                    raise self._unexpected(self._peek(), "operand")
                continue
            if token.kind == "|":
                self._take()
                break
            if token.kind in ("right", ")"):
                break
            raise self._unexpected(token, "operand")
        if not words:
            raise self._fail(self._peek(), "empty command")
        return nodes.Command(start, words)

    def _operand(self) -> nodes.Node | None:
        term = self._term()
        if term is None:
            return None
        if self._peek().kind != "field":
            return term
        position = self._peek().position  # Go says that a chain begins at its second name
        names = []
        while self._peek().kind == "field":
            names.append(self._take().text[1:])
        if isinstance(term, nodes.Chain) and not isinstance(term.base, nodes.Pipe):
            return nodes.Chain(position, term.base, [*term.names, *names])
        if isinstance(term, (nodes.Variable, nodes.Pipe)):
            return nodes.Chain(position, term, names)
        if isinstance(term, nodes.Dot):
            return nodes.Chain(position, None, names)
        shown = f"unexpected . after term {quoted(str(term))}"
        raise lexer.failure(self._template.name, self._template.text, term.position, shown)

    def _term(self) -> nodes.Node | None:
        token = self._peek()
        if token.kind in ("right", ")", "|", "space"):
            return None
        self._take()
        if token.kind == "field":
            return nodes.Chain(token.position, None, [token.text[1:]])
        if token.kind == "dot":
            return nodes.Dot(token.position)
        if token.kind == "variable":
            self._check_variable(token, token.text)
            return nodes.Variable(token.position, token.text)
        if token.kind == "word":
            if token.text not in self._functions:
                raise self._fail(token, f"function {quoted(token.text)} not defined")
            return nodes.Function(token.position, token.text)
        if token.kind == "(":
            return self._pipe("parenthesized pipeline", ")")
        if token.kind == "keyword" and token.text == "nil":
            return nodes.Nil(token.position)
        return self._constant(token)

    def _constant(self, token: Token) -> nodes.Constant:
        if token.kind == "bool":
            value = values.Value(values.BOOL, token.text == "true")
        elif token.kind in ("string", "raw"):
            value = values.Value(values.STRING, self._string(token))
        elif token.kind == "character":
            text = self._string(token)
            if len(text) != 1:
                raise self._fail(token, f"malformed character constant: {token.text}")
            value = values.Value(values.INT, ord(text))
        elif token.kind == "number":
            value = self._number(token)
        else:
            raise self._unexpected(token, "operand")
        return nodes.Constant(token.position, value, token.text)

    def _number(self, token: Token) -> values.Value:
        text = token.text
        digits = text.lstrip("+-")
        sign = -1 if text.startswith("-") else 1
        try:
            octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
            return values.Value(values.INT, sign * (int(digits, 8) if octal else int(digits, 0)))
        except ValueError:
            pass
        try:
            return values.Value(values.FLOAT, float(text))
        except ValueError:
            raise self._fail(token, f"bad number syntax: {quoted(text)}") from None

    def _string(self, token: Token) -> str:
        if token.kind == "raw":
            return token.text[1:-1]
        try:
            return unescape(token.text[1:-1])
        except (ValueError, IndexError):
            raise self._fail(token, "invalid syntax") from None


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


def unescape(text: str) -> str:
    """Return what the inside of a quoted Go string means. Raise ValueError."""
    parts = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter != "\\":
            parts.append(letter)
            position += 1
            continue
        code = text[position + 1]
        if code in _ESCAPES:
            parts.append(_ESCAPES[code])
            position += 2
        elif code in "xuU":
            length = {"x": 2, "u": 4, "U": 8}[code]
            parts.append(chr(int(text[position + 2 : position + 2 + length], 16)))
            position += 2 + length
        else:
            parts.append(chr(int(text[position + 1 : position + 4], 8)))
            position += 4
    return "".join(parts)
