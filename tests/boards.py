"""Networks without sense and a vocabulary without training, to try the refinement on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import strategies as st

from model import Canvas, Hole
from model.masked.board import Specials
from model.masked.network import Network, Shape
from model.masked.policy import Policy

torch.set_num_threads(1)  # threads wait for each other longer than such networks compute

VOCABULARY = 40
SPECIALS = Specials(mask=3, bos=1, eos=2, expand=4, delete=5, banned=(0, 1, 2))


class Letters:
    """Ids 6 … 31 are a … z, 32 is a line end, 33 and 34 the two halves of é."""

    specials = SPECIALS
    newlines = (32,)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for char in text:
            if char == "\n":
                ids.append(32)
            elif char == "é":
                ids += [33, 34]
            else:
                ids.append(6 + (ord(char) - ord("a")) % 26)
        return ids

    def pieces(self, ids: Sequence[int]) -> list[str]:
        texts: list[str] = []
        for i, token in enumerate(ids):
            if token == 32:
                texts.append("\n")
            elif token == 34 and i and ids[i - 1] == 33:
                texts.append("é")
            else:
                texts.append(chr(ord("a") + token - 6) if 6 <= token < 32 else "")
        return texts


def random_network(seed: int, **changes: object) -> Network:
    """Weights large enough that the network has opinions."""
    torch.manual_seed(seed)
    values: dict[str, object] = {
        "vocab": VOCABULARY, "dim": 16, "layers": 2, "heads": 4, "kv_heads": 2, "ff": 24,
        "qk_norm": True, **changes,
    }  # fmt: skip
    network = Network(Shape(**values))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 2:
                parameter.mul_(20)
    return network.eval()


texts = st.text("abcdexyz\né", max_size=12)
holes = st.builds(
    lambda limit, multiline, former, strength: Hole(
        0, 0, multiline=multiline, limit=limit, former=former, strength=strength
    ),
    st.integers(1, 12),
    st.booleans(),
    st.text("abcxyz", max_size=8),
    st.sampled_from([0.2, 0.6, 1.0]),
)


@st.composite
def canvases(draw: st.DrawFn) -> Canvas:
    some = tuple(draw(st.lists(holes, min_size=1, max_size=3)))
    around = draw(st.lists(texts, min_size=len(some) + 1, max_size=len(some) + 1))
    return Canvas(tuple(around), some)


rules = st.sampled_from(
    [
        {"threshold": 0.1}, {"threshold": 0.5}, {"threshold": 0.9}, {"threshold": 1.0},
        {"threshold": 0.5, "order": "entropy"}, {"factor": 0.5}, {"factor": 3.0},
        {"entropy_bound": 0.0}, {"entropy_bound": 0.5}, {"klass": (0.3, 0.5)},
        {"klass": (0.0, 1e9), "order": "entropy"}, {"even": 1}, {"even": 4},
        {"even": 9, "order": "entropy"},
    ]
)  # fmt: skip
policies = st.builds(
    lambda rule, cut, grow, block, temperature, top_p: Policy(
        **rule, cut=cut, grow=grow, block=block, temperature=temperature, top_p=top_p
    ),
    rules,
    st.sampled_from([None, 0.3]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([1, 3, 32]),
    st.sampled_from([0.0, 0.8]),
    st.sampled_from([1.0, 0.9]),
)
planning = st.builds(
    lambda steps, cut, grow, temperature: Policy(
        p2=steps, cut=cut, grow=grow, temperature=temperature
    ),
    st.sampled_from([1, 3, 8]),
    st.sampled_from([None, 0.3]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.0, 0.8]),
)
