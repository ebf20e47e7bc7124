"""What an answer stands in, and which stretch of it is the fill. Knows texts, no HTTP, no JSON.

A network that is prompted gets what follows the hole in the question, and in its own turn a code
fence with what stands before: it goes on from there, until it closes the fence. Chat templates trim
the blanks at the end of a turn, so they are not sent, and what of them the answer begins with is
not written twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.fence import fence_for

# Thoughts, as Gemma marks them off. Tokens at which networks end: where one is part of the text,
# the text is over, unless the file writes such a thing itself.
THOUGHT, THOUGHT_END = "<|channel>", "<channel|>"
ENDS = (
    *("<turn|>", "<|turn>", "<eos>", "<bos>", "<pad>", "<end_of_turn>", "<start_of_turn>"),
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>", "<EOT>", "<|tool_"),
    *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|file_sep|>"),
    *("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "<|cursor|>", "<|repo_name|>"),
)
OPENED = re.compile(r"\s*(`{3,})([\w+#.-]*)[ \t]*\n")
BLANK_END = re.compile(r"\s*\Z")
LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Frame:
    """The fixed text on both sides. Where there is a `fence` the answer is a part of what it
    encloses; `held` are the blanks at the end of `before` that were not sent."""

    before: str
    after: str
    fence: str = ""
    held: str = ""

    @property
    def question(self) -> str:
        if not self.after.strip():
            follows = "Nothing follows the cursor: it is at the end of the file."
        else:
            follows = (
                f"What follows the cursor is:\n{self.fence}\n{self.after}\n{self.fence}\n"
                "Stop where that begins, and do not repeat it."
            )
        return (
            "Code is missing at the cursor of a file. Write the file from its beginning up to the "
            "cursor in one code fence, and go on with the code that is missing there, so that it "
            f"fits what follows.\n\n{follows}"
        )

    @property
    def begun(self) -> str:
        """The answer as far as it is known."""
        return f"{self.fence}\n{self.before}".rstrip()


def fenced(before: str, after: str) -> Frame:
    """For a network that is prompted. The fence is longer than any that the code holds."""
    frame = Frame(before, after, fence_for(before, after))
    live = f"{frame.fence}\n{before}"
    return Frame(before, after, frame.fence, live[len(frame.begun) :])


def span_of(text: str, frame: Frame, *, final: bool) -> tuple[int, int]:
    """Which stretch of an answer, or of as much as has come, is the fill.

    Of an unfinished one what may yet turn out to be a mark is left out; of a finished one what
    repeats whole lines of what follows. Less than that is left to those who know brackets.
    """
    start, end = 0, len(text)
    if not final:
        end = min(end, _perhaps_a_mark(text, frame))
    thought = text.rfind(THOUGHT_END)
    if thought >= 0 and not _writes(frame, THOUGHT_END):
        start = thought + len(THOUGHT_END)
    elif text.lstrip().startswith(THOUGHT) and not _writes(frame, THOUGHT):
        return end, end
    for mark in ENDS:
        at = text.find(mark, start, end)
        if at >= 0 and not _writes(frame, mark):
            end = at
    end = max(start, end)
    if frame.fence:
        start, end = _within_the_fence(text, frame, start, end)
    if final:
        end -= _overlap(text[start:end], frame.after)
    return start, end


def _within_the_fence(text: str, frame: Frame, start: int, end: int) -> tuple[int, int]:
    ticks = len(frame.fence)
    opened = OPENED.match(text, start, end)
    again = opened is not None and (
        bool(opened[2]) or _closed_at(text, len(opened[1]), opened.end(), end) is not None
    )
    if opened is not None and again:  # it has begun anew instead of going on
        start, ticks = opened.end(), len(opened[1])
    closed = _closed_at(text, ticks, start, end)
    if closed is not None:
        end = closed
    if again:
        line = frame.before.rpartition("\n")[2].strip()
        lead = len(text[start:end]) - len(text[start:end].lstrip())
        if line and text.startswith(line, start + lead, end):
            start += lead + len(line)
    for blank in frame.held:
        if not text.startswith(blank, start, end):
            break
        start += 1
    return start, max(start, end)


def _closed_at(text: str, ticks: int, start: int, end: int) -> int | None:
    """Where the code ends in front of the line that closes the fence."""
    found = re.compile(rf"(?:\A|\n)[ \t]*`{{{ticks},}}").search(text, max(0, start - 1), end)
    return None if found is None else max(start, found.start())


def _perhaps_a_mark(text: str, frame: Frame) -> int:
    """Where a tail begins that may be the first part of a mark or of the fence's end."""
    marks = (*ENDS, THOUGHT, THOUGHT_END, *((f"\n{frame.fence}",) if frame.fence else ()))
    longest = max(map(len, marks)) - 1
    for at in range(max(0, len(text) - longest), len(text)):
        if any(mark.startswith(text[at:]) for mark in marks):
            return at
    return len(text)


def _overlap(text: str, after: str) -> int:
    """How much of the end of a text is the beginning of what follows, a line end and a letter in
    it: anything shorter may be a coincidence."""
    for length in range(min(len(text), len(after)), 1, -1):
        head = after[:length]
        if text.endswith(head) and "\n" in head:
            return length if LETTER.search(head) else 0
    return 0


def _writes(frame: Frame, mark: str) -> bool:
    """Whether the file itself has such a thing in it."""
    return mark in frame.before or mark in frame.after
