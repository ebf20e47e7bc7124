"""How long a hole is: what a network is asked, and what is made of its answers."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Hole, ModelError  # noqa: E402
from model.evidence.proposals import Proposal  # noqa: E402
from model.evidence.weighing import Blend, Candidates, Evidence  # noqa: E402
from model.lengths.calibrate import Seen, fitted_curve, fitted_trust, seen_by  # noqa: E402
from model.lengths.choosing import choosing_from  # noqa: E402
from model.lengths.grid import (  # noqa: E402
    GRID,
    Curve,
    Grid,
    Ranked,
    adjusted,
    best_together,
    calibrated,
    glances_at,
    powered,
    regressed,
    regression,
)
from model.lengths.trial import Choosing, Trust, begun, scores_of, tried  # noqa: E402
from model.masked.board import Board, Start  # noqa: E402
from model.masked.commit import probabilities_of  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.refine import hole_logits, step  # noqa: E402
from tests.alphabet import Alphabet, Fixed  # noqa: E402
from tests.boards import random_network  # noqa: E402

START = Start(line=6, block=9, context=48)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RULES = {"calibrated": calibrated(Curve()), "regressed": regressed, "power": powered()}


def board_without(*missing: str, limit: int = 64) -> Board:
    """The alphabet with holes where those letters stood."""
    texts: list[str] = []
    rest = LETTERS
    for some in missing:
        before, _, rest = rest.partition(some)
        texts.append(before)
    holes = tuple(Hole(0, 0, limit=limit) for _ in missing)
    return Board(Canvas((*texts, rest), holes), Fixed(), START)


def look_of(network: object):
    return partial(hole_logits, network)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("missing", ["f", "fgh", "fghij", "fghijkl", "fghijklmnopqr"])
def test_every_rule_finds_the_length_that_a_network_knows(rule, missing):
    (ranking,) = Grid(rule)(board_without(missing), look_of(Alphabet()))
    assert ranking[0].length == len(missing)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_no_length_is_beyond_the_limit(rule):
    (ranking,) = Grid(rule)(board_without("fghijklm", limit=5), look_of(Alphabet()))
    assert {it.length for it in ranking} == {1, 2, 3, 4, 5}


def test_the_grid_is_one_forward_and_a_closer_look_one_more():
    network = Alphabet()
    Grid(calibrated(Curve()), near=False)(board_without("fgh"), look_of(network))
    assert network.model.sizes == [len(GRID)]
    Grid(calibrated(Curve()))(board_without("fghijkl"), look_of(network))
    assert network.forwards == 3


def test_several_holes_find_a_length_each_and_cost_no_more_forwards():
    network = Alphabet()
    board = board_without("cd", "jklmnop", "v")
    rankings = Grid(calibrated(Curve()))(board, look_of(network))
    assert [ranking[0].length for ranking in rankings] == [2, 7, 1]
    assert network.forwards == 2


@pytest.mark.parametrize("shift", [False, True])
def test_a_batch_of_lengths_says_what_each_says_alone(shift):
    look = look_of(random_network(3, shift=shift))
    board = board_without("cd", "jklmnop")
    lengths = [[1, 2, 5, 9], [3, 4, 6]]
    both = glances_at(board, look, lengths)
    for i in range(4):
        # The hole with fewer lengths waits at its last one.
        here = [mine[min(i, len(mine) - 1)] for mine in lengths]
        alone = glances_at(board, look, [[it] for it in here])
        for hole in range(2):
            if i < len(lengths[hole]):
                (expected,), found = alone[hole], both[hole][i]
                assert found.length == expected.length
                assert found.sure == pytest.approx(expected.sure, abs=1e-5)
                assert found.order == pytest.approx(expected.order, abs=1e-4)


def test_what_is_only_re_noised_keeps_its_length():
    hole = Hole(0, 0, former="fghij", strength=0.4, limit=20)
    board = Board(Canvas(("abcde", "klm"), (hole,)), Fixed(), START)
    assert Grid(calibrated(Curve()))(board, look_of(Alphabet())) == [[Ranked(5, 0.0)]]
    assert board.resized([9]).row == board.row


LEFTMOST = Policy(threshold=1.0, block=1, cut=None, grow=0.0)


def told_by_regression(board: Board, network, policy: Policy, seed: int = 0) -> Board:
    """The board that LR-DLLM's loop ends with."""
    board, scores = regression(board, look_of(network))
    chance = torch.Generator().manual_seed(seed)
    while not board.done:
        board = adjusted(board, look_of(network), scores)
        step(network, [board], policy, [chance], [None])
    return board


