"""From the corpus file to what training draws from: a vocabulary, and long rows of token ids.

They lie in the work folder as `tokenizer.json`, `train.npy` and `heldout.npy`; `corpus.json` says
what they were made of, and is written last. Knows no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from model.tokens import BOS, EOS, Tokens, train_tokens
from model.training.cores import spread
from model.training.corpus import Source, read_corpus, without_suites
from model.training.sources import CorpusError, pins

SAMPLE_CHARACTERS = (
    60_000_000  # enough to learn a vocabulary from; more makes it slower, not better
)


def prepare(
    work: Path,
    corpus: Path,
    vocab: int,
    exclude: Sequence[Path],
    console: Console,
    tokenizer: Path | None = None,
) -> Tokens:
    """Makes the rows if they are not there; with `tokenizer`, a vocabulary that exists already.

    Raises `CorpusError` where the folder holds rows of another corpus or vocabulary, or the corpus
    cannot be read.
    """
    if (work / "corpus.json").exists():
        check(work, corpus, vocab, exclude, tokenizer)
        return Tokens.from_file(work / "tokenizer.json")
    console.print(f"reading {corpus} …")
    sources = list(without_suites(read_corpus(corpus), exclude, console))
    learnt = [source for source in sources if not source.held_out]
    if not learnt:
        raise CorpusError(f"{corpus} holds no file to learn from")
    rng = np.random.default_rng(0)
    learnt = [learnt[i] for i in rng.permutation(len(learnt))]
    if tokenizer is None:
        console.print(f"{len(sources):,} files; learning the vocabulary …")
        learned = train_tokens(sample(learnt), vocab).tokenizer.to_str(pretty=True)
        (work / "tokenizer.json").write_text(learned, "utf-8")
    else:
        shutil.copy(tokenizer, work / "tokenizer.json")
    tokens = Tokens.from_file(work / "tokenizer.json")
    counts: dict[str, int] = {}
    for name, part in (("train", learnt), ("heldout", [s for s in sources if s.held_out])):
        ids = spread(partial(ids_of, work / "tokenizer.json"), [s.text for s in part], few=200)
        shown = list(track(ids, f"tokens, {name}", len(part), console=console))
        counts[name] = sum(map(len, shown))
        if name == "train":
            shown = repeated(part, shown, rng)
            counts["round"] = sum(map(len, shown))
        save_row(work / f"{name}.npy", np.concatenate(shown or [np.array([EOS])]))
    facts = facts_of(learnt) | {
        "vocab": vocab,
        "corpus": digest(corpus),
        "tokens": counts,
        "excluded_suites": sorted(path.name for path in exclude),
    }
    write_json(work / "corpus.json", facts)
    return tokens


def check(
    work: Path, corpus: Path, vocab: int, exclude: Sequence[Path], tokenizer: Path | None
) -> None:
    """That the rows in the folder are those that would be made now."""
    facts = json.loads((work / "corpus.json").read_text())
    if facts["vocab"] != vocab:
        found, wanted = f"for a vocabulary of {facts['vocab']} tokens", f"{vocab}"
    elif corpus.exists() and facts.get("corpus") != digest(corpus):
        found, wanted = "of another corpus", str(corpus)
    elif tokenizer and tokenizer.read_bytes() != (work / "tokenizer.json").read_bytes():
        found, wanted = "of another vocabulary", str(tokenizer)
    elif missing := {path.name for path in exclude} - set(facts["excluded_suites"]):
        found, wanted = "that may have met the suites", f"without {', '.join(sorted(missing))}"
    else:
        return
    raise CorpusError(
        f"{work} holds token ids {found}, wanted is {wanted}; name another --work or delete that "
        "folder"
    )


def sample(sources: Iterable[Source]) -> Iterator[str]:
    left = SAMPLE_CHARACTERS
    for source in sources:
        if left <= 0:
            return
        left -= len(source.text)
        yield source.text


def ids_of(tokenizer: Path, text: str) -> np.ndarray:
    return np.array([BOS, *tokens_of(tokenizer).encode(text), EOS], np.uint16)


@lru_cache(maxsize=1)
def tokens_of(tokenizer: Path) -> Tokens:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # each core has a process already
    return Tokens.from_file(tokenizer)


def repeated(
    sources: Sequence[Source], ids: Sequence[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """The files in an order by chance; those of the packages to be repeated stand there often."""
    times = [pins().repeats.get(source.package, 1) for source in sources]
    order = rng.permutation(np.repeat(np.arange(len(sources)), times))
    return [ids[i] for i in order]


def save_row(path: Path, row: np.ndarray) -> None:
    try:
        np.save(path, row.astype(np.uint16))
    except OSError as error:  # numpy says how much it wrote, and not why no more
        raise OSError(f"{path} could not be written, is there space? ({error})") from error


def facts_of(learnt: Sequence[Source]) -> dict[str, Any]:
    """What the model's card tells about its data."""
    packages: dict[str, int] = {}
    licences: dict[str, str] = {}
    for source in learnt:
        packages[source.package] = packages.get(source.package, 0) + len(source.text)
        licences[source.package] = source.licence
    by_size = sorted(packages, key=lambda name: -packages[name])
    return {
        "files": len(learnt),
        "characters": sum(packages.values()),
        "packages": {name: packages[name] for name in by_size},
        "licences": {name: licences[name] for name in by_size},
    }


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_json(path: Path, value: object) -> None:
    """Whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(new, path)
