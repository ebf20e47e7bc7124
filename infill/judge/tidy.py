"""What of a model's answer is worth showing at a hole, or why nothing is. Asks neither model nor
parser: it works for a language that nobody has a grammar of.

Every rule is a small function from a fill and its place to a fill or a reason. Text is in `\\n`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from infill.code.brackets import CLOSERS, Surplus, surplus_of
from infill.document import Document
from infill.reason import Reason
from model.canvas import Hole

NEARBY = 4000  # characters on each side that a bracket is looked for in; costs under 2 ms
CHARS_A_TOKEN = 16  # more than any tokenizer's mean, so that only a runaway fill is too long


@dataclass(frozen=True, slots=True)
class Place:
    """A hole and the text around it, as far as the rules look."""

    hole: Hole
    language: str
    max_lines: int
    before: str
    after: str
    stood: str  # in the hole, before
    surplus: Surplus  # of brackets around the hole, the hole left empty
    text: str  # the whole document

    @property
    def line_before(self) -> str:
        return self.before.rpartition("\n")[2]

    @property
    def line_after(self) -> str:
        return self.after.partition("\n")[0]

    @property
    def previous_line(self) -> str:
        """The nearest line above that is not blank."""
        return self.before.rpartition("\n")[0].rstrip().rpartition("\n")[2]

    @property
    def next_line(self) -> str:
        """The nearest line below that is not blank."""
        lines = self.after.split("\n")[1:]
        return next((line.rstrip() for line in lines if line.strip()), "")

    @property
    def head(self) -> str:
        """The code in front of the hole, or the nearest above, if it opens a block."""
        above = self.line_before if self.line_before.strip() else self.previous_line
        return above if OPENS.search(above) else ""

    def balanced(self, text: str) -> bool:
        """True when no more is left open or closed too often than before."""
        around = self.before + text + self.after
        return not surplus_of(around, self.language).worse_than(self.surplus)


Rule = Callable[[str, Place], str | Reason]


def tidy(text: str, hole: Hole, document: Document, *, max_lines: int = 12) -> str | Reason:
    """The part of `text` that may stand in the hole, or why there is none.

    The rules are applied until they find nothing more to do, so that a tidied text stays as it is.
    It ends: but for the indentation, which is converted once, no rule makes a text longer.
    """
    place = place_of(hole, document, max_lines)
    while True:
        tidied = _once(text, place)
        if isinstance(tidied, Reason) or tidied == text:
            return tidied
        text = tidied


def place_of(hole: Hole, document: Document, max_lines: int) -> Place:
    before = _lines(document.text[max(0, hole.start - NEARBY) : hole.start])
    if hole.start > NEARBY:
        before = before.partition("\n")[2]  # not from the middle of a line
    after = _lines(document.text[hole.end : hole.end + NEARBY])
    stood = _lines(document.text[hole.start : hole.end]) or hole.former
    surplus = surplus_of(before + after, document.language)
    return Place(hole, document.language, max_lines, before, after, stood, surplus, document.text)


def _once(text: str, place: Place) -> str | Reason:
    tidied: str | Reason = text
    for rule in RULES:
        tidied = rule(tidied, place)
        if isinstance(tidied, Reason):
            return tidied
    return tidied


def one_kind_of_line_end(text: str, place: Place) -> str:
    return _lines(text)


def without_special_tokens(text: str, place: Place) -> str | Reason:
    """A file that writes such a token itself is about them, and may go on."""
    leaks = (match[0] for match in SPECIAL.finditer(text))
    if place.language in MARKUP:
        leaks = (leak for leak in leaks if not TAG.fullmatch(leak))
    return Reason.SPECIAL_TOKEN if any(leak not in place.text for leak in leaks) else text


def of_the_hole_s_lines(text: str, place: Place) -> str:
    """One line for a hole of one line, and never more than `max_lines`."""
    lines = text.split("\n")[: place.max_lines if place.hole.multiline else 1]
    return "\n".join(lines)


def of_bounded_size(text: str, place: Place) -> str | Reason:
    return Reason.TOO_LONG if len(text) > CHARS_A_TOKEN * place.hole.limit else text


def in_the_buffer_s_indentation(text: str, place: Place) -> str:
    """Tabs where the file is indented by tabs, spaces where it is by spaces."""
    first, *others = text.split("\n")
    if _uses_tabs(place):
        width = 4 if all(_leading_spaces(line) % 4 == 0 for line in others) else 2
        others = [_with_tabs(line, width) for line in others]
    else:
        others = [_with_spaces(line, _unit(place)) for line in others]
    return "\n".join([first, *others])


def beginning_at_its_indentation(text: str, place: Place) -> str:
    """Where only blanks stand before the cursor, those and the fill's make up the indentation
    once. A block is indented as it is due; a single line may be indented less, and on an empty
    line, which says nothing about it, as the model has it. So may lines that begin no block."""
    indent, line_before = place.hole.indent, place.line_before
    if line_before.strip() or not indent.startswith(line_before):
        return text
    if not indent and not place.hole.multiline:
        return text
    first = text.partition("\n")[0]
    missing = indent[len(line_before) :]
    width = _width(line_before + first)
    due = place.hole.multiline and (line_before or place.head or not width)
    corrected = due or width > _width(indent)
    return missing + text.lstrip(" \t") if first.strip() and corrected else text


def within_the_block(text: str, place: Place) -> str:
    """Ends where the indentation leaves the block; a line that closes a bracket still belongs."""
    lines = text.split("\n")
    wanted = _width(place.hole.indent)
    if place.hole.multiline:  # of which the first line may be less deep than was thought
        whole = [place.line_before + lines[0], *lines[1:]]
        whole = whole[1:] if place.head and place.line_before.strip() else whole
        first = next((_width(line) for line in whole if line.strip()), wanted)
        wanted = min(wanted, first) if not place.head or first > _width(place.head) else wanted
    for i, line in enumerate(lines[1:], start=1):
        if line.strip() and _width(line) < wanted:
            kept = "\n".join(lines[:i])
            closes = line.lstrip()[0] in CLOSERS and not place.balanced(kept)
            return f"{kept}\n{line}" if closes else kept
    return text


def without_blank_end(text: str, place: Place) -> str:
    """Spaces at the end stay only where something follows on the line, and a line end where whole
    lines are written in front of it."""
    if place.hole.multiline and place.line_after.strip() and not place.line_before.strip():
        kept = text.rstrip()
        _, end, left = text[len(kept) :].rpartition("\n")
        if kept and end and left == place.line_before:
            return f"{kept}\n{left}"
    tidied = text.rstrip("\n") if place.line_after.strip() else text.rstrip()
    while "\n" in tidied and not tidied.rpartition("\n")[2].strip():
        tidied = tidied.rpartition("\n")[0]
    return tidied


def without_repetition(text: str, place: Place) -> str | Reason:
    """The same line three times in a row, or the same few tokens four times."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    thrice = any(a == b == c for a, b, c in zip(lines, lines[1:], lines[2:], strict=False))
    stutters = STUTTER.search(text) is not None
    return Reason.REPETITION if thrice or stutters or _unit_repeats(text) else text


