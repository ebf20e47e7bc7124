"""What is known of published networks: one row each, and rows from settings.

The rows are in `catalog.toml`. It knows no weights on disk and no torch: only facts that were
published, and what of them this project has verified.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from model.canvas import ModelError
from model.masked.policy import Order

DATA = Path(__file__).with_suffix(".toml")
LAYOUTS = ("qwen2", "qwen3", "llada", "diffusion_gemma")  # whose names the weights carry
FAMILIES = ("masked", "uniform")  # holes start as masks, or as uniform noise on a canvas
# How a hole gets its length, as a reader may be told it.
LENGTHS = {
    "grow": "the network adds and deletes masks itself",
    "choose": "several lengths are tried, by the rule of its lengths.json, its probe, or CAL",
    "calibrated": "several lengths are tried: CAL's calibrated confidence",
    "regressed": "several lengths are tried: LR-DLLM's regression, its first stage",
    "adjusted": "LR-DLLM in both stages: written from the left, the length looked at at each token",
    "power": "several lengths are tried: confidence by a power of the length",
    "probe": "several lengths are tried: those that its probe.safetensors tells",
    "judged": "several lengths are tried, judged by what follows; or the network ends by itself",
    "fixed": "it stays as it is",
}
DECODINGS = {
    "ours": "by our threshold, the likeliest tokens, and counts where they were fitted",
    "published": "as its authors do it: their rule, sampling and nothing beside",
}
ORDERS: tuple[Order, ...] = get_args(Order)
Rule = Literal["one", "even", "p2"]
RULES: tuple[Rule, ...] = get_args(Rule)
WEIGHTS = ("bfloat16", "float32", "int8", "float8", "int4")  # what weights are held as
MODES = {
    "auto": "clamped within lines and for several holes, prompted for blocks and at a file's end",
    "clamped": "what follows a hole stands on its canvas and stays",
    "prompted": "what follows is told beforehand, and the network ends the hole itself",
}

Token = int | str  # an id, or the token's text where its id is only in the tokenizer's files


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the authors sample; temperature 0 is the likeliest token.

    By `rule` one token is committed a step; or in `steps` a hole equal numbers, block after block
    of so many tokens (LLaDA's schedule; 0: the hole is one); or by path planning in `steps`, which
    masks again what has become unsure (P2).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    order: Order = "confidence"  # which mask is committed first: surest token, or least entropy
    rule: Rule = "one"
    steps: int = 0
    block: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A network: what cannot be read from its files, and what one wants to know before fetching.

    Special ids are written in full; `around` says whether `bos` and `eos` stand around what the
    network sees. `length` is one of `LENGTHS`, "grow" only where it has tokens to expand and
    delete; `decoding` one of `DECODINGS`. What surrounds holes is computed anew in every so many
    steps as `frozen` says; 0: at each, all else is an approximation.
    `masks` is what a hole starts with, `limit` what it may grow to, `budget` how often it may grow
    by a mask, whatever was cut of it; 0: as often as its limit has tokens.

    The uniform family has no masks and no shift, its special tokens are in its files. Of `context`
    at most `prompt` tokens are laid out, beside a `canvas` of so many (0: what its config says),
    which is refined in `steps` at most, in a `mode` (see `model/gemma/layout.py`).
    """

    id: str
    layout: str
    context: int  # tokens it was trained on at once
    mask: Token = ""  # a masked network must have one
    shift: bool = False  # the token at position i is read from row i-1
    revision: str = ""  # the commit that was looked at; empty: none was, "main" is whatever it is
    licence: str = "unknown"
    limits: str = ""  # of the licence, in a sentence
    bytes: int = 0  # of the weights as published (bfloat16), by arithmetic from the shape
    family: str = "masked"
    bos: Token | None = None
    eos: Token | None = None
    expand: Token | None = None
    delete: Token | None = None
    banned: tuple[Token, ...] = ()  # never written; all other special tokens are banned anyway
    around: bool = False
    length: str = "choose"
    masks: int = 16
    limit: int = 128
    budget: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    decoding: str = "ours"
    frozen: int = 0
    weights: str = ""  # see `WEIGHTS`; empty: what the device multiplies fastest
    mode: str = "auto"
    prompt: int = 8192
    canvas: int = 0
    steps: int = 16
    verified: str = "nothing"  # in a sentence: what, and how

    @property
    def pinned(self) -> bool:
        return bool(self.revision)


