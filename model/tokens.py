"""Text to token ids and back, for byte-level vocabularies; and the training of our own.

Knows nothing of networks. In our own a line end and the indentation after it are one token wherever
they are frequent, so a network can choose the layout of a line in one place.
`model/published/vocabularies.py` reads published ones.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from model.masked.board import Specials

PAD, BOS, EOS, MASK, EXPAND, DELETE = range(6)
SPECIALS = ("[pad]", "[bos]", "[eos]", "[mask]", "[expand]", "[delete]")
OURS = Specials(MASK, BOS, EOS, EXPAND, DELETE, banned=(PAD, BOS, EOS))

# Newlines with the indentation that follows, then words with the space or underscore before them,
# short runs of digits, runs of signs, and what is left of white space.
SPLIT = r"\n+[ \t]*|[ _]?[A-Za-z]+| ?[0-9]{1,3}| ?[^\sA-Za-z0-9_]+|_+|[ \t]+|\s"


class Tokens:
    """A vocabulary. `bytes_of` are those that each id stands for, none for a special token; such
    an id is never made from text."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        bytes_of: Sequence[bytes] | None = None,
        specials: Specials = OURS,
    ) -> None:
        self.tokenizer = tokenizer
        ours = range(len(SPECIALS))
        self.bytes_of = tuple(text_bytes(tokenizer, ours) if bytes_of is None else bytes_of)
        # A lone carriage return ends a line in an editor, too.
        self.newlines: Sequence[int] = [
            i for i, text in enumerate(self.bytes_of) if b"\n" in text or b"\r" in text
        ]
        self.specials = specials
        tokenizer.encode_special_tokens = (
            True  # "[mask]" in a user's file is seven plain characters
        )

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        return cls(Tokenizer.from_file(str(path)))

    def __len__(self) -> int:
        return len(self.bytes_of)

    def encode(self, text: str) -> list[int]:
        # Lone surrogates have no UTF-8; the network sees a replacement, the user's text stays.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self.tokenizer.encode(clean, add_special_tokens=False).ids
        return ids

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text an id. A character made of several tokens belongs to the one that ends it; bytes
        that make no character are left out, so half a character is never shown."""
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        return [decoder.decode(self.bytes_of[i]) for i in ids]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.pieces(ids))


def train_tokens(texts: Iterable[str], vocab: int) -> Tokens:
    """A vocabulary of the given size (specials included) learnt from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=24,  # longer ones would be whole licence lines
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Tokens(tokenizer)


def text_bytes(tokenizer: Tokenizer, silent: Collection[int], size: int = 0) -> Iterator[bytes]:
    """The bytes that each id stands for, in order; nothing for the silent ones.

    At least `size` ids: a network may have more rows than its vocabulary has tokens.
    """
    byte_of = {char: byte for byte, char in byte_alphabet().items()}
    chars_of = {i: chars for chars, i in tokenizer.get_vocab().items() if i not in silent}
    for i in range(max(size, max(chars_of, default=-1) + 1)):
        chars = chars_of.get(i, "")
        whole = all(char in byte_of for char in chars)
        yield bytes(byte_of[char] for char in chars) if whole else b""


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, which byte-level tokenizers store."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {
        byte: chr(0x100 + i) for i, byte in enumerate(rest)
    }
