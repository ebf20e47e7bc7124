"""The probe that tells a hole's length: it learns what can be told, and reads where it should."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import save_file  # noqa: E402

from model import Canvas, Hole, ModelError  # noqa: E402
from model.lengths.probe import (  # noqa: E402
    FILE,
    Probe,
    Probing,
    examined,
    features_of,
    fitted,
    probe_in,
    samples_from,
    states_of,
)
from model.masked.board import Board, Start  # noqa: E402
from model.masked.network import Network  # noqa: E402
from tests.alphabet import Fixed  # noqa: E402
from tests.boards import random_network  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"
START = Start(line=6, block=9, context=60)
LONG = 12  # letters missing at most


def canvas_without(start: int, end: int, limit: int = 64, multiline: bool = False) -> Canvas:
    hole = Hole(start, end, limit=limit, multiline=multiline)
    return Canvas((LETTERS[:start], LETTERS[end:]), (hole,))


def alphabets(seed: int):
    """The alphabet with a hole: its length is in the letters on both sides."""
    chance = random.Random(seed)
    while True:
        start = chance.randrange(4, 10)
        end = start + chance.randrange(1, LONG + 1)
        yield canvas_without(start, end), LETTERS[start:end]


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(2, dim=32)


@pytest.fixture(scope="module")
def learnt(network: Network) -> Probe:
    told = examined(alphabets(0), Fixed(), START, partial(states_of, network))
    some = [next(told) for _ in range(600)]
    features = torch.stack([features for features, _ in some])
    return fitted(features, torch.tensor([length for _, length in some]), epochs=20)


def rankings(probing: Probing, canvas: Canvas):
    return probing(Board(canvas, Fixed(), START), lambda *_: pytest.fail("asked for logits"))


def test_a_probe_learns_a_length_that_both_sides_tell(network: Network, learnt: Probe) -> None:
    probing = Probing.of(learnt, network)
    off = []
    for canvas, gold in [next(alphabets(seed)) for seed in range(1, 60)]:
        ((best, *others),) = rankings(probing, canvas)
        off.append(abs(best.length - len(gold)))
        assert all(it.score <= best.score for it in others)
        lengths = sorted(it.length for it in (best, *others))
        assert lengths == list(range(lengths[0], lengths[0] + len(lengths)))
    assert sum(off) / len(off) < 1.5  # guessing the middle is off by 3


def test_what_it_says_stays_within_the_limit(network: Network, learnt: Probe) -> None:
    probing = Probing.of(learnt, network)
    (ranking,) = rankings(probing, canvas_without(5, 16, limit=4))
    assert max(it.length for it in ranking) <= 4
    assert {it.length for it in rankings(probing, canvas_without(5, 6, limit=1))[0]} == {1}


def test_each_of_several_holes_gets_a_length_and_one_re_noised_keeps_its_own(
    network: Network, learnt: Probe
) -> None:
    kept = Hole(0, 0, former="lmn", strength=0.5)
    canvas = Canvas((LETTERS[:5], LETTERS[8:11], LETTERS[14:]), (Hole(0, 0), kept))
    first, second = rankings(Probing.of(learnt, network), canvas)
    assert len(first) > 1
    assert [(it.length, it.score) for it in second] == [(3, 0.0)]


@pytest.mark.parametrize("shift", [False, True])
def test_states_are_those_that_tokens_are_read_from(shift: bool) -> None:
    """So the head makes of them the network's own logits, whatever the shift."""
    network = random_network(1, shift=shift)
    rows = [[6, 7, 3, 9], [6, 3, 8]]
    with torch.inference_mode():
        states = states_of(network, rows)
        logits = network(torch.tensor([rows[0]]))
        assert torch.allclose(network.lm_head(states[0]), logits[0], atol=1e-4)


def test_features_are_four_tokens_before_the_mask_and_four_behind() -> None:
    """States that say where they stand show what is read."""

    def places(rows):
        return torch.stack([torch.arange(40.0)[:, None].expand(40, 2) for _ in rows])

    board = Board(canvas_without(10, 13), Fixed(), START).resized([1])
    at = board.row.index(3)
    ((features,),) = features_of([board], places)
    assert features.tolist() == [at - 2.5] * 2 + [float(at)] * 2 + [at + 2.5] * 2 + [0.0]
    bare = Board(Canvas(("", "ab"), (Hole(0, 0, multiline=True),)), Fixed(), START).resized([1])
    bare.texts = [[], bare.texts[1]]
    ((features,),) = features_of([bare], places)
    assert features.tolist() == [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 1.0]


def test_samples_join_to_the_text_they_are_cut_from() -> None:
    text = "def f(x):\n    y = x + 1\n    return y\n\n\nclass A:\n    pass\n"
    several = 0
    samples = samples_from([text], 0)
    for canvas, gold in (next(samples) for _ in range(200)):
        assert canvas.filled((gold,)) == text
        assert gold
        assert canvas.holes[0].multiline == ("\n" in gold)
        several += "\n" in gold
    assert 10 < several < 80


def test_a_probe_is_read_as_it_was_written_and_one_that_does_not_fit_is_named(
    network: Network, learnt: Probe, tmp_path: Path
) -> None:
    assert probe_in(tmp_path, network) is None
    save_file(learnt.state_dict(), tmp_path / FILE)
    read = probe_in(tmp_path, network)
    assert read is not None
    features = torch.randn(3, 3 * 32 + 1)
    assert torch.equal(read(features), learnt(features))
    with pytest.raises(ModelError, match="no probe for a network 16 wide"):
        probe_in(tmp_path, random_network(0))
    (tmp_path / FILE).write_bytes(b"half a fi")
    with pytest.raises(ModelError, match="train it anew"):
        probe_in(tmp_path, network)
