"""The left-to-right twin: what it learns from, and what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.masked.network import Network, Shape  # noqa: E402
from model.tokens import train_tokens  # noqa: E402
from model.training.twin import END, MIDDLE, PREFIX, SUFFIX, Reading, following, written  # noqa: E402

SOURCE = Path(__file__).read_text("utf-8")
TOKENS = train_tokens([SOURCE], 400)
ROW = np.array(TOKENS.encode(SOURCE * 3), np.uint16)
SHAPE = Shape(len(TOKENS), dim=64, layers=2, heads=2, kv_heads=2, ff=128, qk_norm=True, causal=True)


def network() -> Network:
    torch.manual_seed(0)
    return Network(SHAPE).eval()


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_prefix_middle_and_suffix_are_a_window_of_the_text(seed: int):
    ids, labels = Reading(TOKENS, 96).draw(ROW, 1, np.random.default_rng(seed))
    row = ids[0].tolist()
    suffix, middle, end = row.index(SUFFIX), row.index(MIDDLE), row.index(END)
    assert row[0] == PREFIX
    assert end == len(row) - 1
    whole = row[1:suffix] + row[middle + 1 : end] + row[suffix + 1 : middle]
    assert TOKENS.decode(whole) in SOURCE * 3
    asked = labels[0, :-1] >= 0
    assert (labels[0, :-1][asked] == ids[0, 1:][asked]).all()
    assert not {PREFIX, SUFFIX, MIDDLE} & set(labels[0].tolist())


def test_a_causal_network_sees_nothing_that_comes_after():
    row = torch.tensor(ROW[None, :40].astype(np.int64))
    other = row.clone()
    other[0, 20:] = 7
    with torch.no_grad():
        first, second = network()(row), network()(other)
        padded = network()(row, lengths=torch.tensor([30]))
    assert torch.equal(first[:, :20], second[:, :20])
    assert not torch.equal(first[:, 20:], second[:, 20:])
    assert torch.allclose(first[:, :30], padded[:, :30], atol=1e-5)


def test_one_beam_takes_the_likeliest_token_each_time():
    before, after = ROW[:20].tolist(), ROW[30:50].tolist()
    text = written(network(), TOKENS, before, after, limit=5, one_line=False)
    row = [PREFIX, *before, SUFFIX, *after, MIDDLE]
    expected: list[int] = []
    for _ in range(5):
        token = int(following(network(), torch.tensor([row + expected])).argmax())
        if token == END:
            break
        expected.append(token)
    assert text == TOKENS.decode(expected)


LINES = [
    "def added(first, second):",
    "    total = first + second",
    "    return total",
    "added(1, 2)",
]
BEFORE, MISSING, AFTER = (
    TOKENS.encode(text) for text in (LINES[0] + "\n", "\n".join(LINES[1:3]), "\n" + LINES[3])
)


@pytest.fixture(scope="module")
def learned() -> Network:
    """A twin that knows one text by heart."""
    row = torch.tensor([[PREFIX, *BEFORE, SUFFIX, *AFTER, MIDDLE, *MISSING, END]])
    twin = network()
    optimiser = torch.optim.AdamW(twin.parameters(), lr=3e-3)
    for _ in range(80):
        logits = twin(row)[0, :-1]
        torch.nn.functional.cross_entropy(logits, row[0, 1:]).backward()
        optimiser.step()
        optimiser.zero_grad()
    return twin


@pytest.mark.parametrize("beams", [1, 4])
def test_a_twin_that_knows_the_text_writes_what_is_missing(learned: Network, beams: int):
    text = written(learned, TOKENS, BEFORE, AFTER, limit=30, beams=beams, one_line=False)
    assert text == "\n".join(LINES[1:3])


@pytest.mark.parametrize("beams", [1, 4])
def test_one_line_ends_where_the_line_does(learned: Network, beams: int):
    assert written(learned, TOKENS, BEFORE, AFTER, limit=30, beams=beams) == LINES[1]


def test_a_fill_is_never_longer_than_its_limit(learned: Network):
    assert written(learned, TOKENS, BEFORE, AFTER, limit=2) == TOKENS.decode(MISSING[:2])
