"""Canvases of DiffusionGemma: as transformers refines them, but for what is clamped."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import copy
import json
import math
from collections.abc import Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, cast

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import one_hot, pad
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache
from transformers.models.diffusion_gemma import DiffusionGemmaForBlockDiffusion
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    DiffusionGemmaGenerationConfig,
    EntropyBoundSamplerConfig,
)

from model.gemma.decode import NOISE, Decoding, Row, Step
from model.gemma.desk import Desk
from model.gemma.history import STEP, History
from model.gemma.network import Network
from model.gemma.packing import Size
from model.gemma.sampler import Policy
from tests.gemma import VOCABULARY, WINDOW, exact, tiny_config, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")


def network_of(model: DiffusionGemmaForBlockDiffusion) -> Network:
    """On a copy: a network sets its model's attention."""
    return Network(copy.deepcopy(model))


def calm(model: DiffusionGemmaForBlockDiffusion) -> DiffusionGemmaForBlockDiffusion:
    """Its layers add little to the embedding, so it says what it reads, and comes to rest."""
    decoder: Any = model.model.decoder
    with torch.no_grad():
        decoder.embed_tokens.weight.mul_(2)
        for layer in decoder.layers:
            layer.layer_scalar.fill_(1.0)
            layer.post_attention_layernorm.weight.mul_(0.5)
            layer.post_feedforward_layernorm.weight.mul_(0.5)
    return model


# Its logits are within 3, where 1e-5 is a hundred roundings of float32.
MODEL = tiny_model(config=tiny_config(initializer_range=0.1))
NETWORK = network_of(MODEL)
EXACT = exact(tiny_model())
EXACT_NETWORK = network_of(EXACT)


def some_ids(count: int, seed: int) -> list[int]:
    return torch.randint(
        3, VOCABULARY - 3, (count,), generator=torch.Generator().manual_seed(seed)
    ).tolist()


def read(network: Network, ids: Sequence[int]) -> History:
    history = network.history()
    network.encode(history, ids)
    return history


def cached(model: DiffusionGemmaForBlockDiffusion, ids: Sequence[int]) -> DynamicCache:
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    encoder: Any = model.model.encoder
    with torch.no_grad():
        encoder(
            input_ids=torch.tensor([list(ids)]),
            past_key_values=cache,
            position_ids=torch.arange(len(ids))[None],
        )
    return cache


def stock_logits(
    model: DiffusionGemmaForBlockDiffusion,
    prompt: Sequence[int],
    canvas: Tensor,
    told: Tensor | None = None,
    cache: Any = None,
    mask: Any = None,
) -> Tensor:
    """(batch, canvas, vocab) by the whole of transformers' model."""
    with torch.no_grad():
        return model(
            decoder_input_ids=canvas,
            past_key_values=cache or cached(model, prompt),
            decoder_position_ids=len(prompt) + torch.arange(canvas.shape[1])[None],
            self_conditioning_logits=told,
            decoder_attention_mask=mask,
        ).logits


class Watched(Desk):
    """Keeps the logits of each step, as the head gave them."""

    def __init__(self, network: Network, **how: Any) -> None:
        super().__init__(network, **how)
        self.logits: list[Tensor] = []

    def run(self, key: Hashable, work: Any) -> None:
        super().run(key, work)
        if isinstance(key, tuple) and key[0] == "body":
            size = self.size
            states = self.view("states", size.canvas, self.network.width)
            self.logits.append(self.network.head(states[self.view("reads", size.asked)]))


# --- as transformers does it ------------------------------------------------------------------

