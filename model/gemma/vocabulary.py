"""DiffusionGemma's vocabulary: text to ids and back, and the ids that stand for no text.

Gemma's tokenizers write a space as ▁ and bytes without a token of their own as <0x…>. Special
tokens are never made from a user's text: `<turn|>` in a file is seven plain characters.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# tokenizers is only partly typed.

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from model.canvas import ModelError
from model.masked.board import Specials
from model.tokens import Tokens

SPACE = "▁"
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Added tokens that are no text although no flag says so: turns, channels, tools, images, what is
# kept for later. Runs of line ends and HTML tags are added tokens, too, and they are text.
SILENT = re.compile(r"<\|[a-z_]+\|?>|<[a-z_]+\|>|<unused\d+>|<(start|end)_of_\w+>|\[multimodal\]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`enders` end an answer. `silent` are all ids of the network that stand for no text: they are
    never shown, and but for enders never written."""

    tokens: Tokens
    pad: int
    eos: int
    bos: int
    turn: int
    turn_end: int
    enders: frozenset[int]
    silent: tuple[int, ...]
    newlines: frozenset[int]

    def encode(self, text: str) -> list[int]:
        return self.tokens.encode(text)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text an id, whole characters only."""
        return self.tokens.pieces(ids)

    def banned(self, *, ends: bool, one_line: bool) -> tuple[int, ...]:
        """What must not be written; `ends`: where an answer may end by itself."""
        silent = (i for i in self.silent if not ends or i not in self.enders)
        return (*silent, *(sorted(self.newlines) if one_line else ()))


def vocabulary_from(folder: Path, size: int, ends: Collection[int] = ()) -> Vocabulary:
    """The vocabulary of a network with `size` rows; `ends` are ids that end an answer, as its
    generation_config.json says. Raises `ModelError`."""
    path = folder / "tokenizer.json"
    tokenizer, added = read(path)
    names = {text: i for i, text in added.items()}
    vocab = tokenizer.get_vocab()
    largest = max(vocab.values(), default=-1)
    if largest >= size:
        raise ModelError(
            f"the parts of {folder} do not fit each other: its vocabulary has ids up to {largest}, "
            f"its network knows {size} tokens"
        )

    def id_of(text: str) -> int:
        if text not in names:
            raise ModelError(
                f"{path} has no special token {text}, so it is the vocabulary of another Gemma: "
                "take the tokenizer.json that was published with the weights"
            )
        return names[text]

    pad, eos, bos = id_of("<pad>"), id_of("<eos>"), id_of("<bos>")
    turn, turn_end = id_of("<|turn>"), id_of("<turn|>")
    enders = frozenset({eos, turn_end, *(i for i in ends if i < size)})
    bytes_of = tuple(text_bytes(vocab, {*added, *enders}, size))
    silent = tuple(i for i, text in enumerate(bytes_of) if not text)
    specials = Specials(mask=pad, bos=bos, eos=eos, banned=silent)
    tokens = Tokens(tokenizer, bytes_of, specials)
    newlines = frozenset(tokens.newlines)
    return Vocabulary(tokens, pad, eos, bos, turn, turn_end, enders, silent, newlines)


def read(path: Path) -> tuple[Tokenizer, dict[int, str]]:
    """The tokenizer without its special tokens, and those by id."""
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        model: dict[str, Any] = data.get("model") or {}
        if model.get("type") != "BPE" or not model.get("byte_fallback"):
            raise ModelError(
                f"{path} is no vocabulary of Gemma's kind (BPE that falls back to bytes), but "
                f"{model.get('type')!r}: take the one that was published with the weights"
            )
        listed: list[dict[str, Any]] = data.get("added_tokens") or []
        special = [it for it in listed if it.get("special") or SILENT.fullmatch(it["content"])]
        data["added_tokens"] = [it for it in listed if it not in special]
        data |= {"post_processor": None, "truncation": None, "padding": None}
        tokenizer = Tokenizer.from_str(json.dumps(data))
        return tokenizer, {int(it["id"]): str(it["content"]) for it in special}
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: the folder is not whole, fetch it again") from error
    except Exception as error:  # tokenizers raises bare Exception for files that do not fit
        raise ModelError(f"the vocabulary {path} cannot be read: {error}") from error


def text_bytes(vocab: dict[str, int], silent: Collection[int], size: int) -> Iterator[bytes]:
    """The bytes that each id stands for, in order; nothing for the silent ones and for rows of the
    network that no token has."""
    text_of = {i: text for text, i in vocab.items() if i not in silent}
    for i in range(size):
        text = text_of.get(i, "")
        if (byte := BYTE.fullmatch(text)) is not None:
            yield bytes([int(byte[1], 16)])
        elif SILENT.fullmatch(text):
            yield b""
        else:
            yield text.replace(SPACE, " ").encode()
