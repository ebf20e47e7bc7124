"""Vocabularies of published networks: a folder's tokenizer files to `Tokens`.

Byte-level BPE only, as Qwen2's kin and LLaDA have it. The files' special tokens are taken out of
the tokenizer, so that none is ever made from a user's text: `<|mask|>` in a file is plain text.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# tokenizers is only partly typed.

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from model.canvas import ModelError
from model.masked.board import Specials
from model.published.catalog import Row, Token
from model.tokens import Tokens, text_bytes

# How Qwen2 splits text; where there is no tokenizer.json it is in nobody's file.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Files:
    """What the files say: how text is cut into tokens, and the tokens that are added to those."""

    tokenizer: Tokenizer
    added: dict[int, str]

    def id_of(self, name: str, token: Token, size: int, folder: Path) -> int:
        """The id of a special token, which must be one: not text, and known to the network."""
        if isinstance(token, str):
            for i, text in self.added.items():
                if text == token:
                    return i
            known = ", ".join(repr(text) for text in self.added.values()) or "none"
            raise ModelError(
                f"the {name} token {token!r} is not among the special tokens of {folder} ({known})"
            )
        if token >= size:
            raise ModelError(
                f"the {name} token is said to be {token}, but the network in {folder} knows only "
                f"{size} tokens; are these the keys of another network?"
            )
        text = self.tokenizer.id_to_token(token)
        if text is not None and token not in self.added:
            raise ModelError(
                f"the {name} token is said to be {token}, but that is the text {text!r} in "
                f"{folder}; are these the keys of another network?"
            )
        return token


def tokens_from(folder: Path, row: Row, size: int) -> Tokens:
    """The vocabulary of a network with `size` rows. Raises `ModelError`."""
    files = files_of(folder)
    largest = max(*files.added, *files.tokenizer.get_vocab().values())
    if largest >= size:
        raise ModelError(
            f"the parts of {folder} do not fit each other: its vocabulary has ids up to {largest}, "
            f"its network knows {size} tokens"
        )

    def id_of(name: str, token: Token | None) -> int | None:
        return None if token is None else files.id_of(name, token, size, folder)

    mask = files.id_of("mask", row.mask, size, folder)
    bos, eos = id_of("bos", row.bos), id_of("eos", row.eos)
    expand, delete = id_of("expand", row.expand), id_of("delete", row.delete)
    named = {mask, bos, eos, expand, delete, *(id_of("banned", token) for token in row.banned)}
    if row.length != "grow":
        expand = delete = None  # a user may want another length than the network would find
    silent = {*files.added, *(i for i in named if i is not None)}
    bytes_of = tuple(text_bytes(files.tokenizer, silent, size))
    # Whatever stands for no text must not be written: other special tokens, and rows of the network
    # that no token has.
    banned = [i for i, text in enumerate(bytes_of) if not text and i not in (expand, delete)]
    if not row.around:
        bos = eos = None
    specials = Specials(mask, bos, eos, expand, delete, tuple(banned), always=True)
    return Tokens(files.tokenizer, bytes_of, specials)


def files_of(folder: Path) -> Files:
    """Reads `tokenizer.json`, or `vocab.json` and `merges.txt`, and what is added beside them."""
    try:
        if (folder / "tokenizer.json").exists():
            return from_one(folder)
        if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
            return from_two(folder)
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for files that do not fit
        raise ModelError(f"the vocabulary in {folder} cannot be read: {error}") from error
    raise ModelError(
        f"{folder} has no vocabulary: neither tokenizer.json nor vocab.json with merges.txt"
    )


def from_one(folder: Path) -> Files:
    path = folder / "tokenizer.json"
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    model: dict[str, Any] = data.get("model") or {}
    if model.get("type", "BPE") != "BPE" or "ByteLevel" not in json.dumps(data.get("decoder")):
        raise ModelError(
            f"{path} is no byte-level BPE (model {model.get('type')!r}); no other kind of "
            "vocabulary is known"
        )
    added = {int(token["id"]): str(token["content"]) for token in data.get("added_tokens", ())}
    added |= added_beside(folder)
    texts = set(added.values())
    model["vocab"] = {text: i for text, i in model["vocab"].items() if text not in texts}
    data |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    return Files(Tokenizer.from_str(json.dumps(data)), added)


def from_two(folder: Path) -> Files:
    """The files of Qwen2's first tokenizer, which say nothing of how text is split."""
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))
    added = added_beside(folder)
    texts = set(added.values())
    added |= {vocab[text]: text for text in texts if text in vocab}
    words = {text: i for text, i in vocab.items() if text not in texts}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=merges_of(folder / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return Files(tokenizer, added)


def merges_of(path: Path) -> Sequence[tuple[str, str]]:
    """One pair a line; the first line may say the format's version."""
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        first, gap, second = line.rstrip("\r").partition(" ")
        if not gap:
            raise ModelError(f"line {number} of {path} is no pair: {line!r}")
        pairs.append((first, second))
    return pairs


def added_beside(folder: Path) -> dict[int, str]:
    """Special tokens that stand in files of their own; Open-dCoder's mask stands nowhere else."""
    added: dict[int, str] = {}
    if (path := folder / "tokenizer_config.json").exists():
        listed: dict[str, Any] = json.loads(path.read_text("utf-8")).get("added_tokens_decoder", {})
        added |= {int(i): str(token["content"]) for i, token in listed.items()}
    if (path := folder / "added_tokens.json").exists():
        ids: dict[str, int] = json.loads(path.read_text("utf-8"))
        added |= {int(i): text for text, i in ids.items()}
    return added