SOME = {"max_denoising_steps": 12, "t_min": 0.4, "t_max": 0.8}
CONFIGS: list[dict[str, Any]] = [
    {"max_denoising_steps": 48, "sampler_config": {"entropy_bound": 0.1}, "t_min": 0.4,
     "t_max": 0.8, "stability_threshold": 1, "confidence_threshold": 0.005},
    {**SOME, "sampler_config": {"entropy_bound": 5.0}},
    {**SOME, "stability_threshold": 0, "confidence_threshold": 2.2},
    {"max_denoising_steps": 5, "t_min": 0.05, "t_max": 2.0, "stability_threshold": 3},
    {"max_denoising_steps": 1, "t_min": 0.4, "t_max": 0.8},
]  # fmt: skip
RESTING: list[dict[str, Any]] = [
    {"max_denoising_steps": 24, "sampler_config": {"entropy_bound": 1.0}, "t_min": 0.1,
     "t_max": 0.8, "stability_threshold": 1, "confidence_threshold": 0.1},
    {"max_denoising_steps": 24, "sampler_config": {"entropy_bound": 0.5}, "t_min": 0.4,
     "t_max": 0.8, "stability_threshold": 2, "confidence_threshold": 0.3},
]  # fmt: skip


def generated(
    model: DiffusionGemmaForBlockDiffusion, prompt: list[int], config: dict[str, Any], seed: int
) -> tuple[tuple[int, ...], int]:
    """What `generate()` makes of a canvas, and in how many steps."""
    config = dict(config)
    length = int(model.config.canvas_length or 0)
    sampler = EntropyBoundSamplerConfig(**config.pop("sampler_config", {"entropy_bound": 0.1}))
    torch.manual_seed(seed)
    out: Any = cast(Any, model).generate(
        torch.tensor([prompt]),
        generation_config=DiffusionGemmaGenerationConfig(
            max_new_tokens=length, sampler_config=sampler, **config
        ),
    )
    return tuple(out.sequences[0, len(prompt) :].tolist()), round(
        length / float(out.tokens_per_forward)
    )


def refined(
    network: Network, prompt: list[int], config: dict[str, Any], seed: int, length: int
) -> tuple[tuple[int, ...], int]:
    row = Row((NOISE,) * length, (range(length),), seed=seed)
    steps = list(Decoding(Desk(network), read(network, prompt), [row], Policy.published(config)))
    return steps[-1].rows[0].ids, len(steps)


@pytest.mark.parametrize("length", [1, WINDOW - 1, WINDOW, 3 * WINDOW + 1])
@pytest.mark.parametrize("config", CONFIGS)
def test_a_canvas_without_clamped_tokens_is_refined_as_by_generate(
    config: dict[str, Any], length: int
):
    prompt = some_ids(length, seed=length)
    for seed in range(2):
        assert refined(EXACT_NETWORK, prompt, config, seed, 32) == generated(
            EXACT, prompt, config, seed
        )


@pytest.mark.parametrize("config", RESTING)
def test_it_stops_when_generate_stops(config: dict[str, Any]):
    model = calm(exact(tiny_model(config=tiny_config(canvas=8))))
    network = network_of(model)
    prompt = some_ids(20, seed=2)
    steps: set[int] = set()
    for seed in range(8):
        ids, count = refined(network, prompt, config, seed, 8)
        assert (ids, count) == generated(model, prompt, config, seed)
        steps.add(count)
    assert len(steps) > 2  # it does stop, and not always at once


@pytest.mark.parametrize("length", [0, 5, WINDOW, 3 * WINDOW])
def test_logits_are_those_of_the_whole_model(length: int):
    """Also past the window, and with what the network said before as its conditioning."""
    prompt = some_ids(length, seed=3) or [2]
    canvas = torch.tensor([some_ids(21, seed=4)])
    desk = Watched(NETWORK)
    decoding = Decoding(desk, read(NETWORK, prompt), [Row(tuple(canvas[0].tolist()), (range(21),))],
                        Policy(steps=4, bound=3.0))  # fmt: skip
    temperatures = Policy(steps=4).temperatures(torch.device("cpu"))
    told = None
    for _ in decoding:
        raw = desk.logits[-1]
        assert_close(raw, stock_logits(MODEL, prompt, canvas, told)[0], rtol=1e-5, atol=1e-5)
        told = (raw / temperatures[decoding.number - 1])[None]
        canvas = desk.view("ids", 1, 21).clone()
    assert decoding.number == 4