def lr_dllm(network, before: list[int], after: list[int], limit: int, policy: Policy) -> list[int]:
    """LR-DLLM for one hole as others have read the paper, one row at a time; its tokens."""
    never, chance = [0, 1, 2, 3, 4, 5], torch.Generator().manual_seed(0)
    written: list[int] = []

    def logits(length: int) -> torch.Tensor:
        row = before + written + [3] * length + after
        first = len(before) + len(written)
        with torch.no_grad():
            found = network(torch.tensor([row]))[0, first : first + length]
        found[:, never] = -torch.inf
        return found

    def order(length: int) -> float:
        rows = logits(length).softmax(-1).tolist()
        return sum(p * math.log(p) for row in rows for p in row if p) / length

    grid = [it for it in (1, 2, 4, 8, 16, 32, 64, 128) if it < limit] + [limit]
    orders = {it: order(it) for it in grid}
    slope = statistics.linear_regression([math.log(it) for it in grid], list(orders.values())).slope

    def score(length: int) -> float:
        return order(length) - slope * math.log(length)

    length = max(grid, key=lambda it: (orders[it] - slope * math.log(it), -it))
    while length:
        while True:
            near = [
                it for it in (length - 1, length, length + 1) if 1 <= it <= limit - len(written)
            ]
            best = max(near, key=lambda it: (score(it), -it))
            if score(best) <= score(length):
                break
            length = best
        shares = probabilities_of(logits(length)[:1], policy)[0]
        if policy.temperature:
            number = float(torch.rand(1, generator=chance))
            written.append(next(i for i, it in enumerate(shares.cumsum(0).tolist()) if it > number))
        else:
            written.append(int(shares.argmax()))
        length -= 1
    return written


@pytest.mark.parametrize("policy", [LEFTMOST, replace(LEFTMOST, temperature=0.2, top_p=0.9)])
def test_regression_that_goes_on_while_it_writes_is_as_told_token_for_token(policy):
    sizes: list[tuple[int, int]] = []
    for seed in range(12):
        network = random_network(seed, shift=seed % 2 == 1).double()
        hole = Hole(0, 0, multiline=True, limit=20)
        before, after = "abcdefghij"[: 3 + seed % 5], "zyxw"[: seed % 4]
        board = Board(Canvas((before, after), (hole,)), Fixed(), START)
        first, _ = regression(board, look_of(network))
        ended = told_by_regression(board, network, policy)
        wanted = lr_dllm(network, board.texts[0], board.texts[1], 20, policy)
        assert [cell.token for cell in ended.cells[0]] == wanted
        sizes.append((len(first.cells[0]), len(wanted)))
    # The comparison says something only if lengths were changed on the way, both ways.
    assert any(now < then for then, now in sizes)
    assert any(now > then for then, now in sizes)


def test_regression_finds_lengths_between_those_it_looked_at_first():
    network = Alphabet()
    board = told_by_regression(board_without("cde", "jklmnop"), network, LEFTMOST)
    texts = ["".join(Fixed().pieces([it.token for it in cells])) for cells in board.cells]
    assert texts == ["cde", "jklmnop"]


def test_regression_leaves_a_hole_that_is_only_re_noised_as_long_as_it_is():
    holes = Hole(0, 0, former="fghij", strength=0.4, limit=20), Hole(0, 0)
    board = Board(Canvas(("abcde", "klmno", "stuvw"), holes), Fixed(), START, seed=3)
    where = [cell.token == 3 for cell in board.cells[0]]
    assert where != sorted(where)  # not all masks at the end, where others would be put
    begun_, scores = regression(board, look_of(Alphabet()))
    again = adjusted(begun_, look_of(Alphabet()), scores)
    assert [cell.token == 3 for cell in again.cells[0]] == where
    ended = told_by_regression(board, Alphabet(), LEFTMOST)
    texts = ["".join(Fixed().pieces([it.token for it in cells])) for cells in ended.cells]
    assert texts == ["fghij", "pqr"]


