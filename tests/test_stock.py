"""Published checkpoints: what is loaded computes and decodes as their authors' code does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from lsp.command import run  # noqa: E402
from model import Canvas, Hole, ModelError  # noqa: E402
from model.board import Board  # noqa: E402
from model.catalog import Row, row_of  # noqa: E402
from model.engine import Engine  # noqa: E402
from model.load import card_of, load, place_of  # noqa: E402
from model.policy import Policy  # noqa: E402
from model.refine import refine  # noqa: E402
from model.stock import load_stock, policy_of, row_for, start_of  # noqa: E402
from model.weights import peak_host_bytes  # noqa: E402
from tests import published  # noqa: E402
from tests.published import KINDS, Kind, into_cache, published_network, write_checkpoint  # noqa: E402
from tests.test_server import client, until  # noqa: E402

Opened = Callable[..., Engine]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Loads a folder in float32; what was loaded is closed at the end."""
    engines: list[Engine] = []

    def load_it(folder: Path, **options: Any) -> Engine:
        engines.append(
            load_stock(folder, row_for(folder), **{"dtype": "float32", "device": "cpu"} | options)
        )
        return engines[-1]

    yield load_it
    for engine in engines:
        engine.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub; nothing may be asked of the hub itself."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


def folder_for(kind: Kind, at: Path) -> Path:
    return at / kind.id.rpartition("/")[2]  # the name by which the catalog knows it


@pytest.mark.parametrize("name", KINDS)
def test_logits_equal_the_published_rule(name: str, tmp_path: Path, opened: Opened) -> None:
    kind = KINDS[name]
    network = published_network(kind)
    engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, network))
    tokens = torch.randint(0, kind.vocab, (1, 19))
    with torch.inference_mode():
        expected = published.published_logits(kind, network, tokens)
        torch.testing.assert_close(engine.network(tokens), expected, atol=1e-5, rtol=0)


def test_a_tied_head_may_be_stored_or_not(tmp_path: Path, opened: Opened) -> None:
    for name in ("open-dcoder", "a2d-qwen2"):
        kind = KINDS[name]
        engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind)))
        assert engine.network.lm_head.weight is engine.network.model.embed_tokens.weight


def test_a_head_that_was_trained_apart_stays_so(tmp_path: Path, opened: Opened) -> None:
    """transformers reads such a checkpoint like that, too, though its config says tied."""
    kind = KINDS["a2d-qwen2"]
    network = published_network(kind, tie_word_embeddings=False)
    network.config.tie_word_embeddings = True
    engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, network))
    tokens = torch.randint(0, kind.vocab, (1, 9))
    with torch.inference_mode():
        expected = published.published_logits(kind, network, tokens)
        torch.testing.assert_close(engine.network(tokens), expected, atol=1e-5, rtol=0)


def test_weights_are_taken_to_the_number_format_that_is_wanted(
    tmp_path: Path, opened: Opened
) -> None:
    kind = KINDS["dreamon"]
    network = published_network(kind)
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, network, dtype=torch.bfloat16)
    for dtype in ("bfloat16", "float32"):
        engine = opened(folder, dtype=dtype)
        assert {p.dtype for p in engine.network.parameters()} == {getattr(torch, dtype)}
        stored = network.model.norm.weight.to(torch.bfloat16)
        torch.testing.assert_close(engine.network.model.norm.weight.to(torch.bfloat16), stored)