# --- what is clamped --------------------------------------------------------------------------


@st.composite
def rows(draw: st.DrawFn, length: int = 20) -> Row:
    """Holes anywhere: at the ends, of one token, several, side by side, or all of the canvas."""
    size = draw(st.integers(1, length))
    written = draw(
        st.one_of(
            st.just([True] * size),
            st.lists(st.booleans(), min_size=size, max_size=size).filter(any),
        )
    )
    ids = draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=size, max_size=size))
    holes: list[range] = []
    for place in (place for place, is_hole in enumerate(written) if is_hole):
        if holes and holes[-1].stop == place:
            holes[-1] = range(holes[-1].start, place + 1)
        else:
            holes.append(range(place, place + 1))
    noisy = draw(st.booleans())
    started = tuple(
        NOISE if noisy and is_hole else token for token, is_hole in zip(ids, written, strict=True)
    )
    return Row(started, tuple(holes), seed=draw(st.integers(0, 2**40)))


batches = st.lists(rows(), min_size=1, max_size=4)
prompts = st.lists(st.integers(3, VOCABULARY - 4), min_size=1, max_size=2 * WINDOW)
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def clamped(row: Row) -> list[int]:
    return sorted(set(range(len(row.ids))) - set(row.open))


@settings(slow, max_examples=50)
@given(
    st.lists(rows(), min_size=20, max_size=20),
    st.builds(Policy, st.integers(1, 3), st.sampled_from([0.0, 0.1, 30.0])),
)
def test_clamped_tokens_never_change(some: list[Row], policy: Policy):
    """A thousand canvases: what is told, what the next step reads, what the network is told."""
    some = [replace(row, scored=tuple(range(i, i + 1) for i in clamped(row)[:2])) for row in some]
    desk = Desk(NETWORK, banned=range(0, VOCABULARY, 3))
    decoding = Decoding(desk, read(NETWORK, [5, 6, 7]), some, policy)
    embedding = NETWORK.embedded(torch.arange(VOCABULARY))
    for step in decoding:
        start = 0
        for row, told in zip(some, step.rows, strict=True):
            still = clamped(row)
            ids = [row.ids[place] for place in still]
            assert [told.ids[place] for place in still] == ids
            end = start + len(row.ids)
            assert desk.buffers["ids"][start:end][still].tolist() == ids
            soft = desk.view("soft", desk.size.canvas, NETWORK.width)[start:end]
            assert torch.equal(soft[still], embedding[ids])
            start = end


def slowly(
    model: DiffusionGemmaForBlockDiffusion,
    prompt: list[int],
    row: Row,
    policy: Policy,
    banned: Sequence[int] = (),
) -> list[tuple[int, ...]]:
    """The likeliest canvas after each step, by the whole model on the whole canvas. Clamped tokens
    have logits that leave no choice; of the holes all is as in `generate()`, one row at a time."""
    generator = torch.Generator().manual_seed(row.seed)
    hole = torch.zeros(1, len(row.ids), dtype=torch.bool)
    hole[0, row.open] = True
    count = len(row.open)
    known = torch.tensor([row.ids])
    fresh = torch.randint(VOCABULARY, (count,), generator=generator)
    canvas = known.clone()
    canvas[hole] = torch.where(known[hole] < 0, fresh, known[hole])
    fixed = torch.where(one_hot(known.clamp(min=0), VOCABULARY) > 0, 0.0, -1e4)
    told, past, canvases = None, [], []
    for left in range(policy.steps, 0, -1):
        logits = stock_logits(model, prompt, canvas, told)
        logits = logits / (policy.t_min + (policy.t_max - policy.t_min) * left / policy.steps)
        logits[..., list(banned)] = -1e4
        logits = torch.where(hole[..., None], logits, fixed)
        entropy = torch.distributions.Categorical(logits=logits[hole]).entropy()
        best = torch.where(hole, logits.argmax(-1), known)
        drawn = logits[hole].softmax(-1).multinomial(1, generator=generator)[:, 0]
        fresh = torch.randint(VOCABULARY, (count,), generator=generator)
        order = entropy.argsort()
        spent, keep = 0.0, torch.zeros(count, dtype=torch.bool)
        for place in order.tolist():
            if spent > policy.bound:
                break
            keep[place] = True
            spent += float(entropy[place])
        canvas = canvas.clone()
        canvas[hole] = torch.where(keep, drawn, fresh)
        told = logits.to(model.dtype)
        canvases.append(tuple(best[0].tolist()))
        before = past[max(0, len(past) - policy.stability) :]
        stable = len(before) == policy.stability and all(canvases[-1] == each for each in before)
        past.append(canvases[-1])
        if stable and (entropy.mean() < policy.confidence or entropy.sum() <= policy.doubt):
            break
    return canvases