def row_of(name: str) -> Row | None:
    """The row of a hub id; the part behind the slash is enough. None where none is known."""
    wanted = name.casefold()
    for row in known():
        full = row.id.casefold()
        if wanted in (full, full.partition("/")[2]):
            return row
    return None


def likely(name: str) -> str:
    """What to say to who named a network that is not known."""
    ends = {row.id.partition("/")[2].casefold(): row.id for row in known()}
    near = get_close_matches(name.rpartition("/")[2].casefold(), ends, 1, 0.5)
    if near:
        return f"did you mean {ends[near[0]]}?"
    return "`infill-lsp models list` shows those that are known."


@lru_cache
def known() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    data = tomllib.loads(DATA.read_text("utf-8"))
    return tuple(row_from(mapping) for mapping in data["network"])


def row_from(mapping: Mapping[str, Any], base: Row | None = None) -> Row:
    """A row from keys of the same names, for a network of a known shape that has no row yet.

    `base` gives what the mapping does not say. Raises `ModelError` that names every key amiss.
    """
    about = str(mapping.get("id") or (base.id if base else "the network"))
    complaints = [unknown(key) for key in mapping if key not in KINDS]
    given = {key: value for key, value in mapping.items() if key in KINDS}
    complaints += [
        f"{key!r} must be {KINDS[key].wanted}, not {value!r}"
        for key, value in given.items()
        if not KINDS[key].fits(value)
    ]
    values: dict[str, Any] = {} if base is None else {f.name: getattr(base, f.name) for f in WHOLE}
    values |= given
    uniform = values.get("layout") == "diffusion_gemma"
    values["family"] = values.get("family") or FAMILIES[uniform]
    required = [key for key in REQUIRED if not uniform or key not in ("mask", "shift")]
    if lacking := [key for key in required if key not in values]:
        complaints.append(
            f"{', '.join(map(repr, lacking))} {'is' if len(lacking) == 1 else 'are'} missing "
            f"(needed are {', '.join(required)})"
        )
    strange = MASKED_ONLY if uniform else UNIFORM_ONLY
    complaints += [
        f"{key!r} says nothing of a network of the {values['family']} family"
        for key in given if key in strange
    ]  # fmt: skip
    if not complaints:
        complaints += contradictions(values)
    if complaints:
        raise ModelError(f"the keys of {about} cannot be used: {'; '.join(complaints)}")
    values["banned"] = tuple(values.get("banned", ()))
    sampling = values.get("sampling", Sampling())
    if not isinstance(sampling, Sampling):
        values["sampling"] = Sampling(**sampling)
    if "length" not in given and base is None and uniform:
        values["length"] = "judged"
    elif "length" not in given and base is None and values.get("expand") is not None:
        values["length"] = "grow"
    return Row(**values)


def unknown(key: str) -> str:
    near = get_close_matches(key, KINDS, 1)
    return f"{key!r} is unknown" + (
        f" (did you mean {near[0]!r}?)" if near else f" (known are {', '.join(sorted(KINDS))})"
    )