def test_what_is_read_is_told_in_bytes(tmp_path: Path, opened: Opened) -> None:
    kind = KINDS["llada"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    told: list[tuple[str, float]] = []
    opened(folder, on_share=lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all("GB" in what for what, _ in told)


def test_the_peak_of_host_memory_is_logged(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS["a2d-qwen3"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    with caplog.at_level("INFO"):
        opened(folder)
    assert "float32 on cpu" in caplog.text
    assert "host memory" in caplog.text
    peak = peak_host_bytes()
    assert peak is None or peak > 10_000_000


PIECES = ["a", "b(", "x = ", " + 1", "\n", "é", "    "]


def tiny_dreamon(folder: Path) -> tuple[Path, Kind, Any]:
    specials = {"<|endoftext|>": 300, "<|beginoftext|>": 301, "<|mask|>": 302, "<|expand|>": 303}
    return tiny(folder, replace(KINDS["dreamon"], specials=specials), writes=(300, 303))


def tiny(folder: Path, kind: Kind, writes: tuple[int, ...] = ()) -> tuple[Path, Kind, Any]:
    """A network in small, its mask 302. As after training, it never likes what it must not write,
    special tokens but `writes`."""
    kind = replace(kind, vocab=306, tied=False, head=True)
    network = published_network(kind, hidden_size=16, num_hidden_layers=1).double()
    layer, words = network.model.layers[0], published.words().get_vocab_size()
    # All states share a direction, along which the head says what a token is worth anywhere.
    network.model.embed_tokens.weight[:, 0] = 6.0
    network.model.norm.weight[:] = 1.0
    network.lm_head.weight.mul_(1.5)
    network.lm_head.weight[:, 0] = 0.0
    never = [i for i in range(words, 306) if i not in writes]
    network.lm_head.weight[never, 0] = -100.0
    # Masks differ by what they look at.
    network.model.embed_tokens.weight[302, 1:] *= 0.125
    for weights in (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight):
        weights.mul_(2.0)
    for weights in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
        weights.mul_(2.0)
        weights[0] = 0.0
    # Two masks are often equally sure but for rounding: the same angles, rounded alike, keep what
    # is compared here apart from that.
    steps = torch.arange(0, 8, 2).float() / 8
    theta = network.config.rope_parameters["rope_theta"]
    network.model.rotary_emb.inv_freq.copy_(theta**-steps)
    network.float().double()  # what is written is read as float32
    write_checkpoint(folder, kind, network)
    for layer in network.model.layers:
        layer.input_layernorm = exact_norm(layer.input_layernorm)
        layer.post_attention_layernorm = exact_norm(layer.post_attention_layernorm)
    network.model.norm = exact_norm(network.model.norm)
    return folder, kind, network


def exact_norm(published: Any) -> torch.nn.RMSNorm:
    """transformers' own rounds to float32 on the way, whatever it is asked in."""
    norm = torch.nn.RMSNorm(len(published.weight), eps=published.variance_epsilon)
    norm.weight = published.weight
    return norm.requires_grad_(False)


# How much it likes to grow, to cut, and one token of text, of which it is then sure.
LIKINGS = [(0.5, 0.5, 4.0), (2.5, 3.5, 0.0), (3.0, 3.5, 0.0), (3.5, 4.0, 0.0), (1.5, 3.0, 0.0)]
KEYS = {"mask": 302, "bos": "<|beginoftext|>", "eos": 300, "expand": 303, "delete": 300}


@pytest.mark.parametrize("budget", [64, 128], ids=["scripts", "release"])
@pytest.mark.parametrize(("temperature", "canvases"), [(0.2, 250), (0.0, 50)])
def test_dreamon_decodes_as_published_token_for_token(
    budget: int, temperature: float, canvases: int, tmp_path: Path
) -> None:
    folder, kind, network = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, "budget": budget, "decoding": "published"})
    policy = replace(policy_of(row), temperature=temperature)
    if temperature == 0:
        policy = replace(policy, top_p=1.0)
    engine = load_stock(folder, row, dtype="float32", device="cpu")
    engine.network.double()  # so that no two masks are equally sure but for rounding
    words, chance = published.words(), random.Random(budget)
    seen = dict.fromkeys(("steps", "grown", "cut", "budgets spent", "longest"), 0)

    def logits_of(canvas: list[int]) -> torch.Tensor:
        return published.published_logits(kind, network, torch.tensor([canvas]))[0]

    try:
        for number in range(canvases):
            prefix, suffix = ("".join(chance.choices(PIECES, k=chance.randrange(6))) for _ in "PS")
            masks = chance.choice([4, 8, 16, 32, 64])
            for head in (network.lm_head.weight, engine.network.lm_head.weight):
                head[[303, 300, 100], 0] = torch.tensor(LIKINGS[number % 5]).double()
            loop = published.dreamon_loop(
                logits_of,
                words.encode(prefix).ids,
                words.encode(suffix).ids,
                published.Specials(301, 300, 302, 303),
                masks=masks,
                budget=budget,
                chance=torch.Generator().manual_seed(0),
                temperature=temperature,
                top_p=0.9 if temperature else 1.0,
            )
            hole = Hole(0, 0, multiline=True, limit=64)
            start = replace(start_of(row), line=masks, block=masks)
            board = Board(Canvas((prefix, suffix), (hole,)), engine.vocabulary, start)
            before = len(board.row)
            drafts = refine(engine.network, board, policy)
            for step, canvas in enumerate(loop, 1):
                draft = next(drafts)
                assert board.row == canvas, f"step {step} of {prefix!r}, {suffix!r}, {masks}"
                seen["grown"] += len(canvas) > before
                seen["cut"] += len(canvas) < before
                before = len(canvas)
                seen["steps"] += 1
            assert draft.final or step == 256
            seen["budgets spent"] += board.budgets == [0]
            seen["longest"] = max(seen["longest"], len(board.cells[0]))
    finally:
        engine.close()
    # The comparison says something only if all of it happened.
    assert seen["grown"] > canvases
    assert seen["cut"] > canvases / 4


@pytest.mark.parametrize("sampled", [True, False], ids=["as published", "likeliest"])
def test_open_dcoder_decodes_by_p2_as_published_token_for_token(
    sampled: bool, tmp_path: Path
) -> None:
    specials = {"<|endoftext|>": 300, "<M>": 302}
    kind = replace(KINDS["open-dcoder"], specials=specials)
    folder, kind, network = tiny(tmp_path / "open-dcoder-0.5B", kind)
    decoding = "published" if sampled else "ours"
    row = row_for(folder, {"mask": "<M>", "eos": 300, "decoding": decoding})
    policy = policy_of(row)
    assert (policy.p2, policy.temperature, policy.top_p) == (
        64,
        *((0.6, 0.95) if sampled else (0, 1)),
    )
    taken_back, number = 0, 40 if sampled else 80
    for canvas, prefix, suffix, masks in canvases_for(number, seed=1):
        loop = published.p2_loop(
            logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=64,
            chance=torch.Generator().manual_seed(0), temperature=policy.temperature,
            top_p=policy.top_p,
        )  # fmt: skip
        rows = rows_of(folder, row, canvas, masks, policy)
        theirs = list(loop)
        if not sampled:  # steps that changed nothing need not be taken, or are by one alone
            rows, theirs = without_repeats(rows), without_repeats(theirs)
        assert rows == theirs
        for before, after in pairwise(theirs):
            taken_back += sum(new == 302 != old for old, new in zip(before, after, strict=True))
    assert taken_back > number


@pytest.mark.parametrize("name", ["LLaDA-8B-Base", "LLaDA-8B-Instruct"])
def test_llada_decodes_by_its_schedule_token_for_token(name: str, tmp_path: Path) -> None:
    specials = {"<|endoftext|>": 300, "<|mdm_mask|>": 302, "<|eot_id|>": 301}
    kind = replace(KINDS["llada"], id=f"GSAI-ML/{name}", specials=specials)
    folder, kind, network = tiny(tmp_path / name, kind)
    keys = {"mask": 302, "eos": 300, "banned": [301], "decoding": "published"}
    row = row_for(folder, keys)
    policy = policy_of(row)
    assert (policy.even, policy.block) == (128, 32 if name.endswith("Instruct") else 128)
    chance, several = random.Random(3), 0
    for canvas, prefix, suffix, masks in canvases_for(60, seed=2):
        block = chance.choice([it for it in range(1, masks + 1) if masks % it == 0])
        steps = chance.choice([1, 2, 3, block, 2 * block]) * (masks // block)
        loop = published.llada_loop(
            logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=steps, block=block
        )
        mine = replace(policy, even=steps, block=block)
        rows = rows_of(folder, row, canvas, masks, mine)
        assert rows == without_repeats(loop), f"{masks} masks, {steps} steps, blocks of {block}"
        several += block < masks
    assert several > 20
    # The row as it stands: what fits into a block takes a step a token.
    canvas, prefix, suffix, masks = next(canvases_for(1, seed=4))
    loop = published.llada_loop(
        logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=128, block=masks
    )
    assert rows_of(folder, row, canvas, masks, policy) == without_repeats(loop)


def canvases_for(count: int, seed: int) -> Iterator[tuple[Canvas, list[int], list[int], int]]:
    """Random ones: a canvas, its ids on both sides, and how many masks its hole has."""
    chance, words = random.Random(seed), published.words()
    for _ in range(count):
        prefix, suffix = ("".join(chance.choices(PIECES, k=chance.randrange(1, 7))) for _ in "PS")
        masks = chance.choice([2, 3, 4, 6, 8, 12, 16, 24])
        canvas = Canvas((prefix, suffix), (Hole(0, 0, multiline=True, limit=64),))
        yield canvas, words.encode(prefix).ids, words.encode(suffix).ids, masks


def logits_of(kind: Kind, network: Any) -> Callable[[list[int]], torch.Tensor]:
    return lambda row: published.published_logits(kind, network, torch.tensor([row]))[0]


def rows_of(folder: Path, row: Row, canvas: Canvas, masks: int, policy: Policy) -> list[list[int]]:
    """The board of such a canvas after each step."""
    engine = doubled(folder, row)
    board = Board(canvas, engine.vocabulary, replace(start_of(row), line=masks, block=masks))
    return [board.row for _ in refine(engine.network, board, policy)]


@lru_cache
def doubled(folder: Path, row: Row) -> Engine:
    """In float64, so that no two masks are equally sure but for rounding."""
    engine = load_stock(folder, row, dtype="float32", device="cpu")
    engine.close()
    engine.network.double()
    return engine


def without_repeats(rows: Iterable[list[int]]) -> list[list[int]]:
    return [row for row, _ in groupby(rows)]


@pytest.mark.parametrize(("keys", "budget"), [({}, 64), ({"budget": 128}, 128)])
def test_how_often_a_hole_may_grow_is_a_setting(
    keys: dict[str, Any], budget: int, tmp_path: Path
) -> None:
    """That of DreamOn's scripts is as often as it may have tokens, that of its release twice."""
    folder, _, _ = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, **keys})
    engine = load_stock(folder, row, device="cpu")
    engine.close()
    hole = Hole(0, 0, multiline=True, limit=engine.card.hole_limit)
    board = Board(Canvas(("a", "b"), (hole,)), engine.vocabulary, engine.start)
    assert len(board.cells[0]) == 64
    grown = 0
    while True:
        board.commit(0, 63, 300, 0.9)  # what was cut makes room, but gives nothing back
        if not board.may_expand(0):
            break
        board.commit(0, 0, 303, 0.9)
        grown += 1
    assert grown == budget


def test_a_context_that_is_cut_still_begins_and_ends_as_published(tmp_path: Path) -> None:
    folder, _, _ = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, "context": 100})
    engine = load_stock(folder, row, device="cpu")
    try:
        board = Board(
            Canvas(("abc " * 500, "xyz " * 500), (Hole(0, 0),)), engine.vocabulary, engine.start
        )
        assert (board.row[0], board.row[-1]) == (301, 300)
        assert len(board.row) == 100
    finally:
        engine.close()


