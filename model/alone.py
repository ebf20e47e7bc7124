"""A line cut out of a text, and the same line with less round it, as in a file just begun: what is
fitted on large files alone believes too much in what stands near. Knows lines, not trees.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

DEFINITION = re.compile(r"^(?=def |class |async def |@)", re.MULTILINE)
FUNCTION = re.compile(r"^([ \t]*)(?:async +)?def ", re.MULTILINE)
HANGING = tuple("#)]}")  # a line that begins with one says nothing about indentation


@dataclass(frozen=True, slots=True)
class Cut:
    """A line, or a part of one, what stands before it and after it, and other files beside it."""

    before: str
    line: str
    after: str
    beside: tuple[str, ...] = ()


def whole(cut: Cut) -> Cut:
    return cut


def in_definition(cut: Cut) -> Cut:
    """Alone with the top-level function or class that it is in."""
    starts = [match.start() for match in DEFINITION.finditer(cut.before)]
    end = re.search(r"\n(?=[^\s#)\]}])", cut.after)
    before = cut.before[starts[-1] :] if starts else cut.before
    return replace(cut, before=before, after=cut.after[: end.start() + 1] if end else cut.after)


def in_function(cut: Cut) -> Cut:
    """Alone with the innermost function that it is in, which is moved to the left margin; as it is
    where it is in none."""
    begun = cut.before.rfind("\n") + 1
    deep = indent_of(cut.before[begun:] + cut.line)
    heads = [it for it in FUNCTION.finditer(cut.before, 0, begun) if len(it[1]) < deep]
    if not heads:
        return cut
    head = heads[-1]
    above = cut.before[head.end() : begun].split("\n")[1:]
    if any(ends(line, head) for line in above):
        return cut
    lines = cut.after.split("\n")
    end = next((i for i, line in enumerate(lines) if i and ends(line, head)), len(lines))
    before, line = cut.before[head.start() :], cut.line
    return replace(
        cut,
        before=moved(before, head[1]),
        line=line if cut.before[begun:] else line.removeprefix(head[1]),
        after=moved("\n".join([*lines[:end], ""]), head[1]),
    )


SURROUNDINGS: tuple[Callable[[Cut], Cut], ...] = (whole, in_definition, in_function)


def ends(line: str, head: re.Match[str]) -> bool:
    """Whether a line stands behind the function with this head."""
    return says_indent(line) and indent_of(line) <= len(head[1])


def moved(text: str, margin: str) -> str:
    return "\n".join(line.removeprefix(margin) for line in text.split("\n"))


def says_indent(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(HANGING)


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())
