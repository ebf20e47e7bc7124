"""Folders in the layout in which networks are published: described and loaded.

A published config says the shape, a row of the catalog what no file says. Nothing here runs code
that came with a network. No torch until one is loaded.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.canvas import Card, ModelError, lacking
from model.folder import evidence_beside
from model.masked.board import Start
from model.masked.policy import Policy
from model.published.architecture import GEMMA, config_of, layout_of, shape_of
from model.published.catalog import Row, row_from, row_of

if TYPE_CHECKING:
    from model.masked.engine import Engine

logger = logging.getLogger(__name__)

CHARS_A_TOKEN = 3  # of code, at least, in vocabularies of this size
ABILITIES = frozenset({"several-holes", "re-noise", "drafts"})


def row_for(folder: Path, keys: Mapping[str, Any] | None = None) -> Row:
    """What no file of the folder says: a row of the catalog, the user's keys laid over it.

    The row is that of the hub's cache that the folder lies in, of the folder's name, or of the name
    in its config, in this order. Raises `ModelError`.
    """
    config = config_of(folder)
    layout = layout_of(config, folder)
    row = next((row for name in names_of(folder, config) if (row := row_of(name))), None)
    if row is None and layout == "diffusion_gemma":
        row = gemma_in(folder)
    if row is None and not keys:
        raise ModelError(
            f"{folder} is a network that the catalog does not know, so a few things must be said "
            "of it: its mask token, its shift (whether the token at position i is read from row "
            "i-1) and its context (how many tokens it was trained on at once). Give them as the "
            "keys `mask`, `shift` and `context`."
        )
    given = dict(keys or {})
    if row is None:
        given = {"id": folder.resolve().name, "layout": layout, **given}
    row = row_from(given, row) if given else row
    assert row is not None  # where there is none, there are keys
    if row.layout != layout:
        raise ModelError(
            f"{row.id} has the layout {row.layout!r}, but {folder / 'config.json'} is of the "
            f"architecture {config['model_type']!r}, whose layout is {layout!r}"
        )
    return row


def gemma_in(folder: Path) -> Row:
    """The row of a DiffusionGemma of another name: all that differs is in its files."""
    known = row_of(GEMMA)
    assert known is not None
    return replace(
        known, id=folder.resolve().name, revision="", licence="unknown", limits="", bytes=0,
        canvas=0, verified="nothing",
    )  # fmt: skip


def names_of(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """What the network in a folder may be called, the surest first."""
    names: list[str] = []
    for part in folder.absolute().parts:
        if part.startswith("models--") and part.count("--") == 2:
            names.append("/".join(part.split("--")[1:]))
    names += [folder.absolute().name, str(config.get("_name_or_path", ""))]
    return names


def start_of(row: Row) -> Start:
    context = row.context - row.limit
    return Start(line=row.masks, block=row.masks, context=context, budget=row.budget)


def policy_of(row: Row, *, leftmost: bool = False) -> Policy:
    """How masks are committed: by our threshold, the likeliest tokens; or as the authors do it, by
    their rule and sampling. What can take back what it wrote no threshold can replace: P2 is P2
    either way, and only the likeliest tokens are ours. `leftmost` writes from the left, a token a
    step, whatever the rule: so LR-DLLM has it."""
    taken, published = row.sampling, row.decoding == "published"
    plain = Policy(order=taken.order, cut=None, grow=0.0, block=row.limit, frozen=row.frozen)
    if leftmost:
        policy = replace(plain, threshold=1.0, block=1)
    elif taken.rule == "p2":
        policy = replace(plain, p2=taken.steps)
    elif taken.rule == "even" and published:
        policy = replace(plain, even=taken.steps, block=taken.block or row.limit)
    else:
        policy = replace(plain, threshold=1.0 if published else 0.9)
    if published:
        policy = replace(policy, temperature=taken.temperature, top_p=taken.top_p)
    return policy


def card_of(folder: Path, row: Row) -> Card:
    grows = {"grow"} if row.length == "grow" else set[str]()
    tokens = min(row.context - row.limit, row.prompt if row.family == "uniform" else row.context)
    return Card(
        name=row.id.rpartition("/")[2],
        version=version_of(folder, row),
        context=CHARS_A_TOKEN * tokens,
        hole_limit=row.limit,
        abilities=ABILITIES | grows,
    )


def version_of(folder: Path, row: Row) -> str:
    """Changes whenever a file does. Gigabytes are not read for it: sizes and times must do."""
    digest = hashlib.sha256(repr(row).encode())
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".json", ".txt") and path.is_file():
            stat = path.stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def load_stock(
    folder: Path,
    row: Row,
    *,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
    on_share: Callable[[str, float], None] | None = None,
) -> Engine:
    """Reads and checks the network; it is not warmed up. Raises `ModelError` for anything amiss.

    `dtype` is "bfloat16" or "float32"; without one it is what the device multiplies fastest.
    `on_share` hears what is being read, and the share of it.
    """
    config = config_of(folder)
    layout = layout_of(config, folder)
    if row.family != "masked":
        raise ModelError(
            f"{row.id} has no masks: lengths, probes and counts are for networks that have, "
            "see `infill-lsp models list`"
        )
    try:
        import torch

        from model.lengths.choosing import choosing_from
        from model.masked.engine import Engine
        from model.masked.network import Shape
        from model.precision import has_bfloat16
        from model.published import memory, weights
        from model.published.quantise import KINDS, check_kind, weight_bytes
        from model.published.vocabularies import tokens_from
        from model.threads import one_thread
    except ImportError as error:
        raise lacking(error) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    narrow = row.weights if row.weights in KINDS else ""
    check_kind(narrow, device)
    dtype = dtype or ("" if narrow else row.weights)
    number_format = getattr(torch, dtype or ("bfloat16" if has_bfloat16(device) else "float32"))
    stored = weights.stored_in(folder)
    head = weights.their_name(weights.HEAD, layout) in stored
    try:
        shape = Shape(**shape_of(config, layout, folder, head=head), shift=row.shift)
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'} asks for the impossible: {error}") from error
    tokens = tokens_from(folder, row, shape.vocab)
    memory.check(memory.plan_for(row, shape, device, number_format))

    def on_bytes(done: int, whole: int) -> None:
        if on_share:
            on_share(f"{done / 1e9:.1f} of {whole / 1e9:.1f} GB", done / whole)

    began = time.perf_counter()
    try:
        with one_thread():
            network = weights.network_from(
                folder, stored, shape, layout, device=device, dtype=number_format, narrow=narrow,
                on_bytes=on_bytes,
            )  # fmt: skip
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise memory.outgrown(row.id, device) from error
    grows = row.length == "grow"
    choosing = None if grows else choosing_from(folder, network, row.length)
    size = weight_bytes(network)
    held = narrow or str(number_format).removeprefix("torch.")
    logger.info(
        "%s: %.2f GB of weights as %s on %s after %.1f s; this process had at most %.2f GB of host "
        "memory", row.id, size / 1e9, held, device,
        time.perf_counter() - began, (weights.peak_host_bytes() or 0) / 1e9,
    )  # fmt: skip
    return Engine(
        card_of(folder, row),
        network,
        tokens,
        start=start_of(row),
        policy=policy_of(row, leftmost=choosing is not None and choosing.chooser is None),
        choosing=choosing,
        evidence=None if row.decoding == "published" else evidence_beside(folder),
        seed=seed,
    )
