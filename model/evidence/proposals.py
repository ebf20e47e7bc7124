"""What could stand in a hole, by counting: the likeliest texts that join both sides.

A beam over the mixture of counts, from the left; each finished text is then scored by how well the
right side goes on after it, so both sides count. Brackets and quotes must come out even. These are
evidence for the refinement loop (`evidence`), not answers. Knows no networks, and no torch.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.evidence.codeonly import code_of
from model.evidence.counts import Counts, Floats, Hashes, Ints, added, table_of
from model.evidence.mixture import IN_PROJECT, LEAST, Local, Place, Shipped, grams_in

FAR_BEFORE, FAR_AFTER = 24_000, 16_000  # characters of the file that are counted
HOPELESS = 8.0  # nats behind the best: what is so far behind would hardly be shown
NEAR = 12.0  # nats: mostly enough behind the best to find those that go on, in little time
AHEAD = 4  # tokens of the right side that a text is judged by
PAIRS = {ord(")"): ord("("), ord("]"): ord("["), ord("}"): ord("{")}
QUOTES = b"\"'"
BACKSLASH = ord("\\")
SIGNS = re.compile(rb"[\\\"'()\[\]{}]")
IMPOSSIBLE = -1e9
MOST_COUNTED, MOST_PROJECTS = 512, 4  # files, and sets of them, whose counts are kept

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A text for the hole; `score` is the log-probability, by counts, of it and of the join."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Width:
    """How much is looked at: time grows with each."""

    beam: int = 16
    longest: int = 28  # tokens
    most: int = 40  # proposals


@dataclass(frozen=True, slots=True)
class Open:
    """Brackets open so far, and the quote that is open; what is closed must have been opened."""

    brackets: bytes = b""
    quote: int = 0
    escaped: bool = False


@lru_cache(maxsize=65536)
def opened(state: Open, text: bytes) -> Open | None:
    """The state after a token's `text`; None where a bracket is closed that is not open."""
    after, surplus = followed(state, text)
    return None if surplus else after


def followed(state: Open, text: bytes) -> tuple[Open, bytes]:
    """The state after `text`, and the brackets that it closes and that were not open, in order: a
    text cut off somewhere has such, and they are passed over."""
    brackets, quote, surplus = bytearray(state.brackets), state.quote, bytearray()
    literal = 0 if state.escaped else -1  # where a character stands for itself
    for match in SIGNS.finditer(text):
        at, char = match.start(), text[match.start()]
        if at == literal:
            continue
        if char == BACKSLASH:
            literal = at + 1 if quote else literal
        elif quote:
            quote = 0 if char == quote else quote
        elif char in QUOTES:
            quote = char
        elif char not in PAIRS:
            brackets.append(char)
        elif brackets and brackets[-1] == PAIRS[char]:
            brackets.pop()
        else:
            surplus.append(char)
    return Open(bytes(brackets), quote, literal == len(text)), bytes(surplus)


def needed_by(after: bytes) -> bytes:
    """The brackets that `after` closes and does not open, outermost first."""
    _, surplus = followed(Open(), after)
    return bytes(PAIRS[char] for char in reversed(surplus))


class Proposer:
    """Proposals for holes in texts of one vocabulary. `bytes_of` are those of each token."""

    def __init__(
        self,
        shipped: Shipped,
        bytes_of: Sequence[bytes],
        encode: Encode,
        width: Width | None = None,
    ) -> None:
        self.shipped = shipped
        self.bytes_of = bytes_of
        self.encode = encode
        self.width = width or Width()
        self.fitting = lru_cache(maxsize=512)(self.fits)
        # While one file is written the others stay as they are; of those, one at a time changes.
        self.counted = lru_cache(maxsize=MOST_COUNTED)(self.grams_of_file)
        self.project = lru_cache(maxsize=MOST_PROJECTS)(self.counts_of_files)

    def fits(self, rest: bytes, multiline: bool) -> NDArray[np.bool_]:
        """Which tokens may come where `rest` stands already: those that begin with it or are its
        beginning, and without a line end of their own in a hole of one line."""
        return np.array(
            [
                bool(text)
                and (text.startswith(rest) or rest.startswith(text))
                and (multiline or b"\n" not in text[len(rest) :])
                and text.count(b"\n") <= 1
                for text in self.bytes_of
            ]
        )

    def grams_of_file(self, text: str) -> tuple[Hashes, Floats]:
        row = np.array(self.encode(code_of(text)), np.int64)
        return grams_in(row, self.shipped.lexicon, len(IN_PROJECT))

    def counts_of_files(self, texts: tuple[str, ...]) -> Counts:
        return table_of(*added([self.counted(text) for text in texts]))

    def proposals(
        self, before: str, after: str, *, multiline: bool = False, others: Sequence[str] = ()
    ) -> list[Proposal]:
        """The likeliest texts between the two, best first; `others` are files of the project."""
        left, rest = self.healed(self.encode(code_of("\n" + before[-FAR_BEFORE:])))
        code_after = code_of(after[:FAR_AFTER])
        right = self.encode(code_after)
        local = Local(
            self.shipped,
            np.array(left, np.int64),
            np.array(right, np.int64),
            self.project(tuple(others)),
        )
        begun, _ = followed(Open(), b"".join(self.bytes_of[token] for token in left))
        search = Search(
            self, local, rest, right, multiline,
            Open(begun.brackets), needed_by(code_after.encode("utf-8", "replace")),
        )  # fmt: skip
        found = search.run()
        texts: dict[str, float] = {}
        for (score, hypothesis), ahead in zip(found, search.ahead(found), strict=True):
            whole = b"".join(self.bytes_of[token] for token in hypothesis)
            text = whole[len(rest) :].decode("utf-8", "replace")
            if text.strip():
                texts[text] = max(texts.get(text, IMPOSSIBLE), score + float(ahead))
        made = [Proposal(text, score) for text, score in texts.items()]
        return sorted(made, key=lambda proposal: -proposal.score)[: self.width.most]

    def healed(self, tokens: list[int]) -> tuple[list[int], bytes]:
        """The tokens without the last word and the bytes of that: what is typed next may belong to
        the same token, which was never seen cut in two."""
        lexicon = self.shipped.lexicon
        end = len(tokens)
        joins = lexicon.joins(np.array(tokens, np.int64))
        while end and joins[end - 1]:
            end -= 1
        end = max(0, end - 1)
        return tokens[:end], b"".join(self.bytes_of[token] for token in tokens[end:])


