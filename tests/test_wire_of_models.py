"""What goes between a window and the model arrives as it was, or is refused with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.canvas import Canvas, Card, Draft, Hole, Piece, Rival
from model.serving import wire

shares = st.floats(0, 1)
holes = st.builds(
    lambda start, more, *rest: Hole(start, start + more, *rest),
    st.integers(0, 99), st.integers(0, 99), st.booleans(), st.integers(1, 99), st.text(), st.text(),
    st.floats(0.01, 1),
)  # fmt: skip
canvases = st.lists(holes, min_size=1, max_size=3).flatmap(
    lambda some: st.builds(
        Canvas,
        st.tuples(*[st.text()] * (len(some) + 1)),
        st.just(tuple(some)),
        st.tuples(st.text(), st.text()),
        st.lists(st.text()).map(tuple),
    )
)
pieces = st.lists(st.builds(Piece, st.text(), shares, st.booleans())).map(tuple)
rivals = st.lists(st.builds(Rival, st.text(), shares)).map(tuple)
drafts = st.builds(
    Draft, st.integers(0), st.lists(pieces).map(tuple), st.booleans(),
    st.lists(rivals).map(tuple), st.floats(0, 1e6),
)  # fmt: skip
names = st.frozensets(st.text())
cards = st.builds(Card, st.text(), st.text(), st.integers(0), st.integers(1), names, names)


@given(canvases, drafts, cards)
def test_what_arrives_is_what_was_sent(canvas: Canvas, draft: Draft, card: Card):
    assert wire.canvas_from(wire.canvas_to(canvas)) == canvas
    arrived = wire.draft_from(wire.draft_to(draft))
    assert (arrived, arrived.queue_ms) == (draft, draft.queue_ms)
    assert wire.card_from(wire.card_to(card)) == card
    assert b"\n" not in wire.canvas_to(canvas) + wire.draft_to(draft)


GOOD = {"texts": ["a", "b"], "holes": [{"start": 1, "end": 1}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"\xff", 400), (b"[" * 200_000, 400), (b'{"texts": NaN}', 400), (b"[]", 422),
        (GOOD | {"path": "/etc/passwd"}, 422), (GOOD | {"texts": ["a"]}, 422),
        (GOOD | {"texts": ["a", 1]}, 422), (GOOD | {"holes": []}, 422),
        (GOOD | {"wide": [""]}, 422), (GOOD | {"holes": [{"start": 1}]}, 422),
        (GOOD | {"holes": [{"start": True, "end": 1}]}, 422),
        (GOOD | {"holes": [{"start": 1, "end": 1, "strength": 0}]}, 422),
        (GOOD | {"holes": GOOD["holes"] * 10_000}, 413), (b" " * (wire.MAX_BODY + 1), 413),
    ],
)  # fmt: skip
def test_what_is_no_canvas_is_refused_with_the_status_that_says_why(body: object, status: int):
    with pytest.raises(wire.Refused) as refused:
        wire.canvas_from(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert refused.value.status == status