@pytest.mark.parametrize("several", [False, True], ids=["one hole", "two holes"])
def test_a_trial_by_regression_in_both_stages_writes_what_its_loop_does(several: bool):
    missing = ("cde", "jklmnop") if several else ("jklmnop",)
    board, network = board_without(*missing), Alphabet()
    trial = begun(board, Choosing(None, Trust(), 1), look_of(network))
    drafts = list(tried(network, trial, LEFTMOST))
    assert drafts[-1].texts == missing
    assert len(drafts) == max(map(len, missing))  # a letter a step in each hole
    alone = told_by_regression(board, Alphabet(), LEFTMOST)
    assert trial.runners[0].board.cells == alone.cells
    assert [[it.text for it in rivals] for rivals in drafts[-1].rivals] == [[it] for it in missing]


def test_choices_for_several_holes_are_the_best_sums():
    first = [Ranked(3, 1.0), Ranked(4, 0.9), Ranked(9, 0.1)]
    second = [Ranked(7, 2.0), Ranked(8, 1.5)]
    assert best_together([first, second], 3) == [(3, 7), (4, 7), (3, 8)]


def test_the_text_that_makes_the_suffix_likelier_is_preferred():
    short, right = (board_without("fghi").resized([n]) for n in (3, 4))
    for board, text in ((short, "fgh"), (right, "fghi")):
        for cell, token in zip(board.cells[0], Fixed().encode(text), strict=True):
            cell.token, cell.confidence = token, 0.9
    look = look_of(Alphabet())
    (worse,), (better,) = scores_of([short, right], look)
    assert better > worse + 1


def test_a_text_at_the_end_of_a_file_is_scored_by_itself():
    board = Board(Canvas(("abcde", ""), (Hole(0, 0),)), Fixed(), START).resized([1])
    board.cells[0][0].token = Fixed().encode("f")[0]
    ((score,),) = scores_of([board], look_of(Alphabet()))
    assert -0.1 < score < 0


def test_a_trial_tells_a_draft_a_step_and_in_the_end_its_texts_as_rivals():
    network = Alphabet()
    trial = begun(board_without("fghi"), Choosing(Grid(calibrated(Curve()))), look_of(network))
    assert len(trial.runners) == 3
    drafts = list(tried(network, trial, Policy(threshold=1.0)))
    assert [draft.step for draft in drafts] == list(range(1, len(drafts) + 1))
    assert [draft.final for draft in drafts] == [False] * (len(drafts) - 1) + [True]
    assert drafts[-1].texts == ("fghi",)
    assert drafts[-1].settled_share == 1
    ((best, *others),) = drafts[-1].rivals
    assert best.text == "fghi"
    assert best.probability > sum(it.probability for it in others)
    assert best.probability + sum(it.probability for it in others) <= 1
    assert {len(it.text) for it in others} == {len(r.board.cells[0]) for r in trial.runners} - {4}


def test_boards_of_a_trial_share_each_forward():
    network = Alphabet()
    trial = begun(board_without("fghi"), Choosing(Grid(calibrated(Curve()))), look_of(network))
    network.model.sizes.clear()
    drafts = list(tried(network, trial, Policy(threshold=1.0)))
    assert network.forwards == len(drafts) + 1  # that of the scores
    assert len(drafts) == max(len(it.board.cells[0]) for it in trial.runners)


def test_several_holes_are_tried_together():
    network = Alphabet()
    board = board_without("cd", "jklmnop")
    trial = begun(board, Choosing(Grid(calibrated(Curve()))), look_of(network))
    assert len(trial.runners) == 3
    *_, draft = tried(network, trial, Policy(threshold=1.0))
    assert draft.texts == ("cd", "jklmnop")
    assert [rivals[0].text for rivals in draft.rivals] == ["cd", "jklmnop"]


def counted(board: Board, *texts: str) -> Evidence:
    """Counts that think of these texts, the first one most."""
    proposals = [Proposal(text, -float(i)) for i, text in enumerate(texts)]
    holes = [Candidates.of(proposals, board, hole.limit) for hole in board.canvas.holes]
    return Evidence(holes, Blend(none=-9.0, share=0.9), [() for _ in holes])


