"""Adds to a finished model what stands beside its weights: counts, their gate, and the blend.

The counts are taken over the corpus's code, the gate and the blend are fitted on code of its
held-out packages. A network of others gets a blend alone, with the counts that ship. Knows files;
how things are counted is told in `counting`, what they are good for in `evidence`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch and numpy are only partly typed.

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from model.alone import Cut
from model.canvas import Canvas, Hole
from model.evidence.codeonly import code_of
from model.evidence.counts import Ints, arrays_from, packed
from model.evidence.kin import fitting, steps_between
from model.evidence.lexicon import Lexicon
from model.evidence.mixture import EXPERTS, FEATURES, Gate, arrays_of, shipped_from
from model.evidence.proposals import Proposer
from model.evidence.weighing import UNHEARD, Blend, Candidates
from model.folder import BUNDLED, EVIDENCE, bundled_proposer, card_of, load_folder
from model.masked.board import Board
from model.masked.engine import Engine
from model.masked.refine import forbid, hole_logits
from model.published.catalog import Row
from model.published.stock import load_stock
from model.tokens import BOS, EOS, Tokens
from model.training.corpus import Source, read_corpus
from model.training.counting import FEWEST, count, cuts, fit_gate, frequency_of
from model.training.rows import write_json
from model.training.sources import CorpusError

# What gate and blend are fitted on; the other held-out packages are for measuring.
FITTED_ON = frozenset({"pygorithm", "click", "anyio", "attr", "peewee"})
GATE_LINES, BLEND_HOLES = 2500, 1000
SECTION = "\n## Counts beside the weights\n"  # of the card
TEXTS = 120  # of each package to fit on
EACH = 40  # lines a text at most: more of few files would tell nothing new
FILES = ("counts-1.npz", "counts-2.npz")  # two, so that each passes where files of 16 MB do not
Beside = Mapping[str, tuple[str, ...]]
CONTEXTS = frozenset({"gaps", "far", "lengths", "seen", "kinds"})  # what goes into the first


def add_evidence(folder: Path, corpus: Path, work: Path, console: Console) -> None:
    """Writes the counts into a model's folder, and what they weigh into its config and card.

    What was counted for the same vocabulary before is taken from the work folder. Until the config
    is written, last, the folder is a whole model without counts.
    """
    if not corpus.exists():
        raise CorpusError(
            f"{folder} is written, but has no counts beside its weights: there is no {corpus} to "
            "count in; name it with --corpus, with --export-only to train no more"
        )
    tokens = Tokens.from_file(folder / "tokenizer.json")
    console.print(f"reading {corpus} for its code …")
    sources = list(read_corpus(corpus))
    asked = [it for it in sources if it.package in FITTED_ON]
    held_out, beside = balanced(asked), kin_in(asked)
    vocabulary = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    path = work / f"counts-{vocabulary[:12]}.npz"
    if path.exists():
        arrays = arrays_from(path.read_bytes())
    else:
        arrays = counted(sources, tokens, console)
        save_arrays(path, arrays)
    arrays |= dict(arrays_of(gate_for(arrays, tokens, held_out, beside, console)))
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    if config.pop("counts", None):  # those of an earlier time, which may not even fit any more
        config.pop("blend", None)
        write_json(folder / "config.json", config)
    blend = Blend()
    if held_out:
        engine = load_folder(folder)
        try:
            shipped = shipped_from(arrays, tokens.bytes_of)
            proposer = Proposer(shipped, tokens.bytes_of, tokens.encode)
            blend = fit_blend(engine, proposer, held_out, beside, console)
        finally:
            engine.close()
    config |= {"counts": write_counts(folder, arrays), "blend": asdict(blend)}
    # What the proposals agree on is sure enough, though the network may have no idea of it.
    config["policy"]["threshold"] = round(0.9 * blend.share, 3)
    card = folder / "README.md"
    told, _, _ = card.read_text("utf-8").partition(SECTION)
    card.write_text(told + card_text(arrays, blend), "utf-8")
    write_json(folder / "config.json", config)


def add_blend(folder: Path, row: Row, corpus: Path, console: Console) -> None:
    """Writes beside a network of others how it is blended with the counts that ship."""
    sources = read_corpus(corpus) if corpus.exists() else ()
    asked = [it for it in sources if it.package in FITTED_ON]
    held_out = balanced(asked)
    if not held_out:
        raise CorpusError(
            f"{corpus} has none of the packages that a blend is fitted on "
            f"({', '.join(sorted(FITTED_ON))}): make it by `infill-lsp corpus`, or name it with "
            "--corpus"
        )
    (folder / EVIDENCE).unlink(missing_ok=True)
    engine = load_stock(folder, row)
    try:
        blend = fit_blend(engine, bundled_proposer(), held_out, kin_in(asked), console)
    finally:
        engine.close()
    version = card_of(BUNDLED).version
    write_json(folder / EVIDENCE, {"blend": asdict(blend), "counts": version})
    console.print(f"at a mask, {blend.share:.0%} of a token's probability comes from the counts")


def balanced(sources: Sequence[Source]) -> list[str]:
    """As many texts of each package, a small one's repeated: else the largest decides."""
    chance = random.Random(0)
    packages = sorted({it.package for it in sources})
    groups = [[it.text for it in sources if it.package == package] for package in packages]
    return [chance.choice(group) for group in groups for _ in range(TEXTS)]


