"""The prompt's keys and values: however they came about, they are those of a fresh start."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from transformers import DynamicCache, StaticCache

from model.gemma import history as history_module
from model.gemma import network as network_module
from model.gemma.decode import Decoding, Row
from model.gemma.desk import Desk
from model.gemma.history import STEP, History
from model.gemma.network import Network
from model.gemma.sampler import Policy
from tests.gemma import VOCABULARY, WINDOW, exact, tiny_config, tiny_model

LENGTH = 9
MODEL = exact(tiny_model(config=tiny_config(canvas=LENGTH)))
NETWORK = Network(copy.deepcopy(MODEL))
CANVAS = tuple(
    torch.randint(VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(1)).tolist()
)


def fresh(ids: Sequence[int]) -> History:
    history = NETWORK.history()
    NETWORK.encode(history, ids)
    return history


def canvas_logits(history: History) -> Tensor:
    """(canvas, vocab): what a canvas reads from it."""
    desk = Desk(NETWORK)
    Decoding(desk, history, [Row(CANVAS, (range(LENGTH),))], Policy())
    with torch.inference_mode():
        desk.body(desk.size)
        return NETWORK.head(desk.view("states", LENGTH, NETWORK.width))


def stock_logits(ids: Sequence[int], cache: Any) -> Tensor:
    """The same by transformers, with one of its caches that has read the prompt in one go."""
    decoder: Any = MODEL.model.decoder
    encoder: Any = MODEL.model.encoder
    canvas, length = torch.tensor([CANVAS]), len(ids)
    with torch.no_grad():
        encoder(
            input_ids=torch.tensor([list(ids)]),
            past_key_values=cache,
            position_ids=torch.arange(length)[None],
        )
        mask = decoder.create_diffusion_decoder_attention_mask(
            config=MODEL.config,
            inputs_embeds=canvas[..., None],
            past_key_values=cache,
            decoder_attention_mask=torch.ones(1, length + LENGTH, dtype=torch.bool),
        )
        return MODEL(
            decoder_input_ids=canvas,
            past_key_values=cache,
            decoder_position_ids=length + torch.arange(LENGTH)[None],
            decoder_attention_mask=mask,
        ).logits[0]


def dynamic() -> DynamicCache:
    return DynamicCache(config=MODEL.config.get_text_config(decoder=True))


def assert_same(history: History, ids: Sequence[int]) -> None:
    """As if these had been read in one go, by us and by transformers."""
    assert history.ids == list(ids)
    again = fresh(ids)
    for ours, new in zip(history.keys + history.values, again.keys + again.values, strict=True):
        length = history.length
        assert_close(ours[:, :, :length], new[:, :, :length], rtol=1e-5, atol=1e-5)
    if ids:
        wanted = stock_logits(ids, dynamic())
        assert_close(canvas_logits(history), wanted, rtol=1e-5, atol=1e-5)


tokens = st.integers(3, VOCABULARY - 4)
typed = st.lists(tokens, min_size=1, max_size=3)
pasted = st.lists(tokens, max_size=3 * WINDOW)
cuts = st.floats(0, 1)
edits = st.lists(st.one_of(typed, pasted, cuts), min_size=1, max_size=12)
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(slow, max_examples=60)
@given(edits)
def test_a_history_that_grew_and_was_cut_is_one_that_was_read_in_one_go(
    edits: list[list[int] | float],
):
    """Typed, pasted, cut anywhere, again and again, within the window and past it."""
    history, ids = NETWORK.history(), list[int]()
    for edit in edits:
        if isinstance(edit, list):
            ids = ids + edit
            NETWORK.encode(history, edit)
        else:
            ids = ids[: round(edit * len(ids))]
            history.cut(len(ids))
        assert history.ids == ids
    assert_same(history, ids)


def test_a_long_text_typed_token_by_token_and_taken_back_step_by_step(
    monkeypatch: pytest.MonkeyPatch,
):
    """It is moved to where there is more room eight times meanwhile."""
    monkeypatch.setattr(history_module, "STEP", 4)
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(3, VOCABULARY - 4, (5 * WINDOW,), generator=generator).tolist()
    history, rooms = NETWORK.history(), set[int]()
    for token in ids:
        NETWORK.encode(history, [token])
        rooms.add(history.room)
    assert len(rooms) == 9
    assert_same(history, ids)
    for length in range(len(ids), WINDOW // 2, -7):  # each cut is deeper than the one before
        history.cut(length)
        assert_same(history, ids[:length])


@given(st.lists(tokens, min_size=1, max_size=4 * WINDOW), st.integers(1, 2 * WINDOW))
@settings(slow, max_examples=20)
def test_a_long_prompt_is_read_in_pieces(ids: list[int], size: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "CHUNK", size)
        history = fresh(ids)
    assert_same(history, ids)


def test_transformers_static_cache_is_wrong_past_the_window_and_ours_is_not():
    """Why there is a history of our own. Should this fail, transformers has repaired its cache."""
    for length, wrong in ((WINDOW - 2, False), (4 * WINDOW, True)):
        ids = [3 + i % 80 for i in range(length)]
        room = length + LENGTH
        config = MODEL.config.get_text_config(decoder=True)
        static = stock_logits(ids, StaticCache(config=config, max_cache_len=room))
        right = stock_logits(ids, dynamic())
        assert (float((static - right).abs().max()) > 0.1) is wrong
        assert_close(canvas_logits(fresh(ids)), right, rtol=1e-5, atol=1e-5)


def test_room_is_made_in_few_moves():
    history, rooms = NETWORK.history(), set[int]()
    for _ in range(8 * STEP):
        history.make_room(1)
        history.ids.append(5)
        rooms.add(history.room)
    assert sorted(room // STEP for room in rooms) == [1, 2, 3, 4, 5, 7, 9]


@given(pasted, pasted)
@settings(slow, max_examples=30)
def test_what_agrees_with_another_text_need_not_be_read_again(ids: list[int], other: list[int]):
    history = NETWORK.history()
    history.ids.extend(ids)
    same = history.agree(other)
    assert ids[:same] == other[:same]
    assert same == min(len(ids), len(other)) or ids[same] != other[same]


@pytest.mark.parametrize("length", [-1, 4])
def test_a_cut_elsewhere_than_in_the_text_is_refused(length: int):
    history = NETWORK.history()
    history.ids.extend([5, 6, 7])
    with pytest.raises(ValueError, match=f"cannot cut at {length}: there are 3 tokens"):
        history.cut(length)
    assert history.ids == [5, 6, 7]


def test_a_prompt_that_could_not_be_read_leaves_the_history_as_it_was():
    history = fresh([5, 6, 7])
    with pytest.raises(IndexError):
        NETWORK.encode(history, [8, VOCABULARY + 1])
    NETWORK.encode(history, [9])
    assert_same(history, [5, 6, 7, 9])


def test_a_canvas_may_have_no_prompt():
    assert canvas_logits(NETWORK.history()).isfinite().all()
