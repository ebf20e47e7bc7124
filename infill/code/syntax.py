"""Source text as a tree: nodes, errors, imports and definitions. The only file with tree-sitter.

Grammars are loaded when first used. tree-sitter speaks bytes; what leaves this file speaks code
points. It does not know what a hole is.
"""

from __future__ import annotations

import importlib
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import accumulate

import tree_sitter

from infill.code.languages import ALIASES, Language, language_named, language_of

__all__ = [
    "Definition",
    "Node",
    "Outline",
    "Tree",
    "errors_in",
    "language_of",
    "literals_of",
    "parse",
    "window_round",
]

WINDOW = 100_000  # characters: about 2,500 lines, parsed in some 20 ms
KEPT_WHOLE = (
    400_000  # characters: trees take about ten times their text, so few large ones are kept
)
PATIENCE = (
    2.0  # seconds: some thousand unclosed tags take longer; an editor does not wait for those
)
CHUNK = 65_536  # bytes given to the parser at a time
DEEPEST = 200  # ancestors looked at: finding a parent costs the more the deeper one is

_HOLDS_STATEMENTS = (  # ends of the names of nodes that may hold a definition further in
    *("block", "body", "chunk", "clause", "declaration", "definition", "ERROR", "file", "group"),
    *("item", "declaration_list", "statement_list", "module", "preproc_if", "preproc_ifdef"),
    *("preproc_else", "program", "specification", "specifier", "statement", "stylesheet"),
    *("translation_unit", "type_spec"),
)


def parse(text: str, language: str) -> Tree | None:
    """The tree of a text; the last few are remembered.

    None for an unknown language, and for a text that takes the parser too long.
    """
    name = ALIASES.get(language, language)
    if language_named(name) is None:
        return None
    return _parsed(text, name) if len(text) <= KEPT_WHOLE else _parsed_large(text, name)


def errors_in(text: str, language: str) -> tuple[tuple[int, int], ...] | None:
    """The ranges that do not parse and, as empty ranges, the places where a token is missing.

    None where there is no tree. The Python grammar takes a header without its body.
    """
    tree = parse(text, language)
    return None if tree is None else tree.errors


def literals_of(language: str) -> frozenset[str]:
    """The tokens that the language's grammar spells out: keywords, operators, brackets, quotes."""
    name = ALIASES.get(language, language)
    return frozenset() if language_named(name) is None else _literals(name)