policies = st.builds(
    Policy,
    steps=st.integers(1, 6),
    bound=st.sampled_from([0.0, 0.1, 4.0]),
    stability=st.integers(0, 2),
    confidence=st.sampled_from([0.0, 0.005, 1.0]),
    doubt=st.sampled_from([0.0, 0.5, 10.0]),
)
CALM = calm(exact(tiny_model()))
CALM_NETWORK = network_of(CALM)
nets = st.sampled_from([(EXACT, EXACT_NETWORK), (CALM, CALM_NETWORK)])


@settings(slow, max_examples=40)
@given(nets, prompts, batches, policies, st.booleans())
def test_canvases_side_by_side_are_refined_as_each_alone_by_the_whole_model(
    net: tuple[DiffusionGemmaForBlockDiffusion, Network],
    prompt: list[int],
    some: list[Row],
    policy: Policy,
    bans: bool,
):
    model, network = net
    banned = range(0, VOCABULARY, 3) if bans else ()
    alone = [slowly(model, prompt, row, policy, banned) for row in some]
    steps = list(Decoding(Desk(network, banned=banned), read(network, prompt), some, policy))
    assert len(steps) == max(map(len, alone))
    for number, step in enumerate(steps):
        for told, wanted in zip(step.rows, alone, strict=True):
            assert told.ids == wanted[min(number, len(wanted) - 1)]
    assert steps[-1].final
    assert not any(step.final for step in steps[:-1])


@pytest.mark.parametrize("padded", [False, True])
def test_a_pack_of_rows_has_the_logits_of_a_padded_batch(padded: bool):
    """Transformers' way: rows padded on the right, and 4-D masks that hide the padding."""
    prompt = some_ids(2 * WINDOW, seed=8)
    lengths = [4, 19, 7, 11]
    ids = [some_ids(length, seed=length) for length in lengths]
    desk = Watched(NETWORK, buckets=padded)
    some = [Row(tuple(each), (range(len(each)),)) for each in ids]
    policy = Policy(steps=2, bound=99.0)
    decoding = Decoding(desk, read(NETWORK, prompt), some, policy)
    first = next(decoding)
    canvas = desk.view("ids", sum(lengths)).clone()
    next(decoding)

    cache = cached(MODEL, prompt)
    cache.batch_repeat_interleave(len(ids))
    width = max(lengths)
    real = torch.arange(width) < torch.tensor(lengths)[:, None]

    def mask(layer: Any) -> Tensor:
        seen = torch.ones(len(ids), layer.keys.shape[2], dtype=torch.bool)
        return torch.cat([seen, real], 1)[:, None, None].expand(-1, 1, width, -1)

    layers: Any = cache.layers
    masks = {"sliding_attention": mask(layers[0]), "full_attention": mask(layers[1])}

    def batch(rows: Sequence[Sequence[int]]) -> Tensor:
        return torch.stack([pad(torch.tensor(row), (0, width - len(row))) for row in rows])

    stock = stock_logits(MODEL, prompt, batch(ids), None, cache, masks)
    assert_close(desk.logits[0][: sum(lengths)], stock[real], rtol=1e-5, atol=1e-5)
    told = stock / policy.temperatures(torch.device("cpu"))[0]
    drawn = batch([row.tolist() for row in canvas.split(lengths)])
    again = stock_logits(MODEL, prompt, drawn, told, cache, masks)
    assert_close(desk.logits[1][: sum(lengths)], again[real], rtol=1e-5, atol=1e-5)
    assert [told.ids for told in first.rows] == [
        tuple(row[:length].tolist()) for row, length in zip(stock.argmax(-1), lengths, strict=True)
    ]