def kin_in(sources: Sequence[Source]) -> Beside:
    """Of each text those of its package that are counted beside it, as in a project."""
    beside: dict[str, tuple[str, ...]] = {}
    for it in sources:
        path = PurePath(it.path)
        kin = [other for other in sources if other.package == it.package and other.text != it.text]
        kin.sort(key=lambda other, path=path: steps_between(path, PurePath(other.path)))
        beside[it.text] = tuple(fitting(other.text for other in kin))
    return beside


def card_text(arrays: dict[str, Any], blend: Blend) -> str:
    return f"""{SECTION}
`counts-*.npz` hold what followed {len(arrays["seen"]) / 1e6:.2f} M contexts in the code of the
packages above, {len(arrays["tokens"]) / 1e6:.2f} M tokens in all: whatever at least {FEWEST}
packages have in common. The weights of contexts against each other, and of counts against the
network, were fitted on code of {", ".join(sorted(FITTED_ON))}, which neither has seen. At a mask,
{blend.share:.0%} of a token's probability comes from the counts.
"""


def counted(sources: Sequence[Source], tokens: Tokens, console: Console) -> dict[str, Any]:
    """The arrays of table and frequencies."""
    rows = list(rows_by_package(sources, tokens, console))
    lexicon = Lexicon.of(tokens.bytes_of)
    console.print("counting …")
    counts = count(rows, lexicon, fewest=min(FEWEST, len(rows)))
    return {**packed(counts), "frequency": frequency_of(rows, len(tokens))}


def gate_for(
    arrays: Mapping[str, Any],
    tokens: Tokens,
    held_out: Sequence[str],
    beside: Beside,
    console: Console,
) -> Gate:
    if not held_out:
        return untrained()
    shipped = shipped_from({**arrays, **dict(arrays_of(untrained()))}, tokens.bytes_of)
    wanted = min(GATE_LINES, EACH * len(held_out))
    lines = track(cuts(held_out, wanted, 1, beside), "lines for the gate", wanted, console=console)
    gate, loss = fit_gate(lines, Proposer(shipped, tokens.bytes_of, tokens.encode))
    console.print(f"the counts leave {loss:.3f} nats a token of held-out lines")
    return gate


def untrained() -> Gate:
    """Every expert that has something to say weighs the same."""
    shapes = ((EXPERTS, FEATURES), (EXPERTS,), (1, FEATURES), (1,), (EXPERTS, 1))
    return Gate(*(np.zeros(shape, np.float32) for shape in shapes))


def rows_by_package(sources: Iterable[Source], tokens: Tokens, console: Console) -> Iterator[Ints]:
    """The tokens of each package's code, one row a package."""
    texts: dict[str, list[str]] = {}
    for source in sources:
        if not source.held_out:
            texts.setdefault(source.package, []).append(source.text)
    for package in track(sorted(texts), "code of packages", console=console):
        codes = [code_of(text) for text in texts.pop(package)]
        found = tokens.tokenizer.encode_batch(codes, add_special_tokens=False)
        ids = [np.array([BOS, *one.ids, EOS], np.int64) for one in found]
        yield np.concatenate(ids)


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Whole or not at all."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        np.savez_compressed(file, **arrays)
    new.replace(path)


