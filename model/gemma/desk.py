"""Where canvases are computed: buffers that stay where they are, shapes in few sizes, graphs."""

from __future__ import annotations

from collections.abc import Sequence

from model.gemma.network import Network


class Desk:
    """One network's place of work. `banned`: ids that are never written into a hole.

    `buckets` pads prompts and canvases to few sizes, `capture` replays each as a CUDA graph.
    """

    def __init__(
        self,
        network: Network,
        *,
        banned: Sequence[int] = (),
        buckets: bool = False,
        capture: bool = False,
    ) -> None: ...
