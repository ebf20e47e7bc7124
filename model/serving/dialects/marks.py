"""Prompts that spell out the marks of a network of others: where the text before the cursor and the
text after it are in them. Knows no request.

Many plugins send these to a plain completions endpoint. A file that is about such marks holds them,
too, so a prompt counts as spelt out only where all three of one family stand there, and the mark
after which the answer is due stands behind the others or is not a word of that family.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """`middle` is empty where the answer is due at the end of the text before the cursor."""

    prefix: str
    suffix: str
    middle: str
    blank: bool = False  # one blank belongs to each mark


FAMILIES = (
    Marks("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    Marks("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite, Mellum
    Marks("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    Marks("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # CodeGeeX
    Marks("<PRE>", "<SUF>", "<MID>", blank=True),  # CodeLlama
    Marks("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    Marks("[PREFIX]", "[SUFFIX]", ""),  # Codestral: the suffix comes first
)
FIRST = re.compile(r"\A(?:<s>|<｜begin▁of▁sentence｜>|<bos>|<\|endoftext\|>)\s?")
FILE = re.compile(
    r"<\|file_sep\|>|<file_sep>|<\|repo_name\|>|<repo_name>|<reponame>|<filename>|\+\+\+\+\+ "
)  # between the files of a project; what follows on the line is a name


@dataclass(frozen=True, slots=True)
class Spelt:
    before: str
    after: str
    others: tuple[str, ...] = ()


def spelt(prompt: str) -> Spelt | None:
    """What the prompt says with marks, or None where it is text alone."""
    return next((it for marks in FAMILIES if (it := read(prompt, marks)) is not None), None)


def read(prompt: str, marks: Marks) -> Spelt | None:
    begin = min(prompt.find(marks.prefix), prompt.find(marks.suffix))
    if begin < 0 or (not marks.middle and FIRST.sub("", prompt[:begin])):
        return None
    found = {marks.prefix: prompt.find(marks.prefix), marks.suffix: prompt.find(marks.suffix)}
    if found[marks.prefix] < found[marks.suffix]:
        found[marks.suffix] = prompt.rfind(marks.suffix)
    else:
        found[marks.prefix] = prompt.rfind(marks.prefix)
    if marks.middle:
        found[marks.middle] = prompt.rfind(marks.middle)
        if found[marks.middle] < max(found.values()):
            return None
    order = sorted(found, key=found.__getitem__)
    ends = [*(found[mark] for mark in order[1:]), len(prompt)]
    told = {
        mark: between(prompt[found[mark] + len(mark) : end], mark, marks)
        for mark, end in zip(order, ends, strict=True)
    }
    before = told[marks.prefix] + told.get(marks.middle, "")
    first = FIRST.sub("", prompt[:begin])
    return Spelt(*named_off(before, told[marks.suffix]), files_in(first))


def between(text: str, mark: str, marks: Marks) -> str:
    """CodeLlama's is `<PRE> text before <SUF>text after <MID>`."""
    if not marks.blank:
        return text
    text = text if mark == marks.suffix else text.removeprefix(" ")
    return text if mark == marks.middle else text.removesuffix(" ")


def named_off(before: str, after: str) -> tuple[str, str]:
    """Without the name of the file that some write before its text, behind a mark of its own."""
    if (mark := FILE.match(before)) is not None:
        before = before[mark.end() :].partition("\n")[2]
    return before, after


def files_in(text: str) -> tuple[str, ...]:
    """The texts of other files that stand before the first mark."""
    if not FILE.search(text):
        return (text,) if text.strip() else ()
    files = [file.partition("\n")[2] for file in FILE.split(text)[1:]]
    return tuple(file for file in files if file.strip())
