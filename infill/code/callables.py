"""What a file defines that can be called, and the calls of it in the same file.

Knows syntax and names as one file shows them: no types, no other files. A name that is defined
twice counts as unknown, for nobody can say here which of the two a call means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infill.code.syntax import Node, Tree

DEFINITIONS = (
    *("function_definition", "function_declaration", "generator_function_declaration"),
    *("method_definition", "method_declaration", "constructor_declaration", "function_item"),
)
_CLASSES = (
    *("class_definition", "class_declaration", "abstract_class_declaration", "class_specifier"),
    *("impl_item", "trait_item", "record_declaration", "enum_declaration"),
)
_CALLS = frozenset(
    ("call", "call_expression", "new_expression", "method_invocation", "object_creation_expression")
)
_ARGUMENTS = frozenset(("arguments", "argument_list"))
_CONSTRUCTORS = ("__init__", "constructor")
_OWN = frozenset(("self", "cls", "this", "super()", "Self"))
_OPTIONAL = frozenset(
    ("default_parameter", "typed_default_parameter", "assignment_pattern", "optional_parameter")
)
_DIVIDES = frozenset(("keyword_separator", "positional_separator", "attribute_item"))
_RECEIVERS = frozenset(("self_parameter", "receiver_parameter"))
_TAKES_THE_SAME = re.compile(
    r"@\s*(?:\w+\.)*(?:staticmethod|classmethod|cache|lru_cache|override|final|\w*abstractmethod)\b"
)
_COLLECT = re.compile(r"\*|\.\.\.")  # takes any number, or takes none and divides the others
_NAME = re.compile(r"[^\W\d]\w*$")


@dataclass(frozen=True, slots=True)
class Callee:
    """A definition with a name; `owner` is the class around it, "" at the top of a file."""

    name: str
    owner: str
    node: Node
    parameters: Node  # with its brackets

    @property
    def called(self) -> str:
        """The name that calls say: a constructor is called by that of its class."""
        return self.owner if self.constructs else self.name

    @property
    def constructs(self) -> bool:
        same = self.name == self.owner and self.node.kind == "constructor_declaration"
        return bool(self.owner) and (self.name in _CONSTRUCTORS or same)

    def wanted(self) -> list[Node]:
        """The parameters that each call must give something for."""
        return [each for each in self._own_parameters() if _is_wanted(each)]

    def takes(self, count: int) -> bool:
        """Whether a call may give so many arguments; what one file cannot tell is allowed."""
        parameters = [each for each in self._own_parameters() if each.kind not in _DIVIDES]
        if self.is_wrapped or any(_collects(each) or _is_grouped(each) for each in parameters):
            return True
        return len(self.wanted()) <= count <= len(parameters)

    def _own_parameters(self) -> list[Node]:
        """Without `self`, `cls` and C's `void`."""
        parameters = self.parameters.statements
        if self.node.kind == "function_definition" and self.owner and not self._is_static:
            parameters = parameters[1:]
        return [each for each in parameters if each.text != "void" and each.kind not in _RECEIVERS]

    @property
    def is_wrapped(self) -> bool:
        """Whether a decorator of Python's may have it called with other arguments than it names, as
        that of a command line has."""
        return not all(_TAKES_THE_SAME.match(each.text) for each in self._decorators())

    @property
    def _is_static(self) -> bool:
        return any("staticmethod" in each.text for each in self._decorators())

    def _decorators(self) -> list[Node]:
        outer = self.node.parent
        if outer is None or outer.kind != "decorated_definition":
            return []
        return [child for child in outer.children if child.kind == "decorator"]


@dataclass(frozen=True, slots=True)
class Call:
    """A call: by which name, and on what: `self`, a class, "" for a plain name."""

    name: str
    on: str
    node: Node
    arguments: Node  # with its brackets


