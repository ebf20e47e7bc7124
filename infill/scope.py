"""Whether the names in a fill make sense where it stands: known there, and bound where one is
missing. Reads Python as a row of names and what stands next to them; asks no parser, so that code
in the middle of being written can be asked about.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass

NEARBY = 20_000  # characters on each side in which names are looked for
BUILT_IN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"self", "cls", "__file__"}

STRING_OR_COMMENT = re.compile(
    r"\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|#[^\n]*",
    re.DOTALL,
)
FORMATTED = re.compile(r"\{([^{}]*)\}")
IMPORTED = re.compile(r"^[ \t]*(?:from\s+\S+\s+)?import\s+(.+)$", re.MULTILINE)
TARGETS = re.compile(r"\bfor\s+([\w\s,()*]+?)\s+in\b|^[ \t]*([\w\s,()*]+?)\s*(?::[^=\n]*)?=(?!=)"
                     r"|\b(?:as|def|class|global|nonlocal)\s+(\w+)|\blambda\s+([\w\s,=*]*):"
                     r"|([^\W\d]\w*)\s*:=", re.MULTILINE)  # fmt: skip
PARAMETERS = re.compile(r"\bdef\s+\w+\s*\(([^)]*)\)")
WORD = re.compile(r"[^\W\d]\w*")
USE = re.compile(r"(?<![\w.])[^\W\d]\w*(?!\s*=(?!=))(?!\w)")
TOP_LEVEL = re.compile(r"^(?:def\s+|class\s+)?(\w+)(?=\s*[(=:])", re.MULTILINE)
LEAVES = re.compile(r"(?:return|raise|break|continue)\b")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The names round a hole: bound before it, and used after it without having been bound."""

    bound: frozenset[str]
    missing: frozenset[str]
    used_after: frozenset[str]
    next_indent: int  # of the next line of code in the same definition, -1 where there is none


@dataclass(frozen=True, slots=True)
class Sense:
    """What the names of a fill say for it (`binds_missing`) or against it (the rest)."""

    unknown: int = 0  # names used that nothing binds
    binds_missing: int = 0  # 1 where it binds a name that is used later and bound nowhere else
    leaves_missing: int = 0  # 1 where there is such a name, and it binds none
    unused: int = 0  # names bound that are not used later
    cuts_off: int = 0  # 1 where it leaves the block and the block goes on


def surroundings_of(text: str, start: int, end: int) -> Surroundings:
    """`start` and `end` are the hole's, in code points."""
    before, after = code(text[max(0, start - NEARBY) : start]), code(text[end : end + NEARBY])
    rest = until_dedent(after)
    bound = names_bound(before) | frozenset(WORD.findall(heads(after[len(rest) :]))) | BUILT_IN
    return Surroundings(bound, frozenset(unbound_in(rest, bound)), uses(rest), indent_of(rest))


def sense_of(fill: str, indent: int, around: Surroundings) -> Sense:
    """`indent` is how deep the fill's first line stands."""
    fill = code(fill)
    binds = names_bound(fill)
    unknown = {name for name in uses(fill) if name not in around.bound and name not in binds}
    missing = around.missing
    return Sense(
        unknown=len(unknown),
        binds_missing=int(bool(missing & binds)),
        leaves_missing=int(bool(missing) and not missing & binds),
        unused=len({name for name in plainly_bound(fill) if name not in around.used_after}),
        cuts_off=int(bool(LEAVES.match(fill.lstrip())) and around.next_indent == indent),
    )


def code(text: str) -> str:
    """Without comments, and of strings only the expressions in braces, which f-strings have."""

    def bare(match: re.Match[str]) -> str:
        held = match[0]
        formatted = held[0] in "\"'" and match.start() and text[match.start() - 1] in "fF"
        return " ".join(FORMATTED.findall(held)) if formatted else '""' if held[0] != "#" else ""

    return STRING_OR_COMMENT.sub(bare, text)


def names_bound(text: str) -> frozenset[str]:
    names: set[str] = set()
    for targets in TARGETS.findall(text):
        for target in targets:
            names.update(WORD.findall(target))
    for parameters in PARAMETERS.findall(text):
        names.update(re.findall(r"(?:^|[,*])\s*([^\W\d]\w*)", parameters))
    for imported in IMPORTED.findall(text):
        names.update(WORD.findall(imported))
    return frozenset(names - set(keyword.kwlist))


def plainly_bound(text: str) -> Iterator[str]:
    """Names bound by an assignment to nothing but a name."""
    yield from re.findall(r"^[ \t]*([^\W\d]\w*)\s*(?::[^=\n]*)?=(?!=)", text, re.MULTILINE)


def uses(text: str) -> frozenset[str]:
    return frozenset(USE.findall(text)) - frozenset(keyword.kwlist)


def unbound_in(text: str, bound: frozenset[str]) -> Iterator[str]:
    """Names used in the text before any line of it binds them."""
    known = set(bound)
    for line in text.split("\n"):
        here = names_bound(line)
        # A comprehension binds what stands left of it; an assignment only what comes after it.
        inner = here - set(plainly_bound(line))
        yield from uses(line) - known - inner
        known |= here


def until_dedent(after: str) -> str:
    """The text up to where the next top-level statement begins."""
    end = re.search(r"\n(?=[^\s#)\]}])", after)
    return after[: end.start()] if end else after


def heads(text: str) -> str:
    """The names that top-level statements define, for what comes later in the file."""
    return " ".join(TOP_LEVEL.findall(text))


def indent_of(text: str) -> int:
    for line in text.split("\n")[1:]:
        if line.strip():
            return len(line) - len(line.lstrip())
    return -1
