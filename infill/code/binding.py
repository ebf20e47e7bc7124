"""What each statement of a Python text binds and uses, read as a row of tokens.

Asks no parser, so that code in the middle of being written can be read, from any place in it where
the state of reading is known. Knows no scopes and no holes; its time grows with the text's length.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# A string is closed, or goes on to the end of its line or the text. Nothing is tried twice (`*+`).
SINGLE = r"\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?"
TRIPLE = r"\"{3}(?:[^\"\\]|\\.|\"(?!\"\"))*+(?:\"{3})?|'{3}(?:[^'\\]|\\.|'(?!''))*+(?:'{3})?"
PREFIX = r"(?:[rR][bBfF]?|[bBfF][rR]?|[uU])?"
TOKEN = re.compile(
    rf"{PREFIX}(?:{TRIPLE}|{SINGLE})|#[^\n]*|[^\W\d]\w*|\d[\w.]*|\n[ \t\f]*|:=|->"
    r"|[=!<>]=|(?://|\*\*|<<|>>|[-+*/%&|^@])=|\*\*|\\\r?\n|[^\s\w]",
    re.DOTALL,
)
CLOSED = re.compile(
    r"\w*(?:\"{3}(?:[^\"\\]|\\.|\"(?!\"\"))*+\"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*+'{3}"
    r"|(?!\"\"\"|''')(?:\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'))",
    re.DOTALL,
)
# Of an f-string: the beginnings of its expressions, up to a conversion or format.
EXPRESSION = re.compile(
    r"\{\{|\{((?:[^{}()\[\]!:]|!=|\([^()]{0,99}\)|\[[^\[\]]{0,99}\])*+)", re.DOTALL
)
KEYWORDS = frozenset(keyword.kwlist)
# What only a statement begins with: brackets left open above were meant to be closed.
BEGINS = {
    *("assert", "break", "class", "continue", "def", "del", "global", "import", "nonlocal"),
    *("pass", "raise", "return", "try", "while", "with"),
}
SOFT = {"match": "(", "case": "([{-*", "type": ""}  # and the brackets that may follow, mostly
# What is being read: a target list, a lambda's head, imported names, a module's, …
TARGETS, LAMBDA, IMPORT, MODULE = "for", "lambda", "import", "from"
DECLARED, PATTERN, RETURNED = "global", "case", "->"
STATEMENT, PARAMETERS, GROUP, OTHER = "statement", "parameters", "group", "other"


@dataclass(slots=True)
class Statement:
    """The names of a statement, or of as much of it as was read: up to its end or its colon."""

    indent: int  # in characters; -1 where its beginning was not read
    first: str = ""  # its first token
    binds: set[str] = field(default_factory=set[str])  # for what comes after it
    assigned: set[str] = field(default_factory=set[str])  # those of `binds` that get a value by `=`
    plain: set[str] = field(
        default_factory=set[str]
    )  # those of `assigned` that stand alone before it
    parameters: set[str] = field(default_factory=set[str])
    inner: set[str] = field(default_factory=set[str])  # of a lambda or a comprehension
    uses: set[str] = field(default_factory=set[str])

    @property
    def known(self) -> set[str]:
        return self.binds | self.parameters | self.inner


@dataclass(frozen=True, slots=True)
class Frame:
    """An open bracket, or the statement itself, and what is being read in it."""

    kind: str = STATEMENT
    mode: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How a text goes on at some place."""

    frames: tuple[Frame, ...] = (Frame(),)
    first: str = ""  # token of the statement
    indent: int = 0  # of the statement
    string: str = ""  # the beginning of one that is still open, as short as it can be told

    @property
    def fresh(self) -> bool:
        """Whether a statement begins here."""
        return self.frames == (Frame(),) and not self.first and not self.string


