"""A model's folder on disk: config.json, tokenizer.json and shards of weights, all checked.

`card_of` needs no torch; `load_folder` does.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.canvas import Card, ModelError, lacking

if TYPE_CHECKING:
    from model.evidence.proposals import Proposer
    from model.evidence.weighing import Evidence
    from model.masked.board import Board
    from model.masked.engine import Engine
    from model.tokens import Tokens

BUNDLED = Path(__file__).parent / "bundled"
EVIDENCE = "evidence.json"  # beside a network of others
FAMILY = "masked"
ABILITIES = frozenset({"several-holes", "grow", "re-noise", "drafts"})


def card_of(folder: Path) -> Card:
    """The card in the folder's config, without loading anything. Raises `ModelError`."""
    return card_from(config_of(folder))


def card_from(config: dict[str, Any]) -> Card:
    return Card(
        name=config["name"],
        version=version_of(config),
        context=config["context_chars"],
        hole_limit=config["hole_limit"],
        abilities=ABILITIES,
        languages=frozenset(config.get("languages", ())),
    )


def config_of(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"there is no model in {folder}: it has no config.json. "
            "Name a folder with weights, or 'bundled'."
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    wanted = {"name", "family", "shape", "shards", "context_chars", "hole_limit", "start"}
    if missing := wanted - config.keys():
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}; it was not written by us")
    if config["family"] != FAMILY:
        raise ModelError(f"{path} is of family {config['family']!r}; only {FAMILY!r} is known")
    return config


def version_of(config: dict[str, Any]) -> str:
    """Changes whenever a weight does."""
    digests = [*config["shards"].values(), *config.get("counts", {}).values()]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]


def load_folder(folder: Path, *, seed: int = 0, device: str | None = None) -> Engine:
    """Reads and checks the model; it is not warmed up. Raises `ModelError` for anything amiss."""
    config = config_of(folder)
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load

        from model.masked.board import Start
        from model.masked.engine import Engine
        from model.masked.network import Network, Shape
        from model.masked.policy import Policy
        from model.threads import one_thread
        from model.tokens import Tokens
    except ImportError as error:
        raise lacking(error) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    weights: dict[str, torch.Tensor] = {}
    for name, digest in config["shards"].items():
        data = shard(folder / name, digest)
        try:
            weights |= load(data)
        except SafetensorError as error:
            raise ModelError(f"{folder / name} is no safetensors file: {error}") from error
    try:
        with one_thread():
            network = Network(Shape(**config["shape"]))
            start, policy = Start(**config["start"]), Policy(**config.get("policy", {}))
            network.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
            without = {n for n, _ in network.named_parameters()} - weights.keys()
            if without:
                raise RuntimeError(f"no weights for {', '.join(sorted(without))}")
            tokens = Tokens.from_file(folder / "tokenizer.json")
            evidence = evidence_of(folder, config, tokens)
    except ModelError:
        raise
    except Exception as error:  # torch and tokenizers raise many kinds for files that do not fit
        raise ModelError(f"the parts of {folder} do not fit each other: {error}") from error
    return Engine(
        card_from(config),
        network.to(device),
        tokens,
        start=start,
        policy=policy,
        evidence=evidence,
        seed=seed,
    )


def evidence_of(
    folder: Path, config: dict[str, Any], tokens: Tokens
) -> Callable[[Board], Evidence] | None:
    """What gathers evidence by the folder's counts, None where it has none."""
    from model.evidence.weighing import Blend, Evidence

    if "counts" not in config:
        return None
    proposer = proposer_of(folder, config, tokens)
    return partial(Evidence.of, proposer=proposer, blend=Blend(**config["blend"]))


def proposer_of(folder: Path, config: dict[str, Any], tokens: Tokens) -> Proposer:
    from model.evidence.counts import arrays_from
    from model.evidence.mixture import shipped_from
    from model.evidence.proposals import Proposer

    arrays: dict[str, Any] = {}
    for name, digest in config["counts"].items():
        arrays |= arrays_from(shard(folder / name, digest))
    shipped = shipped_from(arrays, tokens.bytes_of)
    return Proposer(shipped, tokens.bytes_of, tokens.encode)


def bundled_proposer() -> Proposer:
    """What proposes by the counts that ship. It proposes text, so any network can weigh it,
    whatever its vocabulary."""
    from model.tokens import Tokens

    tokens = Tokens.from_file(BUNDLED / "tokenizer.json")
    return proposer_of(BUNDLED, config_of(BUNDLED), tokens)


def evidence_beside(folder: Path) -> Callable[[Board], Evidence] | None:
    """What gathers evidence for a network of others, None where nobody fitted how far it is to
    believe counts: a guess could only harm a network that knows more than they do."""
    from model.evidence.weighing import Blend, Evidence

    path = folder / EVIDENCE
    if not path.exists():
        return None
    try:
        blend = Blend(**json.loads(path.read_text("utf-8"))["blend"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error!r}): delete it, or make it anew by "
            f"`infill-lsp train --counts-for {folder}`"
        ) from error
    return partial(Evidence.of, proposer=bundled_proposer(), blend=blend)


def shard(path: Path, digest: str) -> bytes:
    """The file's bytes if they are those that were written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise ModelError(
            f"{path} is damaged: its sha256 begins {found[:12]}, wanted {digest[:12]}. "
            "Install the package or fetch the model again."
        )
    return data
