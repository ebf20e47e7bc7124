"""Our network against the published modelling code, on random weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from model.masked.network import Network, Shape, attended, spelled_out  # noqa: E402

torch.set_num_threads(1)


def published_logits(network: Network, kind: str, tokens: torch.Tensor) -> torch.Tensor:
    """The logits of transformers' own Qwen2 or Qwen3 with our weights and a mask of zeros."""
    shape = network.shape
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=shape.vocab, hidden_size=shape.dim, intermediate_size=shape.ff,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, head_dim=shape.head_width, rms_norm_eps=shape.eps,
        rope_theta=shape.rope_theta, tie_word_embeddings=shape.tied, attention_bias=False,
    )  # fmt: skip
    theirs = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    missing, unexpected = theirs.load_state_dict(network.state_dict(), strict=False)
    assert not missing
    assert not unexpected
    batch, length = tokens.shape
    everything = torch.zeros(batch, 1, length, length)
    return theirs(tokens, attention_mask=everything).logits


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Qwen2", {"qkv_bias": True}),
        ("Qwen2", {"qkv_bias": True, "tied": False, "rope_theta": 1e6}),
        ("Qwen3", {"qk_norm": True}),
        ("Qwen3", {"qk_norm": True, "head_dim": 12, "kv_heads": 1}),
    ],
)
def test_logits_equal_the_published_code(kind: str, changes: dict[str, object]):
    torch.manual_seed(0)
    values = {"vocab": 50, "dim": 32, "layers": 3, "heads": 4, "kv_heads": 2, "ff": 48, **changes}
    network = Network(Shape(**values)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        tokens = torch.randint(0, 50, (2, 17))
        ours = network(tokens)
        torch.testing.assert_close(ours, published_logits(network, kind, tokens), atol=1e-5, rtol=0)


def some_network(**changes: object) -> Network:
    torch.manual_seed(0)
    values = {"vocab": 50, "dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ff": 48, **changes}
    return Network(Shape(**values)).eval()  # type: ignore[arg-type]


@torch.inference_mode()
def test_shifted_logits_are_read_one_row_to_the_left():
    tokens = torch.randint(0, 50, (1, 9))
    plain = some_network()(tokens)
    shifted = some_network(shift=True)(tokens)
    torch.testing.assert_close(shifted[:, 1:], plain[:, :-1])
    torch.testing.assert_close(shifted[:, 0], plain[:, 0])


@torch.inference_mode()
def test_padding_does_not_change_what_is_real():
    network = some_network()
    tokens = torch.randint(0, 50, (1, 9))
    padded = torch.cat((tokens, torch.randint(0, 50, (1, 5))), dim=1)
    with_padding = network(padded, torch.tensor([9]))[:, :9]
    torch.testing.assert_close(with_padding, network(tokens), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_wanted_rows_are_those_of_the_whole():
    network = some_network()
    tokens = torch.randint(0, 50, (2, 9))
    rows = torch.tensor([3, 9, 17])
    torch.testing.assert_close(network(tokens, rows=rows), network(tokens).flatten(0, 1)[rows])


@torch.inference_mode()
def test_the_text_behind_a_hole_changes_what_is_seen_in_it():
    network = some_network()
    tokens = torch.randint(0, 50, (1, 9))
    other = tokens.clone()
    other[0, 8] = (other[0, 8] + 1) % 50
    assert not torch.equal(network(tokens)[0, 2], network(other)[0, 2])


@torch.inference_mode()
def test_heads_spelled_out_for_a_kernel_attend_as_they_do_in_groups():
    q, k, v = torch.randn(2, 6, 9, 8), torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8)
    seen = (torch.arange(9) < torch.tensor([[9], [4]]))[:, None, None, :]
    grouped = attended(q, k, v, seen, causal=False)
    alone = attended(q, spelled_out(k, 6), spelled_out(v, 6), seen, causal=False)
    torch.testing.assert_close(alone, grouped, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_rows_beside_what_was_kept_are_those_of_the_whole():
    body = some_network(qkv_bias=True).model
    tokens, lengths = torch.randint(0, 50, (2, 12)), torch.tensor([12, 9])
    kept = torch.zeros(2, 2, 2, 2, 12, 8)
    whole = body(tokens, lengths, kept)
    torch.testing.assert_close(whole, body(tokens, lengths))
    where = torch.tensor([[4, 5, 6, 4], [2, 3, 2, 2]])
    before = kept.clone()
    rows = body(tokens.gather(1, where), lengths, kept, where)
    expected = whole.gather(1, where[..., None].expand(-1, -1, 32))
    torch.testing.assert_close(rows, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(kept, before, atol=1e-5, rtol=0)
    # What is kept, and not what the tokens would say now, is what the rows see.
    kept[..., 8, :] += 1
    assert not torch.allclose(body(tokens.gather(1, where), lengths, kept, where), expected)


@torch.inference_mode()
@pytest.mark.parametrize("changes", [{"qkv_bias": True}, {"qk_norm": True, "head_dim": 12}])
def test_rows_that_are_to_be_read_are_those_of_the_whole(changes: dict[str, object]):
    body = some_network(**changes).model
    width = body.shape.head_width
    tokens, wanted = torch.randint(0, 50, (2, 12)), torch.tensor([[3, 11, 3], [8, 0, 2]])
    index = wanted[..., None].expand(-1, -1, 32)
    for lengths in (None, torch.tensor([12, 9])):
        whole, few = torch.zeros(2, 2, 2, 2, 2, 12, width)
        expected = body(tokens, lengths, whole)
        found = body(tokens, lengths, few, None, wanted)
        torch.testing.assert_close(found, expected.gather(1, index), atol=1e-5, rtol=0)
        torch.testing.assert_close(few, whole, atol=1e-5, rtol=0)  # all of it stays kept
    where = torch.tensor([[4, 5, 6, 4], [2, 3, 2, 2]])
    some, wanted = tokens.gather(1, where) + 1, torch.tensor([[2, 0], [1, 1]])
    expected = body(some, lengths, whole, where)
    found = body(some, lengths, few, where, wanted)
    index = wanted[..., None].expand(-1, -1, 32)
    torch.testing.assert_close(found, expected.gather(1, index), atol=1e-5, rtol=0)
    torch.testing.assert_close(few, whole, atol=1e-5, rtol=0)


def test_some_rows_of_a_causal_network_are_refused():
    with pytest.raises(ValueError, match="computed as a whole"):
        some_network(causal=True).model(
            torch.zeros(1, 4, dtype=torch.long), None, wanted=torch.tensor([[1]])
        )


def test_positions_are_turned_by_one_table_as_without_it():
    body = some_network().model
    tokens = torch.randint(0, 50, (1, 9))
    learning = body(tokens, None)
    with torch.inference_mode():
        torch.testing.assert_close(body(tokens, None), learning, atol=0, rtol=0)
        (table,) = body.tables
        body(tokens[:, :4], None)
        assert body.tables == [table]
        long = torch.randint(0, 50, (1, len(table[0]) + 1))
        body(long, None)
        assert body.tables[1] is table
        assert len(body.tables[0][0]) > len(table[0])
    body(tokens, None).sum().backward()  # a table made while nothing is learnt is not in the way


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kv_heads": 3}, "cannot share"), ({"head_dim": 7}, "even head width")],
)
def test_an_impossible_shape_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        some_network(**changes)