class Reader:
    """Reads a text in parts, the later ones in the state that the former have left."""

    def __init__(self, state: State | None = None) -> None:
        state = state or State()
        self.frames = list(state.frames)
        self.first = state.first
        self.indent = state.indent
        self.string = state.string
        self.previous = ""
        self.imported = ""  # name, unless `as` renames it
        self.statement = Statement(-1, self.first)
        self.candidates: list[str] = []  # names that become targets when `=` follows
        self.annotated = False  # since a colon named a type
        self.length = 0  # tokens since the statement or its last `=` began

    @property
    def state(self) -> State:
        return State(tuple(self.frames), self.first, self.indent, self.string)

    def statements(self, text: str) -> Iterator[Statement]:
        """Those that the text has, its first and its last perhaps only in part."""
        tokens: list[str] = TOKEN.findall(self.string + text)
        self.string = ""
        if tokens and tokens[0] in BEGINS and len(self.frames) > 1:
            yield from self.ended(-1)
        following = iter(tokens)
        next(following, None)
        for token in tokens:
            after = next(following, "\n")
            kind = token[0]
            if kind == "\n":
                if len(self.frames) == 1 or after in BEGINS:
                    yield from self.ended(len(token) - 1)
            elif kind in "#\\":
                continue
            elif (token == ";" and len(self.frames) == 1) or (token == ":" and self.ends_head()):
                yield from self.ended(self.statement.indent)
            else:
                self.take(token, after)
                self.first = self.first or token
                self.statement.first = self.statement.first or token
                self.previous = token
                self.length += 1
        if tokens:
            self.string = opened_by(tokens[-1])
        yield from self.ended(-1, anew=False)

    def ended(self, indent: int, *, anew: bool = True) -> Iterator[Statement]:
        """The statement read; what comes next begins another where it is `anew`."""
        statement = self.statement
        self.use_candidates()
        if statement.first or statement.known or statement.uses:
            yield statement
        self.statement = Statement(indent)
        self.indent = indent if anew else self.indent
        self.annotated, self.length, self.previous = False, 0, ""
        if anew:
            self.frames, self.first, self.imported = [Frame()], "", ""

    def ends_head(self) -> bool:
        """Whether a colon here ends the head of a compound statement."""
        frame = self.frames[-1]
        if len(self.frames) > 1 or frame.mode == LAMBDA:
            return False
        return self.first in KEYWORDS or frame.mode == PATTERN or self.first == "match"

    def take(self, token: str, after: str) -> None:
        kind, frame = token[0], self.frames[-1]
        if '"' in token[:3] or "'" in token[:3]:
            self.take_string(token)
        elif kind.isalpha() or kind == "_":
            if token in KEYWORDS:
                self.take_keyword(token)
            elif self.previous != ".":
                self.take_name(token, after)
        elif kind in "([{":
            self.frames.append(self.opened(kind))
        elif kind in ")]}":
            if len(self.frames) > 1:
                self.frames.pop()
        elif token == "->" and len(self.frames) == 1:
            self.frames[-1] = Frame(frame.kind, RETURNED)
        elif token == ":":
            if frame.mode == LAMBDA:
                self.frames[-1] = Frame(frame.kind)
            elif len(self.frames) == 1:  # an annotation
                self.assign()
                self.annotated = True
        elif token == "=" and len(self.frames) == 1:
            if self.annotated:
                self.use_candidates()
            self.assign()
            self.annotated, self.length = False, -1  # this token does not count
        elif token[-1] == "=" and token not in ("==", "!=", "<=", ">="):
            self.use_candidates()

    def take_string(self, token: str) -> None:
        if "f" in token[:2].lower().partition("'")[0].partition('"')[0]:
            for expression in EXPRESSION.findall(token):
                for statement in Reader(State((Frame(OTHER),))).statements(expression.rstrip("= ")):
                    self.statement.uses |= statement.uses
                    self.statement.inner |= statement.known

    def take_keyword(self, token: str) -> None:
        if self.first == "async":
            self.first = token
        frame, mode = self.frames[-1], None
        if token == "as" and frame.mode == IMPORT:
            self.statement.binds.discard(self.imported)
        if token in ("for", "lambda", "import") or (token == "from" and not self.first):
            mode = token
        elif token in ("global", "nonlocal"):
            mode = DECLARED
        elif token == "in" and frame.mode == TARGETS:
            mode = ""
        elif token == "if" and frame.mode == PATTERN:
            mode, self.first = "", token
        if mode is not None:
            self.frames[-1] = Frame(frame.kind, mode)

    def take_name(self, name: str, after: str) -> None:
        statement, frame, depth = self.statement, self.frames[-1], len(self.frames)
        previous = self.previous
        leads_on = after in (".", "(", "[")
        if not self.first and name in SOFT and begins_operand(after, SOFT[name]):
            self.frames[-1] = Frame(frame.kind, PATTERN if name == "case" else "")
        elif previous in ("def", "class"):
            statement.binds.add(name)
        elif frame.mode == MODULE:
            pass
        elif frame.mode in (IMPORT, DECLARED) or (previous == "as" and not leads_on):
            statement.binds.add(name)
            self.imported = name
        elif frame.mode == LAMBDA:
            starts = previous in ("lambda", ",", "*", "**")
            (statement.inner if starts else statement.uses).add(name)
        elif frame.mode == TARGETS and not leads_on:
            outer = all(it.mode == TARGETS for it in self.frames)
            (statement.binds if outer else statement.inner).add(name)
        elif frame.mode == PATTERN:
            if after in (".", "("):
                statement.uses.add(name)
            elif after != "=" and name != "_":
                statement.binds.add(name)
        elif frame.kind == PARAMETERS:
            starts = previous in ("(", "[", ",", "*", "**", "")
            (statement.parameters if starts else statement.uses).add(name)
        elif after == ":=":
            statement.binds.add(name)
        elif frame.kind in (STATEMENT, GROUP) and not leads_on:
            self.candidates.append(name)
        elif after != "=" or depth == 1:
            statement.uses.add(name)

    def opened(self, bracket: str) -> Frame:
        """What a bracket here holds."""
        frame, previous = self.frames[-1], self.previous
        defines = len(self.frames) == 1 and self.first in ("def", "class")
        follows_operand = previous[-1:] in (")", "]", "}", '"', "'") or (
            (previous[-1:].isalnum() or previous[-1:] == "_") and previous not in KEYWORDS
        )
        if defines and (bracket == "[" or self.first != "class") and frame.mode != RETURNED:
            return Frame(PARAMETERS)
        if bracket != "{" and frame.mode in (TARGETS, IMPORT) and not follows_operand:
            return Frame(GROUP, frame.mode)
        if frame.mode == PATTERN:
            return Frame(OTHER, PATTERN)
        if previous == "as":
            return Frame(GROUP, IMPORT)
        grouped = bracket != "{" and frame.kind in (STATEMENT, GROUP) and not follows_operand
        return Frame(GROUP if grouped else OTHER)

    def use_candidates(self) -> None:
        self.statement.uses.update(self.candidates)
        self.candidates.clear()

    def assign(self) -> None:
        """What stands before an `=`, or before the colon of an annotation, are targets."""
        names = set(self.candidates)
        self.statement.binds |= names
        self.statement.assigned |= names
        if self.length == 1:
            self.statement.plain |= names
        self.candidates.clear()


def begins_operand(token: str, brackets: str) -> bool:
    """Whether a token after a soft keyword shows that it is meant as one."""
    if token in KEYWORDS:
        return token in ("None", "True", "False", "not", "lambda", "await")
    return token[0].isalnum() or token[0] in "_\"'" or token in tuple(brackets)


def opened_by(token: str) -> str:
    """The least that brings a reader into the string or comment that a text's last token opens."""
    if token[0] == "#":
        return "#"
    quote = re.match(r"\w{0,2}(\"\"\"|'''|\"|')", token)
    if quote is None or CLOSED.fullmatch(token):
        return ""
    inside = "f" in quote[0].lower() and token.count("{") > token.count("}")
    return quote[0] + "{" if inside else quote[0]
