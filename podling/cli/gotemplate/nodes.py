"""The parts of a parsed template. Each can write itself the way Go's error messages quote it."""

from __future__ import annotations

from podling.cli.scalars import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.gotemplate.values import Value


class Node:
    """A part, and where it begins."""

    def __init__(self, position: int) -> None:
        self.position = position


class Text(Node):
    """Text outside of actions."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(position)
        self.text = text


class Dot(Node):
    """The dot."""

    def __str__(self) -> str:
        return "."


class Nil(Node):
    """The word nil."""

    def __str__(self) -> str:
        return "nil"


class Constant(Node):
    """A bool, a string or a number, as it was written."""

    def __init__(self, position: int, value: Value, written: str) -> None:
        super().__init__(position)
        self.value = value
        self.written = written

    def __str__(self) -> str:
        return self.written


class Chain(Node):
    """Names after dots, on the dot (`base` None), a variable or a parenthesis."""

    def __init__(self, position: int, base: Node | None, names: list[str]) -> None:
        super().__init__(position)
        self.base = base
        self.names = names

    def __str__(self) -> str:
        base = "" if self.base is None else str(self.base)
        if isinstance(self.base, Pipe):
            base = f"({base})"
        return base + "".join(f".{name}" for name in self.names)


class Variable(Node):
    """A variable, with its dollar."""

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Function(Node):
    """A function's name."""

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Command(Node):
    """An operand, or a function or method with its arguments."""

    def __init__(self, position: int, words: list[Node]) -> None:
        super().__init__(position)
        self.words = words

    def __str__(self) -> str:
        return " ".join(f"({word})" if isinstance(word, Pipe) else str(word) for word in self.words)


class Pipe(Node):
    """Commands, each taking the one before as its last argument; perhaps assigned to variables."""

    def __init__(self, position: int, commands: list[Command], variables: list[str], declares: bool) -> None:
        super().__init__(position)
        self.commands = commands
        self.variables = variables
        self.declares = declares

    def __str__(self) -> str:
        head = f"{', '.join(self.variables)} {':=' if self.declares else '='} " if self.variables else ""
        return head + " | ".join(map(str, self.commands))


class Action(Node):
    """A pipe whose value is printed."""

    def __init__(self, position: int, pipe: Pipe) -> None:
        super().__init__(position)
        self.pipe = pipe


class Branch(Node):
    """`if`, `with` or `range`."""

    def __init__(self, position: int, word: str, pipe: Pipe, body: list[Node], otherwise: list[Node]) -> None:
        super().__init__(position)
        self.word = word
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise


class Jump(Node):
    """`break` or `continue`."""

    def __init__(self, position: int, word: str) -> None:
        super().__init__(position)
        self.word = word


class Call(Node):
    """`template "name" pipe`."""

    def __init__(self, position: int, name: str, pipe: Pipe | None) -> None:
        super().__init__(position)
        self.name = name
        self.pipe = pipe

    def __str__(self) -> str:
        return f"{{{{template {quoted(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"