def without_neighbouring_lines(text: str, place: Place) -> str | Reason:
    """Ends where it would write the line that follows anyway; never begins with the line above."""
    lines = text.split("\n")
    whole = [place.line_before + lines[0], *lines[1:]]
    whole[-1] += place.line_after
    if LETTER.search(whole[0]) and whole[0].rstrip() == place.previous_line:
        return Reason.REPEATS_LINE
    for i, line in enumerate(whole):
        if LETTER.search(line) and line.rstrip() == place.next_line:
            return "\n".join(lines[:i]).rstrip() or Reason.REPEATS_LINE
    return text


def without_the_suffix(text: str, place: Place) -> str | Reason:
    """Trims an end that is what follows the cursor, unless the brackets need it twice."""
    for length in range(min(len(text), len(place.after)), 0, -1):
        repeats = text.endswith(place.after[:length])
        if repeats and not _cuts_a_word(text, place.after, length):
            trimmed = text[:-length]
            if place.balanced(trimmed):
                return trimmed if trimmed.strip() else Reason.REPEATS_SUFFIX
    return text


def with_brackets_in_balance(text: str, place: Place) -> str | Reason:
    """Closes nothing that the suffix closes, and leaves nothing open that it does not close."""
    if place.balanced(text):
        return text
    trimmed = text.rstrip()
    while trimmed and trimmed[-1] in ")]};,":
        trimmed = trimmed[:-1].rstrip()
        if place.balanced(trimmed):
            return trimmed or Reason.UNBALANCED
    while "\n" in trimmed:
        trimmed = trimmed.rpartition("\n")[0].rstrip()
        if place.balanced(trimmed):
            return trimmed or Reason.UNBALANCED
    return Reason.UNBALANCED


