"""Executing a parsed template on a value."""

from __future__ import annotations

from podling.cli.gotemplate import formatting, nodes, values
from podling.cli.gotemplate.functions import FUNCTIONS, SHORT_CIRCUITING, Misuse
from podling.cli.gotemplate.lexer import TemplateError
from podling.cli.gotemplate.values import ABSENT, Type, Value
from podling.cli.scalars import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.cli.gotemplate.parser import Template

_DEEPEST = 1000  # templates within templates


class _Jump(Exception):
    """`break` or `continue` on its way to the range around it."""

    def __init__(self, word: str) -> None:
        self.word = word


def execute(template: Template, data: Value) -> str:
    """Return a template's output for a value. Raise TemplateError."""
    state = _State(template, template.name, data, 0)
    state.walk_all(data, template.bodies[template.name])
    return "".join(state.output)


class _State:
    """One execution: the variables in sight, the node at hand, what has been written."""

    def __init__(self, template: Template, name: str, data: Value, depth: int) -> None:
        self.template = template
        self.name = name
        self.depth = depth
        self.output: list[str] = []
        self.variables: list[tuple[str, Value]] = [("$", data)]
        self.node: nodes.Node | None = None

    def fail(self, message: str) -> TemplateError:
        """Return an error in Go's form, at the node at hand."""
        if self.node is None:
            return TemplateError(f"template: {self.name}: {message}")
        before = self.template.text[: self.node.position]
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        place = f"{self.template.name}:{before.count(chr(10)) + 1}:{column}"
        return TemplateError(f"template: {place}: executing {quoted(self.name)} at <{self.node}>: {message}")

    # statements

    def walk_all(self, dot: Value, body: list[nodes.Node]) -> None:
        """Execute nodes in order."""
        for node in body:
            self.walk(dot, node)

    def walk(self, dot: Value, node: nodes.Node) -> None:
        """Execute one node."""
        if isinstance(node, nodes.Text):
            self.output.append(node.text)
        elif isinstance(node, nodes.Action):
            value = self.pipe(dot, node.pipe)
            if not node.pipe.variables:
                self.output.append(_printed(value))
        elif isinstance(node, nodes.Branch):
            self._branch(dot, node)
        elif isinstance(node, nodes.Jump):
            raise _Jump(node.word)
        elif isinstance(node, nodes.Call):
            self._call(dot, node)

    def _branch(self, dot: Value, node: nodes.Branch) -> None:
        mark = len(self.variables)
        try:
            if node.word == "range":
                self._range(dot, node)
                return
            value = self.pipe(dot, node.pipe)
            if values.is_true(values.settle(value)):
                self.walk_all(value if node.word == "with" else dot, node.body)
            else:
                self.walk_all(dot, node.otherwise)
        finally:
            del self.variables[mark:]

    def _range(self, dot: Value, node: nodes.Branch) -> None:
        self.node = node.pipe
        value = values.indirect(self.pipe(dot, node.pipe, assign=False))
        items = self._items(value)
        if not items:
            self.walk_all(dot, node.otherwise)
            return
        for key, item in items:
            mark = len(self.variables)
            self._set_range_variables(node.pipe, key, item)
            try:
                self.walk_all(item, node.body)
            except _Jump as jump:
                if jump.word == "break":
                    return
            finally:
                del self.variables[mark:]

    def _items(self, value: Value) -> list[tuple[Value, Value]]:
        if value.kind == "invalid":
            return []
        assert value.type is not None
        if value.kind == "slice":
            return [(Value(values.INT, at), Value(value.type.elem, item)) for at, item in enumerate(value.data or [])]
        if value.kind == "map":
            keys = formatting.map_keys(value)
            return [(Value(value.type.key, key), Value(value.type.elem, value.data[key])) for key in keys]
        if value.kind in ("int", "uint"):
            return [(Value(value.type, number), Value(value.type, number)) for number in range(value.data)]
        raise self.fail(f"range can't iterate over {formatting.plain(value)}")

    def _set_range_variables(self, pipe: nodes.Pipe, key: Value, item: Value) -> None:
        names = pipe.variables
        bound = [(names[0], key), (names[1], item)] if len(names) > 1 else [(name, item) for name in names]
        for name, value in bound:
            self._set(name, value, declares=pipe.declares)

    def _call(self, dot: Value, node: nodes.Call) -> None:
        self.node = node
        if node.name not in self.template.bodies:
            raise self.fail(f"template {quoted(node.name)} not defined")
        if self.depth >= _DEEPEST // 10:
            raise self.fail(f"exceeded maximum template depth ({_DEEPEST // 10})")
        argument = self.pipe(dot, node.pipe) if node.pipe else ABSENT
        inner = _State(self.template, node.name, argument, self.depth + 1)
        inner.output = self.output
        inner.walk_all(argument, self.template.bodies[node.name])

    def _set(self, name: str, value: Value, *, declares: bool) -> None:
        if declares:
            self.variables.append((name, value))
            return
        for at in range(len(self.variables) - 1, -1, -1):
            if self.variables[at][0] == name:
                self.variables[at] = (name, value)
                return
        raise self.fail(f"undefined variable: {name}")

    # pipes

    def pipe(self, dot: Value, pipe: nodes.Pipe, *, assign: bool = True) -> Value:
        """Return a pipe's value, assigning it to its variables."""
        final: Value | None = None
        for command in pipe.commands:
            final = self._command(dot, command, final)
        assert final is not None
        for name in pipe.variables if assign else ():
            self._set(name, final, declares=pipe.declares)
        return final

    def _command(self, dot: Value, command: nodes.Command, final: Value | None) -> Value:
        first, *arguments = command.words
        if isinstance(first, nodes.Chain):
            return self._chain(dot, first, arguments, final)
        if isinstance(first, nodes.Function):
            self.node = first
            return self._function(dot, first, command, arguments, final)
        if arguments or final is not None:
            self.node = first
            raise self.fail(f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Nil):
            self.node = first
            raise self.fail("nil is not a command")
        return self._operand(dot, first)

    def _operand(self, dot: Value, node: nodes.Node) -> Value:
        self.node = node
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, nodes.Nil):
            return ABSENT
        if isinstance(node, nodes.Constant):
            return node.value
        if isinstance(node, nodes.Variable):
            return next(value for name, value in reversed(self.variables) if name == node.name)
        if isinstance(node, nodes.Pipe):
            return self.pipe(dot, node)
        if isinstance(node, nodes.Chain):
            return self._chain(dot, node, [], None)
        assert isinstance(node, nodes.Function)
        return self._function(dot, node, nodes.Command(node.position, [node]), [], None)

    # fields and methods

    def _chain(self, dot: Value, chain: nodes.Chain, arguments: list[nodes.Node], final: Value | None) -> Value:
        receiver = dot if chain.base is None else self._operand(dot, chain.base)
        if not isinstance(chain.base, nodes.Pipe):
            self.node = chain  # after a parenthesis Go blames the last thing in it
        *path, last = chain.names
        for name in path:
            receiver = self._field(dot, name, receiver, [], None)
        return self._field(dot, last, receiver, arguments, final)

    def _field(
        self,
        dot: Value,
        name: str,
        receiver: Value,
        arguments: list[nodes.Node],
        final: Value | None,
    ) -> Value:
        given = bool(arguments) or final is not None
        declared = receiver.type
        receiver = values.indirect(receiver)
        if receiver.type is None:
            if declared is None:
                return ABSENT
            raise self.fail(f"nil pointer evaluating {declared.name}.{name}")
        method = receiver.type.methods.get(name)
        if method is not None and receiver.kind != "pointer":
            converted = self._arguments(dot, name, method.parameters, None, arguments, final)
            return Value(method.result, method.compute(receiver.data, *[each.data for each in converted]))
        if receiver.kind == "pointer":
            raise self.fail(f"nil pointer evaluating {receiver.type.name}.{name}")
        if receiver.kind == "struct" and name in receiver.type.fields:
            if given:
                raise self.fail(f"{name} has arguments but cannot be invoked as function")
            return formatting.field_value(receiver, name)
        if receiver.kind == "map" and receiver.type.key is not None and receiver.type.key.kind == "string":
            if given:
                raise self.fail(f"{name} is not a method but has arguments")
            return _entry(receiver, name)
        raise self.fail(f"can't evaluate field {name} in type {declared.name if declared else receiver.type.name}")

    # functions

    def _function(
        self,
        dot: Value,
        node: nodes.Function,
        command: nodes.Command,
        arguments: list[nodes.Node],
        final: Value | None,
    ) -> Value:
        function = FUNCTIONS[node.name]
        if node.name in SHORT_CIRCUITING and arguments:
            for argument in arguments:
                value = self._operand(dot, argument)
                if values.is_true(value) == (node.name == "or"):
                    return value
            return value if final is None else final
        converted = self._arguments(dot, node.name, function.parameters, function.rest, arguments, final)
        try:
            return function.compute(*converted)
        except Misuse as misuse:
            self.node = command
            raise self.fail(f"error calling {node.name}: {misuse}") from None

    def _arguments(
        self,
        dot: Value,
        name: str,
        parameters: tuple[Type, ...],
        rest: Type | None,
        arguments: list[nodes.Node],
        final: Value | None,
    ) -> list[Value]:
        count = len(arguments) + (final is not None)
        if count < len(parameters) or (rest is None and count > len(parameters)):
            wanted = f"at least {len(parameters)}" if rest is not None else str(len(parameters))
            raise self.fail(f"wrong number of args for {name}: want {wanted} got {count}")
        converted = []
        for position in range(count):
            wanted_type = parameters[position] if position < len(parameters) else rest
            assert wanted_type is not None
            value = self._operand(dot, arguments[position]) if position < len(arguments) else final
            assert value is not None
            converted.append(self._fitting(value, wanted_type))
        return converted

    def _unfit(self, node: nodes.Node, wanted: Type) -> TemplateError:
        if isinstance(node, nodes.Nil):
            return self.fail(f"cannot assign nil to {wanted.name}")
        if wanted.kind in _IN_WORDS:
            return self.fail(f"expected {_IN_WORDS[wanted.kind]}; found {node}")
        return self.fail(f"can't handle {node} for arg of type {wanted.name}")

    def _fitting(self, value: Value, wanted: Type) -> Value:
        """Return a value as an argument of a type. Raise TemplateError."""
        if wanted.kind == "interface":
            return value
        value = values.settle(value)
        same_kind = value.kind == wanted.kind or {value.kind, wanted.kind} == {"int", "uint"}
        if same_kind and (value.type is wanted or isinstance(self.node, nodes.Constant) or _is_strings(value, wanted)):
            return value
        if isinstance(self.node, (nodes.Constant, nodes.Nil)):
            raise self._unfit(self.node, wanted)
        if value.type is None:
            raise self.fail(f"invalid value; expected {wanted.name}")
        raise self.fail(f"wrong type for value; expected {wanted.name}; got {value.type.name}")


_IN_WORDS = {"bool": "bool", "string": "string", "int": "integer", "uint": "unsigned integer", "float": "float"}


def _is_strings(value: Value, wanted: Type) -> bool:
    """Tell whether both are slices of strings, by whatever name."""
    elems = [type_.elem for type_ in (value.type, wanted) if type_ is not None]
    return all(elem is not None and elem.kind == "string" for elem in elems)


def _entry(receiver: Value, name: str) -> Value:
    assert receiver.type is not None
    data = receiver.data or {}
    if name not in data:
        return ABSENT
    return Value(receiver.type.elem, data[name])


def _printed(value: Value) -> str:
    value = values.settle(value)
    if value.kind == "pointer":
        value = values.indirect(value)
    return "<no value>" if value.kind == "invalid" else formatting.plain(value)