@dataclass(slots=True)
class Hypothesis:
    tokens: list[int]
    score: float
    rest: bytes  # what is still to be written of what stands already
    state: Open


class Search:
    """One beam. A hypothesis ends where the first token of the right side may follow."""

    def __init__(
        self, proposer: Proposer, local: Local, rest: bytes, right: list[int],
        multiline: bool, begun: Open, needed: bytes,
    ) -> None:  # fmt: skip
        self.proposer = proposer
        self.local = local
        self.right = right
        self.multiline = multiline
        self.rest = rest
        self.start = Hypothesis([], 0.0, rest, begun)
        # A text whose two sides do not fit each other has its mistake elsewhere.
        self.needed = needed if needed == begun.brackets or not needed else begun.brackets
        self.done: list[tuple[float, list[int]]] = []  # best first, at most `width.most`

    def run(self) -> list[tuple[float, list[int]]]:
        """(log-probability, tokens) of what ended, the join's first token included; best first."""
        width = self.proposer.width
        beam = [self.start]
        lexicon = self.proposer.shipped.lexicon
        opens = self.rest.startswith(b"\n") and (
            not self.right or bool(lexicon.ends_line[self.right[0]])
        )
        for step in range(width.longest):
            if step == 0 and opens:
                place = self.local.at_new_line()
            else:
                place = self.local.at_ends([hypothesis.tokens for hypothesis in beam])
            beam = self.longer(beam, np.log(place.probabilities() + LEAST), width.beam)
            if self.done and beam and beam[0].score < self.done[0][0] - HOPELESS:
                break
            if len(self.done) == width.most:  # what is behind the last of them stays behind
                beam = [it for it in beam if it.score > self.done[-1][0]]
            if not beam:
                break
        return self.done

    def longer(self, beam: list[Hypothesis], said: Floats, most: int) -> list[Hypothesis]:
        """The best hypotheses of one token more; those that may end are noted in `done`.

        `said` are log-probabilities (hypotheses, vocab).
        """
        proposer = self.proposer
        scores = said + np.array([[hypothesis.score] for hypothesis in beam], np.float32)
        ending = self.right[0] if self.right else None
        for row, hypothesis in enumerate(beam):
            if self.may_end(hypothesis):
                score = scores[row, ending] if ending is not None else scores[row].max()
                insort(self.done, (float(score), hypothesis.tokens), key=lambda it: -it[0])
            fitting = proposer.fitting(hypothesis.rest, self.multiline)
            scores[row, ~fitting] = IMPOSSIBLE
        del self.done[proposer.width.most :]
        flat = scores.ravel()
        likely = best_of(flat, min(3 * most, flat.size - 1))
        longer: list[Hypothesis] = []
        indices: list[int] = likely.tolist()
        for index in indices:
            if flat[index] <= IMPOSSIBLE / 2 or len(longer) == most:
                break
            row, token = divmod(index, scores.shape[1])
            old, text = beam[row], proposer.bytes_of[token]
            state = (
                opened(old.state, text[len(old.rest) :]) if len(text) > len(old.rest) else old.state
            )
            if state is not None:
                rest = old.rest[len(text) :]
                longer.append(Hypothesis([*old.tokens, token], float(flat[index]), rest, state))
        return longer

    def may_end(self, hypothesis: Hypothesis) -> bool:
        state = hypothesis.state
        return (
            len(hypothesis.tokens) > 0
            and not hypothesis.rest
            and not state.quote
            and state.brackets == self.needed
        )

    def ahead(self, found: Sequence[tuple[float, list[int]]]) -> Floats:
        """How well the right side goes on after each: log-probability of its next few tokens."""
        total = np.zeros(len(found), np.float32)
        for count in range(1, min(AHEAD, len(self.right))):
            begun, token = self.right[:count], self.right[count]
            rows = [tokens + begun for _, tokens in found]
            if not rows:
                break
            place: Place = self.local.at_ends(rows, self.local.after[count:])
            tokens: Ints = np.full(len(rows), token, np.int64)
            total += np.log(place.probability(tokens) + LEAST)
        return total


def best_of(scores: Floats, count: int) -> Ints:
    """Where the `count` highest are, highest first."""
    near = np.flatnonzero(scores > scores.max() - NEAR)
    among = near if len(near) > count else np.arange(len(scores))
    best = among[np.argpartition(-scores[among], count)[:count]]
    return best[np.argsort(-scores[best], kind="stable")]