# --- what is asked and what is told -------------------------------------------------------------


@given(prompts, batches)
@settings(slow, max_examples=30)
def test_banned_tokens_are_never_written_though_they_may_be_noise(
    prompt: list[int], some: list[Row]
):
    banned = set(range(VOCABULARY)) - {11, 12, 13}
    decoding = Decoding(
        Desk(NETWORK, banned=sorted(banned)), read(NETWORK, prompt), some, Policy(steps=3)
    )
    for step in decoding:
        for row, told in zip(some, step.rows, strict=True):
            assert {told.ids[place] for place in row.open} <= {11, 12, 13}
        drawn = decoding.desk.view("ids", decoding.desk.size.canvas)[decoding.layout.asked]
        accepted = [each for told in step.rows for each in told.accepted]
        assert set(drawn[torch.tensor(accepted)].tolist()) <= {11, 12, 13}


def test_noise_may_be_any_token():
    noise = Decoding(Desk(NETWORK, banned=range(50)), read(NETWORK, [5]),
                     [Row((NOISE,) * 2000, (range(2000),))], Policy())  # fmt: skip
    assert set(noise.desk.view("ids", 2000).tolist()) == set(range(VOCABULARY))


def test_the_network_s_own_opinion_is_told_of_holes_and_of_what_is_clamped():
    prompt, ids = some_ids(9, seed=1), some_ids(12, seed=2)
    row = Row(tuple(ids), (range(2, 5), range(7, 8)), (range(5, 7), range(8, 10)))
    other = Row(tuple(ids[:5]), (range(1),), (range(1, 2),))
    desk = Desk(NETWORK, banned=[1, 2])
    step = next(Decoding(desk, read(NETWORK, prompt), [row, other], Policy()))
    for each, told in zip((row, other), step.rows, strict=True):
        logs = stock_logits(MODEL, prompt, torch.tensor([each.ids]))[0].log_softmax(-1)
        own = [float(logs[place, each.ids[place]]) for place in each.known]
        assert told.scored == pytest.approx(sum(own) / len(own), abs=1e-4)
        likely = [float(logs[place, told.ids[place]]) for place in each.open]
        assert told.hole_score == pytest.approx(sum(likely) / len(likely), abs=1e-4)
        assert told.confidence == pytest.approx([math.exp(log) for log in likely], abs=1e-5)


def test_a_hole_may_start_with_tokens_in_place_of_noise():
    started = Decoding(Desk(NETWORK), read(NETWORK, [5]),
                       [Row((9, 10, NOISE, 12), (range(1, 4),))], Policy())  # fmt: skip
    ids = started.desk.view("ids", 4).tolist()
    assert (ids[0], ids[1], ids[3]) == (9, 10, 12)
    assert 0 <= ids[2] < VOCABULARY


@settings(slow, max_examples=60)
@given(nets, prompts, batches, policies, st.data(), st.booleans(), st.booleans())
def test_what_is_kept_goes_on_as_if_it_had_been_alone(
    net: tuple[DiffusionGemmaForBlockDiffusion, Network],
    prompt: list[int],
    some: list[Row],
    policy: Policy,
    data: st.DataObject,
    scored: bool,
    buckets: bool,
):
    """Also where it is done before others are, or after them."""
    _, network = net
    some = [replace(row, scored=tuple(range(i, i + 1) for i in clamped(row)[:2])) for row in some]
    order = data.draw(st.permutations(range(len(some))))
    kept = order[: data.draw(st.integers(1, len(some)))]
    history = read(network, prompt)
    alone = [list(Decoding(Desk(network), history, [some[i]], policy)) for i in kept]
    decoding = Decoding(Desk(network, buckets=buckets), history, some, policy)
    for step in decoding:
        if step.number == 2:
            break
    if decoding.final:
        return
    decoding.keep(kept, scored=scored)
    for step in decoding:
        for told, wanted in zip(step.rows, alone, strict=True):
            wanted = wanted[min(step.number, len(wanted)) - 1].rows[0]
            assert (told.ids, told.done) == (wanted.ids, wanted.done)
            if scored and not told.done:
                assert told.scored == pytest.approx(wanted.scored, abs=1e-5)
    assert decoding.number == max(3, *map(len, alone))