@pytest.mark.parametrize("name", ["dreamon", "open-dcoder", "a2d-qwen2", "a2d-qwen3", "llada"])
def test_a_file_is_filled_by_each_family_from_the_hub_s_cache(
    name: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    row = row_of(kind.id)
    assert row is not None
    folder = write_checkpoint(tmp_path / "any", kind, published_network(kind, scale=2.0))
    snapshot = into_cache(cache, kind.id, folder, row.revision or "a" * 40)
    assert place_of(kind.id).folder == snapshot
    file = tmp_path / "a.py"
    file.write_text("def area(width, height):\n    return \n")
    run(["fill", f"{file}:2:12", "--json", "--model", kind.id])
    told = json.loads(capsys.readouterr().out)
    assert told["model"].startswith(kind.id.rpartition("/")[2])
    assert told["steps"] > 0


def test_a_folder_works_like_an_id(tmp_path: Path, cache: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    into_cache(cache, kind.id, folder, row_of(kind.id).revision)  # type: ignore[union-attr]
    named, by_id = card_of(str(folder)), card_of(kind.id)
    assert replace(named, version="") == replace(by_id, version="")
    assert by_id.hole_limit == 128


def test_the_card_changes_with_the_weights(tmp_path: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    before = card_of(str(folder))
    assert card_of(str(folder)) == before
    write_checkpoint(folder, kind, published_network(kind, seed=1))
    assert card_of(str(folder)).version != before.version


def test_a_network_without_a_row_needs_a_few_keys(tmp_path: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(tmp_path / "mine", kind, published_network(kind))
    with pytest.raises(ModelError, match="`mask`, `shift` and `context`"):
        card_of(str(folder))
    with pytest.raises(ModelError, match="'context' is missing"):
        card_of(str(folder), {"mask": "<M>", "shift": True})
    card = card_of(str(folder), {"mask": "<M>", "shift": True, "context": 512})
    assert card.name == "mine"
    loaded = load(str(folder), keys={"mask": "<M>", "shift": True, "context": 512})
    assert isinstance(loaded, Engine)
    assert loaded.vocabulary.specials.mask == 151665
    loaded.close()


def test_weights_that_are_not_here_are_named_with_the_command_that_fetches_them(
    cache: Path,
) -> None:
    with pytest.raises(ModelError, match="infill-lsp models pull Dream-org/DreamOn-v0-7B"):
        load("Dream-org/DreamOn-v0-7B")
    with pytest.raises(ModelError, match="no network of this name is known"):
        load("Dream-org/DreamOff")


def spoilt(tmp_path: Path, how: Callable[[Path], object], name: str = "dreamon") -> Path:
    kind = KINDS[name]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    how(folder)
    return folder


def truncated(folder: Path) -> None:
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def only_pickles(folder: Path) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(b"\x80\x04")


def without_a_tensor(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    names = json.loads(index.read_text())["weight_map"]
    del names["model.layers.0.self_attn.q_proj.bias"]
    kind, network = KINDS["dreamon"], published_network(KINDS["dreamon"])
    weights = published.published_weights(kind, network)
    del weights["model.layers.0.self_attn.q_proj.bias"]
    for path in folder.glob("model*"):
        path.unlink()
    published.write_weights(folder, weights, 2)


def with_a_tensor_more(folder: Path) -> None:
    kind, network = KINDS["dreamon"], published_network(KINDS["dreamon"])
    weights = published.published_weights(kind, network)
    weights["model.layers.0.self_attn.q_norm.weight"] = torch.ones(4)
    for path in folder.glob("model*"):
        path.unlink()
    published.write_weights(folder, weights, 1)


def with_config(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in config.items() if v != "gone"}))

    return change


def deleted(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


SPOILT = [
    (truncated, "model-00002-of-00002.safetensors is damaged or cut off"),
    (deleted("model-00001-of-00002.safetensors"), "model-00001-of-00002.safetensors is missing"),
    (only_pickles, "pytorch_model-00001-of-00001.bin: reading that format can run any code"),
    (deleted("model.safetensors.index.json"), "has no weights"),
    (written("model.safetensors.index.json", "{"), "index.json cannot be read"),
    (
        written("model.safetensors.index.json", '{"weight_map": {"a": "../../a.safetensors"}}'),
        "no safetensors file beside it",
    ),
    (without_a_tensor, "lacks weights .*: model.layers.0.self_attn.q_proj.bias"),
    (with_a_tensor_more, "no place for: model.layers.0.self_attn.q_norm.weight"),
    (with_config(model_type="bert"), "of the architecture 'bert', which is not known"),
    (with_config(hidden_size=16), "is 152064×8, its config.json asks for 152064×16"),
    (with_config(num_hidden_layers=3), r"lacks weights .* and \d+ more"),
    (with_config(num_hidden_layers="gone"), "lacks num_hidden_layers"),
    (with_config(num_attention_heads=3, num_key_value_heads=2), "cannot share"),
    (with_config(rope_theta="gone"), "lacks rope_theta"),
    (with_config(rope_scaling={"type": "yarn", "factor": 4.0}), "'yarn', which is not known"),
    (with_config(hidden_act="gelu"), 'hidden_act = "gelu", which is another architecture'),
    (with_config(use_sliding_window=True), "use_sliding_window = true"),
    (with_config(quantization_config={"bits": 4}), "quantization_config"),
    (with_config(model_type="llada"), "has the layout 'qwen2', but"),
    (written("config.json", "[1"), "there is no model|cannot be read"),
    (deleted("vocab.json"), "has no vocabulary"),
    (written("merges.txt", "#version: 0.2\nabc\n"), "line 2 of .* is no pair"),
    (written("vocab.json", "{]"), "the vocabulary in .* cannot be read"),
    (written("added_tokens.json", '{"<|x|>": 152064}'), "has ids up to 152064, its network knows"),
]


@pytest.mark.parametrize(("how", "message"), SPOILT, ids=[message for _, message in SPOILT])
def test_what_does_not_fit_is_named_in_a_sentence(
    how: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as told:
        load(str(spoilt(tmp_path, how)))
    assert "\n" not in str(told.value)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    def quantised(folder: Path) -> None:
        kind = KINDS["dreamon"]
        weights = published.published_weights(kind, published_network(kind))
        weights["model.layers.0.mlp.up_proj.weight"] = torch.zeros(12, 8, dtype=torch.int8)
        (folder / "model.safetensors.index.json").unlink()
        published.write_weights(folder, weights, 1)

    with pytest.raises(ModelError, match="stored as I8: quantised weights are not read"):
        load(str(spoilt(tmp_path, quantised)))


def test_keys_of_another_network_are_noticed(tmp_path: Path) -> None:
    folder = spoilt(tmp_path, lambda _: None)
    for keys, message in [
        ({"mask": 5}, "the mask token is said to be 5, but that is the text"),
        ({"mask": 200_000}, "knows only 152064 tokens"),
        ({"mask": "<M>"}, "'<M>' is not among the special tokens"),
    ]:
        with pytest.raises(ModelError, match=message):
            load(str(folder), keys=keys)


@pytest.mark.parametrize("how", [truncated, only_pickles, with_config(model_type="bert")])
async def test_the_server_lives_on_and_the_bundled_model_fills(
    how: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = spoilt(tmp_path, how)
    async with client(load, {"model": str(folder)}) as c:
        await until(lambda: len(c.shown()) == 1)
        (message,) = c.shown()
        assert str(folder) in message
        assert "the bundled model fills" in message
        assert await c.texts(c.inline())
        assert len(c.shown()) == 1