def callables_in(tree: Tree, nodes: Sequence[Node] | None = None) -> list[Callee]:
    """What the file defines with a name and a list of parameters, in file order. `nodes` are its
    definitions, where they have been looked for already."""
    nodes = tree.nodes_of(DEFINITIONS) if nodes is None else nodes
    found = (callable_of(node) for node in nodes if node.kind in DEFINITIONS)
    return [each for each in found if each is not None]


def callable_of(node: Node) -> Callee | None:
    name = node.field("name")
    parameters = node.field("parameters")
    if name is None and (declarator := node.field("declarator")) is not None:  # C and its kin
        while declarator.kind != "function_declarator":
            inner = declarator.field("declarator")
            if inner is None:
                return None
            declarator = inner
        name, parameters = declarator.field("declarator"), declarator.field("parameters")
    if name is None or parameters is None or not _NAME.match(name.text):
        return None
    return Callee(name.text, _owner_of(node), node, parameters)


def _owner_of(node: Node) -> str:
    if (receiver := node.field("receiver")) is not None:  # Go
        return receiver.text
    for outer in list(node.chain())[1:]:
        if outer.kind in DEFINITIONS:
            return ""  # within a function, be it within a method
        if outer.kind in _CLASSES:
            name = outer.field("name") or outer.field("type")
            return name.text if name else ""
    return ""


def calls_in(tree: Tree, name: str = "", *, empty: bool = False) -> Iterator[Call]:
    """The calls, in file order: of this name only, or only those without arguments."""
    said = rf"\b{re.escape(name)}\s*(?:<[^()\n]*>)?\s*\(" if name else r"\("
    for found in re.finditer(said + (r"\s*\)" if empty else ""), tree.text):
        at = tree.text.index("(", found.start())
        arguments = tree.leaf_at(at).parent
        if arguments is None or arguments.kind not in _ARGUMENTS or arguments.start != at:
            continue
        node = arguments.parent
        call = call_of(node, arguments) if node is not None else None
        if call is not None and (not name or call.name == name):
            yield call


def call_of(node: Node, arguments: Node) -> Call | None:
    if node.kind not in _CALLS or node.broken:
        return None
    called = node.field("function") or node.field("name") or node.field("constructor")
    called = called or node.field("type")
    if called is None:
        return None
    on, dot, name = called.text.rpartition(".")
    if not dot:
        on, dot, name = called.text.rpartition("::")
    receiver = node.field("object")
    on = receiver.text if receiver is not None else on
    name = name.partition("<")[0]
    return Call(name, on, node, arguments) if _NAME.match(name) else None


def means(call: Call, callee: Callee, tree: Tree) -> bool:
    """Whether the call is of this definition, as far as one file can tell."""
    if call.name != callee.called:
        return False
    if not callee.owner or callee.constructs:
        return not call.on
    owner = _owner_round(call.node)
    java = callee.node.kind == "method_declaration" and not call.on and tree.name == "java"
    return owner == callee.owner and (call.on in (*_OWN, callee.owner) or java)


def _owner_round(node: Node) -> str:
    for outer in node.chain():
        if outer.kind in _CLASSES:
            name = outer.field("name") or outer.field("type")
            return name.text if name else ""
    return ""


def without_namesakes(callables: list[Callee]) -> list[Callee]:
    """Those whose name, with their owner's, is theirs alone."""
    names = [(each.owner, each.called) for each in callables]
    return [each for each in callables if names.count((each.owner, each.called)) == 1]


def _is_wanted(parameter: Node) -> bool:
    if parameter.kind in _OPTIONAL or parameter.kind in _DIVIDES or _collects(parameter):
        return False
    return parameter.field("value") is None


def _collects(parameter: Node) -> bool:
    kinds = ("variadic", "spread", "rest", "splat")
    return any(kind in parameter.kind for kind in kinds) or bool(_COLLECT.match(parameter.text))


def _is_grouped(parameter: Node) -> bool:
    """Go's `a, b int`, and `int` alone, which may be a name."""
    return parameter.kind == "parameter_declaration" and parameter.tree.name == "go"