# --- where it is computed -----------------------------------------------------------------------


class Replaying(Watched):
    """What was done first for a key is done again ever after, as a captured graph is: it must not
    depend on anything but the buffers and what is in its key."""

    def __init__(self, network: Network, **how: Any) -> None:
        super().__init__(network, buckets=True, **how)
        self.first: dict[Hashable, Any] = {}

    def run(self, key: Hashable, work: Any) -> None:
        super().run(key, self.first.setdefault(key, work))


@cache
def warmed() -> Replaying:
    desk = Replaying(EXACT_NETWORK)
    assert list(desk.warm(Policy(stability=2), 600, 100, 3, 70))[-1] == 1
    return desk


@settings(slow, max_examples=40)
@given(prompts, batches, st.sampled_from([Policy(4), Policy(3, 4.0, stability=0, doubt=20.0)]))
def test_padded_to_few_sizes_and_replayed_it_is_the_same(
    prompt: list[int], some: list[Row], policy: Policy
):
    history = read(EXACT_NETWORK, prompt)
    plain = Watched(EXACT_NETWORK)
    wanted = list(Decoding(plain, history, some, policy))
    replaying = warmed()
    replaying.logits.clear()
    told = list(Decoding(replaying, history, some, policy))
    assert [[row.ids for row in step.rows] for step in told] == [
        [row.ids for row in step.rows] for step in wanted
    ]
    asked = sum(len(row.open) for row in some)
    for one, other in zip(replaying.logits, plain.logits, strict=True):
        assert_close(one[:asked], other, rtol=1e-5, atol=1e-5)


def test_sizes_are_few():
    desk = Desk(NETWORK, buckets=True)
    seen: set[Size] = set()
    for length in range(1, 200, 7):
        row = Row((NOISE,) * length, (range(length),))
        Decoding(desk, read(NETWORK, some_ids(length, seed=0)), [row], Policy())
        seen.add(desk.size)
    assert sorted((size.canvas, size.asked) for size in seen) == [
        (32, 16), (32, 24), (32, 32), (48, 48), (64, 64), (96, 96), (128, 128), (192, 192),
        (256, 256),
    ]  # fmt: skip


