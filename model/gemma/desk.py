"""Where canvases are computed: buffers that stay where they are, shapes in few sizes, graphs.

A step is two stages: the body, by the sizes of prompt and canvas, and the judgement with head and
sampling, by the number of tokens asked about. On CUDA each is captured once for each size and then
replayed, what it is about being padded; elsewhere, and wherever it is told to, a stage is simply
called: the same code on the same buffers. It knows no text, and of holes only where they are.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from model.gemma.history import History
from model.gemma.network import Kept, Network, Prefix
from model.gemma.packing import Layout, Size, nothing, size_of, sizes
from model.gemma.sampler import Asked, Noise, Policy, State, judged
from model.static import Static

CARRIED = ("ids", "soft", "past", "best", "done")  # what a step changes and the next one reads


@dataclass(frozen=True, slots=True)
class Heard:
    """What the host is told of a step."""

    ids: list[int]  # of each asked token the likeliest, in a row that is done the last one
    logs: list[float]  # its log-probability, or that of what stands there if it was given
    accepted: list[bool]
    done: list[bool]  # of each row


class Desk(Static):
    """One network's place of work. `banned`: ids that are never written into a hole.

    `buckets` pads prompts and canvases to few sizes, `capture` replays each as a CUDA graph. For
    one thread, in inference mode, and for one decoding at a time: the next takes the buffers over.
    """

    def __init__(
        self,
        network: Network,
        *,
        banned: Sequence[int] = (),
        buckets: bool = False,
        capture: bool = False,
    ) -> None:
        super().__init__(network.weight.device, capture=capture, carried=CARRIED)
        self.network = network
        self.buckets = buckets or capture
        self.banned = torch.zeros(network.vocabulary, dtype=torch.bool)
        self.banned[list(banned)] = True
        self.banned = self.banned.to(self.device)
        self.size = Size(0, 0, 0, 0, 0)
        self.holder: object = None

    def size_of(self, prefix: int, layout: Layout, policy: Policy) -> Size:
        return size_of(prefix, layout, policy.stability, padded=self.buckets)

    def make_room(self, size: Size) -> None:
        """Buffers for so much."""
        network, states = self.network, self.network.weight.dtype
        wanted: dict[str, tuple[int, torch.dtype]] = {
            # One more than a canvas has: what has no place there is written behind it.
            "ids": (size.canvas + 1, torch.long),
            "soft": ((size.canvas + 1) * network.width, states),
            "places": (size.canvas, torch.long),
            "states": (size.canvas * network.width, states),
            "reads": (size.asked, torch.long),
            "writes": (size.asked, torch.long),
            "given": (size.asked, torch.bool),
            "member": (size.rows * size.asked, torch.bool),
            "race": (size.asked * network.vocabulary, torch.float32),
            "fresh": (size.asked, torch.long),
            "past": (size.stability * size.asked, torch.long),
            "best": (size.asked, torch.long),
            "done": (size.rows, torch.bool),
            "temperature": (1, torch.float32),
            "told": (3 * size.asked + size.rows, torch.float64),
        }
        for number, layer in enumerate(network.layers):
            room = layer.heads * size.seen(layer) * layer.width
            wanted |= {f"keys {number}": (room, states), f"values {number}": (room, states)}
        for kind, layer in network.kinds.items():
            wanted[kind] = (size.canvas * (size.seen(layer) + size.canvas), states)
        self.hold(wanted)
        self.size = size

    def start(
        self,
        history: History,
        layout: Layout,
        generators: Sequence[torch.Generator],
        policy: Policy,
    ) -> None:
        """Lays canvases behind a prompt, for their first step. A hole token below 0 is drawn. What
        becomes of the history afterwards does not matter."""
        self.make_room(self.size_of(history.length, layout, policy))
        size = self.size
        for number, kept in enumerate(self.prefix(size).layers):
            first = history.layers[number].first(history.length)
            there = history.length - first
            kept.keys[:, :, :there] = history.keys[number][:, :, first : history.length]
            kept.values[:, :, :there] = history.values[number][:, :, first : history.length]
        self.lay(history.length, layout)
        self.filled("ids", layout.ids + [0] * (size.canvas - len(layout.ids)))
        self.draw(layout, generators)
        ids, written = self.view("ids", size.canvas), self.view("writes", layout.written)
        given = ids[written]
        ids[written] = torch.where(given < 0, self.view("fresh", layout.written), given)
        self.view("soft", size.canvas + 1, self.network.width).zero_()
        self.view("past", size.stability, size.asked).fill_(-1)
        self.view("best", size.asked).fill_(-1)
        self.view("done", size.rows).zero_()

    def keep(self, layout: Layout, prompt: int, tokens: list[int], asked: list[int],
             rows: list[int], policy: Policy) -> None:  # fmt: skip
        """Goes on with a part of what is there: which tokens, asked ones and rows, in the order of
        the new layout. `prompt`: how many tokens it has."""
        size, width = self.size, self.network.width
        where, about, which = map(self.on_device, (tokens, asked, rows))
        ids = self.view("ids", size.canvas)[where]
        soft = self.view("soft", size.canvas, width)[where]
        past = self.view("past", size.stability, size.asked)[:, about]
        best = self.view("best", size.asked)[about]
        done = self.view("done", size.rows)[which]
        self.size = replace(self.size_of(prompt, layout, policy), prefix=size.prefix)
        self.lay(prompt, layout)
        self.view("ids", len(ids)).copy_(ids)
        self.view("soft", len(soft), width).copy_(soft)
        self.view("past", size.stability, self.size.asked)[:, : len(about)] = past
        self.view("best", len(best)).copy_(best)
        self.view("done", len(done)).copy_(done)

    def lay(self, prompt: int, layout: Layout) -> None:
        """Fills what does not change from step to step."""
        size = self.size
        padding = size.canvas - len(layout.ids)
        self.filled("places", [prompt + place for place in layout.places] + [prompt] * padding)
        rows = self.on_device(layout.rows + [-1] * padding)  # padding sees nobody's canvas
        apart = rows[:, None] != rows
        column = torch.arange(size.prefix, device=self.device)
        for kind, layer in self.network.kinds.items():
            beyond = column[: size.seen(layer)] >= prompt - layer.first(prompt)
            hidden = torch.cat((beyond.expand(size.canvas, -1), apart), 1)
            self.mask(size, kind).copy_(self.network.mask(hidden))

        spare = size.asked - len(layout.asked)
        given = len(layout.asked) - layout.written
        nowhere = [len(self.buffers["ids"]) - 1] * (given + spare)
        self.filled("reads", layout.asked + [0] * spare)
        self.filled("writes", layout.asked[: layout.written] + nowhere)
        self.filled("given", [False] * layout.written + [True] * (given + spare))
        owners = [row for row, span in enumerate(layout.spans) for _ in span]
        owner = self.on_device(owners + [-1] * (given + spare))
        number = torch.arange(size.rows, device=self.device)
        self.view("member", size.rows, size.asked).copy_(number[:, None] == owner)

    def draw(self, layout: Layout, generators: Sequence[torch.Generator]) -> None:
        """New noise for hole tokens. Each row has its own, no matter beside which others it is."""
        fresh = self.view("fresh", layout.written)
        for span, generator in zip(layout.spans, generators, strict=True):
            fresh[span.start : span.stop].random_(0, self.network.vocabulary, generator=generator)

    def step(
        self,
        temperature: Tensor,
        layout: Layout,
        generators: Sequence[torch.Generator],
        policy: Policy,
    ) -> Heard:
        """Takes all canvases to the next step. The one copy to the host is the last it does."""
        size = self.size
        self.view("temperature", 1).copy_(temperature)
        race = self.view("race", size.asked, self.network.vocabulary)
        for span, generator in zip(layout.spans, generators, strict=True):
            race[span.start : span.stop].exponential_(generator=generator)
        self.draw(layout, generators)
        self.run(("body", size.prefix, size.canvas), partial(self.body, size))
        rules = (policy.bound, policy.stability, policy.confidence, policy.doubt)
        key = ("judge", size.asked, size.rows, rules)
        self.run(key, partial(self.judge, size, policy))
        told: list[float] = self.view("told", 3 * size.asked + size.rows).tolist()
        best, logs, accepted = (told[kind * size.asked :][: len(layout.asked)] for kind in range(3))
        done = told[3 * size.asked :][: len(layout.spans)]
        return Heard(
            [int(token) for token in best], logs, [each > 0 for each in accepted],
            [each > 0 for each in done],
        )  # fmt: skip

    def body(self, size: Size) -> None:
        width = self.network.width
        states = self.network.body(
            self.view("ids", size.canvas),
            self.view("soft", size.canvas, width),
            self.view("places", size.canvas),
            self.prefix(size),
            {kind: self.mask(size, kind) for kind in self.network.kinds},
        )
        self.view("states", size.canvas, width).copy_(states)

    def judge(self, size: Size, policy: Policy) -> None:
        """Writes what the next step reads, and what the host hears of this one: `Heard`, its lists
        one behind the other."""
        network, asked = self.network, size.asked
        reads, writes = self.view("reads", asked), self.view("writes", asked)
        # Not as long as the canvas is: the same graph serves canvases of all sizes.
        ids = self.buffers["ids"]
        soft = self.buffers["soft"].view(len(ids), network.width)
        states = self.buffers["states"].view(-1, network.width)
        state = State(
            self.view("past", size.stability, asked),
            self.view("best", asked),
            self.view("done", size.rows),
        )
        verdict = judged(
            network.head(states[reads]),
            self.view("temperature", 1),
            self.banned,
            Asked(self.view("member", size.rows, asked), self.view("given", asked), ids[reads]),
            Noise(self.view("race", asked, network.vocabulary), self.view("fresh", asked)),
            state,
            policy,
        )
        ids.index_copy_(0, writes, verdict.canvas)
        # What is clamped is certain, and the network is told so: of logits that leave no choice
        # there is nothing to compute, they are the token's own embedding. It is what the network
        # says of a clean token by itself, and what `generate()` feeds back where a processor forces
        # a token. Before the first step it is told nothing of anything, as in its training, where
        # it was told all or nothing.
        told = torch.where(verdict.held[:, None], soft[writes], network.softened(verdict.logits))
        soft.copy_(network.embedded(ids))
        soft.index_copy_(0, writes, told)
        self.view("told", 3 * size.asked + size.rows).copy_(
            torch.cat((state.best.double(), verdict.logs.double(), verdict.accepted, state.done))
        )

    def prefix(self, size: Size) -> Prefix:
        layers: list[Kept] = []
        for number, layer in enumerate(self.network.layers):
            shape = (1, layer.heads, size.seen(layer), layer.width)
            layers.append(
                Kept(self.view(f"keys {number}", *shape), self.view(f"values {number}", *shape))
            )
        return Prefix(layers)

    def mask(self, size: Size, kind: str) -> Tensor:
        columns = size.seen(self.network.kinds[kind]) + size.canvas
        return self.view(kind, 1, 1, size.canvas, columns)

    def filled(self, name: str, values: Sequence[int] | Sequence[bool]) -> None:
        self.buffers[name][: len(values)].copy_(self.on_device(values))

    def on_device(self, values: Sequence[int] | Sequence[bool]) -> Tensor:
        here = torch.tensor(values)
        if self.device.type == "cuda":
            here = here.pin_memory()
        return here.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def warm(
        self, policy: Policy, prefix: int, canvas: int, rows: int = 1, asked: int | None = None
    ) -> Iterator[float]:
        """Steps about nothing of all sizes up to that; yields the share done after each.

        `canvas` are the tokens of all rows together, `asked` those in holes or scored; None: all.
        These take the most memory, some numbers for each token of the vocabulary.
        """
        self.holder = None
        temperature = policy.temperatures(self.device)[0]
        wanted = sizes(prefix, canvas, asked or canvas, rows, policy.stability)
        for number, size in enumerate(wanted, 1):
            layout = nothing(size)
            self.make_room(size)
            self.lay(size.prefix - 1, layout)  # padding is the common case
            self.filled("ids", layout.ids)
            generators = [torch.Generator(self.device) for _ in layout.spans]
            self.step(temperature, layout, generators, policy)
            yield number / len(wanted)
