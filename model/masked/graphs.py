"""Where steps are computed: buffers that stay where they are, shapes in few sizes, CUDA graphs.

Each stage of a step is captured once for each of a few shapes, boards being padded to them, and
then replayed (`static`). It knows no boards.

The stages are three, and so the shapes are few: the body by boards and length, then head with
probabilities, and the commitment, both by boards and masks. Evidence may be mixed in before the
last. Where shapes need not be few the body is told the masks, too, and its last block computes no
more than what they need.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from model.masked.board import Vocabulary
from model.masked.commit import NOTES, Asked, Bans, allowed, decided, exact, probabilities_of
from model.masked.network import Network
from model.masked.policy import Policy
from model.static import Static

STEP = 128  # tokens between two lengths: a tile of the matrix kernels, at most 127 rows too many
FEWEST_MASKS = 4
FEWEST_ROWS = 16


class Desk(Static):
    """One network's place of work. `buckets`: pad to few shapes; `capture`: replay CUDA graphs.

    What its methods return lies in its buffers, and is overwritten by the next step. For one
    thread, in inference mode.
    """

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        *,
        buckets: bool = False,
        capture: bool = False,
    ) -> None:
        super().__init__(network.lm_head.weight.device, capture=capture)
        self.network = network
        self.vocabulary = vocabulary
        self.buckets = buckets
        self.bans: Bans | None = None

    def sizes(self, boards: int, length: int, masks: int) -> tuple[int, int, int]:
        """What a step of this size is padded to."""
        if not self.buckets:
            return boards, length, masks
        return (
            power_of_two(boards),
            -(-length // STEP) * STEP,
            max(FEWEST_MASKS, power_of_two(masks)),
        )

    def few_rows(self, rows: int) -> int:
        """What the rows beside frozen surroundings are padded to."""
        return max(FEWEST_ROWS, power_of_two(rows)) if self.buckets else rows

    def make_room(self, boards: int, length: int, masks: int, policy: Policy) -> None:
        """Before each step: buffers for so many."""
        shape, of_states = self.network.shape, self.network.lm_head.weight.dtype
        rows, cells = boards * max(length, FEWEST_ROWS), boards * masks
        states = 2 * shape.layers * rows * shape.kv_heads * shape.head_width
        self.hold({
            "tokens": (rows, torch.long),
            "lengths": (boards, torch.long),
            "where": (rows, torch.long),
            "notes": (len(NOTES) * cells, torch.long),
            "numbers": (cells, torch.float32),
            "states": (rows * shape.dim, of_states),
            "probabilities": (cells * shape.vocab, exact(of_states)),
            "before": (cells * shape.vocab if policy.klass else 0, exact(of_states)),
            "kept": (states if policy.frozen else 0, of_states),
            "decided": (5 * cells, torch.float64),
        })  # fmt: skip

    def probabilities(
        self, asked: Asked, policy: Policy, kept: Tensor | None = None, *, few: bool = False
    ) -> Tensor:
        """(boards, masks, vocab) of a step of one of the `sizes`; `asked` lies on the host.

        Into `kept` (`kept_for`) keys and values are written; with `few` only those of the rows
        that `asked` holds, and the others are read from there.
        """
        batch, rows = asked.tokens.shape
        masks = asked.notes.shape[-1]
        length = rows if kept is None else kept.shape[-2]
        full = bool((asked.lengths == length).all())  # no mask then, and a faster kernel
        tokens = self.filled("tokens", asked.tokens)
        lengths = None if full else self.filled("lengths", asked.lengths)
        where = self.filled("where", asked.where) if few else None
        notes = self.filled("notes", asked.notes)
        numbers = self.filled("numbers", asked.numbers)
        here = replace(asked, notes=notes, numbers=numbers)
        dim, vocab = self.network.shape.dim, self.network.shape.vocab
        # The body's graphs would be as many times more as there are counts of masks.
        wanted = None if self.buckets else here.note("rows") % rows  # (boards, masks)
        states = self.view("states", batch, rows if wanted is None else masks, dim)
        every = self.buffers["states"].view(-1, dim)
        out = self.view("probabilities", batch, masks, vocab)
        specials = self.vocabulary.specials
        if self.bans is None:
            self.bans = Bans.of(specials, self.vocabulary.newlines, vocab, self.device)
        bans = self.bans

        def body() -> None:
            states.copy_(self.network.model(tokens, lengths, kept, where, wanted))

        def head() -> None:
            read = every[here.note("rows")] if wanted is None else states
            logits = self.network.lm_head(read)
            logits = allowed(logits, here, bans, specials, policy.grow)
            out.copy_(probabilities_of(logits, policy))

        told = None if wanted is None else masks
        self.run(("body", batch, rows, length, full, kept is None, few, told), body)
        self.run(("head", batch, masks, policy), head)
        return out

    def decided(
        self, asked: Asked, policy: Policy, before: Tensor | None
    ) -> list[list[list[float]]]:
        """`commit.decided` of the probabilities as they are now; the one copy back to the host."""
        batch, masks = asked.numbers.shape
        probabilities = self.view("probabilities", batch, masks, self.network.shape.vocab)
        notes = self.view("notes", len(NOTES), batch, masks)
        numbers = self.view("numbers", batch, masks)
        here = replace(asked, notes=notes, numbers=numbers)
        out = self.view("decided", 5, batch, masks)

        def decide() -> None:
            out.copy_(decided(probabilities, here, policy, self.vocabulary.specials, before))

        self.run(("decide", batch, masks, policy), decide)
        told: list[list[list[float]]] = out.tolist()
        return told

    def before_for(self, asked: Asked) -> Tensor:
        """Where the probabilities of the step before belong, all 0 as yet."""
        return self.view("before", *asked.numbers.shape, self.network.shape.vocab).zero_()

    def kept_for(self, boards: int, length: int) -> Tensor:
        """Where keys and values of that many boards belong (`Body.forward`)."""
        shape = self.network.shape
        return self.view("kept", shape.layers, 2, boards, shape.kv_heads, length, shape.head_width)

    def filled(self, name: str, values: Tensor) -> Tensor:
        """The buffer of that name with these values from the host."""
        if self.device.type == "cuda":
            values = values.pin_memory()
        return self.view(name, *values.shape).copy_(values, non_blocking=True)

    @torch.inference_mode()
    def warm(self, policy: Policy, boards: int, length: int, masks: int) -> Iterator[float]:
        """Steps about nothing of all shapes up to that size; yields the share done after each.

        The largest first, so that no buffer has to grow later.
        """
        boards, length, masks = self.sizes(boards, length, masks)
        batches = falling(boards)
        lengths = range(length, 0, -STEP)
        widths = [width for width in falling(masks) if width >= FEWEST_MASKS]
        shapes = [(batch, long, widths[0]) for batch in batches for long in lengths]
        shapes += [(batch, lengths[-1], wide) for batch in batches for wide in widths[1:]]
        for number, (batch, long, wide) in enumerate(shapes, 1):
            self.make_room(batch, long, wide, policy)
            asked = nothing(batch, long, wide)
            kept = self.kept_for(batch, long) if policy.frozen else None
            self.probabilities(asked, policy, kept)
            self.decided(asked, policy, self.before_for(asked) if policy.klass else None)
            yield number / len(shapes)


def nothing(boards: int, length: int, masks: int) -> Asked:
    """A step of that size about nothing, one token less than full: padding is the common case."""
    notes = torch.zeros(len(NOTES), boards, masks, dtype=torch.long)
    tokens = torch.zeros(boards, length, dtype=torch.long)
    lengths = torch.full((boards,), max(1, length - 1))
    return Asked(tokens, lengths, notes, torch.zeros(boards, masks), torch.zeros_like(tokens))


def power_of_two(number: int) -> int:
    """The next one that is no less."""
    return 1 << max(0, number - 1).bit_length()


def falling(power: int) -> list[int]:
    """That power of two and those below it."""
    return [power >> i for i in range(power.bit_length())]
