"""What followed a context, counted: a table from hashes of contexts to tokens and their shares.

One table holds every family of contexts (see `lexicon`); a family's number is mixed into its
hashes. Knows no text and no networks, and no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

HASH_BITS = 40  # of a context; with four million of them a lookup is mistaken once in 250,000 times
STEPS = 12.0  # a share is kept as a byte: this many steps for each halving, down to 2 ** -21


@dataclass(frozen=True, slots=True)
class Counts:
    """Contexts in rising order; the tokens after context i lie at `starts[i]:starts[i + 1]`.

    `shares` are those of each token among all that followed, the ones left out of the table
    included; `seen` is log(1 + how often the context was seen), `kinds` log(1 + different tokens).
    """

    contexts: Hashes
    starts: Ints
    tokens: NDArray[np.uint16]
    shares: Floats
    seen: Floats
    kinds: Floats

    def find(self, contexts: Hashes) -> Ints:
        """The number of each context, -1 where it was never seen."""
        if not len(self.contexts):
            return np.full(contexts.shape, -1, np.int64)
        at = np.searchsorted(self.contexts, contexts)
        at = np.minimum(at, len(self.contexts) - 1)
        return np.where(self.contexts[at] == contexts, at, -1)


def grams_of(contexts: Hashes, tokens: NDArray[Any]) -> Hashes:
    """Each token with its context before it, in one number: 48 bits and 16."""
    return (contexts << np.uint64(16)) | tokens.astype(np.uint64)


def different(grams: Hashes) -> tuple[Hashes, Floats]:
    """The different grams in rising order, and how many there are of each."""
    grams = np.sort(grams)
    firsts = firsts_of(grams)
    return grams[firsts], np.diff(np.append(firsts, len(grams))).astype(np.float32)


def added(parts: Sequence[tuple[Hashes, Floats]]) -> tuple[Hashes, Floats]:
    """As `different` of all that the parts were made of."""
    grams = np.concatenate([np.zeros(0, np.uint64), *(part for part, _ in parts)])
    weights = np.concatenate([np.zeros(0, np.float32), *(part for _, part in parts)])
    order = np.argsort(grams, kind="stable")
    grams = grams[order]
    firsts = firsts_of(grams)
    return grams[firsts], add_from(weights[order], firsts)


def firsts_of(rising: Hashes) -> Ints:
    """Where each different value first stands."""
    return np.flatnonzero(np.concatenate(([len(rising) > 0], rising[1:] != rising[:-1])))


def add_from(weights: Floats, firsts: Ints) -> Floats:
    return np.add.reduceat(weights, firsts) if len(firsts) else weights[:0]


def table_of(
    grams: Hashes,
    weights: Floats,
    *,
    unseen: int | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> Counts:
    """The table of different grams in rising order. `unseen` is a token that is no real successor
    (a mark, see `lexicon.COPY`) and so does not count among them. Only grams of `keep` go in, but
    all of them make up the shares."""
    contexts = grams >> np.uint64(16)
    firsts = firsts_of(contexts)
    tokens = (grams & np.uint64(0xFFFF)).astype(np.uint16)
    real = np.ones(len(grams), bool) if unseen is None else tokens != unseen
    totals = add_from(np.where(real, weights, 0).astype(np.float32), firsts)
    kinds = add_from(real.astype(np.float32), firsts)
    lengths = np.diff(np.append(firsts, len(grams)))
    shares = weights / np.maximum(np.repeat(totals, lengths), 1e-9)
    if keep is not None:
        left = np.add.reduceat(keep.astype(np.int64), firsts) if len(firsts) else firsts
        tokens, shares = tokens[keep], shares[keep]
        some = left > 0
        firsts, totals, kinds, lengths = firsts[some], totals[some], kinds[some], left[some]
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return Counts(
        contexts[firsts], starts, tokens, shares.astype(np.float32),
        np.log1p(totals), np.log1p(kinds),
    )  # fmt: skip


def packed(counts: Counts) -> dict[str, NDArray[Any]]:
    """The table in few bytes, as arrays for a file: gaps between contexts, shares and sizes as
    bytes. `unpacked` gives it back, shares rounded to a sixteenth."""
    gaps = np.diff(counts.contexts, prepend=np.uint64(0))
    if len(gaps) and int(gaps.max()) >= 1 << 32:
        low, high = gaps & np.uint64(0xFFFFFFFF), gaps >> np.uint64(32)
    else:
        low, high = gaps, np.zeros(0, np.uint64)
    return {
        # In planes of bytes: those of high value are nearly all zero, and cost nothing compressed.
        "gaps": low.astype("<u4").view(np.uint8).reshape(-1, 4).T.copy(),
        "far": high.astype(np.uint16),
        "lengths": np.diff(counts.starts).astype(np.uint16),
        "tokens": counts.tokens,
        "shares": as_bytes(-np.log2(np.maximum(counts.shares, 1e-9)) * STEPS),
        "seen": as_bytes(counts.seen * STEPS),
        "kinds": as_bytes(counts.kinds * STEPS),
    }


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> Counts:
    """Raises `KeyError` or `ValueError` for arrays that `packed` did not make."""
    gaps = np.ascontiguousarray(arrays["gaps"].T).view("<u4").ravel().astype(np.uint64)
    if len(arrays["far"]):
        gaps |= arrays["far"].astype(np.uint64) << np.uint64(32)
    starts = np.concatenate(([0], np.cumsum(arrays["lengths"], dtype=np.int64)))
    if int(starts[-1]) != len(arrays["tokens"]) or len(gaps) != len(arrays["seen"]):
        raise ValueError("its arrays are of lengths that do not fit each other")
    return Counts(
        np.cumsum(gaps, dtype=np.uint64), starts, arrays["tokens"],
        np.exp2(-arrays["shares"].astype(np.float32) / STEPS),
        arrays["seen"].astype(np.float32) / STEPS, arrays["kinds"].astype(np.float32) / STEPS,
    )  # fmt: skip


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def arrays_from(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file's bytes. Raises `ValueError` where they are something else."""
    with np.load(BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
