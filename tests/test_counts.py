"""Tables of counts: found again, rightly shared, the same after a file; and their contexts."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.alone import Cut
from model.evidence.codeonly import code_of
from model.evidence.counts import arrays_from, different, grams_of, packed, table_of, unpacked
from model.evidence.lexicon import COPY, PLAIN, SHAPE, Lexicon
from model.evidence.mixture import LEAST, Local, Shipped
from model.training.counting import count, fit_gate, places_in
from tests.counted import (
    LEARNT,
    encoded,
    level_gate,
    proposer,
    shipped,
    telling,
    tokens,
    unfitted,
)

PAIRS = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(6, 300)), min_size=1, max_size=60)


def table(pairs: list[tuple[int, int]]):
    contexts, followers = (np.array(part, np.uint64) for part in zip(*pairs, strict=True))
    return table_of(*different(grams_of(contexts, followers)))


@given(PAIRS)
def test_a_table_holds_the_share_of_each_token_after_each_context(
    pairs: list[tuple[int, int]],
) -> None:
    counts = table(pairs)
    for context, token in pairs:
        (at,) = counts.find(np.array([context], np.uint64)).tolist()
        after = [t for c, t in pairs if c == context]
        rows = slice(counts.starts[at], counts.starts[at + 1])
        shares = dict(zip(counts.tokens[rows].tolist(), counts.shares[rows].tolist(), strict=True))
        assert shares[token] == pytest.approx(after.count(token) / len(after))
        assert np.expm1(counts.seen[at]) == pytest.approx(len(after))
        assert np.expm1(counts.kinds[at]) == pytest.approx(len(set(after)))


@given(PAIRS, st.integers(0, 1 << 40))
def test_a_context_never_seen_is_not_found(pairs: list[tuple[int, int]], context: int) -> None:
    found = table(pairs).find(np.array([context], np.uint64))
    assert (found[0] >= 0) == (context in {c for c, _ in pairs})


@given(PAIRS)
def test_a_table_comes_back_from_a_file_a_little_rounded(pairs: list[tuple[int, int]]) -> None:
    counts = table(pairs)
    file = BytesIO()
    np.savez_compressed(file, **packed(counts))
    again = unpacked(arrays_from(file.getvalue()))
    assert np.array_equal(again.contexts, counts.contexts)
    assert np.array_equal(again.starts, counts.starts)
    assert np.array_equal(again.tokens, counts.tokens)
    assert np.allclose(again.shares, counts.shares, rtol=0.06)
    assert np.allclose(again.seen, counts.seen, atol=0.06)


def test_arrays_of_different_tables_are_refused() -> None:
    one, other = packed(table([(1, 7), (2, 8)])), packed(table([(1, 7)]))
    with pytest.raises(ValueError, match="do not fit"):
        unpacked({**one, "tokens": other["tokens"]})


def test_what_few_packages_have_is_left_out_but_keeps_its_share() -> None:
    lexicon = shipped().lexicon
    rows = [encoded("\nx = 1\n"), encoded("\nx = 2\n")]
    both = count(rows, lexicon, fewest=2)
    context = lexicon.contexts(rows[0])[0, len(rows[0]) - 2 : len(rows[0]) - 1]  # before the number
    (at,) = both.find(context).tolist()
    assert at == -1 or both.shares[both.starts[at] : both.starts[at + 1]].max() <= 0.5


def test_contexts_in_a_window_are_those_in_the_whole() -> None:
    whole = encoded("".join(map(code_of, LEARNT)) * 3)
    lexicon = shipped().lexicon
    at, start, end = 150, 60, 240
    known = len(PLAIN) + len(SHAPE)
    inside = lexicon.contexts(whole[start:end])[:known, at - start]
    assert np.array_equal(inside, lexicon.contexts(whole)[:known, at])


def shapes(text: str) -> np.ndarray:
    lexicon: Lexicon = shipped().lexicon
    row = encoded(text)
    return lexicon.contexts(row)[len(PLAIN) : len(PLAIN) + len(SHAPE), -2]


def test_shape_contexts_do_not_see_which_names_are_used() -> None:
    some = "\nfor value in values:\n    total += value\n"
    other = "\nfor row in shelf:\n    best += row\n"
    assert np.array_equal(shapes(some), shapes(other))
    assert not np.array_equal(shapes(some), shapes(some.replace("+=", "=")))
    assert not np.array_equal(shapes(some), shapes(some.replace("total", "self")))


def test_shape_contexts_see_how_the_next_line_begins() -> None:
    lexicon: Lexicon = shipped().lexicon
    here = encoded("\nif items:")
    after = [encoded(text) for text in ("\n    return", "\nreturn", "\n    for", "\n    return x")]
    found = [
        lexicon.contexts(np.concatenate((here, it)))[len(PLAIN), len(here) - 1] for it in after
    ]
    assert found[0] == found[3]
    assert len(set(found[:3])) == 3


def test_a_name_that_stands_near_by_is_marked_as_a_copy() -> None:
    row = encoded("\ntotal = 0\nreturn total + fresh\n")
    texts = [tokens().bytes_of[token] for token in row.tolist()]
    copied = b"".join(texts[at] for at in np.flatnonzero(shipped().lexicon.copies(row)))
    assert b"total" in copied.replace(b" ", b"")
    assert not set(copied) & set(b"=0+")
    assert b"return" not in copied


def test_comments_docstrings_and_blank_lines_are_not_counted() -> None:
    text = '\ndef f():\n    """Prose."""\n\n    # more\n    x = "# kept"  # gone\n    return x\n'
    assert code_of(text) == '\ndef f():\n    x = "# kept"\n    return x\n'


CUT = Cut("def longest(rows):\n    best = []", "    for row in rows:", "\n        best = row\n")


def test_all_probabilities_at_once_are_those_asked_one_by_one() -> None:
    for place, wanted in places_in(CUT, proposer()):
        every = place.probabilities()
        assert every.shape == (len(wanted), len(tokens()))
        # An expert of little weight is passed over when all are asked for.
        assert np.allclose(
            every[np.arange(len(wanted)), wanted], place.probability(wanted), atol=0.05
        )
        assert (every >= 0).all()
        assert (every.sum(1) <= 1.001).all()
        assert (every[:, COPY] == 0).all()


def test_without_a_shipped_table_the_file_alone_speaks() -> None:
    mute = Shipped(shipped().lexicon, None, shipped().frequency, level_gate())
    local = Local(mute, encoded("\nalpha.beta(gamma)\nalpha."), encoded("\n"))
    place = local.at_ends([[]])
    best = int(place.probabilities()[0].argmax())
    assert b"beta".startswith(tokens().bytes_of[best])


def test_a_gate_learns_from_held_out_code() -> None:
    gate, loss = fit_gate([CUT] * 3, telling(unfitted()), rounds=40)
    fitted = replace(unfitted(), gate=gate)

    def nats(it: Shipped) -> float:
        rows = [np.log(p.probability(t) + LEAST) for p, t in places_in(CUT, telling(it))]
        return -float(np.concatenate(rows).mean())

    assert nats(fitted) < nats(unfitted())
    assert loss < nats(unfitted())