def contradictions(values: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if (values["family"] == "uniform") != (values["layout"] == "diffusion_gemma"):
        found.append("'family' is 'uniform' where 'layout' is 'diffusion_gemma', else 'masked'")
    elif values["family"] == "uniform":
        return uniform_contradictions(values)
    if values.get("length") == "judged":
        found.append("'length' as judged is for a diffusion_gemma only")
    if values.get("weights") == "int4":
        found.append(
            "'weights' as 'int4' are for the experts of a diffusion_gemma only: choose 'int8' or "
            "'float8'"
        )
    tokens = {key: values.get(key) for key in ("bos", "eos", "expand", "delete")}
    if values.get("around") and tokens["bos"] is None and tokens["eos"] is None:
        found.append("'around' needs 'bos' or 'eos'")
    if (tokens["expand"] is None) != (tokens["delete"] is None):
        found.append("'expand' and 'delete' come together")
    if values.get("length") == "grow" and tokens["expand"] is None:
        found.append("length 'grow' needs 'expand' and 'delete'")
    if values["mask"] in tokens.values():
        found.append("'mask' must be a token of its own")
    if values.get("masks", 1) > values.get("limit", 128):
        found.append("'masks' may not be above 'limit'")
    if values.get("limit", 128) >= values["context"]:
        found.append("'limit' must leave room in 'context' for what stands around the hole")
    return found


def uniform_contradictions(values: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    limit, canvas = values.get("limit", 128), values.get("canvas", 0)
    if canvas and limit > canvas:
        found.append(
            f"a hole of 'limit' {limit} tokens has no room on a 'canvas' of {canvas}: take a "
            "smaller limit"
        )
    if values.get("length", "judged") != "judged":
        found.append("'length' of a diffusion_gemma is 'judged', it has no other way")
    if values.get("weights") == "int8":
        found.append("'weights' of a diffusion_gemma may be int4, float8, bfloat16 or float32")
    return found


@dataclass(frozen=True, slots=True)
class Kind:
    """What a key's value must be, as a test and in words."""

    fits: Callable[[Any], bool]
    wanted: str


def is_token(value: Any) -> bool:
    return (type(value) is int and value >= 0) or (isinstance(value, str) and value != "")


def is_sampling(value: Any) -> bool:
    if isinstance(value, Sampling):
        return True
    if not isinstance(value, Mapping):
        return False
    given: dict[str, Any] = dict(value)  # type: ignore[arg-type]
    numbers = [given.pop("temperature", 0.0), given.pop("top_p", 1.0)]
    order, rule = given.pop("order", ORDERS[0]), given.pop("rule", RULES[0])
    steps, block = given.pop("steps", 0), given.pop("block", 0)
    return (
        not given
        and order in ORDERS
        and all(type(number) in (int, float) and number >= 0 for number in numbers)
        and 0 < numbers[1] <= 1
        and rule in RULES
        and all(type(number) is int and number >= 0 for number in (steps, block))
        and (steps > 0) == (rule != "one")
        and (block == 0 or rule == "even")
        and (order == ORDERS[0] or rule != "p2")
    )


TEXT = Kind(lambda value: isinstance(value, str), "text")
FLAG = Kind(lambda value: isinstance(value, bool), "true or false")
COUNT = Kind(lambda value: type(value) is int and value > 0, "a number above 0")
TOKEN = Kind(is_token, "a token's id or text")


def one_of(values: tuple[str, ...]) -> Kind:
    return Kind(lambda value: value in values, f"one of {', '.join(map(repr, values))}")


KINDS: dict[str, Kind] = {
    "id": TEXT,
    "layout": one_of(LAYOUTS),
    "mask": TOKEN,
    "shift": FLAG,
    "context": COUNT,
    "revision": TEXT,
    "licence": TEXT,
    "limits": TEXT,
    "bytes": COUNT,
    "family": one_of(FAMILIES),
    "bos": TOKEN,
    "eos": TOKEN,
    "expand": TOKEN,
    "delete": TOKEN,
    "banned": Kind(
        lambda value: isinstance(value, (list, tuple)) and all(map(is_token, value)),  # pyright: ignore
        "a list of tokens",
    ),
    "around": FLAG,
    "length": one_of(tuple(LENGTHS)),
    "masks": COUNT,
    "limit": COUNT,
    "budget": COUNT,
    "sampling": Kind(
        is_sampling, "a table of temperature, top_p (above 0, at most 1), order "
        f"({' or '.join(ORDERS)}) and rule ({' or '.join(RULES)}), the latter two with steps, "
        "even also with block; p2 has no order but confidence"
    ),
    "decoding": one_of(tuple(DECODINGS)),
    "frozen": COUNT,
    "weights": one_of(WEIGHTS),
    "mode": one_of(tuple(MODES)),
    "prompt": COUNT,
    "canvas": COUNT,
    "steps": COUNT,
    "verified": TEXT,
}  # fmt: skip
WHOLE = fields(Row)
MASKED_ONLY = (
    "mask", "shift", "bos", "eos", "expand", "delete", "banned", "around", "masks", "budget",
    "sampling", "frozen",
)  # fmt: skip
UNIFORM_ONLY = ("mode", "prompt", "canvas", "steps")
REQUIRED = ("id", "layout", "mask", "shift", "context")  # what no file of a masked network says