def window_round(text: str, offset: int, size: int = WINDOW) -> tuple[int, int]:
    """The part of a very large text that is worth parsing for what stands at `offset`.

    Whole lines; it begins at a line that is not indented where one is near.
    """
    if len(text) <= size:
        return 0, len(text)
    start = _flush_line(text, max(0, offset - size * 3 // 4), offset)
    end = text.find("\n", min(len(text), offset + size // 4))
    return start, len(text) if end < 0 else end + 1


def _flush_line(text: str, start: int, offset: int) -> int:
    first = 0 if start == 0 else text.find("\n", start, offset) + 1 or start
    line = first
    while line < offset and text[line] in " \t\r\n)]}":
        line = text.find("\n", line, offset) + 1 or offset
    return line if line < offset else first


class Tree:
    """A parsed text. Texts of a kind that takes the parser long have none (see `PATIENCE`)."""

    def __init__(self, text: str, name: str, language: Language, tree: tree_sitter.Tree) -> None:
        self.text = text
        self.name = name
        self.language = language
        self._tree = tree

    @cached_property
    def _offsets(self) -> _Offsets | None:
        return None if self.text.isascii() else _Offsets(self.text)

    @property
    def root(self) -> Node:
        return Node(self, self._tree.root_node)

    def leaf_at(self, offset: int) -> Node:
        """The smallest node over the character at `offset`."""
        start, end = self.to_byte(offset), self.to_byte(min(offset + 1, len(self.text)))
        found = self._tree.root_node.descendant_for_byte_range(start, end)
        return Node(self, found or self._tree.root_node)

    def edited(self, start: int, end: int, text: str) -> Tree | None:
        """The tree with `text` instead of what stands from `start` to `end`. What the edit leaves
        as it is is not parsed anew, so that many edits can be tried."""
        whole = self.text[:start] + text + self.text[end:]
        first, last = self.to_byte(start), self.to_byte(end)
        new, points = _bytes_of(text), (self._point_at(start), self._point_at(end))
        lines, before = new.rpartition(b"\n")[2], new.count(b"\n")
        column = len(lines) + (0 if before else points[0][1])
        old = self._tree.copy()
        old.edit(first, last, first + len(new), *points, (points[0][0] + before, column))
        return _parse(whole, self.name, old)

    def _point_at(self, offset: int) -> tuple[int, int]:
        line = self.text.rfind("\n", 0, offset) + 1
        return self.text.count("\n", 0, line), len(_bytes_of(self.text[line:offset]))

    @property
    def broken(self) -> bool:
        """Whether anything in it does not parse, or is missing."""
        return self._tree.root_node.has_error

    @cached_property
    def errors(self) -> tuple[tuple[int, int], ...]:
        """What does not parse, and as empty ranges where a token is missing."""
        broken = _walk(self._tree.root_node, lambda node: node.has_error)
        nodes = [Node(self, node) for node in broken if node.is_error or node.is_missing]
        return tuple(sorted((node.start, node.end) for node in nodes))

    @cached_property
    def outline(self) -> Outline:
        """The file's imports and definitions, in file order."""
        imports = [(node.start, node.end) for node in self.nodes_of(self.language.imports)]
        definitions = [_definition(node) for node in self.nodes_of(self.language.definitions)]
        return Outline(tuple(imports), tuple(definitions))

    def nodes_of(self, kinds: tuple[str, ...]) -> list[Node]:
        """The nodes of these kinds that stand where statements stand, in file order."""
        nodes = _walk(self._tree.root_node, lambda node: node.type.endswith(_HOLDS_STATEMENTS))
        return [Node(self, node) for node in nodes if node.type in kinds]

    def to_byte(self, offset: int) -> int:
        return offset if self._offsets is None else self._offsets.to_byte(offset)

    def to_offset(self, byte: int, point: tree_sitter.Point) -> int:
        return byte if self._offsets is None else self._offsets.to_offset(point)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree, with offsets in code points. `kind` is the grammar's name for it."""

    tree: Tree
    _node: tree_sitter.Node

    @property
    def kind(self) -> str:
        return self._node.type

    @property
    def start(self) -> int:
        return self.tree.to_offset(self._node.start_byte, self._node.start_point)

    @property
    def end(self) -> int:
        return self.tree.to_offset(self._node.end_byte, self._node.end_point)

    @property
    def text(self) -> str:
        return self.tree.text[self.start : self.end]

    @property
    def named(self) -> bool:
        """False for what the grammar spells out: keywords, operators, brackets."""
        return self._node.is_named

    @property
    def broken(self) -> bool:
        """Whether it or something in it does not parse."""
        return self._node.has_error

    @property
    def parent(self) -> Node | None:
        return self._node.parent and Node(self.tree, self._node.parent)

    @property
    def children(self) -> list[Node]:
        return [Node(self.tree, child) for child in self._node.children]

    @property
    def statements(self) -> list[Node]:
        """The named children that are not comments."""
        children = [Node(self.tree, child) for child in self._node.named_children]
        return [child for child in children if "comment" not in child.kind]

    def field(self, name: str) -> Node | None:
        found = self._node.child_by_field_name(name)
        return found and Node(self.tree, found)

    def chain(self) -> Iterator[Node]:
        """The node itself, its parent, and so on up."""
        node: Node | None = self
        for _ in range(DEEPEST):
            if node is None:
                return
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True)
class Definition:
    """Something with a name and mostly a body. `body` is where the body starts, `end` if none."""

    name: str
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Outline:
    imports: tuple[tuple[int, int], ...]
    definitions: tuple[Definition, ...]


def _walk(
    root: tree_sitter.Node, descend: Callable[[tree_sitter.Node], bool]
) -> Iterator[tree_sitter.Node]:
    # By hand: tree-sitter's queries take seconds on a node with tens of thousands of children.
    cursor = root.walk()
    while True:
        node = cursor.node
        assert node is not None  # a cursor always stands on a node
        yield node
        if descend(node) and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def _definition(node: Node) -> Definition:
    body = node.field("body")
    name = node.field("name") or node.field("declarator")
    return Definition(
        name.text.partition("(")[0] if name else "",
        node.start,
        body.start if body else node.end,
        node.end,
    )


class _Offsets:
    """Code points to bytes and back, by line. Not needed where all characters are ASCII."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")  # the only line end that tree-sitter counts
        self.encoded = [_bytes_of(line) for line in self.lines]
        self.points = [0, *accumulate(len(line) + 1 for line in self.lines)]
        self.bytes = [0, *accumulate(len(line) + 1 for line in self.encoded)]

    def to_byte(self, offset: int) -> int:
        row = min(bisect_right(self.points, offset), len(self.lines)) - 1
        return self.bytes[row] + len(_bytes_of(self.lines[row][: offset - self.points[row]]))

    def to_offset(self, point: tree_sitter.Point) -> int:
        before = self.encoded[point.row][: point.column]
        return self.points[point.row] + len(before.decode("utf-8", "ignore"))


def _bytes_of(text: str) -> bytes:
    # A lone surrogate has no bytes; a question mark stands in, one character for one character.
    return text.encode("utf-8", "replace")


@cache
def _grammar(name: str) -> tree_sitter.Language:
    language = language_named(name)
    assert language is not None  # asked only for languages in the table
    module = importlib.import_module(language.grammar)
    pointer: object = getattr(module, language.function)()
    return tree_sitter.Language(pointer)


@cache
def _literals(name: str) -> frozenset[str]:
    grammar = _grammar(name)
    kinds = range(grammar.node_kind_count)
    spelt = (it for it in kinds if grammar.node_kind_is_visible(it))
    told = (grammar.node_kind_for_id(it) for it in spelt if not grammar.node_kind_is_named(it))
    # Some grammars name an alias or a rule as if it were a token of the text.
    return frozenset(it for it in told if it and not re.search(r"\w_|_\w|\s", it))


class _Chunk(threading.local):
    """What the parser is given to read, one piece after the other, in one buffer a thread:
    tree-sitter 0.26 never lets go of what it was given, and would keep every text ever parsed."""

    def __init__(self) -> None:
        self.given = bytearray()


_chunk = _Chunk()


def _parse(text: str, name: str, old: tree_sitter.Tree | None = None) -> Tree | None:
    language = language_named(name)
    assert language is not None
    source, end = _bytes_of(text), time.monotonic() + PATIENCE
    parser = tree_sitter.Parser(_grammar(name))

    given = _chunk.given

    def read(byte: int, _: object) -> bytearray:
        given[:] = source[byte : byte + CHUNK]
        return given

    def stops(byte: int, broken: bool) -> bool:
        return time.monotonic() > end

    try:
        if old is None:
            tree = parser.parse(read, progress_callback=stops)
        else:
            tree = parser.parse(read, old, progress_callback=stops)
    except ValueError:  # tree-sitter's way to say that it was stopped
        return None
    finally:
        given.clear()
    return Tree(text, name, language, tree)


_parsed = lru_cache(maxsize=6)(_parse)
_parsed_large = lru_cache(maxsize=1)(_parse)
