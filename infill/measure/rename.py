"""The same Python with other names: does a model know code, or does it know this file by heart?

Every name that the file itself defines gets another one, the same everywhere: functions, classes,
parameters, variables, attributes set on `self`. Keywords, builtins, imported names, attributes of
other objects and the text of strings stay, and so does a name of which it cannot be told whose it
is. A word is one name in all of the file, whatever the scopes, so the file binds as it did before.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from infill.code.syntax import Node, parse
from infill.measure.names import WORD, Own, new_names, own_names
from infill.measure.suite import Task

# In a remark a word is a name rather than English where it looks like code: `so`, so(), so_so,
# soSo, and where it is explained as a parameter.
MENTION = re.compile(
    r"(?<=`)(\w+)(?=`)|\b(\w+)(?=\()|\b(\w*[^\W_]_\w+)|\b(\w*[a-z][A-Z]\w*)"
    r"|:param (\w+)(?=:)|^[ \t]*(\w+)(?=[ \t]*(?:\([^)\n]*\))?[ \t]*:)",
    re.MULTILINE,
)

IMPORTS = ("import_statement", "import_from_statement", "future_import_statement")

Edit = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Renaming:
    """The text with other names, what is called what, and where things are now."""

    text: str
    names: dict[str, str]  # the new one by the old
    edits: tuple[Edit, ...]

    def moved(self, offset: int) -> int:
        """Where a place of the old text is in the new; within a name, about as far within."""
        shift = 0
        for start, end, new in self.edits:
            if offset <= start:
                break
            if offset < end:
                inside = round((offset - start) / (end - start) * len(new))
                return start + shift + min(max(inside, 1), len(new) - 1)
            shift += len(new) - (end - start)
        return offset + shift


def renamed_task(task: Task, seed: int = 0) -> Task | None:
    """The task in a renamed file; a hole that begins within a name does so within the new one.

    The test calls things by their new names. None where `renamed` is.
    """
    made = renamed(task.file, seed, task.test)
    if made is None:
        return None
    at = len(task.prompt)
    start = made.moved(at)
    end = max(made.moved(at + len(task.canonical_solution)), start + 1)
    return replace(
        task,
        prompt=made.text[:start],
        canonical_solution=made.text[start:end],
        suffix=made.text[end:],
        test=renamed_test(task, made.names),
        entry_point=made.names.get(task.entry_point, task.entry_point),
        renamed=True,
        spans=tuple(
            (made.moved(at + a) - start, made.moved(at + b) - start) for a, b in task.spans
        ),
    )


@lru_cache(maxsize=256)  # a file has many tasks
def renamed(text: str, seed: int = 0, avoided: str = "") -> Renaming | None:
    """None where the text is no Python. No new name stands anywhere in it, nor in `avoided`."""
    tree, parsed = tree_of(text), parse(text, "python")
    if tree is None or parsed is None or parsed.errors:
        return None
    own, uses = own_names(tree), list(uses_in(parsed.root))
    doubtful = {use.name for use in uses if is_doubtful(use, own)}
    taken = set(WORD.findall(text)) | set(WORD.findall(avoided))
    names = new_names(own.all - doubtful, taken, Random(f"{seed} {text}"))
    edits = {
        (use.start, use.end, names[use.name])
        for use in uses
        if use.name in names and is_own(use, own)
    }
    edits |= set(mentions(parsed.root, names))
    made = Renaming(replaced(text, edits), names, tuple(sorted(edits)))
    return made if tree_of(made.text) is not None else None


def unrenamed(text: str, names: dict[str, str]) -> str:
    """A renamed text as it was."""
    old = {new: name for name, new in names.items()}
    return WORD.sub(lambda match: old.get(match[0], match[0]), text)


def renamed_test(task: Task, names: dict[str, str]) -> str:
    """A test may call what the file defines at its top, where it does not define that itself."""
    if not task.test:
        return ""
    file, tree, parsed = tree_of(task.file), tree_of(task.test), parse(task.test, "python")
    if file is None or tree is None or parsed is None:
        return task.test
    top = {it.name for it in file.body if isinstance(it, ast.FunctionDef | ast.ClassDef)}
    top -= own_names(tree).all
    return replaced(
        task.test,
        {
            (use.start, use.end, names[use.name])
            for use in uses_in(parsed.root)
            if use.name in names and use.name in top and use.role == "name"
        },
    )


def replaced(text: str, edits: Iterable[Edit]) -> str:
    pieces: list[str] = []
    since = 0
    for start, end, new in sorted(edits):
        pieces += (text[since:start], new)
        since = end
    return "".join((*pieces, text[since:]))


def tree_of(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful escapes in strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@dataclass(frozen=True, slots=True)
class Use:
    """A name where it stands. `of` is what has it: an attribute's object, a keyword's callee."""

    name: str
    start: int
    end: int
    role: str  # name, attribute or keyword
    of: str = ""


def is_own(use: Use, own: Own) -> bool:
    if use.role == "attribute":
        return use.name in own.attributes and use.of in own.receivers
    if use.role == "keyword":
        receiver, _, callee = use.of.rpartition(".")
        of_ours = receiver in own.receivers if receiver else callee in own.names
        return of_ours and use.name in own.keywords.get(callee, ())
    return use.name in own.names


def is_doubtful(use: Use, own: Own) -> bool:
    """Whether it might be ours as well as somebody else's."""
    if use.role == "attribute":
        return use.name in own.attributes and use.of not in own.receivers
    callee = use.of.rpartition(".")[2]
    return (
        use.role == "keyword" and not is_own(use, own) and use.name in own.keywords.get(callee, ())
    )


def uses_in(root: Node) -> Iterator[Use]:
    """Every name but those in imports and those that a class pattern asks for.

    By the grammar's leaves, which reach into what an f-string interpolates.
    """
    for node in walk(
        root, ("import_statement", "import_from_statement", "future_import_statement")
    ):
        if node.kind == "identifier" and (parent := node.parent) is not None:
            role, of = role_of(node, parent)
            if role:
                yield Use(node.text, node.start, node.end, role, of)


def role_of(node: Node, parent: Node) -> tuple[str, str]:
    if parent.kind == "attribute" and is_field(node, parent, "attribute"):
        receiver = parent.field("object")
        return "attribute", receiver.text if receiver else ""
    if parent.kind == "keyword_argument" and is_field(node, parent, "name"):
        call = parent.parent and parent.parent.parent
        callee = call.field("function") if call and call.kind == "call" else None
        return "keyword", callee.text if callee else ""
    if parent.kind == "keyword_pattern" and parent.children[0].start == node.start:
        return "", ""
    if parent.kind == "dotted_name" and parent.start != node.start:
        return "attribute", parent.text.rpartition(".")[0]
    return "name", ""


def is_field(node: Node, parent: Node, name: str) -> bool:
    found = parent.field(name)
    return found is not None and found.start == node.start


def mentions(root: Node, names: dict[str, str]) -> Iterator[Edit]:
    """The names where comments and docstrings speak of them."""
    for node in walk(root):
        alone = node.parent is not None and node.parent.kind == "expression_statement"
        if node.kind == "comment" or (node.kind == "string" and alone and is_plain(node)):
            for match in MENTION.finditer(node.text):
                start, end = match.span(match.lastindex or 0)
                if (word := node.text[start:end]) in names:
                    yield node.start + start, node.start + end, names[word]


def is_plain(string: Node) -> bool:
    return not any(child.kind == "interpolation" for child in string.children)


def walk(root: Node, without: tuple[str, ...] = ()) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.kind not in without:
            yield node
            waiting += reversed(node.children)