def test_after_warming_no_size_is_new_and_no_buffer_moves():
    desk = Replaying(NETWORK)
    policy = Policy(steps=2)
    list(desk.warm(policy, 2 * STEP, 100, 3, 70))
    known = set(desk.first)
    places = {name: buffer.data_ptr() for name, buffer in desk.buffers.items()}
    history = read(NETWORK, some_ids(2 * STEP, seed=1))
    for lengths in ((70,), (1,), (30, 40), (5, 6, 7), (20, 20, 20)):
        rows = [Row((NOISE,) * length + (9,) * 10, (range(length),)) for length in lengths]
        list(Decoding(desk, history, rows, policy))
        history.cut(history.length * 2 // 3)
    assert set(desk.first) == known
    assert {name: buffer.data_ptr() for name, buffer in desk.buffers.items()} == places


class Counting(TorchDispatchMode):
    """Counts what would make a host wait for its device: single numbers, and shapes by content."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in self.WAITS):
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def copies(monkeypatch: pytest.MonkeyPatch) -> Generator[list[int]]:
    """How many numbers each copy to the host was of."""
    sizes: list[int] = []
    with monkeypatch.context() as patch:
        for name in ("tolist", "cpu", "numpy", "item", "__bool__", "__int__", "__float__"):
            real = getattr(Tensor, name)

            def counted(self: Tensor, *args: Any, real: Any = real) -> Any:
                sizes.append(self.numel())
                return real(self, *args)

            patch.setattr(Tensor, name, counted)
        yield sizes


def test_a_step_copies_once_to_the_host(monkeypatch: pytest.MonkeyPatch):
    network = Network(tiny_model(), experts="batched_mm")
    row = Row((3, NOISE, NOISE, 4, 5), (range(1, 3),), (range(3, 5),))
    decoding = Decoding(Desk(network, banned=[1]), read(network, [5] * 30), [row], Policy())
    for number in range(3):
        with copies(monkeypatch) as sizes, Counting() as counting:
            next(decoding)
        assert counting.waits == [], number
        assert sizes == [3 * 4 + 1]  # token, probability, whether accepted; whether the row is done


def test_no_stage_depends_on_what_it_finds():
    """With tensors that have shapes and no numbers in them. A graph could not be captured else."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        model = DiffusionGemmaForBlockDiffusion(tiny_config())
        network = Network(model, experts="batched_mm")
        assert isinstance(network.weight, type(mode.from_tensor(torch.zeros(1))))
        desk = Desk(network)
        history = network.history()
        history.make_room(40)
        history.ids.extend([5] * 40)
        rows = [Row((3, NOISE, NOISE, 4), (range(1, 3),)), Row((NOISE,) * 6, (range(6),))]
        decoding = Decoding(desk, history, rows, Policy())
        with torch.inference_mode():
            desk.body(desk.size)
            desk.judge(desk.size, Policy())
        assert decoding.number == 0


def test_a_desk_serves_one_decoding_at_a_time():
    desk, history = Desk(NETWORK), read(NETWORK, [5, 6])
    row = Row((NOISE,), (range(1),))
    first = Decoding(desk, history, [row], Policy())
    second = Decoding(desk, history, [row], Policy())
    next(second)
    with pytest.raises(RuntimeError, match="another decoding has taken the desk over"):
        next(first)


def test_what_becomes_of_the_history_does_not_matter_to_a_decoding():
    row = Row((NOISE,) * 9, (range(9),))
    wanted = list(Decoding(Desk(NETWORK), read(NETWORK, [5, 6, 7]), [row], Policy()))
    history = read(NETWORK, [5, 6, 7])
    decoding = Decoding(Desk(NETWORK), history, [row], Policy())
    steps: list[Step] = []
    for step in decoding:
        steps.append(step)
        history.cut(1)
        NETWORK.encode(history, some_ids(5, seed=step.number))
    assert steps == wanted


# --- what cannot be meant -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "holes", "scored", "why"),
    [
        ((5, 6), (), (), "without a hole"),
        ((5, 6), (range(1, 3),), (), "not within the 2 ids"),
        ((5, 6), (range(1),), (range(2),), "overlap"),
        ((5, 6), (range(2), range(1, 2)), (), "overlap"),
        ((5, NOISE), (range(1),), (), r"clamped places \[1\] hold no token"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(
    ids: tuple[int, ...], holes: tuple[range, ...], scored: tuple[range, ...], why: str
):
    with pytest.raises(ValueError, match=why):
        Row(ids, holes, scored)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"t_max": 0.3}, {"t_min": 0.0}, {"bound": -1.0}, {"doubt": -1.0}]
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="but must be"):
        Policy(**wrong)


def test_a_policy_is_read_from_a_published_generation_config():
    config = DiffusionGemmaGenerationConfig(
        max_denoising_steps=7, sampler_config=EntropyBoundSamplerConfig(entropy_bound=0.25),
        t_min=0.2, t_max=0.9, stability_threshold=2, confidence_threshold=0.01,
    )  # fmt: skip
    assert Policy.published(json.loads(config.to_json_string())) == Policy(
        7, 0.25, 0.9, 0.2, 2, 0.01, 0.0
    )
    assert Policy.published({}) == Policy(48, 0.1, 0.8, 0.4, 1, 0.005, 0.0)
