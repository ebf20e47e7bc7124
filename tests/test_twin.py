"""The left-to-right twin: what it learns from, and what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.network import Network, Shape  # noqa: E402
from model.tokens import train_tokens  # noqa: E402
from model.twin import END, MIDDLE, PREFIX, SUFFIX, Reading, following, written  # noqa: E402

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


@pytest.mark.parametrize("beams", [1, 4])
def test_a_twin_that_knows_the_text_writes_what_is_missing(beams: int):
    lines = ["def added(first, second):", "    return first + second", "print(added(1, 2))"]
    before, middle, after = (TOKENS.encode(line + "\n") for line in lines)
    middle = middle[:-1]  # without its line end
    row = torch.tensor([[PREFIX, *before, SUFFIX, *after, MIDDLE, *middle, END]])
    twin = network()
    optimiser = torch.optim.AdamW(twin.parameters(), lr=3e-3)
    for _ in range(60):
        logits = twin(row)[0, :-1]
        torch.nn.functional.cross_entropy(logits, row[0, 1:]).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert written(twin, TOKENS, before, after, limit=20, beams=beams) == lines[1]
    assert written(twin, TOKENS, before, after, limit=2, beams=1) == TOKENS.decode(middle[:2])


@pytest.mark.parametrize("beams", [1, 3])
def test_one_line_has_no_line_end(beams: int):
    text = written(network(), TOKENS, ROW[:9].tolist(), ROW[9:12].tolist(), limit=30, beams=beams)
    assert "\n" not in text
