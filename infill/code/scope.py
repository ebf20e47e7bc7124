"""Whether the names in a fill make sense where it stands: known there, and bound where one is
missing. Knows names and lines (`binding`), not trees, so that code in the middle of being written
can be asked about; all that is bound in the definitions above counts as known.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass

from infill.code.binding import KEYWORDS, Reader, State, Statement
from infill.code.passages import statements_of

NEARBY = 20_000  # characters on each side in which names are looked for: some 20 ms
HEAD = 8_000  # characters at the beginning of the file, where imports stand
FAR = 100_000  # characters on each side in which top-level definitions are looked for
NEAREST = 1_000  # characters of the hole's own line on each side
BUILT_IN = frozenset(dir(builtins)) | KEYWORDS | {"self", "cls", "__file__", "__name__", "__doc__"}

# Where no string or bracket is open, one may hope.
OPENING = re.compile(r"\n(?=[ \t]*(?:(?:async +)?def +\w+ *[(\[]|class +\w+ *[(\[:]|@\w))")
# Looked for behind a line end, which is found at once.
STAR = re.compile(r"\n[ \t]*from[ \t]+[\w.]+[ \t]+import[ \t]*\*")
TOP_LEVEL = re.compile(r"\n(?:async +)?(?:def +|class +)?([^\W\d]\w*)[ \t]*[(=:]")
HEADS = {"async", "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "with"}
LEAVES = re.compile(r"(?:return|raise|break|continue)\b")
IDLE = re.compile(r"\w+(?:\.\w+)*")
WORD = re.compile(r"[^\W\d]\w*")
WORD_BEGUN = re.compile(r"[^\W\d]\w*\Z")
WORD_ENDED = re.compile(r"\w*")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The names round a hole: bound before it, and used after it without having been bound."""

    bound: frozenset[str]
    missing: frozenset[str]
    starred: bool  # whether a star import may have bound any name
    used_after: frozenset[str]
    next_indent: int  # of the next statement in the same definition, -1 where there is none
    line: tuple[str, str]  # what stands on the hole's line on each side
    state: State  # of a reader at the beginning of that line


@dataclass(frozen=True, slots=True)
class Sense:
    """What the names of a fill say for it (`binds_missing`) or against it (the rest)."""

    unknown: int = 0  # names used that nothing binds
    binds_missing: int = 0  # 1 where it binds a name that is used later and bound nowhere else
    unused: int = 0  # names bound that are not used later
    cuts_off: int = 0  # 1 where it leaves the block and the block goes on
    idle: int = 0  # 1 where it is a statement of one name or number, which does nothing


def surroundings_of(text: str, start: int, end: int) -> Surroundings:
    """`start` and `end` are the hole's, in code points."""
    before, after = above(text, start), below(text, end)
    begun = before.rfind("\n") + 1
    line = before[begun:][-NEAREST:], after.partition("\n")[0][:NEAREST]
    bound = {*BUILT_IN, *far_off(text, start - len(before), end)}
    leading, state = statements_of(before[:begun])
    for statement in leading:
        bound.update(statement.binds, statement.parameters, statement.inner)
    last = leading[-1] if leading else Statement(0)
    state = state if len(before) - begun <= NEAREST else State()
    # Half a word on either side is the fill's to complete.
    lead = WORD_BEGUN.sub("", line[0])
    following, _ = statements_of(f"{lead} {WORD_ENDED.sub('', after, count=1)}", state)
    own = sum(statement.indent < 0 for statement in following)  # on the hole's line
    for statement in following[:own]:
        bound |= statement.known - statement.assigned
    level = state.indent if len(state.frames) > 1 else level_of(line[0] + text[start:end], last)
    if level > 0 or (own < len(following) and following[own].indent > 0):
        flush = (i for i, statement in enumerate(following) if statement.indent == 0)
        rest = following[: next(flush, len(following))]
    else:
        rest = following  # at module level, where what comes later may use all
    for statement in following[own:]:
        if statement.indent == 0:
            bound |= statement.binds
    next_indent = rest[own].indent if own < len(rest) else -1
    used = frozenset[str]().union(*(statement.uses for statement in rest))
    starred = STAR.search("\n" + text) is not None
    missing = frozenset[str]() if starred else unbound_in(rest, bound)
    return Surroundings(frozenset(bound), missing, starred, used, next_indent, line, state)


def sense_of(fill: str, indent: int, around: Surroundings) -> Sense:
    """`indent` is how deep the fill's first line stands."""
    left, right = around.line
    fill = plain(fill)
    read = list(Reader(around.state).statements(left + fill + right))
    begun, ended = WORD_BEGUN.search(left), WORD_ENDED.match(right)
    words = set(WORD.findall((begun[0] if begun else "") + fill + (ended[0] if ended else "")))
    known = {name for statement in read for name in statement.known}
    used = {name for statement in read for name in statement.uses}
    plainly = {name for statement in read for name in statement.plain}
    leaves = LEAVES.match(fill.lstrip()) is not None and not left.strip()
    return Sense(
        unknown=0 if around.starred else len((used & words) - known - around.bound),
        binds_missing=int(bool(around.missing & known & words)),
        unused=len((plainly & words) - around.used_after),
        cuts_off=int(leaves and around.next_indent == indent),
        idle=int(around.state.fresh and is_idle(left + fill + right)),
    )


def is_idle(line: str) -> bool:
    return IDLE.fullmatch(line.strip()) is not None and line.strip() not in KEYWORDS


def above(text: str, end: int) -> str:
    """The text before the hole, from a place where no string or bracket is likely to be open."""
    start = max(0, end - NEARBY)
    before = text[start:end]
    opening = OPENING.search(before) if start else None
    return plain(before[opening.end() :] if opening else before)


def below(text: str, start: int) -> str:
    """The text after the hole, to the end of a line."""
    after = text[start : start + NEARBY]
    whole = after.rpartition("\n")[0] if start + NEARBY < len(text) else ""
    return plain(whole or after)


def far_off(text: str, start: int, end: int) -> set[str]:
    """The names of the file's head and of definitions that are too far away to be read closely:
    those before `start`, and those well after `end`."""
    first, start = max(0, start - FAR), max(0, start)
    before = text[first - 1 : start] if first else "\n" + text[:start]
    names = set(TOP_LEVEL.findall(before))
    names.update(TOP_LEVEL.findall(text, end + NEARBY - 1, end + FAR))
    for statement in statements_of(plain(text[: HEAD if start > 0 else 0]))[0]:
        names |= statement.binds
    return names


def plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def level_of(line: str, last: Statement) -> int:
    """How deep the hole's line is indented; where it is empty, as the statement above, if not in
    its block."""
    if line.strip("\r\n"):
        return len(line) - len(line.lstrip())
    return last.indent + 4 * (last.first in HEADS)


def unbound_in(statements: Sequence[Statement], bound: set[str]) -> frozenset[str]:
    """Names used before any statement binds them."""
    known, missing = set(bound), set[str]()
    for statement in statements:
        # An assignment binds for what comes after it, all else within the statement as well.
        if unmet := statement.uses - known:
            missing |= unmet - (statement.known - statement.assigned)
        known.update(statement.binds, statement.parameters, statement.inner)
    return frozenset(missing)
