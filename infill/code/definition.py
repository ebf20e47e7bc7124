"""The definition that a hole is in: whether Python reads it with a fill, and which names that it
binds above the hole still wait to be used. Knows lines and names, not trees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infill.code.binding import Reader, Statement
from infill.code.passages import statements_of
from infill.code.scope import Surroundings, plain
from infill.code.strict import refused_at
from model.alone import indent_of, says_indent

NEARBY = 20_000  # characters on each side in which the definition is looked for
LARGE = 4_000  # characters: 2 ms; what is longer is not read anew with each fill
HEAD = re.compile(r"[ \t]*(?:async[ \t]+)?def\b")
NEVER_WAIT = frozenset({"self", "cls", "_"})


@dataclass(frozen=True, slots=True)
class Definition:
    """What stands in it above and below the hole's line, and the names that wait, nearest first."""

    above: str
    below: str
    waiting: tuple[str, ...]

    def falls_with(self, line: str) -> bool:
        """Whether Python refuses it with this line in the hole's place; False where it is large."""
        whole = f"{self.above}{line}\n{self.below}"
        if len(whole) > LARGE:
            return False
        indented = "if 1:\n" if whole[0] in " \t" else ""
        start = len(indented + self.above)
        return refused_at(indented + whole, "", start, start + len(line)) is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a fill stands in its definition."""

    uses_waiting: int = 0  # 1 where it uses a name that waits
    leaves_waiting: int = 0  # how many names wait after it, three at most
    falls: int = 0  # 1 where Python refuses the definition with it


def definition_round(text: str, start: int, end: int, indent: int) -> Definition | None:
    """The innermost one that a line of this indentation is in; None at module level. The range is
    the hole's."""
    line_start, line_end = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    above = plain(text[max(0, line_start - NEARBY) : line_start]).split("\n")[:-1]
    below = plain(text[line_end + 1 :][:NEARBY]).split("\n") if line_end >= 0 else []
    first = head_above(above, indent)
    if first is None:
        return None
    level = indent_of(above[first])
    last = next(
        (i for i, line in enumerate(below) if says_indent(line) and indent_of(line) <= level),
        len(below),
    )
    parts = ("\n".join([*lines, ""]) for lines in (above[first:], below[:last]))
    before, after = parts
    line = text[line_start:start] + " " + text[end : line_end if line_end >= 0 else None]
    used = {name for it in statements_of(f"{line}\n{after}")[0] for name in it.uses}
    return Definition(before, after, waiting_in(statements_of(before)[0], used))


def head_above(above: Sequence[str], indent: int) -> int | None:
    """The line with the `def` that what is indented so is in."""
    for i in range(len(above) - 1, -1, -1):
        line = above[i]
        if says_indent(line) and indent_of(line) < indent:
            indent = indent_of(line)
            if HEAD.match(line):
                return i
    return None


def waiting_in(statements: Sequence[Statement], used: set[str]) -> tuple[str, ...]:
    """Names that the definition binds and nothing uses afterwards; `used` are those used below."""
    waiting: list[str] = []
    passed = set(used)
    for number in range(len(statements) - 1, -1, -1):
        statement = statements[number]
        names = statement.binds if number else statement.parameters
        for name in sorted(names - passed):
            if name not in NEVER_WAIT and not name.startswith("__"):
                waiting.append(name)
        passed |= names | statement.uses
    return tuple(waiting)


def standing_of(fill: str, definition: Definition, around: Surroundings, falls: bool) -> Standing:
    left, right = around.line
    read = Reader(around.state).statements(left + plain(fill) + right)
    used = {name for statement in read for name in statement.uses}
    left_over = [name for name in definition.waiting if name not in used]
    uses = len(left_over) < len(definition.waiting)
    return Standing(int(uses), min(3, len(left_over)), int(falls))
