"""What goes between a window and the model arrives as it was, or is refused with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.canvas import Canvas, Card, Claim, Draft, Hole, ModelError, Piece, Rival
from model.serving import wire
from model.serving.wire import Ask, End

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
        st.integers(0),
    )
)
short = st.text(max_size=200)
claims = st.builds(
    Claim,
    short,
    short,
    st.booleans(),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.text("0123456789abcdef", max_size=32),
)
pieces = st.lists(st.builds(Piece, st.text(), shares, st.booleans())).map(tuple)
rivals = st.lists(st.builds(Rival, st.text(), shares)).map(tuple)
drafts = st.builds(
    Draft, st.integers(0), st.lists(pieces).map(tuple), st.booleans(),
    st.lists(rivals).map(tuple), st.floats(0, 1e6),
)  # fmt: skip
ends = st.builds(
    End, st.sampled_from(wire.REASONS), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0), short
)
names = st.frozensets(st.text())
cards = st.builds(Card, st.text(), st.text(), st.integers(0), st.integers(1), names, names)


@given(canvases, claims, drafts, ends, cards)
def test_what_arrives_is_what_was_sent(
    canvas: Canvas, claim: Claim, draft: Draft, end: End, card: Card
):
    assert wire.ask_from(wire.ask_to(Ask(canvas, claim))) == Ask(canvas, claim)
    arrived = wire.news_from(wire.draft_line(draft))
    assert isinstance(arrived, Draft)
    assert (arrived, arrived.queue_ms) == (draft, draft.queue_ms)
    assert wire.news_from(wire.end_line(end)) == end
    assert wire.card_from(json.loads(wire.card_to(card))) == card


@given(drafts, ends, st.text())
def test_a_line_is_one_line_whatever_it_tells(draft: Draft, end: End, message: str):
    for line in (wire.draft_line(draft), wire.end_line(end), wire.error_line(message)):
        assert line.endswith(b"\n")
        assert len(line.decode().splitlines()) == 1


@given(st.text())
def test_an_error_is_raised_where_its_line_is_read(message: str):
    with pytest.raises(ModelError) as raised:
        wire.news_from(wire.error_line(message))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"", b"{", b'{"draft": {}}', b'{"end": {"reason": "bored"}}',
             b'{"error": 1}', b'{"draft": {"step": 1, "holes": [], "final": 1}}'],
)  # fmt: skip
def test_a_line_that_is_none_of_ours_is_refused(line: bytes):
    with pytest.raises(wire.Refused):
        wire.news_from(line)


GOOD = {"texts": ["a", "b"], "holes": [{"start": 1, "end": 1}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"\xff", 400), (b"[" * 200_000, 400), (b'{"canvas": NaN}', 400),
        (b"9" * 5000, 400), (b"[]", 422), (b"{}", 422), ({"canvas": GOOD, "path": "/x"}, 422),
        (GOOD | {"path": "/etc/passwd"}, 422), (GOOD | {"texts": ["a"]}, 422),
        (GOOD | {"texts": ["a", 1]}, 422), (GOOD | {"holes": []}, 422),
        (GOOD | {"wide": [""]}, 422), (GOOD | {"holes": [{"start": 1}]}, 422),
        (GOOD | {"holes": [{"start": True, "end": 1}]}, 422),
        (GOOD | {"holes": [{"start": 1, "end": 1, "strength": 0}]}, 422),
        (GOOD | {"holes": [{"start": 1, "end": 1, "path": "x"}]}, 422),
        (GOOD | {"holes": GOOD["holes"] * 10_000}, 413), (b" " * (wire.MAX_BODY + 1), 413),
        ({"canvas": GOOD, "claim": {"deadline_ms": -1}}, 422),
        ({"canvas": GOOD, "claim": {"behind_ms": -1}}, 422),
        ({"canvas": GOOD, "claim": {"asker": "a" * 201}}, 422),
        ({"canvas": GOOD, "claim": {"trace": "def f():"}}, 422),
        ({"canvas": GOOD, "claim": {"priority": 1}}, 422),
    ],
)  # fmt: skip
def test_what_is_no_ask_is_refused_with_the_status_that_says_why(body: object, status: int):
    if isinstance(body, dict) and "canvas" not in body and body:
        body = {"canvas": body}
    with pytest.raises(wire.Refused) as refused:
        wire.ask_from(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert refused.value.status == status
