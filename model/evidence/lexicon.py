"""Which contexts a place in code has: what counts are kept by, and looked up by.

Three families, each at several lengths. `plain`: the tokens before. `shape`: the words before, with
every name that is not the language's own made one, so that `for a in b:` and `for row in rows:` are
the same; and what follows the line: whether the next line is deeper or shallower, and its first
word. `opened`: for the line end of a line that is put between two others, both of those. So the
right side binds as the left does. Knows token ids and their bytes; no counts, no networks.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.counts import HASH_BITS, Hashes, Ints

PLAIN = (1, 2, 3, 4, 5, 6)  # tokens before
SHAPE = (1, 2, 3, 5)  # words before; with each, the next line
OPENED = (True, False)  # with and without the first word of the line after
FAMILIES = len(PLAIN) + len(SHAPE) + len(OPENED)

# A mark in a table, with an id that no text has: the token is a name that also stands near by.
COPY = 3
NAMES_BEHIND, NAMES_AHEAD = 96, 64  # tokens: how near is near by

OWN_WORDS = frozenset(
    word
    for word in (
        *keyword.kwlist, *dir(builtins), *dir(str), *dir(list), *dir(dict), *dir(set),
        "self", "cls", "args", "kwargs", "i", "j", "k", "n", "x", "y", "result",
    )
    if not word.startswith("__")
) | {"__init__", "__name__"}  # fmt: skip

NAME, NUMBER, SHALLOWER, SAME, DEEPER, FIRST_WORD = 1, 2, 3, 4, 5, 8

TIGHT = b"([{.\n @~\"'"  # after these a name stands without a space before it

MULTIPLIER = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits
POWERS = tuple(np.uint64(pow(MULTIPLIER, power, 1 << 64)) for power in range(16))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What each token id is, by its bytes: arrays of (vocab)."""

    ends_line: NDArray[np.bool_]
    indent: Ints  # spaces after its last line end
    starts_wordy: NDArray[np.bool_]  # goes on with a word that stands before it
    ends_wordy: NDArray[np.bool_]
    names: NDArray[np.bool_]  # may be (the first part of) a name
    word: Ints  # its number among words, `NAME` for every name that is not the language's own
    bare: Ints  # the token of the same text without a space before it, itself where there is none
    spaced: Ints  # and of the same text with one
    tight: NDArray[np.bool_]  # no space comes after it

    @classmethod
    def of(cls, bytes_of: Sequence[bytes]) -> Lexicon:
        numbers: dict[bytes, int] = {}
        size = len(bytes_of)
        kinds = (bool, np.int64, bool, bool, bool, np.int64, np.int64, np.int64, bool)
        lexicon = cls(*(np.zeros(size, kind) for kind in kinds))
        token_of = {text: token for token, text in enumerate(bytes_of) if text}
        for token, text in enumerate(bytes_of):
            lexicon.bare[token] = token_of.get(text.removeprefix(b" "), token)
            lexicon.spaced[token] = token_of.get(b" " + text, token)
            lexicon.tight[token] = text[-1:] in TIGHT
            stripped = text.strip(b" ")
            key = stripped or text or b"[%d]" % token
            if b"\n" in text:
                lexicon.ends_line[token] = True
                lexicon.indent[token] = len(text) - 1 - text.rindex(b"\n")
                lexicon.word[token] = SAME
                continue
            lexicon.starts_wordy[token] = is_wordy(text[:1])
            lexicon.ends_wordy[token] = is_wordy(text[-1:])
            number = numbers.setdefault(key, FIRST_WORD + len(numbers))
            if is_wordy(stripped[:1]):
                spelled = stripped.decode("utf-8", "replace")
                if spelled[0].isdigit():
                    number = number if spelled in ("0", "1", "2") else NUMBER
                else:
                    number = number if spelled in OWN_WORDS else NAME
                    lexicon.names[token] = spelled not in keyword.kwlist
            lexicon.word[token] = number
        return lexicon

    def contexts(self, tokens: NDArray[Any] | Sequence[int]) -> Hashes:
        """The context before each place, in each family: (families, len(tokens) + 1).

        Place i lies before token i. What a context needs and does not lie in `tokens` counts as
        absent, so cut rows far from where they are asked about.
        """
        ids = np.asarray(tokens, np.int64)
        size = len(ids)
        found = np.zeros((FAMILIES, size + 1), np.uint64)
        if not size:
            return found
        plain = mixed(ids + 1)
        total = np.zeros(size + 1, np.uint64)
        for row, length in enumerate(PLAIN):
            if length <= size:
                total[length:] += plain[: size - length + 1] * POWERS[length]
            found[row] = total
        lines = Lines.of(self, ids)
        words = Words.of(self, ids, lines)
        follows = lines.follows(words)
        for row, length in enumerate(SHAPE, len(PLAIN)):
            found[row, 1:] = words.before(length) + follows
        for row, named in enumerate(OPENED, len(PLAIN) + len(SHAPE)):
            found[row, 1:] = lines.opened(words, named)
        salt = mixed(np.arange(1, FAMILIES + 1))
        hashed: Hashes = mixed(found + salt[:, None]) >> np.uint64(64 - HASH_BITS)
        return hashed

    def copies(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Which tokens are of names that also stand near by."""
        bare = self.bare[tokens.astype(np.int64)]
        order = np.argsort(bare, kind="stable")
        rising = bare[order]
        gaps = np.where(rising[1:] == rising[:-1], np.diff(order), NAMES_BEHIND + 1)
        behind = np.full(len(tokens), NAMES_BEHIND + 1)
        ahead = np.full(len(tokens), NAMES_AHEAD + 1)
        behind[order[1:]] = gaps
        ahead[order[:-1]] = gaps
        near = (behind <= NAMES_BEHIND) | (ahead <= NAMES_AHEAD)
        return self.names[tokens.astype(np.int64)] & near

    def joins(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Which tokens go on with the word of the token before them."""
        ids = np.asarray(tokens, np.int64)
        joined = np.zeros(len(ids), bool)
        joined[1:] = self.ends_wordy[ids[:-1]] & self.starts_wordy[ids[1:]]
        return joined


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a row of tokens; a line begins with the token that ends the one before."""

    number: Ints  # of each token's line
    indent: Ints  # of each line, and of two more that are not there

    @classmethod
    def of(cls, lexicon: Lexicon, ids: Ints) -> Lines:
        ends = lexicon.ends_line[ids]
        return cls(
            np.cumsum(ends, dtype=np.int64),
            np.concatenate(([0], lexicon.indent[ids[ends]], [0, 0])),
        )

    def follows(self, words: Words) -> Hashes:
        """After each token: whether the next line is deeper, and its first word."""
        deeper = np.sign(self.indent[self.number + 1] - self.indent[self.number]) + 1
        deeper = np.where(self.number >= len(self.indent) - 3, 3, deeper)  # there is no next line
        first: Hashes = mixed(words.first[self.number + 1] + 500_009) * POWERS[10]
        return mixed(deeper + 77) * POWERS[9] + first

    def opened(self, words: Words, named: bool) -> Hashes:
        """After each token: its line's indentation, its word, and the line after the next one."""
        after = np.minimum(self.number + 2, len(self.indent) - 1)
        total = (
            mixed(self.indent[self.number] + 11) * POWERS[1]
            + words.so_far * POWERS[2]
            + mixed(self.indent[after] + 13) * POWERS[3]
        )
        return total + mixed(words.first[after] + 500_009) * POWERS[4] if named else total


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a row of tokens: a name of several tokens is one word, and so is a line end."""

    number: Ints  # of each token's word
    so_far: Hashes  # what each token makes of its word
    totals: tuple[Hashes, ...]  # for n from 0 on: of the n words before each word
    first: Ints  # of each line the first word, 0 where it has none

    @classmethod
    def of(cls, lexicon: Lexicon, ids: Ints, lines: Lines) -> Words:
        joined = lexicon.joins(ids)
        starts = np.flatnonzero(~joined)
        number = np.cumsum(~joined) - 1
        kind = lexicon.word[ids].copy()
        # Whatever goes on makes a name of its word, but a number stays one.
        opening = lexicon.word[ids[starts]][number]
        kind = np.where(joined, np.where(opening == NUMBER, NUMBER, NAME), kind)
        ends = np.flatnonzero(lexicon.ends_line[ids])
        kind[ends] = SAME + np.sign(np.diff(lines.indent[: len(ends) + 1]))
        whole = kind[np.append(starts[1:], len(ids)) - 1]
        hashed = mixed(whole + 1_000_003)
        totals = [np.zeros(len(whole), np.uint64)]
        for length in range(1, max(SHAPE)):
            more = totals[-1].copy()
            if length <= len(whole):
                more[length:] += hashed[: len(whole) - length] * POWERS[length + 1]
            totals.append(more)
        first = np.zeros(len(lines.indent) + 1, np.int64)
        inner = ~lexicon.ends_line[ids[starts]]
        # Written from the last to the first, so that the first of each line stays.
        first[lines.number[starts[inner]][::-1]] = whole[inner][::-1]
        return cls(number, mixed(kind + 1_000_003), tuple(totals), first)

    def before(self, length: int) -> Hashes:
        """After each token: the last `length` words, that of the token as far as it goes."""
        return self.so_far * POWERS[1] + self.totals[length - 1][self.number]


def is_wordy(text: bytes) -> bool:
    return text[:1].isalnum() or text[:1] == b"_" or text[:1] >= b"\x80"


def mixed(values: NDArray[Any]) -> Hashes:
    """Numbers spread over 64 bits, each to another (the finaliser of SplitMix64, Steele 2014)."""
    spread = values.astype(np.uint64)
    spread = (spread ^ (spread >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    spread = (spread ^ (spread >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: Hashes = spread ^ (spread >> np.uint64(31))
    return out