def test_what_counts_think_of_is_decoded_too_at_its_own_length():
    board = board_without("fghi")
    trial = begun(
        board,
        Choosing(Grid(calibrated(Curve()))),
        look_of(network := Alphabet()),
        evidence=lambda it: counted(it, "zyzyzyzyzyz", "fghi", "fgh"),
    )
    lengths = [len(it.board.cells[0]) for it in trial.runners]
    assert lengths[0] == 4
    assert lengths[-1] == 11
    *_, draft = tried(network, trial, Policy(threshold=0.5))
    assert draft.texts == ("fghi",)
    told = {it.text: it.probability for it in draft.rivals[0]}
    assert max(told, key=lambda text: told[text]) == "fghi"
    assert "zyzyzyzyzyz" in told
    assert sum(told.values()) <= 1


def test_where_no_length_is_chosen_there_is_one_board_and_nothing_is_weighed():
    network = Alphabet()
    trial = begun(board_without("fghijk"), None, look_of(network))
    *_, draft = tried(network, trial, Policy(threshold=1.0))
    assert (draft.texts, draft.rivals, len(trial.runners)) == (("fghijk",), (), 1)
    assert network.forwards == draft.step


def test_shares_are_probabilities_and_leave_something_to_none():
    trust = Trust(temperature=0.5, none=-2.0)
    shares = trust.shares([-1.0, -1.5])
    assert shares[0] == pytest.approx(shares[1] * math.e)
    none = 1 - sum(shares)
    assert shares[1] == pytest.approx(none * math.e)
    assert sum(trust.shares([-60.0])) < 1e-6


def test_a_curve_is_found_again_from_what_it_says():
    wanted = Curve(0.7, 1.2, 0.5, 0.1, 0.2)
    seen = [Seen(n, wanted(n), 50) for n in (1, 2, 4, 6, 12, 16, 24, 32, 48, 64)]
    found = fitted_curve(seen)
    assert [found(it.length) for it in seen] == pytest.approx([it.sure for it in seen], abs=5e-3)


def test_a_demo_tells_nothing_of_lengths_near_its_own():
    demos = [(board_without("fghijkl"), 7)]
    assert [it.length for it in seen_by(demos, look_of(Alphabet()))] == [
        1,
        2,
        12,
        16,
        24,
        32,
        48,
        64,
    ]


def test_trust_is_as_often_right_as_it_says():
    generator = torch.Generator().manual_seed(0)
    weighed = []
    for _ in range(600):
        scores = (-3 * torch.rand(3, generator=generator)).tolist()
        shares = Trust(0.4, -1.0).shares(scores)
        shares.append(1 - sum(shares))
        weighed.append(
            (scores, int(torch.multinomial(torch.tensor(shares), 1, generator=generator)))
        )
    found = fitted_trust(weighed)
    assert found.temperature == pytest.approx(0.4, abs=0.1)
    assert found.none == pytest.approx(-1.0, abs=0.2)


def test_what_is_said_of_lengths_is_used_or_named(tmp_path: Path):
    network = random_network(0)

    def told(lengths: object, word: str = "choose") -> Choosing | None:
        (tmp_path / "lengths.json").write_text(json.dumps(lengths))
        return choosing_from(tmp_path, network, word)

    plain = choosing_from(tmp_path, network)
    assert plain is not None
    assert plain.trust == Trust()
    some = told({"rule": "power", "trust": {"temperature": 0.2, "none": -3.0}, "boards": 2})
    assert some is not None
    assert (some.trust, some.boards) == (Trust(0.2, -3.0), 2)
    assert told({}, "fixed") is None
    both = told({"rule": "adjusted", "trust": {"temperature": 0.2, "none": -3.0}})
    assert both == Choosing(None, Trust(0.2, -3.0), 1)
    for lengths, message in [
        ({"rule": "sums"}, r"'sums'.*calibrated, regressed, power, adjusted, probe"),
        ({"rule": "probe"}, "there is none in"),
        ({"curve": {"z": 1}}, r"lengths.json says cannot be read"),
        ({"curves": {}}, r"no table of boards, curve, rule, trust"),
        ([1], "is no table"),
    ]:
        with pytest.raises(ModelError, match=message):
            told(lengths)
    (tmp_path / "lengths.json").write_text("{")
    with pytest.raises(ModelError, match=r"lengths.json cannot be read"):
        choosing_from(tmp_path, network)