def that_changes_something(text: str, place: Place) -> str | Reason:
    if place.stood.strip() and text.strip() == place.stood.strip():
        return Reason.NO_CHANGE
    return text if text.strip() else Reason.EMPTY


RULES: tuple[Rule, ...] = (
    one_kind_of_line_end,
    without_special_tokens,
    of_the_hole_s_lines,
    of_bounded_size,
    in_the_buffer_s_indentation,
    beginning_at_its_indentation,
    within_the_block,
    without_blank_end,
    that_changes_something,
    without_repetition,
    without_neighbouring_lines,
    without_the_suffix,
    with_brackets_in_balance,
    that_changes_something,
)

OPENS = re.compile(r"(?:[:{(\[]|\b(?:then|do|else|repeat|begin))\s*(?:(?:#|//|--).*)?$")
LETTER = re.compile(r"[^\W\d_]")
SPECIAL = re.compile(
    r"<\|[^|<>\n]{0,40}\|>"
    r"|(?<![\w)\]])\[(?:MASK|PAD|UNK|CLS|SEP|BOS|EOS|expand|delete|mask|pad|unk)\]"  # no index
    r"|</?(?:s|mask|pad|unk|bos|eos|eot|fim_\w+|file_sep|endoftext|unused\d+|extra_id_\d+)>"
    # Half a character, what no source holds, and how byte-level vocabularies write blanks.
    r"|[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ufffd\ud800-\udfff\u0120\u010a\u2581]"
)
TAG = re.compile(r"</?(?:s|mask)>")
MARKUP = {"html", "javascriptreact", "typescriptreact", "vue", "svelte", "xml", "markdown"}
STUTTER = re.compile(r"([^\W\d_]{2,12}?)\1{3}")  # selfselfselfself
WORD = re.compile(r"\w")
TOKEN = re.compile(r"\w+|[^\w\s]")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unit_repeats(text: str, *, times: int = 4, longest: int = 8) -> bool:
    """True when up to `longest` tokens, a word among them, follow each other `times` times."""
    tokens: list[str] = TOKEN.findall(text)
    for size in range(1, longest + 1):
        run = 0  # how many tokens in a row equal the one `size` before
        for i in range(size, len(tokens)):
            run = run + 1 if tokens[i] == tokens[i - size] else 0
            unit = tokens[i - size + 1 : i + 1]
            if run >= size * (times - 1) and any(WORD.match(token) for token in unit):
                return True
    return False


def _cuts_a_word(text: str, after: str, length: int) -> bool:
    """True when an overlap would begin or end in the middle of a word."""
    begins = re.match(r"\w\w", text[-length - 1 :][:2]) if length < len(text) else None
    ends = re.match(r"\w\w", after[length - 1 : length + 1])
    return begins is not None or ends is not None


def _uses_tabs(place: Place) -> bool:
    if place.hole.indent:
        return "\t" in place.hole.indent
    return any(line.startswith("\t") for line in (place.before + place.after).split("\n"))


def _unit(place: Place) -> int:
    """How many spaces the file is indented by: the smallest indentation near the hole."""
    lines = (place.before + place.after).split("\n")
    widths = [_leading_spaces(line) for line in lines if line.strip()] + [len(place.hole.indent)]
    return min((width for width in widths if width > 1), default=4)


def _leading_spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _with_tabs(line: str, width: int) -> str:
    spaces = _leading_spaces(line)
    return "\t" * (spaces // width) + " " * (spaces % width) + line[spaces:]


def _with_spaces(line: str, width: int) -> str:
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].replace("\t", " " * width) + body


def _width(line: str) -> int:
    body = line.lstrip(" \t")
    return len(line[: len(line) - len(body)].expandtabs(4))