def write_counts(folder: Path, arrays: dict[str, Any]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for name, first in zip(FILES, (True, False), strict=True):
        path = folder / name
        part = {key: it for key, it in arrays.items() if (key in CONTEXTS) == first}
        save_arrays(path, part)
        digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


@dataclass(frozen=True, slots=True)
class Weighed:
    """A hole's proposals: (proposals, 3) of score, what the network says, tokens; which is right,
    their number where none is.

    At the masks of what stood there, with the hole's end: which proposals have the right token,
    (proposals, masks), and the probability that the network gives it.
    """

    features: Tensor
    right: int
    agreeing: Tensor
    network: Tensor


def fit_blend(
    engine: Engine, proposer: Proposer, texts: Sequence[str], beside: Beside, console: Console
) -> Blend:
    """The blend that makes what stood in held-out holes most probable."""
    wanted = min(BLEND_HOLES, EACH * len(texts))
    holes = spans(cuts(texts, wanted, 2, beside), 3)
    shown = track(holes, "holes for the blend", wanted, console=console)
    asked = [weigh(engine, proposer, hole) for hole in shown]
    return best_blend([it for it in asked if it is not None])


def spans(lines: Iterable[Cut], seed: int) -> Iterator[Cut]:
    """Whole lines, their rest from some place, a stretch in the middle."""
    chance = random.Random(seed)
    for cut in lines:
        indent = len(cut.line) - len(cut.line.lstrip())
        kind = chance.random()
        start = 0 if kind < 0.3 else indent
        if kind > 0.6:
            start = chance.randrange(indent, len(cut.line))
        end = len(cut.line)
        if kind > 0.85:
            end = chance.randrange(start + 1, end + 1)
        line = cut.line
        yield replace(
            cut,
            before=cut.before + "\n" + line[:start],
            line=line[start:end],
            after=line[end:] + cut.after,
        )


@torch.no_grad()
def weigh(engine: Engine, proposer: Proposer, cut: Cut) -> Weighed | None:
    before, gold, after = cut.before, cut.line, cut.after
    hole = Hole(len(before), len(before), limit=48)
    near = 6 * engine.start.context
    canvas = Canvas((before[-near:], after[:near]), (hole,), (before, after))
    start, tokens = engine.start, engine.vocabulary.encode(gold)
    delete = engine.vocabulary.specials.delete
    if delete is None:  # the loop tries lengths, and this is the right one
        start = replace(start, line=len(tokens), block=len(tokens))
    else:
        tokens.append(delete)
    board = Board(canvas, engine.vocabulary, start)
    proposals = proposer.proposals(before, after, others=cut.beside)
    if delete is None:
        encode = engine.vocabulary.encode
        proposals = [it for it in proposals if len(encode(it.text)) == len(board.cells[0])]
    candidates = Candidates.of(proposals, board, hole.limit)
    if not candidates.proposals:
        return None
    places = board.masks(engine.policy.block)
    (logits,) = hole_logits(engine.network, [board.row], [places])
    forbid(board, places, logits, engine.policy.grow)
    said = logits.float().log_softmax(-1).clamp_min(UNHEARD).cpu()
    indices = torch.tensor([index for _, _, index in places])
    wanted = candidates.wanted(indices, board, 0)
    heard = candidates.heard(indices, said.gather(1, wanted.T).T)
    features = torch.stack((candidates.scores, heard, candidates.lengths.float()), dim=1)
    texts = [proposal.text for proposal in candidates.proposals]
    right = torch.tensor(tokens[: len(places)])
    return Weighed(
        features,
        texts.index(gold) if gold in texts else len(texts),
        wanted[:, : len(right)] == right,
        said[torch.arange(len(right)), right].exp(),
    )


def best_blend(weighed: Sequence[Weighed]) -> Blend:
    """Fitted by maximum likelihood; four numbers, so a thousand holes are plenty."""
    start = Blend()
    weights = torch.tensor(
        [start.counts, start.network, start.token, start.none], requires_grad=True
    )
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        total = torch.zeros(())
        for hole in weighed:
            scores = torch.cat((hole.features @ weights[:3], weights[3:]))
            total = total - scores.log_softmax(0)[hole.right]
        mean = total / len(weighed)
        mean.backward()
        return mean

    optimiser.step(loss)
    counts, network, token, none = (round(value, 4) for value in weights.tolist())
    return Blend(counts, network, token, none, best_share(weighed, weights.detach()))


def best_share(weighed: Sequence[Weighed], weights: Tensor) -> float:
    """The share of the proposals that makes the right tokens most probable, each by itself."""
    counted = [(it.features @ weights[:3]).softmax(0) @ it.agreeing.float() for it in weighed]
    voted, heard = torch.cat(counted), torch.cat([it.network for it in weighed])

    def nats(share: float) -> float:
        return -float((share * voted + (1 - share) * heard).log().mean())

    return min((step / 100 for step in range(1, 100)), key=nats)
